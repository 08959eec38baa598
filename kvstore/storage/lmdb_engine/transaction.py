"""Writing: one transaction, from `begin` to the fsync at the end of `commit`."""

from typing import TYPE_CHECKING

import lmdb

from kvstore.core.errors import RequestTooLarge, StorageFull
from kvstore.storage.engine import Batch, Operation, check_row_key
from kvstore.storage.lmdb_engine.translation import translated

if TYPE_CHECKING:
    from kvstore.storage.lmdb_engine.engine import LmdbEngine


class WriteTransaction:
    """One atomic step towards the disk. `begin`, `commit` and `abort` on one thread; `apply` may come from another."""

    __slots__ = ("_engine", "_is_over", "_live_bytes", "_live_bytes_before", "_transaction")

    def __init__(self, engine: "LmdbEngine", transaction: "lmdb.Transaction[bytes]", live_bytes: int) -> None:
        self._engine = engine
        self._transaction = transaction
        self._live_bytes_before = self._live_bytes = live_bytes
        self._is_over = False

    def apply(self, batch: Batch, rows_deleted_max: int | None = None) -> None:
        """Do the batch's writes in their order. After an error the transaction can only be aborted.

        Raises StorageFull (with the fact `map_full` if a larger map would help), EmptyKey, KeyTooLarge, Corruption, and
        RequestTooLarge if its range deletes meet more rows than `rows_deleted_max`.
        """
        try:
            with self._transaction.cursor() as cursor:
                _apply(cursor, batch.operations, rows_deleted_max)
            self._live_bytes = self._engine.live_bytes_of(self._transaction)
        except lmdb.BadValsizeError as error:
            for key, value, _ in batch.operations:
                if value is not None:
                    check_row_key(key)
            raise translated(error, "applying a batch") from error
        except lmdb.Error as error:
            raise translated(error, "applying a batch") from error
        limit = self._engine.room(batch.urgent)
        if self._live_bytes > limit and self._live_bytes > self._live_bytes_before:
            raise StorageFull(f"the store would hold {self._live_bytes} bytes, it may hold {limit}: delete something")

    def commit(self) -> None:
        """On return it is on disk. Raises StorageFull (nothing was applied) or OutcomeUnknown (engine is done for)."""
        self._is_over = True
        try:
            self._transaction.commit()
        except lmdb.Error as error:
            self._engine.ended(None)
            raise self._engine.commit_failed(error) from error
        self._engine.ended(self._live_bytes)

    def abort(self) -> None:
        """Forget it. After commit or abort this does nothing."""
        if not self._is_over:
            self._is_over = True
            self._transaction.abort()
            self._engine.ended(None)


def _apply(cursor: "lmdb.Cursor[bytes]", operations: list[Operation], rows_deleted_max: int | None) -> None:
    deleted = 0
    for key, value, end in operations:
        if value is not None:
            cursor.put(key, value)
        elif end is None:
            check_row_key(key)  # LMDB would look for it
            if cursor.set_key(key):
                cursor.delete()
        else:
            allowed = None if rows_deleted_max is None else rows_deleted_max - deleted
            deleted += _delete_range(cursor, key, end, allowed)


def _delete_range(cursor: "lmdb.Cursor[bytes]", start: bytes, end: bytes, rows_max: int | None) -> int:
    deleted = 0
    found = cursor.set_range(start) if start else cursor.first()
    while found and cursor.key() < end:
        if deleted == rows_max:
            raise RequestTooLarge(f"a range delete meets more than {rows_max} rows")
        cursor.delete()  # moves on to the next row; past the last one the key is empty
        found = bool(cursor.key())
        deleted += 1
    return deleted
