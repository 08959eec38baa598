"""Suspicion: how surely a node that is silent has failed, as a number that grows (phi accrual failure detection).

Hayashibara, Défago, Yared, Katayama: "The φ Accrual Failure Detector", SRDS 2004. From the intervals at which the
heartbeats of a node used to come follows how likely it is that the next one comes even later than now; φ is that
probability's negative decimal logarithm. At φ = 1 one suspicion in ten is wrong, at 3 one in a thousand, at 8 one in a
hundred million, as far as intervals are normally distributed. Who uses it decides what level is enough for what.

Two things differ from the paper. Anything heard of a node ends its silence, but only heartbeats, which are sent at
regular times, tell what is usual. And the deviation has a floor, as in Akka and Cassandra: a network that was very
regular so far must not make the first small delay an alarm.
"""

from collections import deque
from math import erfc, log, log10, pi, sqrt
from typing import Final

from kvstore.core.ids import Millis

SAMPLES_MAX: Final = 100
"""Intervals that are remembered; 10 s at a heartbeat of 100 ms."""
SLOW: Final = 3.0
"""A node with this φ is asked last, if others will do."""
_FAR = 20.0
"""Deviations from the mean beyond which the tail is taken from its asymptotic series: `erfc` would become 0."""


class Suspicion:
    """How one node's silence is to be taken. Times are of the monotonic clock, in ms."""

    __slots__ = ("_deviation_min", "_expected_ms", "_heard_at", "_heartbeat_at", "_intervals", "_squares", "_sum")

    def __init__(self, expected_ms: int, deviation_min_ms: float = 0.0) -> None:
        """`expected_ms`: the interval at which heartbeats are sent, known from the configuration.

        `deviation_min_ms`: the floor of the deviation; half of the expected interval if it is 0.
        """
        assert expected_ms > 0, "heartbeats take time"
        self._expected_ms = expected_ms
        self._deviation_min = deviation_min_ms or expected_ms / 2
        self._intervals: deque[int] = deque()
        self._sum = self._squares = 0
        self._heartbeat_at: Millis | None = None
        self._heard_at: Millis | None = None

    def heartbeat(self, now: Millis) -> None:
        """A heartbeat came."""
        if self._heartbeat_at is not None:
            self._add(max(0, now - self._heartbeat_at))
        self._heartbeat_at = now
        self.heard(now)

    def heard(self, now: Millis) -> None:
        """Something else came: the node is there, but this tells nothing of how often it is heard."""
        self._heard_at = now

    def missed(self) -> None:
        """The node was given up, or began anew: how long that took must not be taken for usual."""
        self._heartbeat_at = None

    def _add(self, interval: int) -> None:
        self._intervals.append(interval)
        self._sum += interval
        self._squares += interval * interval
        if len(self._intervals) > SAMPLES_MAX:
            oldest = self._intervals.popleft()
            self._sum -= oldest
            self._squares -= oldest * oldest

    @property
    def mean(self) -> float:
        """Of the intervals, in ms; what is expected, before there are any. Never less than that: late is not early."""
        count = len(self._intervals)
        return max(float(self._expected_ms), self._sum / count) if count else float(self._expected_ms)

    @property
    def deviation(self) -> float:
        """The standard deviation of the intervals, in ms, or its floor."""
        count = len(self._intervals)
        if not count:
            return self._deviation_min
        # In whole numbers, so that what goes out of the window leaves nothing behind.
        variance = (count * self._squares - self._sum * self._sum) / (count * count)
        return max(self._deviation_min, sqrt(max(0.0, variance)))

    def phi(self, now: Millis) -> float:
        """The level of suspicion, from 0 on. 0 of a node that was never heard: nothing is known of it."""
        if self._heard_at is None:
            return 0.0
        deviations = (max(0, now - self._heard_at) - self.mean) / self.deviation
        return _tail(deviations)


def _tail(deviations: float) -> float:
    """-log10 of the probability that a normal variable is more than so many deviations above its mean."""
    if deviations < _FAR:
        return max(0.0, -log10(0.5 * erfc(deviations / sqrt(2))))
    square = deviations * deviations
    return square / (2 * log(10)) + log10(deviations * sqrt(2 * pi)) - log10(1 - 1 / square)
