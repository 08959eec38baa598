"""Journal: the file behind storage/journal.py. It is made as long as it will ever be, so it cannot run out of disk.

Whoever calls holds the baton: the event loop while no job is with the writer thread, the writer thread during a job.
"""

import os
from collections.abc import Sequence
from errno import EOPNOTSUPP
from pathlib import Path
from typing import Self

from kvstore.core.errors import Corruption, OutcomeUnknown
from kvstore.storage.engine import Batch, Operation
from kvstore.storage.journal import encode_record, load_number, put_number, read_records
from kvstore.storage.keys import JOURNALED
from kvstore.storage.lmdb_engine import LmdbEngine
from kvstore.storage.lmdb_engine.environment import fsync_folder
from kvstore.storage.pending_rows import PendingRows


class Journal:
    """An open journal, and what it holds."""

    def __init__(self, descriptor: int, size_bytes: int, number: int) -> None:
        self.size_bytes = size_bytes
        self.pending = PendingRows()
        self._descriptor: int | None = descriptor
        self._number = number
        self._position = 0

    @classmethod
    def open(cls, file: Path, engine: LmdbEngine, size_bytes: int) -> Self | None:
        """Take over into the engine what the file holds, and begin anew. None, and no file, for a size of 0.

        Raises Corruption, StorageFull, or OSError (ENOSPC: no room for the file).
        """
        known = load_number(engine)
        if known is not None and not file.exists():
            raise Corruption(
                f"{file} is gone, and with it the last writes of this node. Restore it; or move the node's directory "
                "away, so that the node starts empty, under a new incarnation, and fetches its data again"
            )
        number = _take_over(file, engine, known) if known is not None else 0
        if size_bytes == 0:
            engine.commit(_forgetting())
            file.unlink(missing_ok=True)
            return None
        descriptor = _make(file, size_bytes, anew=known is None)
        if known is None:
            engine.commit(_reached(0))  # from now on the file is missed if it is gone
        return cls(descriptor, size_bytes, number)

    @property
    def used_bytes(self) -> int:
        """Of the present round."""
        return self._position

    def next_record(self, operations: Sequence[Operation]) -> bytes | None:
        """As it will be written; None if the file has no room for it before its next round."""
        record = encode_record(self._number + 1, operations)
        return record if self._position + len(record) <= self.size_bytes else None

    def append(self, record: bytes, operations: Sequence[Operation]) -> None:
        """On return `next_record(operations)` is on disk. Raises OutcomeUnknown: then never call it again."""
        if self._descriptor is None:
            raise OutcomeUnknown("the journal is closed")
        try:
            _write(self._descriptor, record, self._position)
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise OutcomeUnknown(
                f"writing the journal failed, whether the batch is on disk is unknown: {error}"
            ) from error
        self._number += 1
        self._position += len(record)
        self.pending.add(operations)

    def handed_over(self) -> Batch:
        """Everything it holds, and the word that it was taken over; `restart` once that is in the data file."""
        batch = self.pending.as_batch()
        put_number(batch, self._number)
        return batch

    def restart(self) -> None:
        """The data file has everything: the next record begins a new round."""
        self._position = 0
        self.pending.clear()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _take_over(file: Path, engine: LmdbEngine, known: int) -> int:
    """Returns the number of the last record."""
    records = read_records(file.read_bytes(), known)
    if records:
        pending = PendingRows()
        for operations in records:
            pending.add(operations)
        batch = pending.as_batch()
        put_number(batch, known + len(records))
        engine.commit(batch)
    return known + len(records)


def _reached(number: int) -> Batch:
    batch = Batch()
    batch.urgent = True
    put_number(batch, number)
    return batch


def _forgetting() -> Batch:
    """There is no journal any more."""
    batch = Batch()
    batch.delete(JOURNALED)
    return batch


def _make(file: Path, size_bytes: int, *, anew: bool) -> int:
    """Open the file, `size_bytes` long, its blocks reserved, its name durable. Raises OSError.

    `anew`: numbers begin at 1 again, and records of an earlier life must not seem to follow them.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if anew else 0), 0o600)
    try:
        os.ftruncate(descriptor, size_bytes)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        except OSError as error:
            if error.errno != EOPNOTSUPP:
                raise
        os.fsync(descriptor)
        fsync_folder(file.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write(descriptor: int, record: bytes, position: int) -> None:
    written = os.pwrite(descriptor, record, position)
    while written < len(record):
        written += os.pwrite(descriptor, record[written:], position + written)
