"""A machine's disk: fsync takes its time, batches that wait share one, and what is not synced can be lost."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from kvstore.sim.dice import between
from kvstore.sim.scheduler import MILLI, Micros, Scheduler
from kvstore.storage.engine import Batch
from kvstore.storage.journal import Way, split, way_of
from kvstore.storage.memory_engine import MemoryEngine

JOURNAL, DATA = 0, 1
"""The two files that are written side by side: lanes of the engine."""


class _Write(NamedTuple):
    order: int
    batch: Batch
    ticket: int
    way: Way


class Disk:
    """The engine of one machine, and the writers in front of it, which tell of each fsync.

    The journal and the data file are written side by side. Batches of log entries and ballots alone go to the journal;
    any other batch waits until the journal is at rest and goes to the data file, where it keeps its place among the
    rows that nobody waits for. What is readable was synced, as with LMDB.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        rng: Random,
        fsync_us: tuple[Micros, Micros],
        on_synced: Callable[[int, float], None],
        on_rows: Callable[[int], None],
    ) -> None:
        self._scheduler, self._name, self._rng = scheduler, name, rng
        self._on_synced, self._on_rows = on_synced, on_rows
        self.engine = MemoryEngine()
        self.fsync_us = fsync_us
        self.fsyncs = 0
        self._batches: deque[_Write] = deque()
        self._rows: deque[_Write] = deque()
        self._order = 0
        self._busy: set[int] = set()
        self._life = 0

    def write(self, batch: Batch, ticket: int) -> None:
        """Commit the batch with the next fsync."""
        self._order += 1
        self._batches.append(_Write(self._order, batch, ticket, way_of(batch)))
        self._start()

    def write_rows(self, rows: Batch, ticket: int) -> None:
        """Commit rows that nobody waits for."""
        self._order += 1
        self._rows.append(_Write(self._order, rows, ticket, Way.ENGINE))
        self._start()

    def _start(self) -> None:
        """Hand over what can be written now, and sync it."""
        rows_first = self._rows[0].order if self._rows else self._order + 1
        if DATA not in self._busy and rows_first < self._next_for_data():
            self._sync(DATA, [self._rows.popleft()], self._rows_synced)
        if JOURNAL in self._busy or not self._batches:
            return
        if self._batches[0].way is Way.JOURNAL:
            self._sync(JOURNAL, self._take_run(self._order + 1), self._batches_synced)
        elif DATA not in self._busy and self._batches[0].order < rows_first:
            self._busy.add(JOURNAL)  # at rest until this is done
            self._sync(DATA, self._take_run(rows_first), self._batches_synced)

    def _next_for_data(self) -> int:
        """The order of the next batch that is not for the journal alone."""
        return next((write.order for write in self._batches if write.way is not Way.JOURNAL), self._order + 1)

    def _take_run(self, before: int) -> list[_Write]:
        """The batches at the head of the queue that are for the same file."""
        for_journal = self._batches[0].way is Way.JOURNAL
        run = []
        while self._batches and self._batches[0].order < before:
            if (self._batches[0].way is Way.JOURNAL) is not for_journal:
                break
            run.append(self._batches.popleft())
        return run

    def _sync(self, file: int, writes: list[_Write], then: Callable[[int, float], None]) -> None:
        self._busy.add(file)
        for part in _parts([write.batch for write in writes]):
            self.engine.commit_unsynced(part, file)
        took = between(self._rng, *self.fsync_us)
        self._scheduler.after(took, self._name, "synced", self._synced, self._life, file, writes[-1].ticket, took, then)

    def _synced(self, life: int, file: int, ticket: int, took: Micros, then: Callable[[int, float], None]) -> None:
        if life != self._life:
            return  # that fsync died with the power
        self.fsyncs += 1
        self.engine.sync(file)
        self._busy.discard(file)
        then(ticket, took / MILLI)
        self._start()

    def _batches_synced(self, ticket: int, duration_ms: float) -> None:
        self._busy.discard(JOURNAL)
        self._on_synced(ticket, duration_ms)

    def _rows_synced(self, ticket: int, _duration_ms: float) -> None:
        self._on_rows(ticket)

    def lose_power(self, torn: bool) -> tuple[int, int]:
        """Unsynced batches are gone; if `torn`, a drawn number of the first ones is not. Returns (survived, lost)."""
        unsynced = self.engine.unsynced
        survived = self.engine.crash(self._rng) if torn else 0
        self.engine.reopen()
        lost = unsynced - survived + len(self._batches) + len(self._rows)
        self._forget()
        return survived, lost

    def finish(self) -> None:
        """Sync everything that was handed over, and tell nobody."""
        self.engine.sync()
        for write in sorted((*self._batches, *self._rows)):
            self.engine.commit(write.batch)
        self._forget()

    def wipe(self) -> None:
        """A new, empty disk."""
        self.engine = MemoryEngine()
        self._forget()

    def _forget(self) -> None:
        self._life += 1
        self._batches.clear()
        self._rows.clear()
        self._busy.clear()


def _parts(batches: list[Batch]) -> list[Batch]:
    """What of these is written at once, in the order it is written."""
    if any(way_of(batch) is not Way.BOTH for batch in batches):
        return batches  # each of them whole, as they share one transaction or one record
    halves = [split(batch) for batch in batches]
    return [hot for hot, _ in halves if hot] + [cold for _, cold in halves if cold]
