"""DataDirectory: one folder that belongs to one node, and to one process at a time.

    DIR/lock                 held with flock while a process has the directory open; says its process id
    DIR/manifest.json        whose data this is (see storage/manifest.py); replaced whole, never edited in place
    DIR/manifest.json.new    the next manifest while it is being written; of no meaning, removed at the next start
    DIR/data/                the LMDB environment, and beside its files
    DIR/data/journal         what is on disk and not yet in the environment (see storage/journal.py)

The manifest is written before the environment is made. So rows without a manifest, or a founded cluster's manifest
without rows, mean that something was lost or mixed up: the directory is refused, with a message that says what to do.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import ENOSPC
from pathlib import Path
from types import TracebackType
from typing import Self

from kvstore.core.errors import ConfigError, Corruption, StorageFull, Unavailable
from kvstore.core.ids import ClusterId, Incarnation, Millis, NodeId, TimelineId
from kvstore.server.journal import Journal
from kvstore.storage import manifest as manifests
from kvstore.storage.lmdb_engine import DATA_FILE, MAP_BYTES_MAX_DEFAULT, MAP_BYTES_START, SNAPSHOT_MS_MAX, LmdbEngine
from kvstore.storage.manifest import NO_TIMELINE, Manifest

MANIFEST_FILE = "manifest.json"
NEW_MANIFEST_FILE = "manifest.json.new"
LOCK_FILE = "lock"
ENGINE_FOLDER = "data"
JOURNAL_FILE = "journal"


class DataDirectory:
    """An open data directory. Nobody else can open it until `close`."""

    def __init__(self, path: Path, lock: int, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._lock: int | None = lock

    @classmethod
    def open_or_create(cls, path: Path, cluster: ClusterId, node: NodeId) -> Self:
        """Open a node's directory; a new or empty one gets a manifest with a fresh incarnation.

        Raises ForeignData (another node's or cluster's), VersionSkew (made by a newer version), Corruption (manifest or
        rows damaged or missing), Unavailable (another process has it open), StorageFull, or ConfigError (the system
        says no).
        """
        path = Path(path)
        with _translating(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _take_lock(path)
            try:
                (path / NEW_MANIFEST_FILE).unlink(missing_ok=True)
                manifest = _read_manifest(path)
                if manifest is None:
                    manifest = _first_manifest(cluster, node)
                    _write_manifest(path, manifest)
                manifests.check_owner(manifest, cluster, node, str(path))
            except BaseException:
                os.close(lock)
                raise
        return cls(path, lock, manifest)

    def record_founding(self, members: Mapping[str, int], timeline: TimelineId = NO_TIMELINE) -> None:
        """Write down the members at the founding of the cluster; on return it is on disk. Raises StorageFull."""
        first = {NodeId(node): Incarnation(incarnation) for node, incarnation in members.items()}
        manifest = self.manifest.as_founded(first, timeline)
        with _translating(self.path):
            _write_manifest(self.path, manifest)
        self.manifest = manifest

    def open_engine(
        self,
        *,
        map_bytes_max: int = MAP_BYTES_MAX_DEFAULT,
        map_bytes_start: int = MAP_BYTES_START,
        snapshot_ms_max: Millis = SNAPSHOT_MS_MAX,
    ) -> LmdbEngine:
        """The rows. Raises Corruption, VersionSkew or StorageFull."""
        with _translating(self.path):
            return LmdbEngine.open(
                self.path / ENGINE_FOLDER,
                map_bytes_max=map_bytes_max,
                map_bytes_start=map_bytes_start,
                snapshot_ms_max=snapshot_ms_max,
            )

    def open_journal(self, engine: LmdbEngine, size_bytes: int) -> Journal | None:
        """The journal; what it holds is taken over into the engine first. None, and no file, for a size of 0.

        Raises Corruption (damaged, or gone with what it held) or StorageFull (no room for a file of `size_bytes`).
        """
        with _translating(self.path):
            return Journal.open(self.path / ENGINE_FOLDER / JOURNAL_FILE, engine, size_bytes)

    def close(self) -> None:
        """Let others open it. The engine must be closed before."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every node out of an existing directory for a while. Raises Unavailable or ConfigError."""
    with _translating(path):
        lock = _take_lock(path)
    try:
        yield
    finally:
        os.close(lock)


def _take_lock(path: Path) -> int:
    """An flock goes away with its process, however that ends; a second opener in the same process is kept out too."""
    lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise Unavailable(f"{path} is in use by another process ({holder}): stop that node first") from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock


def _read_manifest(path: Path) -> Manifest | None:
    """None for a directory that was never used."""
    where, rows = path / MANIFEST_FILE, path / ENGINE_FOLDER / DATA_FILE
    has_rows = rows.exists() and rows.stat().st_size > 0
    try:
        content = where.read_bytes()
    except FileNotFoundError:
        if not has_rows:
            return None
        raise Corruption(
            f"{path} holds data ({rows}) but no {MANIFEST_FILE}, so nobody can say whose it is. Restore the manifest "
            "from a backup; or move the directory away, so that the node starts empty and fetches its data again"
        ) from None
    manifest = manifests.parse(content, str(where))
    if manifest.is_founded and not has_rows:
        raise Corruption(
            f"{path} took part in cluster {manifest.cluster!r} but its data ({rows}) is gone. Restore it; or move the "
            "directory away, so that the node starts empty, under a new incarnation, and fetches its data again"
        )
    return manifest


def _first_manifest(cluster: ClusterId, node: NodeId) -> Manifest:
    return Manifest(
        cluster=cluster,
        node=node,
        incarnation=Incarnation(secrets.randbits(63) | 1),
        created_ms=Millis(time.time_ns() // 1_000_000),
    )


def _write_manifest(path: Path, manifest: Manifest) -> None:
    """The old one or the new one is there, whatever happens: write beside, fsync, rename, fsync the folder."""
    new = path / NEW_MANIFEST_FILE
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(manifests.encode(manifest))
        file.flush()
        os.fsync(descriptor)
    new.replace(path / MANIFEST_FILE)
    for folder in (path, path.parent):
        _fsync(folder)


def _fsync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translating(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise  # our own Unavailable is one of these
        if error.errno == ENOSPC:
            raise StorageFull(f"{path}: the disk is full: {error}") from error
        raise ConfigError(f"{path} cannot be used as a data directory: {error}") from error
