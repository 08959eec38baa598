"""LmdbEngine: the disk door. One LMDB environment, one writer at a time, and fsync said aloud.

When is a batch on disk? `WriteTransaction.commit` returns after LMDB (1) wrote every changed page to a fresh place in
the file, (2) waited for fdatasync, (3) wrote the meta page that points at them, through a descriptor with O_DSYNC.
A crash before (3) ends leaves the old meta page, and with it the old state, whole. The file's name is made durable when
the environment is opened: its folder is fsynced.

Threads. A write transaction begins and ends on one thread, because LMDB's writer lock belongs to a thread. What is put
in between may come from another one, never two at a time. That is worth it: py-lmdb lets go of the interpreter lock
around every put, and getting it back from a busy event loop costs 27 µs where the put costs 1.6 µs. So the event loop
fills the transaction and the writer thread only commits it (see server/disk_writer.py, with the figures).
Reads and snapshots belong to one other thread, the event loop's. They share one kept read transaction, which is renewed
after each commit; a scan or snapshot that is under way keeps the old one alive.

The map grows by doubling. Growing moves it in memory, so snapshots and scans that are open at that moment end with
Unavailable: take a new one. The same happens to those that `close_old_snapshots` finds too old.

The limit, `map_bytes_max`, is about live pages. The map itself may become larger by a reserve, since a transaction
needs fresh pages before it frees old ones: so deletes work when the store is full.

NB: an unreadable sector below the map ends the process with SIGBUS, as in every program that maps files.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, get_ident
from time import monotonic
from weakref import WeakSet

import lmdb

from kvstore.core.errors import (
    Corruption,
    InvalidRequest,
    KvError,
    OutcomeUnknown,
    Overloaded,
    RequestTooLarge,
    StorageFull,
    Unavailable,
    VersionSkew,
)
from kvstore.core.ids import Millis
from kvstore.storage.engine import Batch, Operation, Row, check_row_key

MAP_BYTES_START = 1 << 30  # address space, not disk: growing is cheap to postpone
MAP_BYTES_MAX_DEFAULT = 64 << 30
RESERVE_BYTES_MIN = 64 << 20
DISK_RESERVE_BYTES = 32 << 20  # left on the disk for deletes, or a sixteenth of it if that is less
SNAPSHOT_MS_MAX = Millis(60_000)
READERS_MAX = 510  # read transactions open at once: snapshots and scans that are under way
DATA_FILE = "data.mdb"

_TRANSLATIONS: tuple[tuple[type[lmdb.Error], type[KvError]], ...] = (
    (lmdb.MapFullError, StorageFull),
    (lmdb.DiskError, StorageFull),  # ENOSPC
    (lmdb.TxnFullError, RequestTooLarge),
    (lmdb.BadValsizeError, InvalidRequest),
    (lmdb.ReadersFullError, Overloaded),
    (lmdb.CorruptedError, Corruption),
    (lmdb.PageNotFoundError, Corruption),
    (lmdb.InvalidError, Corruption),
    (lmdb.BadTxnError, Corruption),  # the transaction met one of these before
    (lmdb.CursorFullError, Corruption),
    (lmdb.PageFullError, Corruption),
    (lmdb.VersionMismatchError, VersionSkew),
)


def translated(error: lmdb.Error, doing: str) -> KvError:
    """Inside the house only KvError exists. What is not in the table, such as a closed handle, is Unavailable."""
    ours = next((ours for theirs, ours in _TRANSLATIONS if isinstance(error, theirs)), Unavailable)
    facts = {"map_full": True} if isinstance(error, lmdb.MapFullError) else {}
    return ours(f"{doing}: {error}", **facts)


@contextmanager
def _translating(doing: str) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise translated(error, doing) from error


class LmdbEngine:
    """An `Engine` on disk. Make one with `open`. Sizes are bytes."""

    def __init__(
        self,
        environment: lmdb.Environment,
        path: Path,
        map_bytes_max: int,
        reserve_bytes: int,
        snapshot_ms_max: Millis,
        now_ms: Callable[[], Millis],
    ) -> None:
        self.path = path
        self.map_bytes_max = map_bytes_max
        self.reserve_bytes = reserve_bytes
        self._environment = environment
        self._page_bytes = environment.stat()["psize"]
        self._live_bytes = self._live_bytes_of(environment.stat())
        self._snapshot_ms_max = snapshot_ms_max
        self._now_ms = now_ms
        self._broken: str | None = None
        self._disk_low = False
        self._file_room = 0
        self._reading_thread = get_ident()
        self._writing_thread: int | None = None
        self._moving = Lock()  # held while the map moves, and while a read transaction begins
        self._overtaken: WeakSet[_View] = WeakSet()
        self._stale = False
        self._view = _View(environment)
        self._get = self._view.get

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        map_bytes_max: int = MAP_BYTES_MAX_DEFAULT,
        map_bytes_start: int = MAP_BYTES_START,
        reserve_bytes: int | None = None,
        snapshot_ms_max: Millis = SNAPSHOT_MS_MAX,
        now_ms: Callable[[], Millis] = lambda: Millis(int(monotonic() * 1000)),
        readonly: bool = False,
    ) -> "LmdbEngine":
        """Open the environment in the folder `path`, made if absent (its parent must exist).

        Nobody else may have it open; server/data_directory.py sees to that. `reserve_bytes` defaults to a quarter of
        the limit, at least 64 MiB. Raises Corruption, VersionSkew or Unavailable.
        """
        reserve = max(RESERVE_BYTES_MIN, map_bytes_max // 4) if reserve_bytes is None else reserve_bytes
        file_bytes = _file_bytes(path)
        start = max(min(map_bytes_start, map_bytes_max + reserve), file_bytes)
        if not readonly:
            path.mkdir(mode=0o700, exist_ok=True)
        with _translating(f"opening {path}"):
            environment = _open_environment(path, start, readonly)
        engine = cls(environment, path, map_bytes_max, reserve, snapshot_ms_max, now_ms)
        engine._check_whole()
        if not readonly:
            engine.check_disk()
            environment.reader_check()  # slots of processes that died would pin their pages for ever
            _fsync_folder(path)
        return engine

    # ── reading: one thread, the event loop's ──

    def get(self, key: bytes) -> bytes | None:
        if self._stale:
            self.refresh()
        try:
            return self._get(key)
        except lmdb.Error:
            return self._get_again(key)

    def _get_again(self, key: bytes) -> bytes | None:
        """The map moved between our look at `_stale` and the read; or something is really wrong."""
        check_row_key(key)
        self._stale = True
        self.refresh()
        try:
            return self._get(key)
        except lmdb.Error as error:
            self._stale = True  # a transaction that met a damaged page is of no more use
            raise translated(error, "reading") from error

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Row]:
        return self._shared_view().scan(start, end, reverse)

    def snapshot(self) -> "LmdbSnapshot":
        """A view that stays. It is closed by `close_old_snapshots` and when the map grows. Raises Overloaded."""
        return LmdbSnapshot(self._shared_view())

    def refresh(self) -> None:
        """See what was committed since, and no longer pin the pages before it (3 µs): due after every commit."""
        if not self._stale:
            return
        with self._moving:
            self._stale = False  # before we look: a commit that ends meanwhile sets it again
            try:
                view = _View(self._environment)
            except lmdb.Error as error:
                self._stale = True
                raise translated(error, "beginning a read transaction") from error
            if self._view.shared:
                self._view.overtaken_ms = self._now_ms()
                self._overtaken.add(self._view)
            # Its transaction goes to py-lmdb's spare place, from where the next refresh renews it, if nobody shares it.
            self._view = view
            self._get = view.get

    def close_old_snapshots(self, now: Millis | None = None) -> int:
        """Close the views that were overtaken by a commit more than `snapshot_ms_max` ago. Returns how many.

        Until then they keep every page freed since from being used again, and the file grows. Call it every second;
        it also looks how full the disk is.
        """
        self.check_disk()
        self.refresh()
        now = self._now_ms() if now is None else now
        old = [view for view in self._overtaken if now - view.overtaken_ms > self._snapshot_ms_max]
        for view in old:
            view.close(f"it is older than {self._snapshot_ms_max} ms")
            self._overtaken.discard(view)
        return len(old)

    def _shared_view(self) -> "_View":
        self._stale |= self._view.spoilt
        self.refresh()
        self._view.shared = True
        return self._view

    # ── writing: one thread, the writer's ──

    def commit(self, batch: Batch) -> None:
        """Begin, apply and commit, growing the map as needed. See `Engine.commit`.

        If another thread than the one that opened the engine does this, the latter must call `refresh` afterwards.
        """
        while True:
            transaction = self.begin()
            try:
                transaction.apply(batch)
                transaction.commit()
                if get_ident() == self._reading_thread:
                    self.refresh()
                return
            except StorageFull as error:
                transaction.abort()
                if not (error.facts.get("map_full") and self._grow()):
                    raise
            finally:
                transaction.abort()

    def begin(self) -> "WriteTransaction":
        """Raises Unavailable once the disk has failed: another fsync would not say what the failed one lost."""
        if self._broken is not None:
            raise Unavailable(f"{self.path} takes no more writes: {self._broken}; restart the node")
        # LMDB would wait for the other one, and a writer thread keeps its next transaction open while it is idle.
        assert self._writing_thread in (None, get_ident()), "another thread has a write transaction open"
        with _translating("beginning a write transaction"):
            transaction = WriteTransaction(self, self._environment.begin(write=True), self._live_bytes)
        self._writing_thread = get_ident()
        return transaction

    def commit_failed(self, error: lmdb.Error) -> KvError:
        """What a failed commit means (asked by its transaction). No room is definite, anything else is not.

        LMDB tells of a full disk as ENOSPC or, after a short write, as EIO. If it does so before it writes the meta
        page, the old state stands, and whatever a later transaction points at it writes and syncs itself. A failure at
        the meta page makes LMDB refuse every later transaction.
        """
        self.check_disk()
        if self._is_usable() and (isinstance(error, lmdb.MapFullError | lmdb.DiskError) or self._disk_low):
            ours = translated(error, "committing")
            return ours if isinstance(ours, StorageFull) else StorageFull(f"{ours}: the disk of {self.path} is full")
        self.condemn(f"a commit failed ({error})")
        return OutcomeUnknown(f"committing failed, whether the batch is on disk is unknown: {error}")

    def _is_usable(self) -> bool:
        try:
            self._environment.begin(write=True).abort()
        except lmdb.Error:
            return False
        return True

    def condemn(self, reason: str) -> None:
        """Refuse every later batch."""
        self._broken = reason

    @property
    def is_condemned(self) -> bool:
        return self._broken is not None

    def ended(self, live_bytes: int | None) -> None:
        """Told by the write transaction: it was committed with so many live bytes, or aborted."""
        self._writing_thread = None
        if live_bytes is not None:
            self._live_bytes = live_bytes
            self._stale = True

    def room(self, urgent: bool) -> int:
        """How large the live pages may become. Transactions need some pages beside them, so not all is for data."""
        if urgent:
            return self.map_bytes_max + self.reserve_bytes // 2
        return min(self.map_bytes_max, self._file_room) if self._disk_low else self.map_bytes_max

    def live_bytes_of(self, transaction: "lmdb.Transaction[bytes]") -> int:
        return self._live_bytes_of(transaction.stat())

    def _grow(self) -> bool:
        """Double the map up to limit and reserve. No write transaction may be open. False if it cannot grow."""
        with self._moving, _translating("growing the map"):
            size = self._environment.info()["map_size"]
            goal = min(2 * size, self.map_bytes_max + self.reserve_bytes)
            if goal <= size:
                return False
            self._environment.set_mapsize(goal)  # ends every open read transaction
            self._stale = True
            return True

    # ── the whole ──

    def size_bytes(self) -> int:
        """The live pages. The file may be larger: freed pages are used again, never given back."""
        return self._live_bytes

    def is_full(self) -> bool:
        """See `Engine.is_full`; also when the disk below has little left."""
        return self._live_bytes >= self.room(urgent=False)

    def check_disk(self) -> None:
        """See whether the disk is nearly full: then what is not urgent must do with the file's freed pages."""
        disk = os.statvfs(self.path)
        reserve = min(DISK_RESERVE_BYTES, disk.f_blocks * disk.f_frsize // 16)
        self._disk_low = disk.f_bavail * disk.f_frsize < reserve
        self._file_room = self.file_bytes() * 7 // 8

    def file_bytes(self) -> int:
        """The size of the data file."""
        return _file_bytes(self.path)

    def close(self) -> None:
        """Close the environment. The writer must have stopped: its open transaction would be waited for, for ever."""
        self._view.close("the engine was closed")
        self._environment.close()

    def _live_bytes_of(self, stat: "lmdb._StatDict") -> int:
        return self._page_bytes * (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"])

    def _check_whole(self) -> None:
        """A file shorter than its meta page says would end the process with SIGBUS later."""
        expected = (self._environment.info()["last_pgno"] + 1) * self._page_bytes
        if self.file_bytes() < expected:
            self.close()
            raise Corruption(
                f"{self.path / DATA_FILE} was cut off: {self.file_bytes()} of {expected} bytes are there. "
                "Restore it, or let the node start empty and fetch its data from the other replicas"
            )


class WriteTransaction:
    """One atomic step towards the disk. `begin`, `commit` and `abort` on one thread; `apply` may come from another."""

    __slots__ = ("_engine", "_is_over", "_live_bytes", "_live_bytes_before", "_transaction")

    def __init__(self, engine: LmdbEngine, transaction: "lmdb.Transaction[bytes]", live_bytes: int) -> None:
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


class _View:
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

    def __init__(self, view: _View) -> None:
        self._view: _View | None = view

    def get(self, key: bytes) -> bytes | None:
        view = self._open_view()
        try:
            return view.get(key)
        except lmdb.BadValsizeError:
            check_row_key(key)
            raise
        except lmdb.Error as error:
            raise view.explained(error) from error

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Row]:
        return self._open_view().scan(start, end, reverse)

    def close(self) -> None:
        self._view = None  # whoever shares the view still holds it; the last one to let go ends it

    def _open_view(self) -> _View:
        if self._view is None:
            raise Unavailable("this snapshot is closed")
        return self._view


def _open_environment(path: Path, map_bytes: int, readonly: bool) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        map_size=map_bytes,
        lib_version=0,  # LMDB 0.9, file format 1: what every tool reads; not to be changed by an environment variable
        sync=True,  # fdatasync before the meta page is written …
        metasync=True,  # … and the meta page through O_DSYNC: commit returns when both are on disk
        writemap=False,  # changed pages are written, not mapped: a stray pointer cannot reach the data
        map_async=False,  # of use with writemap only
        meminit=False,  # unused parts of pages may hold old memory of this process; saves clearing every new page
        readahead=False,  # pages are scattered by copy-on-write: the kernel would read 32 to use one
        max_readers=READERS_MAX,
        max_dbs=0,
        max_spare_txns=1,  # the kept read transaction is renewed, not made anew
        mode=0o600,
        readonly=readonly,
        lock=not readonly,  # readers of a directory at rest leave no trace in it
    )


def _file_bytes(path: Path) -> int:
    try:
        return os.stat(path / DATA_FILE).st_size
    except FileNotFoundError:
        return 0


def _fsync_folder(path: Path) -> None:
    """Make the names in a folder durable, and its own."""
    for folder in (path, path.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
