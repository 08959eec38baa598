"""LmdbEngine itself: what it keeps open, who may use it when, how it grows and how it fails."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock, get_ident
from time import monotonic
from weakref import WeakSet

import lmdb

from kvstore.core.errors import Corruption, KvError, OutcomeUnknown, StorageFull, Unavailable
from kvstore.core.ids import Millis
from kvstore.storage.engine import Batch, Row, check_row_key
from kvstore.storage.lmdb_engine.environment import DATA_FILE, file_bytes, fsync_folder, open_environment
from kvstore.storage.lmdb_engine.transaction import WriteTransaction
from kvstore.storage.lmdb_engine.translation import translated, translating
from kvstore.storage.lmdb_engine.views import LmdbSnapshot, View

MAP_BYTES_START = 1 << 30  # address space, not disk: growing is cheap to postpone
MAP_BYTES_MAX_DEFAULT = 64 << 30
RESERVE_BYTES_MIN = 64 << 20
DISK_RESERVE_BYTES = 32 << 20  # left on the disk for deletes, or a sixteenth of it if that is less
SNAPSHOT_MS_MAX = Millis(60_000)


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
        self.owed_bytes = 0
        """What is on disk elsewhere (a journal) and will have to find room here."""
        self._disk_low = False
        self._file_room = 0
        self._reading_thread = get_ident()
        self._writing_thread: int | None = None
        self._moving = Lock()  # held while the map moves, and while a read transaction begins
        self._overtaken: WeakSet[View] = WeakSet()
        self._stale = False
        self._view = View(environment)
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
        the limit, at least 64 MiB. Raises Corruption, VersionSkew, StorageFull or Unavailable.
        """
        reserve = max(RESERVE_BYTES_MIN, map_bytes_max // 4) if reserve_bytes is None else reserve_bytes
        start = max(min(map_bytes_start, map_bytes_max + reserve), file_bytes(path))
        with translating(f"opening {path}"):
            if not readonly:
                path.mkdir(mode=0o700, exist_ok=True)
            environment = open_environment(path, start, readonly)
            try:
                engine = cls(environment, path, map_bytes_max, reserve, snapshot_ms_max, now_ms)
                engine._check_whole()
                if not readonly:
                    engine.check_disk()
                    environment.reader_check()  # slots of processes that died would pin their pages for ever
                    fsync_folder(path)
            except BaseException:
                environment.close()
                raise
        return engine

    # ── reading: one thread, the event loop's ──

    def get(self, key: bytes) -> bytes | None:
        if self._stale:
            self.refresh()
        try:
            return self._get(key)
        except lmdb.Error:
            return self._get_again(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        if self._stale:
            self.refresh()
        try:
            return list(map(self._get, keys))
        except lmdb.Error:
            return [self.get(key) for key in keys]

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

    def snapshot(self) -> LmdbSnapshot:
        """A view that stays. It is closed by `close_old_snapshots` and when the map grows. Raises Overloaded."""
        return LmdbSnapshot(self._shared_view())

    def refresh(self) -> None:
        """See what was committed since, and no longer pin the pages before it (3 µs): due after every commit."""
        if not self._stale:
            return
        with self._moving:
            self._stale = False  # before we look: a commit that ends meanwhile sets it again
            try:
                view = View(self._environment)
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

    def _shared_view(self) -> View:
        if self._view.spoilt:
            self._stale = True
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

    def begin(self) -> WriteTransaction:
        """Raises Unavailable once the disk has failed: another fsync would not say what the failed one lost."""
        if self._broken is not None:
            raise Unavailable(f"{self.path} takes no more writes: {self._broken}; restart the node")
        # LMDB would wait for the other one, and a writer thread keeps its next transaction open while it is idle.
        assert self._writing_thread in (None, get_ident()), "another thread has a write transaction open"
        with translating("beginning a write transaction"):
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
        with self._moving, translating("growing the map"):
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
        return self._live_bytes + self.owed_bytes >= self.room(urgent=False)

    def can_owe(self, size_bytes: int, urgent: bool) -> bool:
        """Whether so many bytes more may be kept elsewhere for now, and will still find room here.

        In the pages of a tree rows take up to about twice their bytes.
        """
        if not urgent and self.is_full():
            return False
        return self._live_bytes + 2 * (self.owed_bytes + size_bytes) <= self.room(urgent=True)

    def check_disk(self) -> None:
        """See whether the disk is nearly full: then what is not urgent must do with the file's freed pages."""
        with translating("asking how full the disk is"):
            disk = os.statvfs(self.path)
        reserve = min(DISK_RESERVE_BYTES, disk.f_blocks * disk.f_frsize // 16)
        self._disk_low = disk.f_bavail * disk.f_frsize < reserve
        self._file_room = self.file_bytes() * 7 // 8

    def file_bytes(self) -> int:
        """The size of the data file."""
        return file_bytes(self.path)

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
            raise Corruption(
                f"{self.path / DATA_FILE} was cut off: {self.file_bytes()} of {expected} bytes are there. "
                "Restore it, or let the node start empty and fetch its data from the other replicas"
            )
