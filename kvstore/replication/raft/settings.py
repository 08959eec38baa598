"""RaftSettings: every limit and time of a group, valid or never built."""

import msgspec

from kvstore.core.errors import ConfigError
from kvstore.core.ids import Millis


class RaftSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The same on all nodes of a cluster. Raises ConfigError naming the setting if one makes no sense."""

    heartbeat_ms: Millis = Millis(100)
    """How often a leader that is not quiet speaks up. Ticks fall on multiples of it: all groups tick at once."""
    election_timeout_ms_min: Millis = Millis(500)
    """Nobody votes within this time of hearing a leader. The lease rests on it."""
    election_timeout_ms_max: Millis = Millis(900)
    """A follower loses patience after a random time between the two."""
    clock_drift_percent: int = 10
    """How much faster than another node's a clock may run while we trust a lease."""

    lease_reads: bool = True
    """Whether the leader may answer reads by its lease; otherwise each takes a round of heartbeats."""

    append_bytes_max: int = 1 << 20
    """Payload bytes of one AppendRequest; a larger entry travels alone."""
    inflight_appends_max: int = 128
    inflight_bytes_max: int = 8 << 20
    """What may be under way to one follower without an answer."""
    uncommitted_bytes_max: int = 32 << 20
    """Beyond this the leader refuses proposals as overloaded."""

    append_retry_ms: Millis = Millis(1_000)
    """A follower that acknowledges nothing for so long, while appends are under way, is probed."""

    snapshot_retry_ms: Millis = Millis(2_000)
    """After this silence a chunk is read and sent again."""
    snapshot_patience_ms: Millis = Millis(60_000)
    """After this silence a transfer is given up; it begins anew when the follower speaks."""

    quiesce_after_ms: Millis = Millis(3_000)
    """An idle group stops its clocks after this time."""
    prefer_after_ms: Millis = Millis(10_000)
    """The preferred leader must have kept up for this long before the leader hands over to it."""
    slow_disk_ms: Millis = Millis(1_500)
    """A leader whose disk needs longer than this for an entry hands over to a follower that is ahead of its disk."""
    recovery_retry_ms: Millis = Millis(200)
    """How often a replica that lost its disk repeats its questions."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) <= 0 and name not in ("clock_drift_percent", "lease_reads"):
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be positive")
        if not self.election_timeout_ms_min < self.election_timeout_ms_max:
            raise ConfigError("election_timeout_ms_min must be below election_timeout_ms_max, or votes split for ever")
        if self.heartbeat_ms * 2 > self.election_timeout_ms_min:
            raise ConfigError("election_timeout_ms_min must be at least two heartbeats (heartbeat_ms)")
        if not 0 <= self.clock_drift_percent < 100:
            raise ConfigError("clock_drift_percent must be from 0 to 99")

    @property
    def lease_ms(self) -> Millis:
        """How long after it spoke a leader may rely on those who heard it (thesis §6.4.1)."""
        return Millis(self.election_timeout_ms_min * (100 - self.clock_drift_percent) // 100)
