"""A machine's two clocks: one that only runs, perhaps too fast or too slow, and one that people set."""

from kvstore.core.ids import Instant, Millis
from kvstore.sim.scheduler import MILLI, Micros

EVEN = 1_000_000
"""The rate of a true clock: microseconds it advances in a true second."""

WALL_EPOCH: Micros = 1_750_000_000 * EVEN
"""What a true wall clock says when the universe begins."""


class Clock:
    """Both clocks of one machine. They outlive its processes, and run on while a process is stopped.

    >>> clock = Clock(start=5_000_000)
    >>> clock.set_rate(1_100_000, now=0)
    >>> clock.monotonic(1_000_000)
    6100
    >>> clock.when(Millis(6_100), 0)
    1000000
    """

    __slots__ = ("_base", "_since", "rate", "wall_offset")

    def __init__(self, start: Micros = 0, rate: int = EVEN, wall_offset: Micros = 0) -> None:
        self._base, self._since = start, 0
        self.rate = rate
        self.wall_offset = wall_offset

    def set_rate(self, rate: int, now: Micros) -> None:
        """Run faster or slower from now on."""
        self._base, self._since = self._running(now), now
        self.rate = rate

    def _running(self, now: Micros) -> Micros:
        return self._base + (now - self._since) * self.rate // EVEN

    def monotonic(self, now: Micros) -> Millis:
        return Millis(self._running(now) // MILLI)

    def instant(self, now: Micros) -> Instant:
        """What a process reads that looks at both clocks."""
        wall = max(0, WALL_EPOCH + now + self.wall_offset) // MILLI
        return Instant(self.monotonic(now), Millis(wall))

    def when(self, monotonic: Millis, now: Micros) -> Micros:
        """The first true instant, not before now, at which the monotonic clock says so."""
        missing = monotonic * MILLI - self._base
        return max(now, self._since - (-missing * EVEN // self.rate))
