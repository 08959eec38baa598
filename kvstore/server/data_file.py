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
can starve the thread for seconds, so a process that is a node sets `sys.setswitchinterval(SWITCH_INTERVAL_S)`: it costs
nothing measurable (0.1 ms does) and bounds the wait.

What the loop cannot fill quickly or at all (the map must grow, the store is full, a range delete meets thousands of
rows) it leaves to the thread, which takes the batches one by one.

What the journal holds was accepted: it may use the reserve, and is never refused together with a batch.
"""

import logging
import time
from collections.abc import Callable

from kvstore.core.errors import KvError, OutcomeUnknown, StorageFull, Unavailable
from kvstore.server.disk_jobs import Completion, FsyncFault, Job
from kvstore.server.journal import Journal
from kvstore.server.worker import Worker
from kvstore.storage.engine import Batch
from kvstore.storage.lmdb_engine import LmdbEngine, WriteTransaction

log = logging.getLogger("kvstore.server")

ROWS_DELETED_ON_LOOP_MAX = 2_000  # by range deletes; about 2 ms
OPERATIONS_ON_LOOP_MAX = 16_384  # a larger batch would hold the event loop for 20 ms
BYTES_ON_LOOP_MAX = 16 << 20  # the same


class DataFile:
    """`on_done` is called on the event loop, with a job and how its batches ended."""

    def __init__(
        self, engine: LmdbEngine, journal: Journal | None, on_done: Callable[[Job, list[Completion]], None]
    ) -> None:
        self._engine, self._journal, self._on_done = engine, journal, on_done
        self.fault = FsyncFault()
        self.is_idle = False
        """Ready for a job."""
        self._transaction: WriteTransaction | None = None  # open and empty while `is_idle`
        self._worker: Worker[Job | None, list[Completion]] = Worker(
            "data-file", self._carry_out, self._told, self._open_transaction, self._end
        )

    # ── on the event loop ──

    def start(self, job: Job) -> None:
        """Commit the job's rows; only when idle."""
        assert self.is_idle and job.rows is not None, "one job at a time, and with rows"
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
