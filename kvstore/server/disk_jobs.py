"""Jobs of the disk writer: which batches go to disk together, which part of them goes where, and how it ended."""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from kvstore.core.errors import KvError, OutcomeUnknown, StorageFull, Unavailable
from kvstore.server.journal import Journal
from kvstore.storage.engine import ROW_KEY_BYTES_MAX, Batch, Operation
from kvstore.storage.journal import Way, split, way_of
from kvstore.storage.lmdb_engine import LmdbEngine

R = TypeVar("R")
log = logging.getLogger("kvstore.server")

MERGED_OPERATIONS_MAX = 4_096
MERGED_BYTES_MAX = 16 << 20


class Completion(NamedTuple):
    """One batch's end: on disk, or refused with `error`. `duration_s` is that of the commit it shared."""

    ticket: int
    duration_s: float
    error: KvError | None = None


class FsyncFault(NamedTuple):
    """For fault injection: every commit takes longer, or fails as a broken disk would."""

    delay_ms: int = 0
    error: str = ""


class Waiting(NamedTuple):
    """A batch that nobody has begun to write. `order` counts everything that was submitted."""

    order: int
    batch: Batch
    ticket: int
    way: Way


class Job:
    """Batches that go to disk together."""

    __slots__ = (
        "batches",
        "for_journal",
        "hands_over",
        "is_filled",
        "operations",
        "order",
        "record",
        "rows",
        "size_bytes",
        "tickets",
    )

    def __init__(self, order: int = 0, for_journal: bool = False) -> None:
        self.order = order
        """That of its first batch."""
        self.for_journal = for_journal
        """Each of its batches is for the journal alone, and so are all of them together."""
        self.batches: list[Batch] = []
        self.tickets: list[int] = []
        self.size_bytes = 0
        self.record: bytes | None = None
        """First this goes to the journal …"""
        self.operations: list[Operation] = []
        """… which says this …"""
        self.rows: Batch | None = None
        """… and then this to the data file."""
        self.hands_over = False
        """`rows` has everything that the journal holds."""
        self.is_filled = False
        """The transaction that is open has `rows`."""

    def merged(self) -> Batch:
        if len(self.batches) == 1:
            return self.batches[0]
        merged = Batch()
        for batch in self.batches:
            merged.extend(batch)
        return merged

    def ended(self, duration_s: float, error: KvError | None) -> list[Completion]:
        """The same end for all."""
        return [Completion(ticket, duration_s, error) for ticket in self.tickets]


def next_job(waiting: deque[Waiting], before: int) -> Job:
    """Take the first of the waiting batches, and those behind it that go with it: bound for the same file, submitted
    before the order `before`, and together of bearable size."""
    first = waiting[0]
    for_journal = first.way is Way.JOURNAL
    job, operations = Job(first.order, for_journal), 0
    while waiting:
        write = waiting[0]
        operations += len(write.batch.operations)
        size_bytes = job.size_bytes + write.batch.size_bytes
        too_large = operations > MERGED_OPERATIONS_MAX or size_bytes > MERGED_BYTES_MAX
        other = (write.way is Way.JOURNAL) is not for_journal or write.order >= before
        if job.batches and (too_large or other):
            break
        waiting.popleft()
        job.batches.append(write.batch)
        job.tickets.append(write.ticket)
        job.size_bytes = size_bytes
    return job


def route(job: Job, engine: LmdbEngine, journal: Journal | None) -> None:
    """Decide what goes to the journal and what to the data file; see `storage/journal.py`.

    A batch goes to the data file with all that the journal holds if the journal has no more room, or if it is not sure
    that the data file could take it over later: then the batch is refused now, and not when it was promised.
    """
    batch = job.merged()
    if journal is None:
        job.rows = batch
        return
    way = Way.JOURNAL if job.for_journal else way_of(batch)
    if way is not Way.ENGINE and engine.can_owe(batch.size_bytes, batch.urgent):
        hot, cold = split(batch) if way is Way.BOTH else (batch, None)
        if cold is not None:
            cold.urgent = True  # refused after its other half was written it would be the end
        if hot:
            job.record = _record(journal, hot)
        if job.record is not None or not hot:
            job.operations, job.rows = hot.operations, cold
            return
    job.hands_over = bool(journal.pending)
    job.rows = journal.handed_over(batch) if job.hands_over else batch


def _record(journal: Journal, batch: Batch) -> bytes | None:
    """None if it does not fit, or makes no sense: the data file's refusal will say why."""
    for key, _, _ in batch.operations:
        if not 0 < len(key) <= ROW_KEY_BYTES_MAX:
            return None
    try:
        return journal.next_record(batch.operations)
    except (TypeError, OverflowError):
        return None


def refused_after(first: KvError) -> KvError:
    """For a batch that relies on one before it, which was refused."""
    ours = StorageFull if isinstance(first, StorageFull) else Unavailable
    return ours(f"nothing was written, because a batch before this one was refused: {first}")


def attempt(engine: LmdbEngine, file: str, write: Callable[[], R]) -> tuple[R | None, float, KvError | None]:
    """What writing a file gave, how many seconds it took, and how it failed. Never raises.

    What nobody foresaw may have happened at any point of it: then the engine takes no more writes.
    """
    started = time.perf_counter()
    written: R | None = None
    error: KvError | None = None
    try:
        written = write()
    except KvError as failure:
        log.error("%s", failure)
        error = failure
    except Exception as failure:
        log.exception("the disk writer failed")
        engine.condemn(f"writing the {file} failed ({failure!r})")
        error = OutcomeUnknown(f"writing the {file} failed, whether the batch is on disk is unknown: {failure!r}")
    return written, time.perf_counter() - started, error
