"""DiskWriter: the one writer thread. Whatever waits goes to disk together, with one fsync (group commit).

Log entries and ballots go to the journal, which takes a third of the time, everything else to the data file; see
storage/journal.py for what goes where and why that is safe, and disk_jobs.py for how it gets there. A job ends when all
of it is on disk, and only then does the next one begin: batches become durable in the order they were submitted. Rows
in the journal can not be read through the engine. Nobody wants to: a group reads its log and its ballot when it is
opened, before it writes any.

For the data file the event loop fills the transaction and the thread commits it:

    event loop   submit ─ fill ─┐                      ┌─ fill the next ─ on_done
    writer                      └─ commit ─ begin next ─┘

Why not let the thread do it all? py-lmdb releases the interpreter lock around every put; a thread that wants it back
from a busy event loop queues for it. From submit to on_done, 150-byte rows into a tree of 100,000 others, 2 cores:

    rows in the batch                                1          30        1000
    the thread fills, event loop idle           0.29 ms     0.81 ms      10 ms
    the event loop fills, idle                  0.29 ms     0.78 ms      11 ms
    the thread fills, event loop busy           0.62 ms     1.8  ms      41 ms
    the event loop fills, busy                  0.61 ms     1.1  ms      11 ms

30 µs of this are not LMDB's commit, or the length of the event loop's queue if it is busy. `put`, `putmulti` and rows
sorted first cost the same. An event loop that runs Python code for milliseconds on end and lets go only for an instant
can starve the thread for seconds, so a process that is a node sets `sys.setswitchinterval(SWITCH_INTERVAL_S)`: it costs
nothing measurable (0.1 ms does) and bounds the wait.

What the loop cannot fill quickly or at all (the map must grow, the store is full, a range delete meets thousands of
rows) it leaves to the thread, which takes the batches one by one.

Refusals. A batch that finds the store full is refused with StorageFull. What was submitted after it, before anyone
could know, is refused with it if it puts anything: the next log entry must not get to disk without the one before it.
Batches that only delete pass. The same holds for every other definite refusal.

What the journal holds was accepted: it may use the reserve, and is never refused together with a batch.

A failed fsync leaves nobody knowing what is on disk, and asking again would get a false yes (the kernel reports an
error once and drops the pages). So the batch ends in OutcomeUnknown and the writer refuses everything afterwards.
"""

import logging
import threading
import time
from asyncio import get_running_loop
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from kvstore.core.errors import KvError, OutcomeUnknown, StorageFull, Unavailable
from kvstore.server.disk_jobs import Job, next_job, route
from kvstore.server.journal import Journal
from kvstore.storage.engine import Batch, Operation
from kvstore.storage.lmdb_engine import LmdbEngine, WriteTransaction

log = logging.getLogger("kvstore.server")

SWITCH_INTERVAL_S = 0.0005
ROWS_DELETED_ON_LOOP_MAX = 2_000  # by range deletes; about 2 ms
OPERATIONS_ON_LOOP_MAX = 16_384  # a larger batch would hold the event loop for 20 ms
BYTES_ON_LOOP_MAX = 16 << 20  # the same


class Completion(NamedTuple):
    """One batch's end: on disk, or refused with `error`. `duration_s` is that of the commit it shared."""

    ticket: int
    duration_s: float
    error: KvError | None = None


class FsyncFault(NamedTuple):
    """For fault injection: every commit takes longer, or fails as a broken disk would."""

    delay_ms: int = 0
    error: str = ""


class DiskWriter:
    """Make it on the event loop's thread; `on_done` is called there, with the batches that ended, in their order."""

    def __init__(
        self, engine: LmdbEngine, on_done: Callable[[list[Completion]], None], journal: Journal | None = None
    ) -> None:
        """Without a journal everything goes to the data file. The journal is closed with the writer."""
        self._engine, self._on_done, self._journal = engine, on_done, journal
        self.fault = FsyncFault()
        self._loop = get_running_loop()
        self._waiting: deque[tuple[Batch, int]] = deque()
        self._waiting_bytes = 0
        self._transaction: WriteTransaction | None = None  # open and empty while `_is_idle`
        self._is_idle = False
        self._is_closed = False
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="disk-writer", daemon=True)
        self._thread.start()

    # ── on the event loop ──

    def submit(self, batch: Batch, ticket: int) -> None:
        """Commit a batch; `on_done` will name the ticket. Batches are committed in the order they were submitted.

        Raises Unavailable after `close`.
        """
        if self._is_closed:
            raise Unavailable("the disk writer is closed")
        self._waiting.append((batch, ticket))
        self._waiting_bytes += batch.size_bytes
        if self._is_idle:
            self._begin_job()

    @property
    def waiting(self) -> int:
        """How many batches wait for the transaction after the one under way."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    def _begin_job(self) -> None:
        job = next_job(self._waiting)
        for batch in job.batches:
            self._waiting_bytes -= batch.size_bytes
        self._is_idle = False
        route(job, self._engine, self._journal)
        if job.rows is not None and self._transaction is not None:
            job.is_filled = self._fill(self._transaction, job.rows)
        self._jobs.put(job)

    def _fill(self, transaction: WriteTransaction, batch: Batch) -> bool:
        """False if the thread had better do it; then the transaction is of no more use."""
        if len(batch.operations) > OPERATIONS_ON_LOOP_MAX or batch.size_bytes > BYTES_ON_LOOP_MAX:
            return False
        try:
            transaction.apply(batch, ROWS_DELETED_ON_LOOP_MAX)
        except Exception:
            return False  # the thread tries again, and whatever it is will be told with the ticket
        return True

    def _end_job(self, completions: list[Completion]) -> None:
        if not self._is_closed:
            self._engine.refresh()
            refused = next((done.error for done in completions if done.error is not None and done.error.definite), None)
            if refused is not None:
                completions = completions + self._refuse_waiting(refused)
            self._is_idle = True
            if self._waiting:
                self._begin_job()  # the disk first: answering takes longer
        if completions:
            self._on_done(completions)

    def _refuse_waiting(self, first: KvError) -> list[Completion]:
        """What was submitted in the belief that all before it would be written; deletes stay."""
        refused = []
        kept: deque[tuple[Batch, int]] = deque()
        for batch, ticket in self._waiting:
            if batch.has_puts():
                self._waiting_bytes -= batch.size_bytes
                refused.append(Completion(ticket, 0.0, _refused_after(first)))
            else:
                kept.append((batch, ticket))
        self._waiting = kept
        return refused

    def close(self) -> None:
        """Finish the transaction under way and end the thread. Batches that still wait are dropped without a word.

        May be called on any thread; blocks for one commit at most. The engine may be closed afterwards.
        """
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(None)
        self._thread.join()

    # ── on the writer thread ──

    def _run(self) -> None:
        self._open_transaction()
        self._report([])
        while (job := self._jobs.get()) is not None:
            completions = self._carry_out(job)
            self._open_transaction()
            self._report(completions)
        if self._transaction is not None:
            self._transaction.abort()
            self._transaction = None
        self._empty_journal()

    def _empty_journal(self) -> None:
        """A node that ends in order leaves everything in the data file; if that fails, the journal still has it."""
        journal = self._journal
        if journal is None:
            return
        if journal.pending and not self._engine.is_condemned:
            try:
                self._engine.commit(journal.handed_over())
                journal.restart()
            except KvError as error:
                log.warning("the journal keeps its rows until the next start: %s", error)
        journal.close()

    def _report(self, completions: list[Completion]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._end_job, completions)
        except RuntimeError:
            log.warning("the event loop was closed before the disk writer: %d batches unanswered", len(completions))

    def _open_transaction(self) -> None:
        """The next job's, ready before anybody asks: a thread that has to be woken for it would double the hops."""
        if self._transaction is not None:  # the last job did without
            if not self._engine.is_condemned:
                return
            self._transaction.abort()  # the journal failed, and what is in here may be half of that job
        try:
            self._transaction = self._engine.begin()
        except KvError:
            self._transaction = None  # the next job will tell

    def _carry_out(self, job: Job) -> list[Completion]:
        """Never raises: a writer thread that ended in silence would leave every batch unanswered."""
        started = time.perf_counter()
        try:
            if job.record is not None:
                self._append(job.record, job.operations)
            if job.rows is not None:
                refused = self._commit_rows(job, job.rows)
                if refused is not None:
                    return refused
            error = None
        except KvError as failure:
            log.error("%s", failure)
            error = failure
        except Exception as failure:
            log.exception("the disk writer failed")
            self._engine.condemn(f"the disk writer failed ({failure!r})")
            error = OutcomeUnknown(f"the disk writer failed, whether the batch is on disk is unknown: {failure!r}")
        duration_s = time.perf_counter() - started
        return [Completion(ticket, duration_s, error) for ticket in job.tickets]

    def _append(self, record: bytes, operations: list[Operation]) -> None:
        """Raises OutcomeUnknown, after which nothing is written any more."""
        journal = self._journal
        assert journal is not None, "a record without a journal"
        if self._engine.is_condemned:
            raise Unavailable("nothing was written: the disk failed before; restart the node")
        self._suffer_fault()
        try:
            journal.append(record, operations)
        except OutcomeUnknown as error:
            self._engine.condemn(str(error))
            raise
        self._engine.owed_bytes = journal.pending.size_bytes

    def _commit_rows(self, job: Job, rows: Batch) -> list[Completion] | None:
        """None, or how it ended for each if that is not the same for all. Raises OutcomeUnknown."""
        transaction, self._transaction = self._transaction, None
        if transaction is None or not self._commit_filled(transaction, job):
            return self._commit_apart(job, rows)
        self._handed_over(job)
        return None

    def _handed_over(self, job: Job) -> None:
        if job.hands_over and self._journal is not None:
            self._journal.restart()
            self._engine.owed_bytes = 0
            job.hands_over = False

    def _commit_filled(self, transaction: WriteTransaction, job: Job) -> bool:
        """False if the batches have to be applied again. Raises OutcomeUnknown."""
        try:
            if job.is_filled:
                self._suffer_fault()
                transaction.commit()
            return job.is_filled
        except StorageFull:  # the free list itself needed pages: nothing was written
            return False
        finally:
            transaction.abort()

    def _commit_apart(self, job: Job, rows: Batch) -> list[Completion]:
        """One transaction for all if that works, else one for each, so that the innocent ones pass."""
        if len(job.batches) > 1 or job.hands_over or job.record is not None:
            completions = self._commit_one(rows, job.tickets)
            error = completions[0].error
            if error is None:
                self._handed_over(job)
            if error is None or not error.definite or self._engine.is_condemned:
                return completions
            if job.record is not None:  # the other half is in the journal
                self._engine.condemn(f"a batch was written in part ({error})")
                unknown = OutcomeUnknown(f"half of the batch was written: {error}")
                return [Completion(ticket, 0.0, unknown) for ticket in job.tickets]
            if job.hands_over and (refused := self._hand_over_alone(job)) is not None:
                return refused
        completions = []
        first: KvError | None = None
        for batch, ticket in zip(job.batches, job.tickets, strict=True):
            if first is not None and batch.has_puts():
                completions.append(Completion(ticket, 0.0, _refused_after(first)))
                continue
            completions += self._commit_one(batch, [ticket])
            first = first or completions[-1].error
        return completions

    def _hand_over_alone(self, job: Job) -> list[Completion] | None:
        """Empty the journal, so that the batches can go to the data file one by one; None if that worked.

        If not, none of them may: what the journal still holds would be written over it at the next start.
        """
        assert self._journal is not None, "nothing to hand over"
        error = self._commit_one(self._journal.handed_over(), [0])[0].error
        if error is None:
            self._handed_over(job)
            return None
        return [Completion(ticket, 0.0, error) for ticket in job.tickets]

    def _commit_one(self, batch: Batch, tickets: list[int]) -> list[Completion]:
        started = time.perf_counter()
        error: KvError | None = None
        try:
            self._suffer_fault()
            self._engine.commit(batch)
        except KvError as failure:
            error = failure
        duration_s = time.perf_counter() - started
        return [Completion(ticket, duration_s, error) for ticket in tickets]

    def _suffer_fault(self) -> None:
        fault = self.fault
        if fault.delay_ms:
            time.sleep(fault.delay_ms / 1000)
        if fault.error and not self._engine.is_condemned:
            self._engine.condemn(f"a commit failed ({fault.error})")
            raise OutcomeUnknown(f"committing failed, whether the batch is on disk is unknown: {fault.error}")


def _refused_after(first: KvError) -> KvError:
    ours = StorageFull if isinstance(first, StorageFull) else Unavailable
    return ours(f"nothing was written, because a batch before this one was refused: {first}")
