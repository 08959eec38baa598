"""Engine: an ordered map of bytes with atomic batches, and what a batch may hold.

Everything a tick owes the disk, for all groups, is one `Batch` and becomes one transaction with one fsync. A batch is
applied whole or not at all; batches become durable in the order they were committed. Readers see committed batches
only; what is under way the node keeps in memory itself.

Full is a soft limit: a batch that leaves the data over the limit and larger than before is refused with StorageFull,
so deletes and rewrites always pass. Above the limit lies a reserve, into which only `urgent` batches may grow.
"""

from collections.abc import Iterator
from itertools import repeat
from typing import Protocol

from kvstore.core.errors import EmptyKey, KeyTooLarge

Row = tuple[bytes, bytes]
Operation = tuple[bytes, bytes | None, bytes | None]

ROW_KEY_BYTES_MAX = 511
"""What the disk engine's key may hold; core.limits.KEY_BYTES_MAX leaves room for our prefixes."""


def check_row_key(key: bytes) -> None:
    """Raises EmptyKey or KeyTooLarge."""
    if not key:
        raise EmptyKey("a row's key has at least one byte")
    if len(key) > ROW_KEY_BYTES_MAX:
        raise KeyTooLarge(size=len(key), limit=ROW_KEY_BYTES_MAX)


class Batch:
    """Writes in the order they are to happen. Later ones win."""

    __slots__ = ("operations", "size_bytes", "urgent")

    def __init__(self, *, urgent: bool = False) -> None:
        self.operations: list[Operation] = []
        """(key, value, None) puts; (key, None, None) deletes; (start, None, end) deletes a range, end exclusive."""
        self.size_bytes = 0
        self.urgent = urgent
        """May use the reserve above the limit: for what makes room, such as the log entry of a delete."""

    def put(self, key: bytes, value: bytes) -> None:
        self.operations.append((key, value, None))
        self.size_bytes += len(key) + len(value)

    def put_all(self, keys: list[bytes], values: list[bytes]) -> None:
        """The same for many: a value for each key."""
        self.operations += zip(keys, values, repeat(None, len(keys)), strict=True)
        self.size_bytes += sum(map(len, keys)) + sum(map(len, values))

    def delete(self, key: bytes) -> None:
        self.operations.append((key, None, None))

    def delete_range(self, start: bytes, end: bytes) -> None:
        self.operations.append((start, None, end))

    def extend(self, other: "Batch") -> None:
        """Append another batch's writes. The whole is urgent only if every part is."""
        self.urgent = other.urgent and (self.urgent or not self.operations)
        self.operations += other.operations
        self.size_bytes += other.size_bytes

    def has_puts(self) -> bool:
        return any(value is not None for _, value, _ in self.operations)

    def __bool__(self) -> bool:
        return bool(self.operations)


class Reader(Protocol):
    """A consistent view."""

    def get(self, key: bytes) -> bytes | None: ...

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """The same for each, in order."""
        ...

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Rows with start <= key < end, in key order or the reverse. Take what you need and drop the iterator soon."""
        ...


class Snapshot(Reader, Protocol):
    """A view that does not move while batches are committed. Close it soon: it pins old pages."""

    def close(self) -> None: ...


class Engine(Reader, Protocol):
    """An ordered map that survives. `get` and `scan` see every batch whose `commit` has returned."""

    def commit(self, batch: Batch) -> None:
        """Apply one batch atomically and durably: on return it is on disk.

        Raises StorageFull (nothing was applied; smaller or deleting batches may still pass), EmptyKey or KeyTooLarge
        (nothing was applied), Corruption, or OutcomeUnknown if the disk failed on the way: it may or may not be there,
        and the engine refuses every later batch.
        """
        ...

    def snapshot(self) -> Snapshot: ...

    def size_bytes(self) -> int:
        """How much the committed data takes, without what deletes have freed. This is what the limit is about."""
        ...

    def is_full(self) -> bool:
        """True at or over the limit: refuse what grows before it reaches a log, let what makes room be `urgent`."""
        ...

    def close(self) -> None: ...
