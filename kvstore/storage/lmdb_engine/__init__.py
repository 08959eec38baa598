"""LmdbEngine: the disk door. One LMDB environment, one writer at a time, and fsync said aloud.

When is a batch on disk? `WriteTransaction.commit` returns after LMDB (1) wrote every changed page to a fresh place in
the file, (2) waited for fdatasync, (3) wrote the meta page that points at them, through a descriptor with O_DSYNC.
A crash before (3) ends leaves the old meta page, and with it the old state, whole. The file's name is made durable when
the environment is opened: its folder is fsynced.

Threads. A write transaction begins and ends on one thread, because LMDB's writer lock belongs to a thread. What is put
in between may come from another one, never two at a time. That is worth it: py-lmdb lets go of the interpreter lock
around every put, and getting it back from a busy event loop costs 30 µs where the put costs 1.6 µs. So the event loop
fills the transaction and a thread only commits it (see server/data_file.py, with the figures).
Reads and snapshots belong to one other thread, the event loop's. They share one kept read transaction, which is renewed
after each commit; a scan or snapshot that is under way keeps the old one alive.

The map grows by doubling. Growing moves it in memory, so snapshots and scans that are open at that moment end with
Unavailable: take a new one. The same happens to those that `close_old_snapshots` finds too old.

The limit, `map_bytes_max`, is about live pages. The map itself may become larger by a reserve, since a transaction
needs fresh pages before it frees old ones: so deletes work when the store is full.

NB: an unreadable sector below the map ends the process with SIGBUS, as in every program that maps files.
"""

from kvstore.storage.lmdb_engine.engine import (
    MAP_BYTES_MAX_DEFAULT,
    MAP_BYTES_START,
    SNAPSHOT_MS_MAX,
    LmdbEngine,
)
from kvstore.storage.lmdb_engine.environment import DATA_FILE
from kvstore.storage.lmdb_engine.transaction import WriteTransaction
from kvstore.storage.lmdb_engine.translation import translated
from kvstore.storage.lmdb_engine.views import LmdbSnapshot

__all__ = [
    "DATA_FILE",
    "MAP_BYTES_MAX_DEFAULT",
    "MAP_BYTES_START",
    "SNAPSHOT_MS_MAX",
    "LmdbEngine",
    "LmdbSnapshot",
    "WriteTransaction",
    "translated",
]
