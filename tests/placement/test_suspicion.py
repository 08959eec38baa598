"""Phi accrual: what Hayashibara et al. promise of it, for any arrivals."""

from math import isclose
from random import Random
from statistics import NormalDist, mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.ids import Millis
from kvstore.placement.suspicion import SAMPLES_MAX, SLOW, Suspicion

INTERVALS = st.lists(st.integers(0, 5_000), max_size=150)


def after(intervals: list[int], expected_ms: int = 100) -> tuple[Suspicion, int]:
    """Heartbeats at these intervals, and when the last one came."""
    suspicion, now = Suspicion(expected_ms), 10_000
    suspicion.heartbeat(Millis(now))
    for interval in intervals:
        now += interval
        suspicion.heartbeat(Millis(now))
    return suspicion, now


@given(INTERVALS, st.integers(0, 100_000), st.integers(0, 100_000))
def test_silence_never_makes_it_less(intervals: list[int], first: int, second: int) -> None:
    suspicion, now = after(intervals)
    early, late = sorted((first, second))
    assert 0 <= suspicion.phi(Millis(now + early)) <= suspicion.phi(Millis(now + late))


@given(INTERVALS)
def test_a_failed_node_is_suspected_beyond_any_level(intervals: list[int]) -> None:
    """Asymptotic completeness (property 1 of the paper)."""
    suspicion, now = after(intervals)
    assert suspicion.phi(Millis(now + 10_000_000)) > 1_000


@given(INTERVALS, st.integers(0, 100_000))
def test_a_sign_of_life_ends_suspicion(intervals: list[int], silence: int) -> None:
    suspicion, now = after(intervals)
    suspicion.heard(Millis(now + silence))
    assert suspicion.phi(Millis(now + silence)) <= suspicion.phi(Millis(now + silence + 1)) < SLOW


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=300))
def test_mean_and_deviation_are_those_of_the_last_intervals(intervals: list[int]) -> None:
    suspicion, _ = after(intervals)
    last = intervals[-SAMPLES_MAX:]
    assert isclose(suspicion.mean, max(100, mean(last)))
    assert isclose(suspicion.deviation, max(50, pstdev(last)), rel_tol=1e-9, abs_tol=1e-6)


@pytest.mark.parametrize("silence", [0, 50, 100, 150, 250, 400, 1_000, 1_099, 1_100, 1_101, 1_500])
def test_it_is_the_logarithm_of_being_wrong(silence: int) -> None:
    suspicion, now = after([100] * 50)
    wrong = 1 - NormalDist(100, 50).cdf(silence) if silence < 400 else 0.0
    phi = suspicion.phi(Millis(now + silence))
    if wrong:
        assert isclose(10**-phi, wrong, rel_tol=1e-6)
    else:
        assert phi > 8


def test_one_suspicion_in_a_thousand_is_wrong_at_3() -> None:
    """Of a node whose heartbeats do come at normally distributed intervals."""
    dice, suspicion, now = Random(5), Suspicion(100, 1.0), 0
    wrong = 0
    for _ in range(50_000):
        interval = max(0, round(dice.gauss(400, 60)))
        wrong += suspicion.phi(Millis(now + interval)) >= SLOW
        now += interval
        suspicion.heartbeat(Millis(now))
    assert 10 <= wrong <= 150, f"{wrong} of 50,000"


def test_it_learns_what_is_usual() -> None:
    """A node with irregular heartbeats is given more time than one with regular ones."""
    regular, at = after([100] * 60)
    irregular, then = after([50, 350] * 30)
    assert regular.phi(Millis(at + 400)) > 2 * irregular.phi(Millis(then + 400))


def test_other_messages_end_silence_and_are_not_taken_for_heartbeats() -> None:
    suspicion, now = after([100] * 20)
    for step in range(50):
        suspicion.heard(Millis(now + step))
    assert suspicion.mean == 100
    assert suspicion.phi(Millis(now + 49 + 100)) < 1


def test_the_time_of_an_outage_is_not_usual() -> None:
    suspicion, now = after([100] * 20)
    suspicion.missed()
    suspicion.heartbeat(Millis(now + 60_000))
    suspicion.heartbeat(Millis(now + 60_100))
    assert suspicion.mean == 100 and suspicion.phi(Millis(now + 60_500)) > SLOW


def test_nothing_is_said_of_who_was_never_heard() -> None:
    assert Suspicion(100).phi(Millis(1_000_000)) == 0


def test_a_clock_that_steps_back_does_no_harm() -> None:
    suspicion, now = after([100] * 3)
    suspicion.heartbeat(Millis(now - 500))
    assert 0 <= suspicion.phi(Millis(now - 1_000)) < 1
