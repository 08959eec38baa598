"""MemoryEngine: the twin of the disk in memory, for simulations and as the reference in tests.

It tells synced from unsynced: `commit_unsynced` hands a batch to the disk, `sync` is the fsync that makes everything
handed over so far durable and readable, `commit` is both. A crash in between keeps a drawn prefix of the unsynced
batches, each whole or not at all, as LMDB's transactions are: what was never acknowledged may have happened. Batches
may go to the disk side by side, in lanes: each is synced by itself and keeps a prefix of its own in a crash. Batches
that are unsynced in different lanes must not touch the same rows.

Pure and deterministic: no clock, no dice but those handed in, and nothing depends on the order of a set.

Rows live in a dict beside a sorted list of keys. A new last key is appended; other new keys wait in `_fresh` until
somebody scans; a deleted key stays listed in `_gone` until it is worth rebuilding the list. Views share rows and list
with the engine, which copies both before it next writes.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from random import Random

from kvstore.core.errors import StorageFull, Unavailable
from kvstore.storage.engine import Batch, Row, check_row_key

ROW_BYTES = 16
"""What a row costs beside its key and value, about as in a B-tree page."""

Plan = dict[bytes, bytes | None]
"""The net effect of a batch: a value to put, or None to delete."""


class MemoryEngine:
    """An `Engine` in memory that can lose what was not synced, rot, and be full.

    `size_bytes_max` may be changed at any time; None is no limit. `reserve_bytes` is what urgent batches may use above.
    """

    def __init__(self, size_bytes_max: int | None = None, reserve_bytes: int = 1 << 20) -> None:
        self.size_bytes_max = size_bytes_max
        self.reserve_bytes = reserve_bytes
        self._rows = _Rows()
        self._size_bytes = 0  # of the synced rows
        self._unsynced: dict[
            int, list[tuple[Plan, int]]
        ] = {}  # by lane: plans, and how much larger each makes the data
        self._ahead: Plan = {}  # all unsynced plans, one over the other
        self._ahead_bytes = 0
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return self._rows.get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Row]:
        self._check_open()
        return self._rows.scan(start, end, reverse)

    def snapshot(self) -> "MemorySnapshot":
        """Cheap now; the engine's next write copies all rows while the snapshot is open."""
        self._check_open()
        return MemorySnapshot(self._rows)

    def commit(self, batch: Batch) -> None:
        self.commit_unsynced(batch)
        self.sync()

    def commit_unsynced(self, batch: Batch, lane: int = 0) -> None:
        """Hand a batch to the disk. Readers do not see it, and a crash may lose it, until `sync`."""
        self._check_open()
        plan = self._plan(batch)
        growth = self._growth(plan)
        self._check_room(growth, batch.urgent)
        self._unsynced.setdefault(lane, []).append((plan, growth))
        self._ahead.update(plan)
        self._ahead_bytes += growth

    def sync(self, lane: int | None = None) -> None:
        """Everything handed over so far (in that lane) is now durable and readable."""
        self._check_open()
        for each in list(self._unsynced) if lane is None else [lane]:
            self._apply(each, len(self._unsynced.get(each, ())))

    @property
    def unsynced(self) -> int:
        """How many batches a crash could lose."""
        return sum(len(plans) for plans in self._unsynced.values())

    def crash(self, rng: Random) -> int:
        """Lose power: a drawn prefix of each lane's unsynced batches survives, the rest is gone. How many survived."""
        survivors = 0
        for lane in sorted(self._unsynced):
            surviving = rng.randint(0, len(self._unsynced[lane]))
            self._apply(lane, surviving)
            survivors += surviving
        return survivors

    def flip_bit(self, rng: Random, tables: Iterable[bytes]) -> bytes | None:
        """Bit rot: one bit of one value in these tables (first bytes of keys) changes. Returns the key, if any was."""
        keys = [key for table in tables for key in self._rows.between(table, bytes([table[0] + 1]))]
        keys = [key for key in keys if self._rows.values[key]]
        if not keys:
            return None
        key = rng.choice(keys)
        value = bytearray(self._rows.values[key])
        value[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
        self._own_rows().values[key] = bytes(value)
        return key

    def size_bytes(self) -> int:
        return self._size_bytes

    def is_full(self) -> bool:
        return self.size_bytes_max is not None and self._size_bytes >= self.size_bytes_max

    def close(self) -> None:
        self._closed = True

    def reopen(self) -> None:
        """The next life of the process on the same disk: unsynced batches that `crash` did not judge are gone."""
        for lane in list(self._unsynced):
            self._apply(lane, 0)
        self._closed = False

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the storage engine is closed")

    def _plan(self, batch: Batch) -> Plan:
        plan: Plan = {}
        for key, value, end in batch.operations:
            if end is None:
                check_row_key(key)
                plan[key] = value
            else:
                plan |= dict.fromkeys(self._planned_between(plan, key, end))
        return plan

    def _planned_between(self, plan: Plan, start: bytes, end: bytes) -> list[bytes]:
        """Keys a range delete would meet: those on disk and those that unsynced batches and this one put."""
        keys = self._rows.between(start, end)
        for earlier in (self._ahead, plan):
            keys += [key for key in earlier if start <= key < end]
        return keys

    def _growth(self, plan: Plan) -> int:
        growth = 0
        ahead, values = self._ahead, self._rows.values
        for key, value in plan.items():
            before = ahead[key] if key in ahead else values.get(key)
            growth += _row_bytes(key, value) - _row_bytes(key, before)
        return growth

    def _check_room(self, growth: int, urgent: bool) -> None:
        if self.size_bytes_max is None or growth <= 0:
            return
        limit = self.size_bytes_max + (self.reserve_bytes if urgent else 0)
        size_bytes = self._size_bytes + self._ahead_bytes + growth
        if size_bytes > limit:
            raise StorageFull(f"the store would hold {size_bytes} bytes, it may hold {limit}: delete something")

    def _apply(self, lane: int, count: int) -> None:
        """Make the first `count` unsynced batches of a lane durable and forget its others."""
        plans = self._unsynced.pop(lane, [])
        if count:
            rows = self._own_rows()
            for plan, growth in plans[:count]:
                rows.apply(plan)
                self._size_bytes += growth
        self._ahead.clear()
        self._ahead_bytes = 0
        for others in self._unsynced.values():
            for plan, growth in others:
                self._ahead.update(plan)
                self._ahead_bytes += growth

    def _own_rows(self) -> "_Rows":
        """The rows, copied first if a view still looks at them."""
        if self._rows.views:
            self._rows = self._rows.copy()
        return self._rows


class MemorySnapshot:
    """What the engine held at one moment."""

    def __init__(self, rows: "_Rows") -> None:
        self._rows: _Rows | None = rows
        rows.views += 1

    def get(self, key: bytes) -> bytes | None:
        return self._view().get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Row]:
        return self._view().scan(start, end, reverse)

    def close(self) -> None:
        if self._rows is not None:
            self._rows.views -= 1
        self._rows = None

    def _view(self) -> "_Rows":
        if self._rows is None:
            raise Unavailable("this snapshot is closed")
        return self._rows


class _Rows:
    """A dict and the sorted list of its keys. Each key is listed once, in `_keys` or `_fresh`; those in `_gone` too."""

    __slots__ = ("_fresh", "_gone", "_keys", "values", "views")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.views = 0  # who looks at these rows; a view that was dropped and not closed costs one copy
        self._keys: list[bytes] = []
        self._fresh: list[bytes] = []
        self._gone: set[bytes] = set()  # asked only, never walked: its order would differ from run to run

    def copy(self) -> "_Rows":
        twin = _Rows()
        twin.values, twin._keys = self.values.copy(), self._keys.copy()
        twin._fresh, twin._gone = self._fresh.copy(), self._gone.copy()
        return twin

    def get(self, key: bytes) -> bytes | None:
        if not key:
            check_row_key(key)
        return self.values.get(key)

    def apply(self, plan: Plan) -> None:
        values, keys, gone = self.values, self._keys, self._gone
        for key, value in plan.items():
            if value is None:
                if values.pop(key, None) is not None:
                    gone.add(key)
                continue
            if key not in values:
                if key in gone:
                    gone.remove(key)
                elif not keys or key > keys[-1]:
                    keys.append(key)
                else:
                    self._fresh.append(key)
            values[key] = value

    def between(self, start: bytes, end: bytes) -> list[bytes]:
        """The keys with start <= key < end, sorted."""
        self._settle()
        keys = self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, end)]
        return [key for key in keys if key not in self._gone] if self._gone else keys

    def scan(self, start: bytes, end: bytes, reverse: bool) -> Iterator[Row]:
        self._settle()
        self.views += 1
        low, high = bisect_left(self._keys, start), bisect_left(self._keys, end)
        return self._walk(range(high - 1, low - 1, -1) if reverse else range(low, high))

    def _walk(self, places: range) -> Iterator[Row]:
        try:
            for place in places:
                key = self._keys[place]
                value = self.values.get(key)
                if value is not None:
                    yield key, value
        finally:
            self.views -= 1

    def _settle(self) -> None:
        if len(self._gone) > 64 + len(self._keys) // 2 and not self.views:
            self._keys = [key for key in self._keys if key in self.values]
            self._fresh = [key for key in self._fresh if key in self.values]
            self._gone.clear()
        if len(self._fresh) < 1 + len(self._keys) // 64:
            for key in self._fresh:
                insort(self._keys, key)
        else:
            self._keys += self._fresh
            self._keys.sort()
        self._fresh.clear()


def _row_bytes(key: bytes, value: bytes | None) -> int:
    return 0 if value is None else len(key) + len(value) + ROW_BYTES
