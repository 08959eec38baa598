"""When applied values go to the disk: slice by slice, one batch at a time, oldest first."""

from kvstore.core.ids import GroupId, Millis
from kvstore.node.config import StorageConfig
from kvstore.node.groups import Groups, Host
from kvstore.node.partition_host import PartitionHost
from kvstore.node.tick import Tick


class Flusher:
    """Chooses what flushes with a tick's batch, so that each commit stays short."""

    def __init__(self, config: StorageConfig) -> None:
        self._config = config
        self._due: dict[GroupId, None] = {}
        """Groups that are due or have begun, in the order to take them."""
        self._under_way: set[GroupId] = set()
        self.wake_at: Millis | None = None

    def begin(self, tick: Tick, groups: Groups) -> None:
        """Put the next slice of what is due into the tick's batch, unless one is under way already."""
        self._enlist(tick, groups)
        if self._under_way:
            return
        rows_left = self._config.flush_slice_rows
        for group in list(self._due):
            host = groups.get(group)
            if host is None or host.state is None or not (host.state.has_slices or host.state.needs_flush):
                del self._due[group]  # dropped, or its state is being replaced
                continue
            rows_left -= host.flush_slice(tick, rows_left)
            self._under_way.add(group)
            if not host.state.has_slices:
                del self._due[group]
            if rows_left <= 0:
                return

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
                self._due[group] = None
            elif self.wake_at is None or due_at < self.wake_at:
                self.wake_at = due_at

    def is_behind(self, groups: Groups) -> bool:
        """Whether more is waiting in memory than the configuration allows."""
        waiting = sum(host.state.dirty_bytes for host in groups.all() if isinstance(host, PartitionHost) and host.state)
        return waiting > self._config.unflushed_bytes_max


def _rows(host: Host) -> int:
    return host.state.dirty_rows if isinstance(host, PartitionHost) and host.state is not None else 1
