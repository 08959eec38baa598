"""Counters and histograms of /metrics, and what changed between two looks."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from kvstore.cli.metrics_text import Look, look_at, quantile_ms, rates


def metrics(reads: list[float], operations: int = 0) -> str:
    registry = CollectorRegistry()
    seconds = Histogram("kvstore_request_seconds", "x", ["operation"], buckets=(0.001, 0.002, 0.005), registry=registry)
    counter = Counter("kvstore_operations", "x", ["operation"], registry=registry)
    for value in reads:
        seconds.labels("read").observe(value)
    if operations:
        counter.labels("read").inc(operations)
    return generate_latest(registry).decode()


def test_a_look_reads_what_prometheus_writes() -> None:
    look = look_at(metrics([0.0005, 0.003], operations=20), at=1.0)
    assert look.operations == {"read": 20.0}
    assert look.calls == {"read": 2.0}
    assert look.seconds["read"] == {0.001: 1.0, 0.002: 1.0, 0.005: 2.0, float("inf"): 2.0}


def test_rates_are_differences() -> None:
    before, now = look_at(metrics([0.0005] * 3), at=1.0), look_at(metrics([0.0005] * 3 + [0.0015] * 10), at=3.0)
    found = rates(before, now)
    assert found.operations == {"read": 5.0}  # calls, as long as nobody counts operations
    assert found.p50_ms["read"] == pytest.approx(1.5)
    assert found.total == 5.0


def test_operations_count_if_they_are_counted() -> None:
    before, now = (
        look_at(metrics([0.001], operations=100), at=1.0),
        look_at(metrics([0.001] * 2, operations=300), at=2.0),
    )
    assert rates(before, now).operations == {"read": 200.0}


def test_a_node_that_restarted_counts_from_zero() -> None:
    before, now = look_at(metrics([0.0005] * 9), at=1.0), look_at(metrics([0.0015] * 2), at=2.0)
    found = rates(before, now)
    assert found.operations == {"read": 2.0}
    assert found.p50_ms["read"] == pytest.approx(1.5)


def test_nothing_happened() -> None:
    look = look_at(metrics([0.001]), at=1.0)
    found = rates(look, Look(2.0, look.operations, look.calls, look.seconds))
    assert found.operations == {"read": 0.0}
    assert found.p50_ms == {"read": None}


def test_quantiles_inside_buckets() -> None:
    buckets = {0.001: 10.0, 0.002: 20.0, float("inf"): 20.0}
    assert quantile_ms(buckets, 0.25) == pytest.approx(0.5)
    assert quantile_ms(buckets, 0.75) == pytest.approx(1.5)
    assert quantile_ms({0.001: 0.0, float("inf"): 4.0}, 0.5) == pytest.approx(1.0)
    assert quantile_ms({}, 0.5) is None
