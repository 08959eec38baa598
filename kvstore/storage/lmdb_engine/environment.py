"""The LMDB environment: how it is opened, and the file it lives in."""

import mmap
import os
from pathlib import Path

import lmdb

DATA_FILE = "data.mdb"
READERS_MAX = 510  # read transactions open at once: snapshots and scans that are under way


def open_environment(path: Path, map_bytes: int, readonly: bool) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        map_size=-(-map_bytes // mmap.PAGESIZE) * mmap.PAGESIZE,
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


def file_bytes(path: Path) -> int:
    try:
        return os.stat(path / DATA_FILE).st_size
    except FileNotFoundError:
        return 0


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable, and its own."""
    for folder in (path, path.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
