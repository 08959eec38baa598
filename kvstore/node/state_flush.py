"""A flush: what was applied since the last one goes to the engine, in slices that keep each commit short.

A slice touches few pages because its rows lie together: first the answers (`outcomes.py`), then the superseded versions
in the order of their stamps, then the current values in the order of their keys. The price is that between the first
and the last slice the rows are neither the old state nor the new one. After a crash in between, the applied index is
still the old one, and the log still has all entries from there. What the slices wrote too early does no harm:

* answers: an answer decided at or after the stamp of the command that asks for it is not one (`Outcomes.find`);
* superseded versions: nothing points at them, and they are written again, alike;
* values: the first slice with values also says `redo_until`, the last entry being flushed. Entries up to it are not
  judged again but *redone*: each command's answer is on disk by then, and a command that was written is put where the
  row is still older than it (ARIES calls this repeating history; the stamp in the row is its page LSN).

The last slice says the new applied index, and `redo_until` no more.

History is bounded by time, which removes many versions in one range, and by count, which would cost a look at every
version of a key at each of its writes. So a version that is beyond the count before it ever reached the disk is not
written; and the others are looked through only when `behind` in the current row says that there may be `SLACK` times
too many, which is once in so many overwrites. On disk are therefore at most `SLACK` times the versions asked for (up to
`COUNTED_VERSIONS_MAX` of them; who asks for more has the bound of time alone). Nobody can read what is beyond the count
either way.
"""

from array import array
from struct import Struct

from kvstore.core.entries import NOTHING, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.ids import Index
from kvstore.core.records import seal, unseal
from kvstore.node.memory_table import MemoryTable
from kvstore.node.value_rows import (
    BEHIND_MAX,
    behind_of,
    pack_current,
    pack_currents,
    pack_superseded,
    read_current,
    unpack_superseded,
)
from kvstore.storage.engine import Batch, Engine, Reader
from kvstore.storage.keys import history_key, history_prefix, meta_key, value_prefix

SLACK = 4
COUNTED_VERSIONS_MAX = BEHIND_MAX // SLACK

_APPLIED = Struct(">QQ")
_META = Struct(">QQQQ")


class Meta:
    """What a partition's rows say of themselves: applied end, latest stamp, and up to where to redo after a crash."""

    __slots__ = ("applied", "redo_until", "stamp")

    def __init__(self, applied: LogEnd = NOTHING, stamp: int = 0, redo_until: Index = Index(0)) -> None:  # noqa: B008
        self.applied, self.stamp, self.redo_until = applied, stamp, redo_until

    def put(self, batch: Batch, data: int) -> None:
        body = _META.pack(self.applied.term, self.applied.index, self.stamp, self.redo_until)
        batch.put(meta_key(data), seal(body))


def load_meta(reader: Reader, data: int) -> Meta:
    """Raises Corruption."""
    record = reader.get(meta_key(data))
    if record is None:
        return Meta()
    term, index, stamp, redo_until = _META.unpack(unseal(record, "state meta"))
    return Meta(LogEnd(term, index), stamp, redo_until)


def load_applied(reader: Reader, data: int) -> LogEnd:
    """Up to where the rows of a state have applied the log; every kind of state begins its meta row with it.

    Raises Corruption.
    """
    record = reader.get(meta_key(data))
    if record is None:
        return NOTHING
    term, index = _APPLIED.unpack_from(unseal(record, "state meta"))
    return LogEnd(term, index)


class Flush:
    """One flush under way: a frozen memory table on its way into the rows of `data`.

    Read the table before the engine. `keys` are its keys, sorted, some of them more than once; `before` and `after` the
    meta rows of the old and the new state. `versions` is how many of a key are kept, with the current one.
    """

    def __init__(
        self,
        engine: Engine,
        data: int,
        table: MemoryTable,
        keys: list[bytes],
        before: Meta,
        after: Meta,
        versions: int,
    ) -> None:
        self._engine, self._data, self._prefix = engine, data, value_prefix(data)
        self.table, self._before, self.after = table, before, after
        self._versions, self._with_history = versions, versions > 1
        self._behind_max = SLACK * versions if versions <= COUNTED_VERSIONS_MAX else BEHIND_MAX
        self._behind: list[int] = []
        """Of each write so far: how many versions may lie on disk behind the first write to its key."""
        self.keys = keys
        self._superseding = len(table) if self._with_history else 0
        """How many writes have predecessors that may have to be kept."""
        self._is_deep = max(table.numbers, default=0) >= versions
        """Some are beyond the count already."""
        self._keys_done = 0
        self._writes_done = 0
        self.is_done = False
        """The last slice was handed out."""

    def next_slice(self, batch: Batch, rows_max: int) -> int:
        """Put the next rows into a batch; how many. The slice before must be on disk, and so must all answers."""
        assert not self.is_done, "a flush that is done has no further slice"
        keys_before = self._keys_done
        rows = self._put_history(batch, rows_max)
        rows += self._put_values(batch, rows_max - rows)
        if self._writes_done == self._superseding and self._keys_done == len(self.keys):
            self.is_done = True
            self.after.put(batch, self._data)
        elif self._keys_done > keys_before == 0:
            Meta(self._before.applied, self._before.stamp, self.after.applied.index).put(batch, self._data)
        return rows

    def _put_history(self, batch: Batch, rows_max: int) -> int:
        table, begin = self.table, self._writes_done
        self._writes_done = end = min(self._superseding, begin + rows_max)
        if begin == end:
            return 0
        keys, stamps = table.keys[begin:end], table.stamps[begin:end]
        records = self._superseded(keys, table.older[begin:end])
        if self._is_deep:
            for place, (key, number) in enumerate(zip(keys, table.numbers[begin:end], strict=True)):
                if self._is_beyond(key, number):
                    records[place] = None
        deleted = [value is None for value in table.values[begin:end]] if table.deletes else [False] * len(keys)
        columns = zip(keys, records, deleted, strict=True)
        rows = [pack_superseded(key, record, by) for key, record, by in columns if record is not None]
        kept = [stamp for stamp, record in zip(stamps, records, strict=True) if record is not None]
        history = history_prefix(self._data)
        batch.put_all([history + stamp.to_bytes(8, "big") for stamp in kept], rows)
        return end - begin

    def _superseded(self, keys: list[bytes], older: "array[int]") -> list[bytes | None]:
        """The row of the version before each write; and what is counted behind it is noted."""
        table, prefix, behind = self.table, self._prefix, self._behind
        first_here = [prefix + key for key, place in zip(keys, older, strict=True) if place < 0]
        on_disk = iter(self._engine.get_many(first_here))
        records: list[bytes | None] = []
        for place in older:
            if place < 0:
                record = next(on_disk)
                behind.append(0 if record is None else behind_of(record) + 1)
            else:
                record = pack_current(table.stamps[place], table.values[place])
                behind.append(behind[place])
            records.append(record)
        return records

    def _is_beyond(self, key: bytes, number: int) -> bool:
        """Whether so many newer ones come after this write that the version before it is beyond the count."""
        return self.table.numbers[self.table.newest[key]] - number + 1 >= self._versions

    def _put_values(self, batch: Batch, rows_max: int) -> int:
        if rows_max <= 0:
            return 0
        begin, end = self._keys_done, min(len(self.keys), self._keys_done + rows_max)
        before = self.keys[begin - 1] if begin else b""
        keys = [key for key in dict.fromkeys(self.keys[begin:end]) if key != before]  # some were written more than once
        table, prefix = self.table, self._prefix
        places = list(map(table.newest.__getitem__, keys))
        behind = self._behind_each(batch, keys, places)
        stamps, values = list(map(table.stamps.__getitem__, places)), list(map(table.values.__getitem__, places))
        rows = pack_currents(stamps, values, behind, with_tombstones=table.deletes > 0)
        row_keys = [prefix + key for key in keys]
        if table.deletes and not self._with_history:  # nobody will ask when it was deleted
            for row_key, value in zip(row_keys, values, strict=True):
                if value is None:
                    batch.delete(row_key)
            row_keys = [row_key for row_key, value in zip(row_keys, values, strict=True) if value is not None]
            rows = [row for row, value in zip(rows, values, strict=True) if value is not None]
        batch.put_all(row_keys, rows)
        self._keys_done = end
        return end - begin

    def _behind_each(self, batch: Batch, keys: list[bytes], places: list[int]) -> list[int]:
        """How many versions may lie behind what is written of each key now, after deleting where they are too many."""
        if not self._with_history:
            return [0] * len(keys)
        on_disk, numbers = self._behind, self.table.numbers
        behind = [on_disk[place] + numbers[place] - 1 for place in places]
        if self._is_deep or max(behind, default=0) > self._behind_max:
            for at, (key, place) in enumerate(zip(keys, places, strict=True)):
                if numbers[place] >= self._versions or behind[at] > self._behind_max:
                    behind[at] = self._without_surplus(batch, key, numbers[place], behind[at])
        return behind

    def _without_surplus(self, batch: Batch, key: bytes, written: int, behind: int) -> int:
        """Delete the versions beyond the count, if so many are counted; how many lie behind the newest then.

        Along the chain from what is on disk, before which `written` newer ones come.
        """
        if self._behind_max == BEHIND_MAX:
            return min(behind, BEHIND_MAX)
        position = written
        record = self._engine.get(self._prefix + key)
        while record is not None:
            try:
                row_key = history_key(self._data, read_current(record)[0])
                row = self._engine.get(row_key)
                if row is None:
                    break
                superseded = unpack_superseded(row)
            except Corruption:
                break  # left for who reads it, and for time
            position += 1
            if position >= self._versions:
                batch.delete(row_key)
            record = superseded.record
        return self._versions - 1
