"""Scrubbing: reading every row of a node's partitions now and then, so that damage is found while others can mend it.

A pass goes through the partitions one by one, table by table, a slice per step, and waits after each slice until its
bytes are paid for. A damaged row is handed to the host of its partition, which does what it does when a reader meets
one: a leaderless replica asks the others about the key, one in leader mode gets an image. Rows that change while the
pass is under way are read as they are when it comes there; what is in memory or in the log is not read at all.
"""

from collections import deque
from typing import Final, NamedTuple

import msgspec

from kvstore.core.errors import Corruption
from kvstore.core.ids import METADATA_GROUP, GroupId, Instant, Millis
from kvstore.node.config import StorageConfig
from kvstore.node.groups import Groups
from kvstore.node.images import DATA_ID_BYTES, check_row
from kvstore.node.partition_host import PartitionHost
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.requests import Scrubbed, Told
from kvstore.node.tick import Tick
from kvstore.storage.engine import Engine
from kvstore.storage.keys import STATE_TABLES, table_range

SLICE_ROWS: Final = 256
SLICE_BYTES: Final = 256 << 10
"""A slice ends with the row that makes it larger: a millisecond or so."""


class ScrubStatus(msgspec.Struct, frozen=True):
    """How scrubbing stands on a node."""

    running: bool
    passes: int
    """That came to their end since the start."""
    ended_at: int
    """When the latest did, in milliseconds since 1970; 0: none has."""
    rows: int
    """Read since the start …"""
    damaged: int
    """… and found damaged."""


class _Pass:
    """One way through all partitions."""

    def __init__(self, groups: list[GroupId], began: Millis) -> None:
        self.todo = deque(groups)
        self.began = began
        self.at: _Position | None = None
        self.rows = self.bytes = self.damaged = self.mending = 0


class _Position(NamedTuple):
    """The next row to read: of a group, in a table of its state, from this row key on."""

    group: GroupId
    data: int
    table: int
    start: bytes


class Scrubber:
    """Scrubs on a schedule and on demand; a demand while a pass is under way waits for that one's end."""

    def __init__(self, config: StorageConfig, engine: Engine, now: Millis) -> None:
        self._interval_ms = config.scrub_interval_s * 1000
        self._bytes_per_ms = config.scrub_bytes_per_s / 1000
        self._engine = engine
        self._due = Millis(now + self._interval_ms) if self._interval_ms else None
        self._free_at = 0.0
        self._pass: _Pass | None = None
        self._waiting: list[int] = []
        self._passes = self._ended_at = self._rows = self._damaged = 0

    def demand(self, handle: int) -> None:
        """Answer this request when a pass has come to its end."""
        self._waiting.append(handle)

    @property
    def status(self) -> ScrubStatus:
        return ScrubStatus(self._pass is not None, self._passes, self._ended_at, self._rows, self._damaged)

    @property
    def wake_at(self) -> Millis | None:
        """When to step."""
        if self._pass is not None:
            return Millis(int(self._free_at) + 1)
        return Millis(0) if self._waiting else self._due

    def step(self, tick: Tick, groups: Groups) -> None:
        """Begin a pass that is due, or read its next slice if its turn has come."""
        now = tick.now.monotonic
        if self._pass is None:
            if not self._waiting and (self._due is None or now < self._due):
                return
            self._pass = _Pass([host.group for host in groups.all() if host.group != METADATA_GROUP], now)
        elif now < self._free_at:
            return
        size = self._slice(tick, groups, self._pass)
        self._free_at = max(self._free_at, float(now)) + size / self._bytes_per_ms
        if self._pass.at is None and not self._pass.todo:
            self._end(tick, self._pass)

    def _slice(self, tick: Tick, groups: Groups, work: _Pass) -> int:
        """Read some rows; their bytes."""
        at = work.at or self._next_group(groups, work)
        host = groups.get(at.group) if at is not None else None
        if at is None or host is None or host.state is None or host.place.data != at.data:
            work.at = None  # dropped, or it has another state now, or waits for one
            return 0
        _, end = table_range(STATE_TABLES[at.table], at.data)
        rows = size = 0
        for key, row in self._engine.scan(at.start, end):
            if rows >= SLICE_ROWS or size >= SLICE_BYTES:
                break
            rows += 1
            size += len(key) + len(row)
            at = at._replace(start=key + b"\0")
            try:
                check_row(STATE_TABLES[at.table], row)
            except Corruption as error:
                work.damaged += 1
                self._damaged += 1
                work.mending += _damaged(tick, groups, at.group, key, error)
        else:
            at = self._next_table(at)
        work.at = at
        work.rows += rows
        work.bytes += size
        self._rows += rows
        return size

    @staticmethod
    def _next_group(groups: Groups, work: _Pass) -> _Position | None:
        while work.todo:
            host = groups.get(work.todo.popleft())
            if host is not None:
                start, _ = table_range(STATE_TABLES[0], host.place.data)
                return _Position(host.group, host.place.data, 0, start)
        return None

    @staticmethod
    def _next_table(at: _Position) -> _Position | None:
        if at.table + 1 == len(STATE_TABLES):
            return None
        start, _ = table_range(STATE_TABLES[at.table + 1], at.data)
        return at._replace(table=at.table + 1, start=start)

    def _end(self, tick: Tick, work: _Pass) -> None:
        now: Instant = tick.now
        self._pass = None
        self._passes += 1
        self._ended_at = now.wall
        self._due = Millis(now.monotonic + self._interval_ms) if self._interval_ms else None
        told = Scrubbed(work.rows, work.bytes, work.damaged, work.mending, now.monotonic - work.began)
        waiting, self._waiting = self._waiting, []
        for handle in waiting:
            tick.reply(handle, Told(msgspec.json.encode(told)))


def _damaged(tick: Tick, groups: Groups, group: GroupId, key: bytes, error: Corruption) -> bool:
    """Have it mended; whether somebody can."""
    host = groups.touch(group)
    assert isinstance(host, PartitionHost | QuorumHost), "only partitions are scrubbed"
    return host.on_damaged_row(tick, key[:1], key[1 + DATA_ID_BYTES :], error)
