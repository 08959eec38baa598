"""What comes of tending leaderless keyspaces by hand: replicas compared, disks read."""

from dataclasses import dataclass

from kvstore.v1 import admin_pb2

TENDING_S = 60.0
"""How long such a call may take unless it says otherwise: much longer than a read or a write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two replicas of a partition, compared when somebody asked for it."""

    keyspace: str
    partition: int
    asker: str
    peer: str
    failed: str
    """Why they were not compared, or not to the end; "" if they were."""
    differing: int
    """Keys that they knew differently."""
    pulled: int
    """Keys of which `asker` learnt something …"""
    pushed: int
    """… and of which `peer` did."""
    skipped: int
    """What was just being written, and left alone."""
    bytes: int
    ms: int

    @property
    def equal(self) -> bool:
        """Whether they knew the same."""
        return not self.failed and self.differing == 0

    @classmethod
    def of(cls, pair: admin_pb2.ComparedPair) -> "Comparison":
        return cls(
            keyspace=pair.keyspace,
            partition=pair.partition,
            asker=pair.asker,
            peer=pair.peer,
            failed=pair.failed,
            differing=pair.differing,
            pulled=pair.pulled,
            pushed=pair.pushed,
            skipped=pair.skipped,
            bytes=pair.bytes,
            ms=pair.ms,
        )

    def __str__(self) -> str:
        said = self.failed or ("equal" if self.equal else f"{self.differing} keys differ")
        return f"{self.keyspace} p{self.partition:02d} {self.asker} {self.peer}: {said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbing:
    """A node that has read all its rows."""

    node: str
    failed: str
    """Why there is no result; "" if there is. A pass that was not done in time goes on."""
    rows: int
    bytes: int
    damaged: int
    mending: int
    """Of the damaged rows: those that other nodes are asked for, or that were written again."""
    ms: int

    @classmethod
    def of(cls, node: admin_pb2.ScrubbedNode) -> "Scrubbing":
        return cls(
            node=node.node,
            failed=node.failed,
            rows=node.rows,
            bytes=node.bytes,
            damaged=node.damaged,
            mending=node.mending,
            ms=node.ms,
        )

    def __str__(self) -> str:
        return f"{self.node}: {self.failed or f'{self.rows} rows, {self.damaged} damaged'}"
