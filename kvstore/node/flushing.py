"""When applied values go to the disk: slice by slice, oldest first, and never much at once."""

from kvstore.core.ids import GroupId, Millis
from kvstore.node.config import StorageConfig
from kvstore.node.groups import Groups
from kvstore.node.hosting import Host
from kvstore.node.partition_host import PartitionHost
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.tick import Tick
from kvstore.storage.engine import Batch

FREED_PER_STEP = 500
"""Flushed rows that one step lets go of; some 50 µs."""

PIECE_ROWS_MAX = 200
"""Rows that one step makes; some 0.3 ms."""
PIECES_PER_SLICE = 5
"""At least so many, if there are so many rows: small slices come in pieces, too."""


class Flusher:
    """Chooses what flushes next.

    What one commit takes is a slice: as many rows as a transaction can take without being felt by the next. A slice is
    made in pieces, one with each step, because whoever waits for that step waits for its piece. There is one slice at a
    time, in the making or on its way to the disk.
    """

    def __init__(self, config: StorageConfig) -> None:
        self._config = config
        self._waiting: dict[GroupId, Millis] = {}
        """When the flush of a group is due; in that order, because all wait equally long."""
        self._due: dict[GroupId, None] = {}
        """Groups that are due or have begun, in the order to take them."""
        self._piece_rows = max(1, min(PIECE_ROWS_MAX, config.flush_slice_rows // PIECES_PER_SLICE))
        self._slice = Batch(urgent=True)  # the log has it, and must get rid of it some time
        self._slice_groups: dict[GroupId, None] = {}
        self._rows_left = config.flush_slice_rows
        """How many more fit into the slice."""
        self._under_way: set[GroupId] = set()
        """Groups of the slice that is on its way to the disk."""
        self._wasteful: dict[GroupId, None] = {}
        """Groups that may have flushed rows to let go of."""

    def wake_at(self, now: Millis) -> Millis | None:
        """When there is something to do next."""
        return now if self._slice_groups else next(iter(self._waiting.values()), None)

    def step(self, tick: Tick, groups: Groups) -> None:
        """Make the next piece of what is due, and hand the slice out when it is complete."""
        for dirtied in groups.take_dirtied():
            self._note(dirtied)
        self._free(groups)
        while self._waiting and next(iter(self._waiting.values())) <= tick.now.monotonic:
            group = next(iter(self._waiting))
            del self._waiting[group]
            self._due[group] = None
        if self._under_way or not (self._due or self._slice_groups):
            return
        if self._has_lost_one(groups) or self._make_piece(tick, groups):
            self._hand_out(tick)

    def _has_lost_one(self, groups: Groups) -> bool:
        """Whether a group of the slice was dropped, or is getting another state: its rows go out before those of that
        state, and before the rows of the old one are removed."""
        for group in self._slice_groups:
            host = groups.get(group)
            if host is None or host.state is None or not host.state.is_flushing:
                return True
        return False

    def _make_piece(self, tick: Tick, groups: Groups) -> bool:
        """Whether the slice is complete: it has enough rows, or all that is due."""
        rows_left = min(self._piece_rows, self._rows_left)
        for group in list(self._due):
            host = groups.get(group)
            if host is None or host.state is None or not (host.state.has_slices or host.state.needs_flush):
                del self._due[group]  # dropped, or its state is being replaced
                continue
            rows = host.flush_piece(tick, self._slice, rows_left)
            if not rows:
                continue  # its log is not on disk as far: once it is, there is a step
            self._slice_groups[group] = None
            rows_left -= rows
            self._rows_left -= rows
            if host.state is None or not host.state.has_slices:
                del self._due[group]
            if rows_left <= 0:
                return self._rows_left <= 0
        return True

    def _hand_out(self, tick: Tick) -> None:
        if self._slice_groups:
            tick.write(self._slice, list(self._slice_groups))
            self._under_way.update(self._slice_groups)
        self._slice, self._slice_groups, self._rows_left = Batch(urgent=True), {}, self._config.flush_slice_rows

    def end(self, group: GroupId) -> None:
        """A slice of this group is on disk."""
        self._under_way.discard(group)
        self._wasteful[group] = None

    def _free(self, groups: Groups) -> None:
        """Let go of a few rows that have been flushed."""
        if not self._wasteful:
            return
        group = next(iter(self._wasteful))
        host = groups.get(group)
        state = host.state if isinstance(host, PartitionHost | QuorumHost) else None
        if state is None or not state.waste:
            del self._wasteful[group]
        else:
            state.waste.free(FREED_PER_STEP)

    def _note(self, host: Host) -> None:
        """The group has applied something that is not on disk."""
        if host.dirty_since is None or host.state is None or not host.state.needs_flush:
            return
        if _rows(host) >= self._config.flush_rows_max:
            self._waiting.pop(host.group, None)
            self._due[host.group] = None
        elif host.group not in self._waiting and host.group not in self._due:
            self._waiting[host.group] = Millis(host.dirty_since + self._config.flush_interval_ms)

    def is_behind(self, groups: Groups) -> bool:
        """Whether more is waiting in memory than the configuration allows."""
        hosts = [host for host in groups.all() if isinstance(host, PartitionHost | QuorumHost)]
        waiting = sum(host.state.dirty_bytes for host in hosts if host.state is not None)
        return waiting > self._config.unflushed_bytes_max


def _rows(host: Host) -> int:
    return host.state.dirty_rows if isinstance(host, PartitionHost | QuorumHost) and host.state is not None else 1
