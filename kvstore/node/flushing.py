"""When applied values go to the disk: slice by slice, one batch at a time, oldest first."""

from collections import deque

from kvstore.core.ids import GroupId, Millis
from kvstore.node.config import StorageConfig
from kvstore.node.groups import Groups, Host
from kvstore.node.partition_host import PartitionHost
from kvstore.node.tick import Tick


class Flusher:
    """Chooses what flushes with a tick's batch, so that each commit stays short."""

    def __init__(self, config: StorageConfig) -> None:
        self._config = config
        self._queue: deque[GroupId] = deque()
        """Groups that are due; the first may have begun."""
        self._under_way: set[GroupId] = set()
        self.wake_at: Millis | None = None

    def begin(self, tick: Tick, groups: Groups) -> None:
        """Put the next slice of what is due into the tick's batch, unless one is under way already."""
        self._enlist(tick, groups)
        if self._under_way:
            return
        rows_left = self._config.flush_slice_rows
        while self._queue and rows_left > 0:
            host = groups.get(self._queue[0])
            if host is None or host.state is None or not (host.state.is_flushing or host.state.needs_flush):
                self._queue.popleft()  # dropped, or its state is being replaced
                continue
            rows_left -= max(1, host.flush_slice(tick, rows_left))
            self._under_way.add(host.group)
            if rows_left > 0:
                self._queue.popleft()

    def end(self, group: GroupId) -> None:
        """A slice of this group is on disk."""
        self._under_way.discard(group)

    def _enlist(self, tick: Tick, groups: Groups) -> None:
        self.wake_at = None
        for group in list(groups.dirty):
            host = groups.get(group)
            if host is None or host.state is None or host.dirty_since is None or not host.state.needs_flush:
                del groups.dirty[group]
                continue
            due_at = Millis(host.dirty_since + self._config.flush_interval_ms)
            if due_at <= tick.now.monotonic or _rows(host) >= self._config.flush_rows_max:
                del groups.dirty[group]
                self._queue.append(group)
            elif self.wake_at is None or due_at < self.wake_at:
                self.wake_at = due_at

    def is_behind(self, groups: Groups) -> bool:
        """Whether more is waiting in memory than the configuration allows."""
        waiting = sum(host.state.dirty_bytes for host in groups.all() if isinstance(host, PartitionHost) and host.state)
        return waiting > self._config.unflushed_bytes_max


def _rows(host: Host) -> int:
    return host.state.dirty_rows if isinstance(host, PartitionHost) and host.state is not None else 1
