"""Journal: the file behind storage/journal.py. It is made as long as it will ever be, so it cannot run out of disk.

Whoever calls holds the baton: the event loop while no batches are under way, else the thread that has them: the
journal's for a record, the data file's when it takes everything over.
"""

import os
import secrets
from collections.abc import Sequence
from errno import EINVAL, ENOSPC, EOPNOTSUPP
from pathlib import Path
from typing import Self

from kvstore.core.errors import Corruption, OutcomeUnknown, StorageFull
from kvstore.storage.engine import Batch, Operation
from kvstore.storage.journal import Mark, encode_record, load_mark, put_mark, read_records
from kvstore.storage.keys import JOURNALED
from kvstore.storage.lmdb_engine import LmdbEngine
from kvstore.storage.lmdb_engine.environment import fsync_folder
from kvstore.storage.pending_rows import PendingRows

_NOT_RESERVABLE = (EOPNOTSUPP, EINVAL)  # by POSIX the second also means that the file system cannot


class Journal:
    """An open journal, and what it holds."""

    def __init__(self, descriptor: int, mark: Mark) -> None:
        self.pending = PendingRows()
        self._descriptor: int | None = descriptor
        self._mark = mark
        self._number = mark.number
        self._position = 0

    @classmethod
    def open(cls, file: Path, engine: LmdbEngine, size_bytes: int) -> Self | None:
        """Take over into the engine what the file holds, and begin anew. None, and no file, for a size of 0.

        Raises Corruption, StorageFull (no room for the file, or for what it holds), or OSError.
        """
        known = load_mark(engine)
        if known is not None:
            known = _take_over(file, engine, known)
        if size_bytes == 0:
            if known is not None:
                engine.commit(_forgetting())
            file.unlink(missing_ok=True)
            return None
        mark = Mark(0, size_bytes, secrets.randbits(32)) if known is None else known._replace(size_bytes=size_bytes)
        if known is not None and size_bytes < known.size_bytes:
            engine.commit(_marking(mark))  # first, so that nobody misses what is cut off
        descriptor = _make(file, size_bytes)
        try:
            if known is None or size_bytes > known.size_bytes:
                engine.commit(_marking(mark))  # from now on the file is missed if it is gone
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, mark)

    @property
    def size_bytes(self) -> int:
        return self._mark.size_bytes

    @property
    def used_bytes(self) -> int:
        """Of the present round."""
        return self._position

    def next_record(self, operations: Sequence[Operation]) -> bytes | None:
        """As it will be written; None if the file has no room for it before its next round.

        Raises TypeError for what is no bytes.
        """
        record = encode_record(self._number + 1, operations, self._mark.salt)
        return record if self._position + len(record) <= self._mark.size_bytes else None

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

    def handed_over(self, before: Batch | None = None) -> Batch:
        """Everything it holds, the word that it was taken over, and then the batch `before` which this comes.

        `restart` once that is in the data file. Urgent as the batch is; alone: it was accepted already.
        """
        batch = self.pending.as_batch(before)
        if before is not None:
            batch.extend(before)
            batch.urgent = before.urgent
        put_mark(batch, self._mark._replace(number=self._number))
        return batch

    def restart(self) -> None:
        """The data file has everything: the next record begins a new round."""
        self._position = 0
        self.pending.clear()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _take_over(file: Path, engine: LmdbEngine, known: Mark) -> Mark:
    """Returns the mark that the data file has afterwards."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise Corruption(
            f"{file} is gone, and with it the last writes of this node. Restore it; or move the node's directory "
            "away, so that the node starts empty, under a new incarnation, and fetches its data again"
        ) from None
    records = read_records(data, known)
    if not records:
        return known
    pending = PendingRows()
    for operations in records:
        pending.add(operations)
    mark = known._replace(number=known.number + len(records))
    batch = pending.as_batch()
    put_mark(batch, mark)
    try:
        engine.commit(batch)
    except StorageFull as error:
        raise StorageFull(
            f"the data file has no room for what {file} holds; give it more (storage.map_bytes_max, disk): {error}"
        ) from error
    return mark


def _marking(mark: Mark) -> Batch:
    batch = Batch(urgent=True)
    put_mark(batch, mark)
    return batch


def _forgetting() -> Batch:
    """There is no journal any more."""
    batch = Batch()
    batch.delete(JOURNALED)
    return batch


def _make(file: Path, size_bytes: int) -> int:
    """Open the file, `size_bytes` long, its blocks reserved, its name durable. Raises StorageFull or OSError."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    size_before = os.fstat(descriptor).st_size
    try:
        os.ftruncate(descriptor, size_bytes)
        _reserve(descriptor, size_bytes)
        os.fsync(descriptor)
        fsync_folder(file.parent)
    except BaseException as error:
        if size_before < size_bytes:
            os.ftruncate(descriptor, size_before)  # on a full disk nobody needs half of it
        os.close(descriptor)
        if isinstance(error, OSError) and error.errno == ENOSPC:
            raise StorageFull(
                f"the disk has no room for {file}, {size_bytes} bytes (storage.journal_bytes): {error}"
            ) from error
        raise
    return descriptor


def _reserve(descriptor: int, size_bytes: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError as error:
        if error.errno not in _NOT_RESERVABLE:
            raise


def _write(descriptor: int, record: bytes, position: int) -> None:
    written = os.pwrite(descriptor, record, position)
    while written < len(record):
        written += os.pwrite(descriptor, record[written:], position + written)
