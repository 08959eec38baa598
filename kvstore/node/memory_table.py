"""MemoryTable: what was applied and is not on disk yet, by columns.

Every write has a place, counted from 0 in the order of stamps; each column has what belongs to it there. A batch of
puts extends the columns, which costs a tenth of making objects of each put, and nothing that the garbage collector
would have to look at later.
"""

from array import array
from collections.abc import Iterator
from itertools import repeat
from typing import Final

from kvstore.node.waste import Waste

ROW_OVERHEAD_BYTES = 120
NOWHERE: Final = -1


class MemoryTable:
    """Writes of one partition, and which is the newest of each key. Columns are read directly, and only read.

    `put` and `put_all` want stamps to rise.
    """

    __slots__ = ("deletes", "keys", "newest", "numbers", "older", "size_bytes", "stamps", "values")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: list[bytes | None] = []
        """None is a tombstone."""
        self.deletes = 0
        """How many tombstones there are."""
        self.stamps = array("Q")
        self.older = array("q")
        """The place of the write before this one to the same key; NOWHERE if it is not in this table."""
        self.numbers = array("I")
        """How many writes to the key there are in this table up to this one."""
        self.newest: dict[bytes, int] = {}
        """The place of each key's last write."""
        self.size_bytes = 0
        """Roughly what all of it takes."""

    def __len__(self) -> int:
        return len(self.keys)

    def put(self, key: bytes, stamp: int, value: bytes | None) -> None:
        place = len(self.keys)
        older = self.newest.get(key, NOWHERE)
        self.keys.append(key)
        self.values.append(value)
        self.stamps.append(stamp)
        self.older.append(older)
        self.numbers.append(1 if older < 0 else self.numbers[older] + 1)
        self.newest[key] = place
        if value is None:
            self.deletes += 1
        self.size_bytes += len(key) + len(value or b"") + ROW_OVERHEAD_BYTES

    def put_all(self, keys: list[bytes], values: list[bytes], first_stamp: int) -> None:
        """The same for many, at consecutive stamps."""
        place, count = len(self.keys), len(keys)
        places = dict(zip(keys, range(place, place + count), strict=True))
        if len(places) < count:  # a key is there more than once: the later write has to find the earlier one
            for stamp, (key, value) in enumerate(zip(keys, values, strict=True), first_stamp):
                self.put(key, stamp, value)
            return
        numbers, older = self.numbers, list(map(self.newest.get, keys, repeat(NOWHERE)))
        self.keys += keys
        self.values += values
        self.stamps.extend(range(first_stamp, first_stamp + count))
        self.older.extend(older)
        numbers.extend([1 if each < 0 else numbers[each] + 1 for each in older])
        self.newest.update(places)
        self.size_bytes += sum(map(len, keys)) + sum(map(len, values)) + count * ROW_OVERHEAD_BYTES

    def get(self, key: bytes) -> tuple[int, bytes | None] | None:
        """(stamp, value or None for a tombstone) of the newest write; None if there is none in this table."""
        place = self.newest.get(key)
        return None if place is None else (self.stamps[place], self.values[place])

    def versions(self, key: bytes) -> Iterator[tuple[int, bytes | None]]:
        """All writes to the key, newest first."""
        place = self.newest.get(key, NOWHERE)
        while place >= 0:
            yield self.stamps[place], self.values[place]
            place = self.older[place]

    def give_away(self, waste: Waste) -> None:
        """Nobody uses this any more."""
        for column in (self.newest, self.values, self.keys):
            waste.throw(column)
