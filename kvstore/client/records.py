"""What the client hands out: records, receipts, outcomes, keyspaces and partitions, the cluster's state."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from kvstore.core.errors import ConflictError
from kvstore.core.ids import OperationId
from kvstore.core.versions import Version
from kvstore.placement.keyspaces import CONFLICTS, majority_of
from kvstore.v1 import kv_pb2 as pb
from kvstore.v1 import ring_pb2

V = TypeVar("V")
W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a request was served: what it got, not what it asked for."""

    mode: str
    group: int
    partition: int
    term: int
    node: str
    """Who served it: the leader for writes; in leaderless keyspaces the replica that coordinated it."""
    acknowledged: int
    """Writes: how many replicas have it."""
    on_disk: int
    """Writes: how many of these have it on disk."""
    index: int
    stamp: int
    """Hybrid time of the answer."""
    staleness_ms: int
    """Follower reads: how stale it may be at most; 0 for the other levels."""
    by_lease: bool
    """Linearizable reads: served under the leader's lease, without asking the others."""
    sloppy: bool = False
    """Leaderless writes: hints, kept for replicas that are down, were counted."""
    siblings: int = 0
    """Leaderless: the most siblings of a key that was read or written with this."""
    repaired: int = 0
    """Leaderless reads: how many replicas did not know the newest and were told."""

    @classmethod
    def of(cls, receipt: pb.Receipt) -> "Receipt":
        return cls(
            receipt.mode,
            receipt.group,
            receipt.partition,
            receipt.term,
            receipt.node,
            receipt.acknowledged,
            receipt.on_disk,
            receipt.index,
            receipt.stamp,
            receipt.staleness_ms,
            receipt.by_lease,
            receipt.sloppy,
            receipt.siblings,
            receipt.repaired,
        )


def time_of(version: Version) -> datetime:
    """When it was written, by the hybrid clock of who took the write, in UTC."""
    return datetime.fromtimestamp(version.wall / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Sibling(Generic[V]):
    """One of the values of a key that nobody has replaced, and the version that stands for this one alone.

    As a context that version replaces no other sibling. It may not replace this one either, where the same node took an
    older sibling, too (`core.causality.seen_by_writer`); the record's own version replaces them all.
    """

    value: V
    version: Version

    @property
    def written(self) -> datetime:
        """When, by the hybrid clock of the node that took the write, in UTC."""
        return time_of(self.version)


@dataclass(frozen=True, slots=True)
class Record(Generic[V]):
    """A key as it was read: whether it exists, its value, and which write the value comes from.

    `if_version=record.version` (or simply `if_version=record`) makes a write conditional on nothing having changed. In
    a leaderless keyspace `context=record` makes it replace exactly what was read, `record.siblings`, of which there may
    be several.
    """

    key: bytes
    exists: bool
    content: V | None
    """The value without a look at siblings."""
    version: Version | None
    """None if the key does not exist; in a leaderless keyspace also then a version, to be used as a context."""
    receipt: Receipt | None = field(default=None, compare=False, repr=False)
    """How the read was served, where it was one read of one key."""
    concurrent: tuple[Sibling[V], ...] = ()
    """In a leaderless keyspace the values that nobody has replaced, oldest first."""

    @property
    def value(self) -> V | None:
        """None if the key does not exist, or if only its version is known (see `PreconditionFailed.current`).

        Raises ConflictError if there are several (`siblings`).
        """
        if len(self.concurrent) > 1:
            raise conflict(self)
        return self.content

    @property
    def siblings(self) -> tuple[Sibling[V], ...]:
        """The values of the key, oldest first: usually one, none if it does not exist."""
        if self.concurrent or not self.exists or self.version is None:
            return self.concurrent
        return (Sibling(self.content, self.version),)  # type: ignore[arg-type]  # it exists, so this is a V

    @property
    def written(self) -> datetime | None:
        """When it was last written, by the hybrid clock of who took it, in UTC; None if the key does not exist."""
        return None if self.version is None or not self.exists else time_of(self.version)

    def mapped(self, decode: Callable[[V], W], key: bytes) -> "Record[W]":
        """The same under another key and with its value decoded."""
        content = None if self.content is None else decode(self.content)
        siblings = tuple(Sibling(decode(sibling.value), sibling.version) for sibling in self.concurrent)
        return Record(key, self.exists, content, self.version, self.receipt, siblings)

    def __repr__(self) -> str:
        if len(self.concurrent) > 1:
            return f"<Record {self.key!r} with {len(self.concurrent)} siblings version={self.version}>"
        if not self.exists:
            return f"<Record {self.key!r} does not exist>"
        return f"<Record {self.key!r} = {self.value!r} version={self.version}>"


def conflict(record: Record[Any]) -> ConflictError:
    """The error of whoever wants one value where there are several."""
    return ConflictError(
        f"{record.key!r} has {len(record.concurrent)} siblings, values written at the same time: read(key).siblings "
        "shows them, resolve(record, value) replaces them, a resolver makes one of them when they are read",
        key=record.key,
        record=record,
    )


@dataclass(frozen=True, slots=True)
class Written:
    """The full answer to a write: which version it made, how safe it is, and its name for ever."""

    key: bytes
    version: Version | None
    """None for a delete of a key that was not there."""
    operation: OperationId
    """`outcome(written.operation)` tells for at least 10 minutes what became of it."""
    receipt: Receipt

    @property
    def found(self) -> bool:
        """Deletes: whether there was something to delete. Always true for puts."""
        return self.version is not None


class Verdict(StrEnum):
    """What became of an operation."""

    WRITTEN = "written"
    REFUSED = "refused"
    """It ran, and its condition did not hold, or there was nothing to delete. It wrote nothing."""
    NOT_SEEN = "not_seen"
    """It has not happened; if it is still under way, it may yet."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to "did my write happen?"."""

    verdict: Verdict
    version: Version | None = None
    """Which version it wrote."""

    @property
    def written(self) -> bool:
        return self.verdict is Verdict.WRITTEN

    def __str__(self) -> str:
        return f"{self.verdict} {self.version}" if self.version else str(self.verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition of a keyspace: the group that replicates it, where it lies and who leads it."""

    keyspace: str
    number: int
    group: int
    replicas: tuple[str, ...]
    """The first is the preferred leader."""
    leader: str | None
    """Who leads it as far as this client knows."""

    def __str__(self) -> str:
        nodes = " ".join(node + ("*" if node == self.leader else "") for node in self.replicas)
        return f"{self.keyspace} p{self.number:02d} group={self.group} {nodes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyspaceInfo:
    """A keyspace as it was created."""

    id: int
    name: str
    mode: str
    replicas: int
    partitions: int
    value_bytes_max: int
    history_versions: int
    """Superseded versions are kept while they are among the newest so many …"""
    history_seconds: int
    """… and were superseded less than so many seconds ago."""
    acks: str
    """What a write waits for unless it says otherwise."""
    read_quorum: int = 0
    """Leaderless: how many replicas must answer a read that does not say otherwise …"""
    write_quorum: int = 0
    """… and have a write on disk."""
    sloppy: bool = False
    """Leaderless: hints for replicas that are down count, too."""
    conflicts: str = ""
    """Leaderless: what becomes of concurrent writes: `siblings` stay, or `lww`, the last writer wins."""

    @property
    def is_leaderless(self) -> bool:
        return self.mode == "leaderless"

    @classmethod
    def of(cls, keyspace: ring_pb2.RingKeyspace) -> "KeyspaceInfo":
        return cls(
            id=keyspace.id,
            name=keyspace.name,
            mode=keyspace.mode or "leader",
            replicas=keyspace.replicas,
            partitions=len(keyspace.partitions),
            value_bytes_max=keyspace.value_bytes_max,
            history_versions=keyspace.history_versions,
            history_seconds=keyspace.history_seconds,
            acks=keyspace.acks or "majority",
            **_leaderless(keyspace),
        )

    def __str__(self) -> str:
        if self.is_leaderless:
            return (
                f"{self.name} mode={self.mode} n={self.replicas} r={self.read_quorum} w={self.write_quorum}"
                f"{' sloppy' if self.sloppy else ''} conflicts={self.conflicts} partitions={self.partitions}"
            )
        return f"{self.name} mode={self.mode} n={self.replicas} partitions={self.partitions} acks={self.acks}"


def _leaderless(keyspace: ring_pb2.RingKeyspace) -> dict[str, Any]:
    """What only leaderless keyspaces have; a quorum of 0 is a majority."""
    if keyspace.mode != "leaderless":
        return {}
    majority = majority_of(keyspace.replicas)
    return {
        "read_quorum": keyspace.read_quorum or majority,
        "write_quorum": keyspace.write_quorum or majority,
        "sloppy": keyspace.sloppy,
        "conflicts": keyspace.conflicts or CONFLICTS[0],
    }


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Every node's own report about itself."""

    nodes: tuple[dict[str, Any], ...]
    """One document per node, as in /api/v1/status; nodes that did not answer are named too."""

    @property
    def healthy(self) -> bool:
        """Whether every node answered and calls itself healthy."""
        return bool(self.nodes) and all(bool(node.get("healthy")) for node in self.nodes)
