"""Reading: one read transaction per view, shared by those who look at the same moment."""

from collections.abc import Iterator

import lmdb

from kvstore.core.errors import KvError, Unavailable
from kvstore.core.ids import Millis
from kvstore.storage.engine import Row, check_row_key
from kvstore.storage.lmdb_engine.translation import translated


class View:
    """One read transaction, kept by the engine while it is the latest and by whoever scans it for longer."""

    __slots__ = ("__weakref__", "_closed_because", "_transaction", "get", "overtaken_ms", "shared", "spoilt")

    def __init__(self, environment: lmdb.Environment) -> None:
        self._transaction = environment.begin()
        self.get = self._transaction.get
        self.shared = False  # somebody besides the engine looks at it
        self.spoilt = False  # it met a damaged page: LMDB will read nothing more through it
        self.overtaken_ms = Millis(0)
        self._closed_because = "the map grew or the engine was closed: take a new one"

    def scan(self, start: bytes, end: bytes, reverse: bool) -> Iterator[Row]:
        try:
            with self._transaction.cursor() as cursor:
                yield from _backward(cursor, start, end) if reverse else _forward(cursor, start, end)
        except lmdb.Error as error:
            raise self.explained(error) from error

    def close(self, because: str) -> None:
        self._closed_because = because
        self._transaction.abort()

    def explained(self, error: lmdb.Error) -> KvError:
        self.spoilt = True
        ours = translated(error, "reading")
        return Unavailable(f"this view of the data has ended: {self._closed_because}") if _is_ended(error) else ours


def _is_ended(error: lmdb.Error) -> bool:
    """py-lmdb has no class of its own for the use of a transaction that was aborted or closed."""
    return type(error) is lmdb.Error


def _forward(cursor: "lmdb.Cursor[bytes]", start: bytes, end: bytes) -> Iterator[Row]:
    if cursor.set_range(start) if start else cursor.first():
        for row in cursor.iternext():
            if row[0] >= end:
                return
            yield row


def _backward(cursor: "lmdb.Cursor[bytes]", start: bytes, end: bytes) -> Iterator[Row]:
    if not end:
        return
    if cursor.prev() if cursor.set_range(end) else cursor.last():
        for row in cursor.iterprev():
            if row[0] < start:
                return
            yield row


class LmdbSnapshot:
    """What was committed at one moment."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view: View | None = view

    def get(self, key: bytes) -> bytes | None:
        view = self._open_view()
        try:
            return view.get(key)
        except lmdb.BadValsizeError:
            check_row_key(key)
            raise
        except lmdb.Error as error:
            raise view.explained(error) from error

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Row]:
        return self._open_view().scan(start, end, reverse)

    def close(self) -> None:
        self._view = None  # whoever shares the view still holds it; the last one to let go ends it

    def _open_view(self) -> View:
        if self._view is None:
            raise Unavailable("this snapshot is closed")
        return self._view
