"""Latencies to percentiles: exact, since a sorted array of a few million integers costs less than any sketch."""

from array import array
from collections.abc import Iterable


class Latencies:
    """Latencies as whole numbers of one unit, which the caller chooses and keeps to. 8 bytes each.

    >>> seen = Latencies(range(1, 101))
    >>> seen.percentile(0.5), seen.percentile(0.99), seen.percentile(1.0)
    (50, 99, 100)
    """

    def __init__(self, latencies: Iterable[int] = ()) -> None:
        self._seen = array("Q", latencies)
        self._ranked = array("Q")
        self.add = self._seen.append
        """One latency. Bound here so that the hot path pays no extra call."""

    def __len__(self) -> int:
        return len(self._seen)

    def percentile(self, share: float) -> int:
        """The smallest latency that at least `share` (0 < share <= 1) of all do not exceed: the nearest rank.

        0 when nothing was seen.
        """
        if not 0.0 < share <= 1.0:
            raise ValueError(f"a share lies above 0 and is at most 1, not {share}")
        if not self._seen:
            return 0
        if len(self._ranked) != len(self._seen):
            self._ranked = array("Q", sorted(self._seen))
        # Ranks count from 1. Rounding first keeps 0.99 * 100 from landing just above 99.
        rank = -int(-round(share * len(self._ranked), 6) // 1)
        return self._ranked[max(rank, 1) - 1]
