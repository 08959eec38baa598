"""Stamps only grow, are larger than all that was heard of, stay near the wall clock, and refuse a far future."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.errors import ClockTooFarAhead
from kvstore.core.hybrid_clock import AHEAD_MS_MAX, COUNTER_BITS, HybridClock, Stamp, stamp_at, wall_of
from kvstore.core.ids import Millis

WALLS = st.integers(0, 1 << 44)
STEPS = st.lists(
    st.tuples(st.just("reserve"), WALLS, st.integers(1, 1 << 18)) | st.tuples(st.just("witness"), WALLS, st.just(0))
)


@given(STEPS)
def test_stamps_strictly_grow_whatever_the_wall_clock_does(steps: list[tuple[str, int, int]]) -> None:
    clock, given_out, heard = HybridClock(), -1, -1
    for kind, wall, count in steps:
        if kind == "witness":
            heard = max(heard, stamp_at(Millis(wall)))
            clock.witness(stamp_at(Millis(wall)))
            continue
        first = clock.reserve(Millis(wall), count)
        assert first > max(given_out, heard), "a stamp was given twice, or one was witnessed that is not smaller"
        assert wall_of(first) >= wall, "a stamp lies behind the wall clock"
        given_out = first + count - 1
        assert clock.latest == given_out


@given(st.lists(st.tuples(WALLS, st.integers(1, 100)), min_size=1))
def test_without_news_from_others_the_clock_is_never_ahead_of_the_latest_wall_by_more_than_it_gave_out(
    steps: list[tuple[int, int]],
) -> None:
    clock = HybridClock()
    for wall, count in steps:
        clock.reserve(Millis(wall), count)
    latest_wall = stamp_at(Millis(max(wall for wall, _ in steps)))
    assert clock.latest <= latest_wall + sum(count for _, count in steps)


def test_a_counter_that_runs_over_takes_the_next_millisecond() -> None:
    clock = HybridClock()
    first = clock.reserve(Millis(5), 1 << COUNTER_BITS)
    assert wall_of(first) == 5
    assert wall_of(clock.reserve(Millis(5), 1)) == 6


def test_a_clock_may_start_where_another_life_ended() -> None:
    before = HybridClock()
    latest = Stamp(before.reserve(Millis(9), 3) + 2)
    assert HybridClock(latest).reserve(Millis(1), 1) == latest + 1


def test_witnessing_the_past_changes_nothing() -> None:
    clock = HybridClock(Stamp(100))
    clock.witness(Stamp(99))
    assert clock.latest == 100


@pytest.mark.parametrize("ahead_ms", [0, 1, AHEAD_MS_MAX])
def test_a_stamp_a_little_ahead_is_taken(ahead_ms: int) -> None:
    clock = HybridClock()
    clock.check(Millis(1_000), stamp_at(Millis(1_000 + ahead_ms)))
    assert clock.latest == 0, "checking is not witnessing"


def test_a_stamp_far_ahead_is_refused_with_the_figures() -> None:
    with pytest.raises(ClockTooFarAhead, match="60000 ms in our future, at most 10000") as caught:
        HybridClock().check(Millis(0), stamp_at(Millis(60_000)))
    assert caught.value.facts == {"ahead_ms": 60_000, "ahead_ms_max": 10_000}
    HybridClock(ahead_ms_max=Millis(60_000)).check(Millis(0), stamp_at(Millis(60_000)))
