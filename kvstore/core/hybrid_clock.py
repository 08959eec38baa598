"""Hybrid logical time: 48 bits of milliseconds and 16 of counter, advanced by a `now` it is handed.

Kulkarni et al., "Logical Physical Clocks" (OPODIS 2014), in the one-word form: the stamp never goes back, stays
close to the wall clock, and is larger than every stamp it has heard of.
"""

from typing import NewType

from kvstore.core.errors import ClockTooFarAhead
from kvstore.core.ids import Millis

Stamp = NewType("Stamp", int)
"""A 64-bit hybrid stamp. Compare as integers; 0 is before everything."""

BEFORE_ALL = Stamp(0)
AHEAD_MS_MAX = Millis(10_000)
COUNTER_BITS = 16
STAMP_MAX = (1 << 63) - 1  # one bit is kept free so that a stamp fits every signed 64-bit field on its way


def stamp_at(wall: Millis) -> Stamp:
    """The first stamp of that millisecond."""
    return Stamp(wall << COUNTER_BITS)


def wall_of(stamp: Stamp) -> Millis:
    """The wall clock part of a stamp, in milliseconds since 1970."""
    return Millis(stamp >> COUNTER_BITS)


class HybridClock:
    """One node's source of stamps.

    >>> clock = HybridClock()
    >>> first = clock.reserve(Millis(5), 3)
    >>> clock.reserve(Millis(5), 1) - first
    3
    >>> clock.reserve(Millis(4), 1) > first  # the wall clock went back; the stamps do not
    True
    """

    __slots__ = ("_ahead_ms_max", "_latest")

    def __init__(self, latest: Stamp = BEFORE_ALL, ahead_ms_max: Millis = AHEAD_MS_MAX) -> None:
        self._latest = latest
        self._ahead_ms_max = ahead_ms_max

    @property
    def latest(self) -> Stamp:
        return self._latest

    def reserve(self, wall: Millis, count: int) -> Stamp:
        """The first of `count` consecutive fresh stamps."""
        assert count > 0, "reserving no stamps is a mistake of the caller"
        first = max(self._latest + 1, wall << COUNTER_BITS)
        self._latest = Stamp(first + count - 1)
        return Stamp(first)

    def witness(self, stamp: Stamp) -> None:
        """Take note of a stamp that is already decided (a log entry): ours will be larger."""
        if stamp > self._latest:
            self._latest = stamp

    def check(self, wall: Millis, stamp: Stamp) -> None:
        """Refuse a stamp too far in the future of our wall clock. Raises ClockTooFarAhead."""
        ahead_ms = wall_of(stamp) - wall
        if ahead_ms > self._ahead_ms_max:
            raise ClockTooFarAhead(ahead_ms=ahead_ms, ahead_ms_max=self._ahead_ms_max)
