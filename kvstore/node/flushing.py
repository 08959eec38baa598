"""When applied values go to the disk: small slices, one batch at a time, oldest first."""

from kvstore.core.ids import GroupId, Millis
from kvstore.node.config import StorageConfig
from kvstore.node.groups import Groups
from kvstore.node.partition_host import PartitionHost
from kvstore.node.tick import Tick


class Flusher:
    """Chooses which groups flush with a tick's batch, so that each commit stays short."""

    def __init__(self, config: StorageConfig) -> None:
        self._config = config
        self._under_way: set[GroupId] = set()
        self.wake_at: Millis | None = None

    def begin(self, tick: Tick, groups: Groups) -> None:
        """Start the flushes that are due, up to `flush_rows_max` rows; none while others are under way."""
        self.wake_at = None
        if self._under_way:
            return
        rows = 0
        for group in list(groups.dirty):
            host = groups.get(group)
            if host is None or host.state is None or not host.state.needs_flush or host.dirty_since is None:
                groups.dirty.pop(group, None)
                continue
            due_at = Millis(host.dirty_since + self._config.flush_interval_ms)
            size = host.state.dirty_rows if isinstance(host, PartitionHost) and host.state is not None else 1
            if size < self._config.flush_rows_max and due_at > tick.now.monotonic:
                self.wake_at = due_at if self.wake_at is None else min(self.wake_at, due_at)
                continue
            if rows and rows + size > self._config.flush_rows_max:
                self.wake_at = tick.now.monotonic
                return
            rows += size
            del groups.dirty[group]
            self._under_way.add(group)
            host.begin_flush(tick)

    def end(self, group: GroupId) -> None:
        """The batch with this group's flush is on disk."""
        self._under_way.discard(group)

    def is_behind(self, groups: Groups) -> bool:
        """Whether more is waiting in memory than the configuration allows."""
        waiting = 0
        for group in groups.dirty:
            host = groups.get(group)
            if isinstance(host, PartitionHost) and host.state is not None:
                waiting += host.state.dirty_bytes
        return waiting > self._config.unflushed_bytes_max
