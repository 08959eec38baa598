"""The WARS model: what must hold in every trial, and the figures of the paper."""

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wars import (
    MODELS,
    REPLICAS,
    Exponential,
    Law,
    Mixture,
    Model,
    Pareto,
    Prediction,
    Samples,
    Trial,
    of_ours,
    of_paper,
)

SHARED = Path(__file__).parents[3] / "shared" / "data" / "pbs"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the shared figures are not beside this checkout")
TRIALS, SEED = 150_000, 2
"""With fewer trials the largest thousandth is not within 3 %."""

delays = st.lists(st.floats(0, 1_000), min_size=REPLICAS, max_size=REPLICAS)
trials = st.builds(Trial, delays, delays, delays, delays)
levels = st.integers(1, REPLICAS)
ways = st.sampled_from([of_paper, of_ours])


@given(trials, levels, levels, ways, st.integers(0, 99))
def test_where_quorums_overlap_every_read_is_consistent(
    trial: Trial, read: int, write: int, way: Any, seed: int
) -> None:
    told = way(trial, read, write, Random(seed))
    assert told.visible_ms >= 0 and told.write_ms >= 0 and told.read_ms >= 0
    if read + write > REPLICAS:
        assert told.visible_ms == 0


@given(trials, levels, st.integers(1, REPLICAS - 1), ways, st.integers(0, 99))
def test_who_waits_for_more_replicas_is_slower_and_never_less_consistent(
    trial: Trial, level: int, other: int, way: Any, seed: int
) -> None:
    fewer, more = way(trial, other, level, Random(seed)), way(trial, other, min(level + 1, REPLICAS), Random(seed))
    assert fewer.write_ms <= more.write_ms and fewer.visible_ms >= more.visible_ms
    fewer, more = of_paper(trial, other, level, Random(0)), of_paper(trial, other + 1, level, Random(0))
    assert fewer.read_ms <= more.read_ms and fewer.visible_ms >= more.visible_ms


def slowly(trial: Trial, write: int, after_ms: float) -> bool:
    """Whether a read of one replica finds the write, step by step as the paper tells it."""
    acknowledged = sorted(trial.w[i] + trial.a[i] for i in range(REPLICAS))
    first = min(range(REPLICAS), key=lambda i: trial.r[i] + trial.s[i])
    return trial.w[first] <= acknowledged[write - 1] + after_ms + trial.r[first]


@given(trials, levels, st.floats(0, 2_000))
def test_a_read_is_consistent_from_the_instant_that_is_told(trial: Trial, write: int, after_ms: float) -> None:
    visible = of_paper(trial, 1, write, Random(0)).visible_ms
    if abs(after_ms - visible) > 1e-6:
        assert slowly(trial, write, after_ms) == (after_ms > visible)


def test_our_coordinators_are_replicas() -> None:
    trial = Trial([1.0] * 3, [1.0] * 3, [1.0] * 3, [1.0] * 3)
    told = [of_ours(trial, 1, 1, Random(seed)) for seed in range(300)]
    assert {(one.write_ms, one.read_ms) for one in told} == {(0.0, 0.0)}, "nobody else is waited for"
    assert {one.visible_ms for one in told} == {0.0, 1.0}
    at_once = sum(one.visible_ms == 0 for one in told)
    assert 70 < at_once < 130, "every third reader asks the one that took the write"


@pytest.mark.parametrize(
    ("law", "mean"),
    [
        (Exponential(0.5), 2.0),
        (Pareto(2.0, 3.0), 3.0),
        (Mixture(0.25, Exponential(0.5), Pareto(2.0, 3.0)), 2.75),
        (Samples((1.0, 2.0, 6.0)), 3.0),
    ],
)
def test_laws_have_the_means_of_the_textbook(law: Law, mean: float) -> None:
    rng = Random(7)
    drawn = [law.draw(rng) for _ in range(40_000)]
    assert min(drawn) >= 0
    assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.03)


def test_distant_replicas_are_slower() -> None:
    here = Samples((1.0,))
    trial = Trial.drawn(Model(name="-", w=here, a=here, r=here, s=here, apart_ms=75.0), Random(1))
    for there, back in ((trial.w, trial.a), (trial.r, trial.s)):
        assert sorted(there) == [1.0, 76.0, 76.0] and there == back


def test_a_prediction_is_of_its_seed_and_never_falls() -> None:
    model = MODELS["LNKD-DISK"]
    one, again, other = (Prediction(model, 1, 1, trials=2_000, seed=seed) for seed in (1, 1, 2))
    told = [one.consistent_at(after / 2) for after in range(200)]
    assert told == [again.consistent_at(after / 2) for after in range(200)]
    assert told != [other.consistent_at(after / 2) for after in range(200)]
    assert told == sorted(told)
    assert one.consistent_at(one.visible_ms(0.99)) >= 0.99 > one.consistent_at(one.visible_ms(0.99) - 0.001)


@cache
def predicted(name: str, read: int, write: int) -> Prediction:
    return Prediction(MODELS[name], read, write, trials=TRIALS, seed=SEED)


@needs_shared
def test_the_figures_of_the_paper() -> None:
    for line in json.loads((SHARED / "expected.json").read_text())["from_the_paper"]:
        told = predicted(line["config"], line["R"], line["W"])
        if line["quantity"] == "p_consistent_t0":
            assert told.consistent_at(0.0) == pytest.approx(line["value"], abs=0.01), line
        else:
            assert told.visible_ms(0.999) == pytest.approx(line["value"], rel=0.15), line


@needs_shared
@pytest.mark.parametrize("name", MODELS)
def test_the_figures_of_another_program(name: str) -> None:
    rows = json.loads((SHARED / "expected.json").read_text())["recomputed_here"]["rows"]
    wanted = [row for row in rows if row["config"] == name and (row["R"], row["W"]) != (2, 2)]
    assert wanted
    for row in wanted:
        told = predicted(name, row["R"], row["W"])
        for after_ms, column in ((0.0, "p_consistent_t0"), (10.0, "p_consistent_t10ms")):
            assert told.consistent_at(after_ms) == pytest.approx(row[column], abs=0.01), row
        assert told.visible_ms(0.999) == pytest.approx(row["t_999_ms"], rel=0.15), row
        assert told.read_ms(0.999) == pytest.approx(row["Lr_999_ms"], rel=0.03), row
        assert told.write_ms(0.999) == pytest.approx(row["Lw_999_ms"], rel=0.03), row


@needs_shared
def test_delays_that_were_sampled_give_what_their_law_gives() -> None:
    """The file holds draws from the YMMR laws, a thousand of each kind."""
    kinds: dict[str, list[float]] = {}
    for line in (SHARED / "generatedyammer.latencymodel").read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if rest == "latencies":
            values = kinds.setdefault(kind, [])
        elif line and not line.startswith("replica"):
            values.append(float(line))
    laws = {kind: Samples(tuple(values)) for kind, values in kinds.items()}
    sampled = Prediction(Model(name="file", **laws), 1, 1, trials=20_000, seed=1)  # type: ignore[arg-type]
    drawn = Prediction(MODELS["YMMR"], 1, 1, trials=20_000, seed=1)
    assert sampled.consistent_at(0.0) == pytest.approx(drawn.consistent_at(0.0), abs=0.03)
    assert sampled.write_ms(0.5) == pytest.approx(drawn.write_ms(0.5), rel=0.05)
