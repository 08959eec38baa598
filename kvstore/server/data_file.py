"""DataFile: the thread that commits to LMDB, one job at a time. The event loop fills, the thread commits:

    event loop   start ─ fill ─┐                      ┌─ on_done ─ fill the next
    thread                     └─ commit ─ begin next ─┘

Why not let the thread do it all? py-lmdb releases the interpreter lock around every put; a thread that wants it back
from a busy event loop queues for it. From start to on_done, 150-byte rows into a tree of 100,000 others, 2 cores:

    rows in the batch                                1          30        1000
    the thread fills, event loop idle           0.29 ms     0.81 ms      10 ms
    the event loop fills, idle                  0.29 ms     0.78 ms      11 ms
    the thread fills, event loop busy           0.62 ms     1.8  ms      41 ms
    the event loop fills, busy                  0.61 ms     1.1  ms      11 ms

30 µs of this are not LMDB's commit, or the length of the event loop's queue if it is busy. `put`, `putmulti` and rows
sorted first cost the same. An event loop that runs Python code for milliseconds on end and lets go only for an instant
can starve the thread for seconds, so a process that is a node sets a short `sys.setswitchinterval` (see main.py): it
costs nothing measurable (0.1 ms does) and bounds the wait.

What the loop cannot fill quickly or at all (the map must grow, the store is full, a range delete meets thousands of
rows) it leaves to the thread, which takes the batches one by one.

What the journal holds was accepted: it may use the reserve, and is never refused together with a batch.
"""

import logging
import time
from collections.abc import Callable

from kvstore.core.errors import KvError, OutcomeUnknown, StorageFull, Unavailable
from kvstore.server.disk_jobs import Completion, FsyncFault, Job, attempt, refused_after
from kvstore.server.journal import Journal
from kvstore.server.worker import Worker
from kvstore.storage.engine import Batch
from kvstore.storage.lmdb_engine import LmdbEngine, WriteTransaction

log = logging.getLogger("kvstore.server")

ROWS_DELETED_ON_LOOP_MAX = 2_000  # by range deletes; about 2 ms
OPERATIONS_ON_LOOP_MAX = 16_384  # a larger batch would hold the event loop for 20 ms
BYTES_ON_LOOP_MAX = 16 << 20  # the same


class DataFile:
    """Make it on the event loop; `on_done` is called there, with a job and how its batches ended.

    It is first called with an empty job, when it is ready for others.
    """

    def __init__(
        self, engine: LmdbEngine, journal: Journal | None, on_done: Callable[[Job, list[Completion]], None]
    ) -> None:
        self._engine, self._journal, self._on_done = engine, journal, on_done
        self.fault = FsyncFault()
        self.is_idle = False
        """Ready for a job."""
        self._transaction: WriteTransaction | None = None  # open and empty while idle
        self._worker: Worker[Job, list[Completion]] = Worker(
            "data-file", self._carry_out, self._told, self._open_transaction, self._end
        )
        self._worker.give(Job())

    # ── on the event loop ──

    def start(self, job: Job) -> None:
        """Commit the job's rows. Only when idle."""
        assert self.is_idle and job.rows is not None, "one job at a time, and one with rows"
        self.is_idle = False
        if self._transaction is not None:
            job.is_filled = self._fill(self._transaction, job.rows)
        self._worker.give(job)

    def _fill(self, transaction: WriteTransaction, batch: Batch) -> bool:
        """False if the thread had better do it; then the transaction is of no more use."""
        if len(batch.operations) > OPERATIONS_ON_LOOP_MAX or batch.size_bytes > BYTES_ON_LOOP_MAX:
            return False
        try:
            transaction.apply(batch, ROWS_DELETED_ON_LOOP_MAX)
        except Exception:
            return False  # the thread tries again, and whatever it is will be told with the ticket
        return True

    def _told(self, job: Job, completions: list[Completion]) -> None:
        self.is_idle = True
        self._on_done(job, completions)

    def close(self) -> None:
        """Finish the job under way, empty the journal and end the thread. May be called on any thread, also twice."""
        self._worker.close()

    # ── on the thread ──

    def _open_transaction(self) -> None:
        """The next job's, ready before anybody asks: a thread that has to be woken for it would double the hops."""
        if self._transaction is not None:
            return
        try:
            self._transaction = self._engine.begin()
        except KvError:
            self._transaction = None  # the next job will tell

    def _end(self) -> None:
        """A node that ends in order leaves everything in the data file; if that fails, the journal still has it."""
        if self._transaction is not None:
            self._transaction.abort()
            self._transaction = None
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

    def _carry_out(self, job: Job) -> list[Completion]:
        """Never raises: a thread that ended in silence would leave every batch unanswered."""
        if job.rows is None:
            return []
        rows = job.rows
        refused, duration_s, error = attempt(self._engine, "data file", lambda: self._commit_rows(job, rows))
        return job.ended(duration_s, error) if refused is None else refused

    def _commit_rows(self, job: Job, rows: Batch) -> list[Completion] | None:
        """None, or how it ended for each if that is not the same for all. Raises OutcomeUnknown or Unavailable."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None and self._engine.is_condemned:
            transaction.abort()
            raise Unavailable("nothing was written: the disk failed before; restart the node")
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
                self.suffer_fault()
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
                return job.ended(0.0, unknown)
            if job.hands_over and (refused := self._hand_over_alone(job)) is not None:
                return refused
        completions = []
        first: KvError | None = None
        for batch, ticket in zip(job.batches, job.tickets, strict=True):
            if first is not None and batch.has_puts():
                completions.append(Completion(ticket, 0.0, refused_after(first)))
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
        return job.ended(0.0, error)

    def _commit_one(self, batch: Batch, tickets: list[int]) -> list[Completion]:
        started = time.perf_counter()
        error: KvError | None = None
        try:
            self.suffer_fault()
            self._engine.commit(batch)
        except KvError as failure:
            error = failure
        duration_s = time.perf_counter() - started
        return [Completion(ticket, duration_s, error) for ticket in tickets]

    def suffer_fault(self) -> None:
        """Raises OutcomeUnknown if that is the fault."""
        fault = self.fault
        if fault.delay_ms:
            time.sleep(fault.delay_ms / 1000)
        if fault.error and not self._engine.is_condemned:
            self._engine.condemn(f"a commit failed ({fault.error})")
            raise OutcomeUnknown(f"committing failed, whether the batch is on disk is unknown: {fault.error}")
