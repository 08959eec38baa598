"""Staleness, measured: how many keys quorum reads found on a replica that lacked a write, and how old that write was.

The age is the time from when the write was made, by its coordinator's clock, to the read, by ours: what it measures is
the t of *t-visibility* (Bailis et al. 2012, probabilistically bounded staleness), as far as clocks agree. The past hour
is kept minute by minute.
"""

from collections import deque
from typing import Final

import msgspec

from kvstore.core.ids import Millis

BOUNDS_MS: Final = (10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000)
MORE: Final = "more"
MINUTE_MS: Final = 60_000
MINUTES: Final = 60


class Measured(msgspec.Struct):
    """What the reads of some time found."""

    reads: int = 0
    """Keys that reads of two replicas or more have asked for."""
    stale: int = 0
    """Those of which at least one of the replicas lacked a write that another one had."""
    ages: dict[str, int] = msgspec.field(default_factory=dict)
    """Of the stale ones: how many were up to so many milliseconds old (`BOUNDS_MS`) and more than the bound before;
    "more": above all of these."""
    oldest_ms: int = 0

    def add(self, other: "Measured") -> None:
        """Both together."""
        self.reads += other.reads
        self.stale += other.stale
        for bound, count in other.ages.items():
            self.ages[bound] = self.ages.get(bound, 0) + count
        self.oldest_ms = max(self.oldest_ms, other.oldest_ms)


class Staleness:
    """Counts; forgets what is older than an hour."""

    __slots__ = ("_minutes",)

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, Measured]] = deque()

    def read(self, now: Millis, keys: int) -> None:
        """So many keys were read from two replicas or more."""
        self._at(now).reads += keys

    def stale(self, now: Millis, age_ms: int) -> None:
        """For one of these keys a replica lacked a write that is so old."""
        minute, age_ms = self._at(now), max(0, age_ms)
        minute.stale += 1
        bound = str(next((bound for bound in BOUNDS_MS if age_ms <= bound), MORE))
        minute.ages[bound] = minute.ages.get(bound, 0) + 1
        minute.oldest_ms = max(minute.oldest_ms, age_ms)

    def last_hour(self, now: Millis) -> Measured:
        """All of it, in whole minutes."""
        self._forget(now)
        together = Measured()
        for _, minute in self._minutes:
            together.add(minute)
        return together

    def _at(self, now: Millis) -> Measured:
        number = now // MINUTE_MS
        if not self._minutes or self._minutes[-1][0] != number:
            self._forget(now)
            self._minutes.append((number, Measured()))
        return self._minutes[-1][1]

    def _forget(self, now: Millis) -> None:
        while self._minutes and self._minutes[0][0] <= now // MINUTE_MS - MINUTES:
            self._minutes.popleft()
