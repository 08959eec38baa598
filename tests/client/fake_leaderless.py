"""The fake cluster without leaders: any replica takes writes, and all replicas know at once what one of them knows."""

from dataclasses import dataclass, field

import msgspec

from kvstore.core.causality import (
    UNKNOWN,
    Sibling,
    Versions,
    after_write,
    decode_context,
    encode,
    encode_context,
    newest_only,
    seen_by_writer,
)
from kvstore.core.commands import Command, Kind, Result, Status, decode_batch
from kvstore.core.commands import encode as encode_results
from kvstore.v1 import kv_pb2 as pb
from kvstore.v1 import ring_pb2
from tests.client.fake_cluster import Answer, FakeCluster, FakeGroup, FakeNode

SIBLINGS_MAX = 5


@dataclass
class LeaderlessGroup(FakeGroup):
    """What the replicas of a partition know."""

    known: dict[bytes, Versions] = field(default_factory=dict)
    counters: dict[int, int] = field(default_factory=dict)
    """How many writes each actor took."""

    def take(self, actor: int, data: bytes, conflicts: str) -> list[Result]:
        batch = decode_batch(data)
        results = []
        for command in batch.commands:
            name = (batch.client, command.sequence)
            if name not in self.answers:
                self.answers[name] = self._taken(actor, command, conflicts)
                self.executed.append(name)
            results.append(self.answers[name])
        return results

    def _taken(self, actor: int, command: Command, conflicts: str) -> Result:
        known = self.known.get(command.key, UNKNOWN)
        context = decode_context(command.context) if command.context else {}
        if len(known.siblings) >= SIBLINGS_MAX and not context:
            return Result(Status.TOO_MANY_SIBLINGS, len(known.siblings))
        self.counters[actor] = counter = self.counters.get(actor, 0) + 1
        self.stamp += 1
        value = None if command.kind == Kind.DELETE else command.value
        sibling = Sibling(actor, counter, self.stamp, value)
        after = after_write(known, sibling, context)
        self.known[command.key] = newest_only(after) if conflicts == "lww" else after
        seen = seen_by_writer(self.known[command.key], sibling.dot)
        return Result(Status.WRITTEN, self.stamp, 0, encode_context(seen))

    def page(self, page: pb.Page) -> pb.PageReply:
        keys = sorted(key for key in self.known if key >= page.start and (not page.end or key < page.end))
        shown = keys[: page.limit] if page.limit else keys
        rows = [(key, encode(self.known[key])) for key in shown]
        return pb.PageReply(rows=msgspec.msgpack.encode(rows), more=len(shown) < len(keys))


class LeaderlessCluster(FakeCluster):
    """Its `default` keyspace, and every other, is leaderless."""

    lives = 0
    """How often the nodes were started again: each time they are new actors."""

    def add_keyspace(
        self, name: str, partitions: int = 4, value_bytes_max: int = 1 << 20, conflicts: str = "siblings"
    ) -> ring_pb2.RingKeyspace:
        keyspace = super().add_keyspace(name, partitions, value_bytes_max)
        keyspace.mode, keyspace.conflicts = "leaderless", conflicts
        for partition in keyspace.partitions:
            self.groups[partition.group] = LeaderlessGroup(partition.group, list(partition.replicas), "")
        return keyspace

    def group(self, key: bytes, keyspace: str = "default") -> LeaderlessGroup:
        group = self.group_of(key, keyspace)
        assert isinstance(group, LeaderlessGroup)
        return group

    def coordinator_of(self, key: bytes) -> FakeNode:
        """Who is asked first."""
        return self.nodes[self.group(key).replicas[0]]

    def calls(self, node: str) -> list[pb.Call]:
        """All calls that a node was asked."""
        return [call for request in self.nodes[node].requests for call in request.calls]

    def serve(self, node: FakeNode, call: pb.Call) -> Answer:
        group = self.groups[call.group]
        group.leader = node.name  # whoever is asked may answer
        try:
            return super().serve(node, call)
        finally:
            group.leader = ""

    def execute(self, node: FakeNode, group: FakeGroup, call: pb.Call) -> pb.Reply:
        assert isinstance(group, LeaderlessGroup)
        receipt = pb.Receipt(mode="leaderless", group=group.number, node=node.name)
        reply = pb.Reply(receipt=receipt)
        match call.WhichOneof("body"):
            case "write":
                receipt.acknowledged = receipt.on_disk = call.write.write_quorum or 2
                reply.results = encode_results(group.take(self._actor(node), call.write.commands, self._policy(group)))
                written = decode_batch(call.write.commands).keys
                receipt.siblings = max(len(group.known[key].siblings) for key in written)
            case "read":
                known = [group.known.get(key, UNKNOWN) for key in call.read.keys]
                reply.versions = msgspec.msgpack.encode([encode(each) if each.context else None for each in known])
                reply.receipt.siblings = max(len(each.siblings) for each in known)
            case "page":
                reply.page.CopyFrom(group.page(call.page))
            case _:
                reply.outcome = msgspec.msgpack.encode(group.answers.get((call.outcome.client, call.outcome.sequence)))
        reply.receipt.MergeFrom(receipt)
        return reply

    def _actor(self, node: FakeNode) -> int:
        return int(node.name[1:]) + 100 * self.lives

    def _policy(self, group: LeaderlessGroup) -> str:
        found = [
            keyspace.conflicts
            for keyspace in self.keyspaces.values()
            if any(partition.group == group.number for partition in keyspace.partitions)
        ]
        return found[0]
