"""PendingRows: what the journal holds and the data file does not, boiled down to what is left of it.

An entry that was appended and compacted since leaves nothing but a range to delete; of ten votes the last one stays.
"""

from collections.abc import Iterable

from kvstore.storage.engine import Batch, Operation

_PREFIX_BYTES = 5  # table and group: range deletes stay inside one


class PendingRows:
    """Applying `as_batch` gives the same rows as applying every operation in its order, also a second time."""

    def __init__(self) -> None:
        self._rows: dict[bytes, dict[bytes, bytes | None]] = {}
        """By prefix: the last word on each key."""
        self._ranges: dict[bytes, bytes] = {}
        """Start to end of what was deleted from the data file before any of the rows was put."""
        self.size_bytes = 0

    def add(self, operations: Iterable[Operation]) -> None:
        """Later operations win."""
        for key, value, end in operations:
            if end is not None:
                self._delete_range(key, end)
            else:
                rows = self._rows.setdefault(key[:_PREFIX_BYTES], {})
                self.size_bytes += len(value or b"") - len(rows.get(key) or b"") + (0 if key in rows else len(key))
                rows[key] = value

    def _delete_range(self, start: bytes, end: bytes) -> None:
        for prefix in [prefix for prefix in self._rows if _overlap(prefix, start, end)]:
            rows = self._rows[prefix]
            for key in [key for key in rows if start <= key < end]:
                self.size_bytes -= len(key) + len(rows.pop(key) or b"")
            if not rows:
                del self._rows[prefix]
        self._ranges[start] = max(end, self._ranges.get(start, end))

    def as_batch(self, before: Batch | None = None) -> Batch:
        """Urgent: it was accepted already.

        If it is to be followed by the batch `before`, what that one deletes by ranges need not be put.
        """
        batch = Batch(urgent=True)
        for start, end in self._ranges.items():
            batch.delete_range(start, end)
        ranges = [] if before is None else [(start, end) for start, _, end in before.operations if end is not None]
        for prefix, all_rows in self._rows.items():
            rows = all_rows
            for start, end in ranges:
                if _overlap(prefix, start, end):
                    rows = {key: value for key, value in rows.items() if not start <= key < end}
            for key, value in rows.items():
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
        return batch

    def clear(self) -> None:
        self._rows.clear()
        self._ranges.clear()
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._rows or self._ranges)


def _overlap(prefix: bytes, start: bytes, end: bytes) -> bool:
    """Whether keys that begin with `prefix` can lie in the range."""
    return start[: len(prefix)] <= prefix < end
