"""Staleness is counted by age, for an hour."""

from kvstore.core.ids import Millis
from kvstore.replication.leaderless.staleness import Measured, Staleness

MINUTE = 60_000


def test_ages_are_told_by_bounds() -> None:
    found = Staleness()
    found.read(Millis(0), 10)
    for age in (-5, 0, 10, 11, 100, 5_000, 3_600_001):
        found.stale(Millis(1), age)
    told = found.last_hour(Millis(2))
    assert (told.reads, told.stale, told.oldest_ms) == (10, 7, 3_600_001)
    assert told.ages == {"10": 3, "100": 2, "10000": 1, "more": 1}


def test_what_is_older_than_an_hour_is_forgotten() -> None:
    found = Staleness()
    for minute in range(90):
        found.read(Millis(minute * MINUTE), 1)
    assert found.last_hour(Millis(89 * MINUTE)).reads == 60
    assert found.last_hour(Millis(120 * MINUTE)).reads == 29
    assert found.last_hour(Millis(1_000 * MINUTE)).reads == 0


def test_two_are_added() -> None:
    one, other = Measured(3, 1, {"10": 1}, 7), Measured(2, 2, {"10": 1, "more": 1}, 5)
    one.add(other)
    assert one == Measured(5, 3, {"10": 2, "more": 1}, 7)
