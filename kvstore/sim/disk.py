"""A machine's disk: fsync takes its time, batches that wait share one, and what is not synced can be lost."""

from collections.abc import Callable
from random import Random

from kvstore.sim.dice import between
from kvstore.sim.scheduler import MILLI, Micros, Scheduler
from kvstore.storage.engine import Batch
from kvstore.storage.journal import Way, split, way_of
from kvstore.storage.memory_engine import MemoryEngine


class Disk:
    """The engine of one machine, and the writer in front of it. `on_synced(ticket, duration_ms)` tells of each fsync.

    A batch becomes readable when it is synced, as with LMDB, and not before. What goes to a journal in part and to the
    data file in part (`storage/journal.py`) can be lost by half, the journal's half being written first.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        rng: Random,
        fsync_us: tuple[Micros, Micros],
        on_synced: Callable[[int, float], None],
    ) -> None:
        self._scheduler, self._name, self._rng, self._on_synced = scheduler, name, rng, on_synced
        self.engine = MemoryEngine()
        self.fsync_us = fsync_us
        self.fsyncs = 0
        self._waiting: list[tuple[Batch, int]] = []
        self._busy = False
        self._life = 0

    def write(self, batch: Batch, ticket: int) -> None:
        """Commit the batch with the next fsync."""
        self._waiting.append((batch, ticket))
        if not self._busy:
            self._start()

    def _start(self) -> None:
        """Hand over everything that waits, and sync it."""
        self._busy = True
        waiting, self._waiting = self._waiting, []
        for part in _parts([batch for batch, _ in waiting]):
            self.engine.commit_unsynced(part)
        duration = between(self._rng, *self.fsync_us)
        self._scheduler.after(duration, self._name, "synced", self._synced, self._life, waiting[-1][1], duration)

    def _synced(self, life: int, ticket: int, duration: Micros) -> None:
        if life != self._life:
            return  # that fsync died with the power
        self.fsyncs += 1
        self.engine.sync()
        self._busy = False
        self._on_synced(ticket, duration / MILLI)
        if self._waiting and not self._busy:
            self._start()

    def lose_power(self, torn: bool) -> tuple[int, int]:
        """Unsynced batches are gone; if `torn`, a drawn number of the first ones is not. Returns (survived, lost)."""
        unsynced = self.engine.unsynced
        survived = self.engine.crash(self._rng) if torn else 0
        self.engine.reopen()
        lost = unsynced - survived + len(self._waiting)
        self._forget()
        return survived, lost

    def finish(self) -> None:
        """Sync everything that was handed over, and tell nobody."""
        for batch, _ in self._waiting:
            self.engine.commit_unsynced(batch)
        self.engine.sync()
        self._forget()

    def wipe(self) -> None:
        """A new, empty disk."""
        self.engine = MemoryEngine()
        self._forget()

    def _forget(self) -> None:
        self._life += 1
        self._waiting = []
        self._busy = False


def _parts(batches: list[Batch]) -> list[Batch]:
    """What of these is written at once, in the order it is written."""
    if any(way_of(batch) is Way.ENGINE for batch in batches):
        return batches  # each of them whole, as they share one transaction
    halves = [split(batch) for batch in batches]
    return [hot for hot, _ in halves if hot] + [cold for _, cold in halves if cold]
