"""When applied values go to the disk: slice by slice, one batch at a time, oldest first."""

from kvstore.core.ids import GroupId, Millis
from kvstore.node.config import StorageConfig
from kvstore.node.groups import Groups, Host
from kvstore.node.partition_host import PartitionHost
from kvstore.node.tick import Tick


class Flusher:
    """Chooses what flushes next, so that each commit stays short."""

    def __init__(self, config: StorageConfig) -> None:
        self._config = config
        self._waiting: dict[GroupId, Millis] = {}
        """When the flush of a group is due; in that order, because all wait equally long."""
        self._due: dict[GroupId, None] = {}
        """Groups that are due or have begun, in the order to take them."""
        self._under_way: set[GroupId] = set()

    @property
    def wake_at(self) -> Millis | None:
        """When the next flush is due."""
        return next(iter(self._waiting.values()), None)

    def begin(self, tick: Tick, groups: Groups) -> None:
        """Put the next slice of what is due into the tick's rows, unless one is under way already."""
        for dirtied in groups.take_dirtied():
            self._note(dirtied)
        while self._waiting and next(iter(self._waiting.values())) <= tick.now.monotonic:
            group = next(iter(self._waiting))
            del self._waiting[group]
            self._due[group] = None
        if not self._due or self._under_way:
            return
        rows_left = self._config.flush_slice_rows
        for group in list(self._due):
            host = groups.get(group)
            if host is None or host.state is None or not (host.state.has_slices or host.state.needs_flush):
                del self._due[group]  # dropped, or its state is being replaced
                continue
            rows = host.flush_slice(tick, rows_left)
            if not rows:
                continue  # its log is not on disk as far: once it is, there is a tick
            rows_left -= rows
            self._under_way.add(group)
            if host.state is None or not host.state.has_slices:
                del self._due[group]
            if rows_left <= 0:
                return

    def end(self, group: GroupId) -> None:
        """A slice of this group is on disk."""
        self._under_way.discard(group)

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
        waiting = sum(host.state.dirty_bytes for host in groups.all() if isinstance(host, PartitionHost) and host.state)
        return waiting > self._config.unflushed_bytes_max


def _rows(host: Host) -> int:
    return host.state.dirty_rows if isinstance(host, PartitionHost) and host.state is not None else 1
