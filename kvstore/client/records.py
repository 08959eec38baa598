"""What the client hands out: records, receipts, outcomes, keyspaces and partitions, the cluster's state."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from kvstore.core.ids import OperationId
from kvstore.core.versions import Version
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
    """Who served it: the leader for writes."""
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
        )


@dataclass(frozen=True, slots=True)
class Record(Generic[V]):
    """A key as it was read: whether it exists, its value, and which write the value comes from.

    `if_version=record.version` (or simply `if_version=record`) makes a write conditional on nothing having changed.
    """

    key: bytes
    exists: bool
    value: V | None
    """None if the key does not exist, or if only its version is known (see `PreconditionFailed.current`)."""
    version: Version | None
    """None if the key does not exist."""
    receipt: Receipt | None = field(default=None, compare=False, repr=False)
    """How the read was served, where it was one read of one key."""

    @property
    def written(self) -> datetime | None:
        """When it was written, by the hybrid clock of the leader, in UTC; None if the key does not exist."""
        return None if self.version is None else datetime.fromtimestamp(self.version.wall / 1000, UTC)

    def mapped(self, decode: Callable[[V], W], key: bytes) -> "Record[W]":
        """The same under another key and with its value decoded."""
        return Record(key, self.exists, None if self.value is None else decode(self.value), self.version, self.receipt)

    def __repr__(self) -> str:
        if not self.exists:
            return f"<Record {self.key!r} does not exist>"
        return f"<Record {self.key!r} = {self.value!r} version={self.version}>"


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
        )

    def __str__(self) -> str:
        return f"{self.name} mode={self.mode} n={self.replicas} partitions={self.partitions} acks={self.acks}"


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Every node's own report about itself."""

    nodes: tuple[dict[str, Any], ...]
    """One document per node, as in /api/v1/status; nodes that did not answer are named too."""

    @property
    def healthy(self) -> bool:
        """Whether every node answered and calls itself healthy."""
        return bool(self.nodes) and all(bool(node.get("healthy")) for node in self.nodes)
