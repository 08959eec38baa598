"""DiskWriter: two threads and the order between them. What waits goes to disk together, with one fsync (group commit).

    submit       ─ log entries and ballots ─────▶ journal ─────────────┬─▶ on_done
                 └ everything else ─▶ (journal, then) data file ───────┘
    submit_rows  ─ what the log has already ──────▶ data file ───────────▶ on_rows_done

The journal takes a third of the time of the data file (storage/journal.py tells what goes where and why that is safe),
and what clients wait for goes there. Flushes, which write far more, go to the data file beside it. Batches become
durable in the order they were submitted: a batch that is for the data file waits until the journal is at rest, and
keeps its place among the rows. Rows in the journal can not be read through the engine. Nobody wants to: a group reads
its log and its ballot when it is opened, before it writes any.

Refusals. A batch that finds the store full is refused with StorageFull. What was submitted after it, before anyone
could know, is refused with it if it puts anything: the next log entry must not get to disk without the one before it.
Batches that only delete pass. The same holds for every other definite refusal.

A failed fsync leaves nobody knowing what is on disk, and asking again would get a false yes (the kernel reports an
error once and drops the pages). So the batch ends in OutcomeUnknown and the writer refuses everything afterwards.
"""

from collections import deque
from collections.abc import Callable
from threading import Lock

from kvstore.core.errors import KvError, OutcomeUnknown, Unavailable
from kvstore.server.data_file import DataFile
from kvstore.server.disk_jobs import Completion, FsyncFault, Job, Waiting, attempt, next_job, refused_after, route
from kvstore.server.journal import Journal
from kvstore.server.worker import Worker
from kvstore.storage.engine import Batch
from kvstore.storage.journal import Way, way_of
from kvstore.storage.lmdb_engine import LmdbEngine

NEVER = 1 << 62
Told = Callable[[list[Completion]], None]


class DiskWriter:
    """Make it on the event loop; `on_done` is called there, with the batches that ended, in their order."""

    def __init__(
        self, engine: LmdbEngine, on_done: Told, journal: Journal | None = None, on_rows_done: Told | None = None
    ) -> None:
        """Without a journal everything goes to the data file. The journal is closed with the writer."""
        self._engine, self._journal = engine, journal
        self._on_done, self._on_rows_done = on_done, on_rows_done or on_done
        self._batches: deque[Waiting] = deque()
        self._rows: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._order = 0
        self._job: Job | None = None
        """Batches under way; they go one job after the other."""
        self._for_data: Job | None = None
        """The same, when the data file is next to have it."""
        self._is_closed = False
        self._beginning = Lock()
        """Held while a job begins: whoever closes waits for that, for the data file's thread then ends the transaction
        that the event loop fills."""
        self._data_file = DataFile(engine, journal, self._on_data_file)
        self._appender: Worker[Job, tuple[float, KvError | None]] | None = None
        if journal is not None:
            self._appender = Worker("journal", self._append, self._on_journal)

    # ── asking ──

    def submit(self, batch: Batch, ticket: int) -> None:
        """Commit a batch; `on_done` will name the ticket. Batches are committed in the order they were submitted.

        Raises Unavailable after `close`.
        """
        self._batches.append(self._waiting_one(batch, ticket, Way.ENGINE if self._journal is None else way_of(batch)))
        self._waiting_bytes += batch.size_bytes
        self._start()

    def submit_rows(self, rows: Batch, ticket: int) -> None:
        """Commit rows of states; `on_rows_done` will name the ticket. See `kvstore.node.world.World.write_rows`."""
        self._rows.append(self._waiting_one(rows, ticket, Way.ENGINE))
        self._start()

    def _waiting_one(self, batch: Batch, ticket: int, way: Way) -> Waiting:
        if self._is_closed:
            raise Unavailable("the disk writer is closed")
        self._order += 1
        return Waiting(self._order, batch, ticket, way)

    @property
    def waiting(self) -> int:
        """How many batches nobody has begun to write; rows do not count."""
        return len(self._batches)

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    @property
    def fault(self) -> FsyncFault:
        """What is wrong with the disk."""
        return self._data_file.fault

    @fault.setter
    def fault(self, fault: FsyncFault) -> None:
        self._data_file.fault = fault

    def close(self) -> None:
        """Finish what is under way and end the threads. What still waits is dropped without a word.

        May be called on any thread; blocks for a commit or two. The engine may be closed afterwards.
        """
        with self._beginning:
            self._is_closed = True
        if self._appender is not None:
            self._appender.close()
        self._data_file.close()

    # ── beginning ──

    def _start(self) -> None:
        """Begin whatever can begin."""
        with self._beginning:
            if self._is_closed:
                return
            if self._job is None and self._batches and (self._batches[0].way is Way.JOURNAL or self._data_file.is_idle):
                self._begin_job()
            if self._data_file.is_idle:
                self._start_data_file()

    def _begin_job(self) -> None:
        """The next batches. Those for the data file leave rows that were submitted before them their turn."""
        rows_first = self._rows[0].order if self._rows else NEVER
        if self._batches[0].way is not Way.JOURNAL and rows_first < self._batches[0].order:
            return
        for_journal = self._batches[0].way is Way.JOURNAL
        job = self._job = next_job(self._batches, NEVER if for_journal else rows_first)
        self._waiting_bytes -= job.size_bytes
        route(job, self._engine, self._journal)
        if job.record is None:
            self._for_data = job
        else:
            assert self._appender is not None, "a record without a journal"
            self._appender.give(job)

    def _start_data_file(self) -> None:
        """Batches or rows, whichever were submitted first."""
        if self._rows and self._rows[0].order < self._order_of_next_batch():
            job = next_job(self._rows, before=self._order_of_next_batch())
            job.rows = job.merged()
            self._data_file.start(job)
        elif self._for_data is not None:
            job, self._for_data = self._for_data, None
            self._data_file.start(job)

    def _order_of_next_batch(self) -> int:
        """Of the next one that is for the data file."""
        if self._job is not None and self._job.rows is not None:
            return self._job.order
        return next((write.order for write in self._batches if write.way is not Way.JOURNAL), NEVER)

    # ── ending ──

    def _on_journal(self, job: Job, result: tuple[float, KvError | None]) -> None:
        duration_s, error = result
        if error is not None or job.rows is None:
            self._end_job(job.ended(duration_s, error))
        elif not self._is_closed:  # else its other half is dropped without a word
            self._for_data = job
            self._start()

    def _on_data_file(self, job: Job, completions: list[Completion]) -> None:
        if not self._is_closed:
            self._engine.refresh()
        if job is self._job:
            self._end_job(completions)
            return
        self._start()
        if completions:
            self._on_rows_done(completions)

    def _end_job(self, completions: list[Completion]) -> None:
        self._job = None
        refused = next((done.error for done in completions if done.error is not None and done.error.definite), None)
        if refused is not None and not self._is_closed:
            completions = completions + self._refuse_waiting(refused)
        self._start()  # the disk first: answering takes longer
        self._on_done(completions)

    def _refuse_waiting(self, first: KvError) -> list[Completion]:
        """What was submitted in the belief that all before it would be written; deletes stay."""
        refused = []
        kept: deque[Waiting] = deque()
        for write in self._batches:
            if write.batch.has_puts():
                self._waiting_bytes -= write.batch.size_bytes
                refused.append(Completion(write.ticket, 0.0, refused_after(first)))
            else:
                kept.append(write)
        self._batches = kept
        return refused

    # ── on the journal's thread ──

    def _append(self, job: Job) -> tuple[float, KvError | None]:
        """Never raises."""
        _, duration_s, error = attempt(self._engine, "journal", lambda: self._write_record(job))
        return duration_s, error

    def _write_record(self, job: Job) -> None:
        """Raises OutcomeUnknown, after which nothing is written any more, or Unavailable."""
        journal = self._journal
        assert journal is not None and job.record is not None, "a record without a journal"
        if self._engine.is_condemned:
            raise Unavailable("nothing was written: the disk failed before; restart the node")
        self._data_file.suffer_fault()
        try:
            journal.append(job.record, job.operations)
        except OutcomeUnknown as error:
            self._engine.condemn(str(error))
            raise
        self._engine.owed_bytes = journal.pending.size_bytes
