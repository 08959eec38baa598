"""Counting: what a majority has reached, and whether a vote is decided. Pure arithmetic, no Raft in it."""

from collections.abc import Sequence
from enum import Enum

EVERYTHING = (1 << 63) - 1
"""What nobody at all has reached: the empty group agrees to everything (etcd's reading, useful for joint quorums)."""


class Verdict(Enum):
    """How a vote stands."""

    PENDING = "not decided yet"
    WON = "a majority said yes"
    LOST = "a majority can no longer say yes"


def majority(voters: int) -> int:
    """How many of `voters` are more than half.

    >>> [majority(n) for n in (1, 2, 3, 4, 5)]
    [1, 2, 2, 3, 3]
    """
    return voters // 2 + 1


def reached_by_majority(values: Sequence[int]) -> int:
    """The largest number that a majority has reached, given one value per voter (nothing known: 0).

    The k-th largest of n, k the majority, is the one at (n - 1) // 2 in rising order.

    >>> reached_by_majority([12, 5, 4])
    5
    >>> reached_by_majority([12, 0])
    0
    """
    return sorted(values)[(len(values) - 1) // 2] if values else EVERYTHING


def verdict(yes: int, no: int, voters: int) -> Verdict:
    """How the vote stands when that many of the voters have said yes and no."""
    assert 0 <= yes + no <= voters, f"{yes} said yes and {no} no, of {voters}"
    needed = majority(voters) if voters else 0
    if yes >= needed:
        return Verdict.WON
    return Verdict.LOST if voters - no < needed else Verdict.PENDING
