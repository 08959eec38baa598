"""Whole nodes in one list, for tests of the node layer: messages and disks move when the test says so."""

from collections import deque
from random import Random

from kvstore.core.commands import Command, Kind, batch_of, encode
from kvstore.core.ids import Incarnation, Instant, Millis, NodeId
from kvstore.node.config import ClusterConfig, ListenConfig, MemberConfig, NodeConfig, SelfConfig, StorageConfig
from kvstore.node.effects import Addressed, Asked, Effects, Event, Founding, FrameArrived, Persisted, RowsWritten
from kvstore.node.liveness import Identity
from kvstore.node.node import Node
from kvstore.node.requests import Answer, Request, WriteRequest
from kvstore.storage.memory_engine import MemoryEngine

WALL = 1_700_000_000_000


def members(count: int) -> tuple[MemberConfig, ...]:
    return tuple(
        MemberConfig(
            id=f"n{i}", zone=f"z{i}", client=f"127.0.0.1:{7400 + i}", peer=f"127.0.0.1:{7600 + i}",
            http=f"127.0.0.1:{7500 + i}",
        )
        for i in range(1, count + 1)
    )  # fmt: skip


def config_of(node: str, count: int, **parts: object) -> NodeConfig:
    member = members(count)[int(node[1:]) - 1]
    return NodeConfig(
        node=SelfConfig(id=node, data="unused", zone=member.zone),
        cluster=ClusterConfig(id="test", nodes=members(count)),
        listen=ListenConfig(client=member.client, peer=member.peer, http=member.http),
        **parts,  # type: ignore[arg-type]
    )


class Trio:
    """A few nodes with perfect links and disks, in lock step: `run(ms)` lets time pass."""

    def __init__(self, count: int = 3, **parts: object) -> None:
        self.now = 1_000
        self.names = [NodeId(f"n{i}") for i in range(1, count + 1)]
        self.parts, self.count = parts, count
        storage = parts.get("storage", StorageConfig())
        assert isinstance(storage, StorageConfig), "storage takes a StorageConfig"
        self.engines = {name: MemoryEngine(storage.map_bytes_max) for name in self.names}
        self.incarnations = {name: Incarnation(100 + i) for i, name in enumerate(self.names)}
        self.manifests: dict[NodeId, dict[str, int]] = {name: {} for name in self.names}
        self.boots = 0
        self.inbox: deque[tuple[NodeId, Event]] = deque()
        self.answers: dict[int, Answer] = {}
        self.failures: dict[NodeId, str] = {}
        self.cut: set[NodeId] = set()
        self.handles = 0
        self.sequence = 0
        self.nodes: dict[NodeId, Node] = {}
        for name in self.names:
            self.start(name)

    def instant(self) -> Instant:
        return Instant(Millis(self.now), Millis(WALL + self.now))

    def start(self, name: NodeId) -> None:
        self.boots += 1
        identity = Identity(name, self.incarnations[name], self.boots, self.manifests[name])
        config = config_of(name, self.count, **self.parts)
        self.nodes[name] = Node(config, identity, self.engines[name], self.instant(), Random(f"{name}{self.boots}"))

    def crash(self, name: NodeId) -> None:
        del self.nodes[name]
        self.inbox = deque((to, event) for to, event in self.inbox if to != name)

    def wipe(self, name: NodeId) -> None:
        """Crash, and lose the disk."""
        self.crash(name)
        self.engines[name] = MemoryEngine()
        self.incarnations[name] = Incarnation(self.incarnations[name] + 1000)
        self.manifests[name] = {}

    def run(self, ms: int) -> None:
        end = self.now + ms
        while self.now < end:
            self.settle()
            self.now += 10
            for name in list(self.nodes):
                self.step(name, [])
        self.settle()

    def settle(self) -> None:
        while self.inbox:
            to, event = self.inbox.popleft()
            if to in self.nodes:
                self.step(to, [event])

    def step(self, name: NodeId, events: list[Event]) -> None:
        self._carry_out(name, self.nodes[name].step(self.instant(), events))

    def _carry_out(self, name: NodeId, effects: Effects) -> None:
        if effects.failure is not None:
            self.failures[name] = effects.failure
            self.crash(name)
            return
        if effects.founding is not None:
            self._found(name, effects.founding)
        for peer, messages in effects.send.items():
            self._send(name, peer, messages)
        if effects.batch is not None:
            self.engines[name].commit(effects.batch)
            self.inbox.append((name, Persisted(effects.ticket)))
        if effects.rows is not None:
            self.engines[name].commit(effects.rows)
            self.inbox.append((name, RowsWritten(effects.rows_ticket)))
        for handle, answer in effects.replies:
            assert handle not in self.answers, "answered twice"
            self.answers[handle] = answer

    def _found(self, name: NodeId, founding: Founding) -> None:
        self.manifests[name] = dict(founding.members)

    def _send(self, name: NodeId, peer: NodeId, messages: list[Addressed]) -> None:
        if name not in self.cut and peer not in self.cut:
            self.inbox.append((peer, FrameArrived(name, self.incarnations[name], list(messages))))

    # ── clients ──

    def ask(self, name: NodeId, request: Request, deadline_ms: int = 5_000) -> int:
        self.handles += 1
        self.step(name, [Asked(self.handles, request, Millis(self.now + deadline_ms))])
        return self.handles

    def answer(self, name: NodeId, request: Request, ms: int = 2_000) -> Answer:
        handle = self.ask(name, request)
        end = self.now + ms
        self.settle()
        while handle not in self.answers and self.now < end:
            self.run(10)
        return self.answers[handle]

    def group_of(self, key: bytes, keyspace: str = "default") -> int:
        ring = next(node.ring for node in self.nodes.values() if node.ring is not None and node.ring.epoch > 1)
        return ring.partition_of(keyspace, key).group

    def leader_of(self, key: bytes, keyspace: str = "default") -> NodeId:
        group = self.group_of(key, keyspace)
        leaders = [
            name for name, node in self.nodes.items()
            if (host := node.groups.get(group)) is not None and host.raft.is_leader  # type: ignore[arg-type]
        ]  # fmt: skip
        return max(leaders, key=lambda name: self.nodes[name].groups.get(group).raft.term)  # type: ignore[arg-type, union-attr]

    def put(self, key: bytes, value: bytes, **more: int) -> WriteRequest:
        self.sequence += 1
        return self.batch([Command(self.sequence, Kind.PUT.value, key, value, **more)])

    def delete(self, key: bytes, **more: int) -> WriteRequest:
        self.sequence += 1
        return self.batch([Command(self.sequence, Kind.DELETE.value, key, b"", **more)])

    def batch(self, commands: list[Command], acks: int = 0, *, atomic: bool = False) -> WriteRequest:
        group = self.group_of(commands[0].key)
        return WriteRequest(group, encode(batch_of(77, 0, commands, atomic=atomic)), acks)  # type: ignore[arg-type]
