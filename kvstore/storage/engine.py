"""Engine: an ordered map of bytes with atomic batches, and what a batch may hold.

Everything a tick owes the disk, for all groups, is one `Batch` and becomes one transaction with one fsync. A batch is
applied whole or not at all; batches become durable in the order they were committed. Readers see committed batches
only; what is under way the node keeps in memory itself.
"""

from collections.abc import Iterator
from typing import Protocol

Row = tuple[bytes, bytes]


class Batch:
    """Writes in the order they are to happen. Later ones win."""

    __slots__ = ("operations", "size_bytes")

    def __init__(self) -> None:
        self.operations: list[tuple[bytes, bytes | None, bytes | None]] = []
        """(key, value, None) puts; (key, None, None) deletes; (start, None, end) deletes a range, end exclusive."""
        self.size_bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        self.operations.append((key, value, None))
        self.size_bytes += len(key) + len(value)

    def delete(self, key: bytes) -> None:
        self.operations.append((key, None, None))

    def delete_range(self, start: bytes, end: bytes) -> None:
        self.operations.append((start, None, end))

    def extend(self, other: "Batch") -> None:
        self.operations += other.operations
        self.size_bytes += other.size_bytes

    def __bool__(self) -> bool:
        return bool(self.operations)


class Reader(Protocol):
    """A consistent view."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Row]:
        """Rows with start <= key < end, in key order (or the reverse). Take what you need and drop the iterator soon."""
        ...


class Snapshot(Reader, Protocol):
    """A view that does not move while batches are committed. Close it soon: it pins old pages."""

    def close(self) -> None: ...


class Engine(Reader, Protocol):
    """An ordered map that survives. `get` and `scan` see every batch whose `commit` has returned."""

    def commit(self, batch: Batch) -> None:
        """Apply one batch atomically and durably: on return it is on disk.

        Raises StorageFull (nothing was applied; smaller or deleting batches may still pass) or Corruption.
        """
        ...

    def snapshot(self) -> Snapshot: ...

    def size_bytes(self) -> int:
        """How much of the disk the data takes."""
        ...

    def close(self) -> None: ...
