"""A cluster in this process, as a client sees one: nodes behind fake links, a dict for a store, faults on demand.

Writes are remembered by operation id, as real replicas do it: a write sent twice happens once, and gets its first
answer again.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

import msgspec

from kvstore.client.link import Listener
from kvstore.core.commands import Command, Condition, Kind, Result, Run, Status, decode_batch, encode
from kvstore.core.errors import KvError, NotConnected, NotLeader, UnknownKeyspace, WrongPartition
from kvstore.placement.hashing import partition_of
from kvstore.v1 import admin_pb2, ring_pb2
from kvstore.v1 import kv_pb2 as pb

CLUSTER = "0c1u57e4"
TIMELINE = 0x7E57
LATENCY_S = 0.001
Answer = pb.Reply | KvError | None
"""None: the node hangs."""


def failure_of(error: KvError) -> pb.Failure:
    facts = {name: value for name, value in error.facts.items() if isinstance(value, str | int | bytes | None)}
    return pb.Failure(
        code=error.code,
        message=str(error),
        definite=error.definite,
        retryable=error.retryable,
        facts=msgspec.msgpack.encode(facts),
    )


@dataclass
class FakeGroup:
    """One partition's state: what all its replicas agree on."""

    number: int
    replicas: list[str]
    leader: str
    rows: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    answers: dict[tuple[int, int], Result] = field(default_factory=dict)
    executed: list[tuple[int, int]] = field(default_factory=list)
    """Operation ids in the order in which they really happened."""
    batches: list[tuple[int, bool, int]] = field(default_factory=list)
    """(answered_below, atomic, commands) of each batch that arrived."""
    stamp: int = 1_700_000_000_000 << 16

    def write(self, data: bytes) -> list[Result]:
        batch = decode_batch(data)
        self.batches.append((batch.answered_below, batch.atomic, len(batch.commands)))
        names = [(batch.client, command.sequence) for command in batch.commands]
        if batch.atomic and not any(name in self.answers for name in names):
            refused = [self._refusal(command) for command in batch.commands]
            if any(refusal is not None for refusal in refused):
                results = [refusal or Result(Status.NOT_EXECUTED, 0) for refusal in refused]
                self.answers.update(zip(names, results, strict=True))
                return results
        return [self._once(name, command) for name, command in zip(names, batch.commands, strict=True)]

    def _once(self, name: tuple[int, int], command: Command) -> Result:
        if name not in self.answers:
            self.answers[name] = self._refusal(command) or self._execute(name, command)
        return self.answers[name]

    def _refusal(self, command: Command) -> Result | None:
        stamp = self.rows.get(command.key, (0, b""))[0]
        wrong = {
            Condition.NONE: False,
            Condition.ABSENT: stamp != 0,
            Condition.STAMP: stamp != command.stamp,
        }[Condition(command.condition)]
        return Result(Status.FAILED_CONDITION, stamp) if wrong else None

    def _execute(self, name: tuple[int, int], command: Command) -> Result:
        self.executed.append(name)
        if command.kind == Kind.DELETE and command.key not in self.rows:
            return Result(Status.NOT_FOUND, 0)
        self.stamp += 1
        if command.kind == Kind.DELETE:
            del self.rows[command.key]
        else:
            self.rows[command.key] = (self.stamp, command.value)
        return Result(Status.WRITTEN, self.stamp)


def shortest(results: list[Result]) -> list[Result] | Run:
    """As a node says it."""
    first = results[0].stamp
    rising = [Result(Status.WRITTEN, first + place) for place in range(len(results))]
    return Run(first, len(results)) if results == rising else results


class FakeNode:
    """How one node behaves."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.up = True
        """Whether it can be connected to."""
        self.paused = False
        """Whether it hears everything and says nothing."""
        self.refusal: KvError | None = None
        """What it answers to a hello, if it refuses."""
        self.links: list[FakeLink] = []
        self.requests: list[pb.SessionRequest] = []
        self.hellos: list[pb.SessionHello] = []
        self.before: list[Callable[[pb.Call], Answer | bool]] = []
        """Asked for each call, first come first served and then gone: an answer, or False to serve it as usual."""
        self.always: Callable[[pb.Call], Answer | bool] | None = None
        """The same for every call."""
        self.latency_s = LATENCY_S
        self.forwards = True


class FakeCluster:
    """Nodes, keyspaces, groups. `link` is what a client takes for connecting."""

    def __init__(self, nodes: int = 3, partitions: int = 4, value_bytes_max: int = 1 << 20) -> None:
        self.nodes = {f"n{i}": FakeNode(f"n{i}", f"10.0.0.{i}:7401") for i in range(1, nodes + 1)}
        self.epoch = 1
        self.timeline, self.cluster = TIMELINE, CLUSTER
        self.groups: dict[int, FakeGroup] = {}
        self.keyspaces: dict[str, ring_pb2.RingKeyspace] = {}
        self.dials: list[str] = []
        self._ids, self._group_numbers = count(1), count(1)  # never reused
        self.add_keyspace("default", partitions, value_bytes_max)

    @property
    def addresses(self) -> list[str]:
        return [node.address for node in self.nodes.values()]

    @property
    def url(self) -> str:
        return "kv://" + ",".join(self.addresses)

    def add_keyspace(self, name: str, partitions: int = 4, value_bytes_max: int = 1 << 20) -> ring_pb2.RingKeyspace:
        keyspace = ring_pb2.RingKeyspace(
            id=next(self._ids), name=name, mode="leader", replicas=3, value_bytes_max=value_bytes_max,
            history_versions=16, history_seconds=600, acks="majority",
        )  # fmt: skip
        names = list(self.nodes)
        for number in range(partitions):
            group = next(self._group_numbers)
            first = number % len(names)
            replicas = (names[first:] + names[:first])[:3]
            self.groups[group] = FakeGroup(group, replicas, replicas[0])
            keyspace.partitions.add(group=group, replicas=replicas)
        self.keyspaces[name] = keyspace
        self.epoch += 1
        return keyspace

    def drop_keyspace(self, name: str) -> None:
        for partition in self.keyspaces.pop(name).partitions:
            del self.groups[partition.group]
        self.epoch += 1

    def group_of(self, key: bytes, keyspace: str = "default") -> FakeGroup:
        partitions = self.keyspaces[keyspace].partitions
        return self.groups[partitions[partition_of(key, len(partitions))].group]

    def leader_of(self, key: bytes) -> FakeNode:
        return self.nodes[self.group_of(key).leader]

    def keys_of_group(self, number: int, count: int) -> list[bytes]:
        keys = (f"key:{i}".encode() for i in range(100_000))
        found = (key for key in keys if self.group_of(key).number == number)
        return [next(found) for _ in range(count)]

    def ring(self) -> ring_pb2.Ring:
        ring = ring_pb2.Ring(epoch=self.epoch, cluster=self.cluster, timeline=self.timeline)
        for node in self.nodes.values():
            ring.nodes.add(id=node.name, client_address=node.address)
        for keyspace in self.keyspaces.values():
            copy = ring.keyspaces.add()
            copy.CopyFrom(keyspace)
            for partition in copy.partitions:
                partition.leader = self.groups[partition.group].leader
        return ring

    def publish(self, *names: str) -> None:
        """Send the ring to every client of these nodes (all nodes that are up and not paused)."""
        for node in self.nodes.values():
            if node.up and not node.paused and (not names or node.name in names):
                for link in list(node.links):
                    link.say(pb.SessionReply(ring=self.ring()))

    def move_leader(self, group: int, to: str, publish: bool = True) -> None:
        self.groups[group].leader = to
        if publish:
            self.publish()

    def kill(self, name: str) -> None:
        node = self.nodes[name]
        node.up = False
        for link in list(node.links):
            link.break_off(NotConnected(f"{node.address}: connection reset"))

    def link(self, address: str) -> "FakeLink":
        self.dials.append(address)
        return FakeLink(self, address)

    def node_at(self, address: str) -> FakeNode | None:
        return next((node for node in self.nodes.values() if node.address == address), None)

    # What nodes do.

    def serve(self, node: FakeNode, call: pb.Call) -> Answer:
        if node.before:
            decided = node.before.pop(0)(call)
            if decided is not False:
                return decided  # type: ignore[return-value]
        if node.always is not None:
            decided = node.always(call)
            if decided is not False:
                return decided  # type: ignore[return-value]
        group = self.groups.get(call.group)
        if group is None:
            return WrongPartition(f"no group {call.group} here")
        follower_read = call.read.level == pb.READ_LEVEL_FOLLOWER or call.page.level == pb.READ_LEVEL_FOLLOWER
        if group.leader != node.name and not follower_read:
            return NotLeader(f"{node.name} does not lead group {call.group}", leader=group.leader or None)
        return self.execute(node, group, call)

    def execute(self, node: FakeNode, group: FakeGroup, call: pb.Call) -> pb.Reply:
        reply = pb.Reply(receipt=pb.Receipt(mode="leader", group=group.number, term=1, node=node.name, acknowledged=3))
        kind = call.WhichOneof("body")
        if kind == "write":
            reply.results = encode(shortest(group.write(call.write.commands)))
        elif kind == "read":
            reply.versions = msgspec.msgpack.encode([group.rows.get(key) for key in call.read.keys])
        elif kind == "page":
            reply.page.CopyFrom(page_of(group, call.page))
        else:
            found = group.answers.get((call.outcome.client, call.outcome.sequence))
            reply.outcome = msgspec.msgpack.encode(None if found is None else (found.status, found.stamp))
        return reply


def page_of(group: FakeGroup, page: pb.Page) -> pb.PageReply:
    keys = sorted(key for key in group.rows if key >= page.start and (not page.end or key < page.end))
    rows: list[tuple[bytes, int, bytes]] = []
    size = 0
    for key in keys:
        stamp, value = group.rows[key]
        rows.append((key, stamp, b"" if page.keys_only else value))
        size += len(key) + (0 if page.keys_only else len(value))
        if (page.limit and len(rows) == page.limit) or (page.bytes_max and size >= page.bytes_max):
            break
    return pb.PageReply(rows=msgspec.msgpack.encode(rows), more=len(rows) < len(keys))


class FakeLink:
    """A Link to a fake node: each way takes the node's latency, and one request at a time is on its way."""

    def __init__(self, cluster: FakeCluster, address: str) -> None:
        self.cluster, self.address = cluster, address
        self.node = cluster.node_at(address)
        self.listener: Listener | None = None
        self._busy = True
        self._loop = asyncio.get_running_loop()

    @property
    def writable(self) -> bool:
        return self.listener is not None and not self._busy

    def open(self, hello: pb.SessionHello, listener: Listener) -> None:
        self.listener = listener
        self._loop.call_later(LATENCY_S, self._connected, hello)

    def _connected(self, hello: pb.SessionHello) -> None:
        node = self.node
        if node is None or not node.up:
            self.break_off(NotConnected(f"{self.address}: connection refused"))
            return
        node.hellos.append(hello)
        node.links.append(self)
        if node.refusal is not None:
            self.say(pb.SessionReply(refused=failure_of(node.refusal)))
            return
        if node.paused:
            self._loop.call_later(2.0, self.break_off, NotConnected(f"{self.address}: no welcome"))
            return
        self._busy = False
        welcome = pb.SessionWelcome(node=node.name, cluster=self.cluster.cluster, timeline=self.cluster.timeline)
        self.say(pb.SessionReply(welcome=welcome, ring=self.cluster.ring()))

    def send(self, request: pb.SessionRequest) -> None:
        assert self.writable, "send only when writable"
        assert self.node is not None
        self._busy = True
        copy = pb.SessionRequest.FromString(request.SerializeToString())
        self.node.requests.append(copy)
        self._loop.call_soon(self._left)
        self._loop.call_later(self.node.latency_s, self._arrived, copy.calls)

    def _left(self) -> None:
        self._busy = False
        if self.listener is not None:
            self.listener.on_writable()

    def _arrived(self, calls: Iterable[pb.Call]) -> None:
        node = self.node
        if self.listener is None or node is None or not node.up:
            return
        message = pb.SessionReply()
        for call in calls:
            answer = None if node.paused else self.cluster.serve(node, call)
            if isinstance(answer, KvError):
                message.replies.add(id=call.id, failure=failure_of(answer))
            elif answer is not None:
                reply = message.replies.add()
                reply.CopyFrom(answer)
                reply.id = call.id
        if message.replies:
            self.say(message)

    def say(self, message: pb.SessionReply) -> None:
        """A message of the node, after its latency."""
        assert self.node is not None
        self._loop.call_later(self.node.latency_s, self._heard, message)

    def _heard(self, message: pb.SessionReply) -> None:
        if self.listener is not None and self.node is not None and not self.node.paused:
            self.listener.on_reply(message)

    def break_off(self, error: KvError) -> None:
        listener, self.listener = self.listener, None
        if self.node is not None and self in self.node.links:
            self.node.links.remove(self)
        if listener is not None:
            listener.on_lost(error)

    async def close(self) -> None:
        self.listener = None
        if self.node is not None and self in self.node.links:
            self.node.links.remove(self)

    # Requests about the cluster.

    async def _admin(self) -> FakeNode:
        await asyncio.sleep(LATENCY_S)
        if self.node is None or not self.node.up or self.listener is None:
            raise NotConnected(f"{self.address}: connection refused")
        return self.node

    async def get_ring(self, timeout_s: float) -> ring_pb2.Ring:
        await self._admin()
        return self.cluster.ring()

    async def create_keyspace(
        self, request: admin_pb2.CreateKeyspaceRequest, timeout_s: float
    ) -> ring_pb2.RingKeyspace:
        await self._admin()
        if request.if_absent and request.name in self.cluster.keyspaces:
            return self.cluster.keyspaces[request.name]
        return self.cluster.add_keyspace(request.name, request.partitions or 8, request.value_bytes_max or 1 << 20)

    async def drop_keyspace(self, request: admin_pb2.DropKeyspaceRequest, timeout_s: float) -> None:
        await self._admin()
        if request.name not in self.cluster.keyspaces:
            raise UnknownKeyspace(f"there is no keyspace {request.name!r}")
        self.cluster.drop_keyspace(request.name)

    async def status(self, request: admin_pb2.StatusRequest, timeout_s: float) -> admin_pb2.StatusReply:
        node = await self._admin()
        names = list(self.cluster.nodes) if request.whole_cluster else [node.name]
        documents = [
            {"node": name, "healthy": True} if self.cluster.nodes[name].up else {"node": name, "healthy": False}
            for name in names
        ]
        return admin_pb2.StatusReply(nodes_json=[msgspec.json.encode(document) for document in documents])

    async def repair(self, request: admin_pb2.RepairRequest, timeout_s: float) -> admin_pb2.RepairReply:
        return admin_pb2.RepairReply()

    async def scrub(self, request: admin_pb2.ScrubRequest, timeout_s: float) -> admin_pb2.ScrubReply:
        return admin_pb2.ScrubReply()

    async def transfer_leader(self, request: admin_pb2.TransferLeaderRequest, timeout_s: float) -> None:
        await self._admin()
        group = self.cluster.groups[request.group]
        group.leader = request.to or group.replicas[1]
