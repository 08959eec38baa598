"""Percentiles against the definition, counted the slow way."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.histogram import Latencies

SHARES = st.sampled_from([0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0])


def percentile_slowly(seen: list[int], thousandths: int) -> int:
    """The smallest value that enough of all do not exceed, by counting."""
    needed = math.ceil(thousandths * len(seen) / 1_000)
    return min(value for value in seen if sum(other <= value for other in seen) >= needed)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), SHARES)
def test_percentiles(seen: list[int], share: float) -> None:
    assert Latencies(seen).percentile(share) == percentile_slowly(seen, round(share * 1_000))


def test_a_rank_that_is_whole_is_taken_as_it_is() -> None:
    """0.99 * 100 is 99.00000000000001 in binary, and must not become rank 100."""
    assert Latencies(range(1, 101)).percentile(0.99) == 99
    assert Latencies(range(1, 1_001)).percentile(0.999) == 999


def test_adding_after_asking() -> None:
    seen = Latencies([5])
    assert seen.percentile(1.0) == 5
    seen.add(7)
    assert (len(seen), seen.percentile(1.0)) == (2, 7)


def test_nothing_seen() -> None:
    assert Latencies().percentile(0.5) == 0


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1])
def test_a_share_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Latencies([1]).percentile(share)
