"""What the generators are told, what they draw, and when the window counts."""

import itertools
import os

import pytest

from bench.workload import BATCH_PUTS, LoadPlan, LoadResult, Tally, Window, Workload

S = 1_000_000_000


def plan(**changed: object) -> LoadPlan:
    return LoadPlan(**{"endpoints": ("127.0.0.1:1",), "op": "put", "outstanding": 4, "seconds": 2.0, **changed})  # type: ignore[arg-type]


def test_a_plan_survives_the_command_line() -> None:
    told = plan(endpoints=("a:1", "b:2"), node_pids=(3, 4), preload=False, settings={"mode": "leaderless"})
    assert LoadPlan.from_json(told.to_json()) == told


@pytest.mark.parametrize(
    "changed",
    [{"op": "drop"}, {"outstanding": 0}, {"connections": 0}, {"key_count": BATCH_PUTS - 1}, {"endpoints": ()}],
)
def test_a_plan_that_makes_no_sense_is_not_built(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        plan(**changed)


def test_keys_and_values_have_the_sizes_promised() -> None:
    workload = Workload("put", 1_000, seed=3)
    for key, value in itertools.islice(workload.operations(), 2_000):
        assert len(key) == 16
        assert value is not None
        assert len(value) == 100


def test_the_same_seed_asks_the_same() -> None:
    def asked(seed: int) -> list[object]:
        return list(itertools.islice(Workload("mixed", 500, seed).operations(), 50))

    assert asked(1) == asked(1) != asked(2)


def test_mixed_is_half_puts() -> None:
    operations = itertools.islice(Workload("mixed", 500, seed=1).operations(), 4_000)
    puts = sum(value is not None for _, value in operations)
    assert 1_800 < puts < 2_200, "a fixed seed: 6 standard deviations wide"


def test_gets_carry_no_value() -> None:
    assert all(value is None for _, value in itertools.islice(Workload("get", 500, seed=1).operations(), 100))


def test_a_batch_has_distinct_keys() -> None:
    """Also when there are hardly more keys than a batch needs."""
    batch = next(Workload("batch", BATCH_PUTS + 1, seed=1).batches())
    assert len(batch) == BATCH_PUTS


def test_every_key_is_loaded_once() -> None:
    batches = list(Workload("get", 250, seed=1).every_key())
    keys = [key for batch in batches for key in batch]
    assert [len(batch) for batch in batches] == [100, 100, 50]
    assert keys == [b"key:%012d" % number for number in range(250)]


def test_the_window_counts_what_ends_inside() -> None:
    window = Window(plan(warmup_s=1.0, node_pids=(os.getpid(),)))
    window.begin(0)
    for now, latency_us in ((S // 2, 1), (S, 10), (2 * S, 20), (3 * S - 1, 30), (3 * S, 5), (4 * S, 6)):
        window.advance(now)
        window.ended(latency_us * 1_000)
    assert window.over
    result = window.result()
    assert (result.ops, result.calls, result.errors) == (3, 3, 0)
    assert (result.p50_us, result.p99_us) == (20, 30)
    assert LoadResult.from_json(result.to_json()) == result


def test_a_batch_is_one_call_and_a_hundred_ops() -> None:
    window = Window(plan(op="batch", warmup_s=0.0))
    window.begin(0)
    window.advance(0)
    window.ended(7_000)
    window.advance(2 * S)
    assert (window.result().calls, window.result().ops, window.result().p50_us) == (1, BATCH_PUTS, 7)


def test_failures_are_counted_and_the_first_is_kept() -> None:
    window = Window(plan(warmup_s=0.0))
    window.begin(0)
    window.failed("first")
    window.advance(0)
    window.failed("second")
    window.advance(2 * S)
    assert (window.result().errors, window.result().first_error, window.result().ops) == (2, "first", 0)


def test_a_window_that_never_closed_reports_nothing() -> None:
    window = Window(plan())
    window.begin(0)
    window.advance(2 * S)
    with pytest.raises(RuntimeError, match="never closed"):
        window.result()


def test_a_tally_keeps_no_time() -> None:
    tally = Tally()
    tally.advance(1)
    tally.ended(1)
    assert (tally.errors, tally.first_error) == (0, "")
