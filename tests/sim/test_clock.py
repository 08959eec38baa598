"""Clocks: drift, jumps, and when an instant comes."""

import doctest

from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.ids import Millis
from kvstore.sim import clock as module
from kvstore.sim.clock import EVEN, WALL_EPOCH, Clock

RATES = st.integers(EVEN // 2, EVEN * 2)


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0


def test_the_wall_clock_jumps_and_the_other_one_does_not() -> None:
    clock = Clock()
    before = clock.instant(1_000_000)
    clock.wall_offset -= 60_000_000
    after = clock.instant(1_000_000)
    assert after.monotonic == before.monotonic == 1_000
    assert before.wall - after.wall == 60_000
    assert before.wall == WALL_EPOCH // 1_000 + 1_000


@given(RATES, RATES, st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_change_of_rate_never_moves_the_clock(first: int, second: int, start: int, at: int) -> None:
    clock = Clock(start, first)
    before = clock.monotonic(at)
    clock.set_rate(second, at)
    assert clock.monotonic(at) == before
    assert clock.monotonic(at + 1_000_000) >= before + 499


@given(RATES, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 100_000))
def test_when_is_the_first_instant_at_which_the_clock_says_so(rate: int, start: int, now: int, ahead: int) -> None:
    clock = Clock(start, rate)
    wanted = Millis(clock.monotonic(now) + ahead)
    at = clock.when(wanted, now)
    assert at >= now
    assert clock.monotonic(at) >= wanted
    assert at == now or clock.monotonic(at - 1) < wanted
