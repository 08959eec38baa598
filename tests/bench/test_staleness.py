"""Reads of whole nodes in the simulator: as stale as the model says, and never where quorums overlap."""

import json

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.staleness import Delays, Point, StalenessFailed, Universe, measure
from bench.wars import MODELS, Model, Samples
from kvstore.core.ids import GroupId, NodeId
from kvstore.replication.leaderless.messages import Fetch, Fetched, Store, Stored
from kvstore.sim.dice import Dice

GROUP = GroupId(1)


def fixed(w: float, a: float, r: float, s: float) -> Model:
    return Model(name="fixed", **{kind: Samples((ms,)) for kind, ms in zip("wars", (w, a, r, s), strict=True)})


@pytest.mark.parametrize(("read", "write"), [(1, 1), (2, 1), (1, 2)])
def test_reads_are_as_stale_as_predicted(read: int, write: int) -> None:
    points = list(measure(MODELS["LNKD-DISK"], read, write, reads=400, trials=20_000, seed=1))
    assert points[0].after_ms == 0 and points[-1].predicted == pytest.approx(0.999, abs=0.001)
    for point in points:
        assert abs(point.measured - point.predicted) <= 2 * point.error + 1 / point.reads, point
    assert points[0].measured < 0.9 < points[-1].measured


@pytest.mark.parametrize(("read", "write"), [(2, 2), (1, 3), (3, 1)])
def test_where_quorums_overlap_no_read_is_stale(read: int, write: int) -> None:
    (point,) = measure(MODELS["LNKD-DISK"], read, write, reads=150, trials=1_000, seed=1)
    assert (point.after_ms, point.measured, point.predicted, point.of_paper) == (0.0, 1.0, 1.0, 1.0)


def test_what_takes_how_long_is_seen_to_the_microsecond() -> None:
    """The write is at the others 20 ms after it is acknowledged by the one that took it."""
    before, after = Universe(fixed(20, 1, 1, 1), 1, 1, seed=1).consistent([19.999, 20.001], reads=100)
    assert before < 0.6 and after == 1.0


def test_each_kind_of_message_has_its_own_delay() -> None:
    delays = Delays(fixed(1, 2, 3, 4), Dice("1").stream("wars"))
    messages = [Store(1, [], NodeId("")), Stored(1), Fetch(1, []), Fetched(1, [])]
    assert [delays([(GROUP, message)]) for message in messages] == [1_000, 2_000, 3_000, 4_000]
    assert delays([]) == 200


def test_the_same_seed_measures_the_same() -> None:
    def told(seed: int) -> list[Point]:
        return list(measure(MODELS["LNKD-SSD"], 1, 1, reads=100, trials=1_000, seed=seed))

    assert told(1) == told(1) != told(2)


def test_reads_that_are_never_answered_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.staleness.PATIENCE_MS", 5_000)
    with pytest.raises(StalenessFailed, match=r"a write ended with|never answered"):
        Universe(fixed(20_000, 1, 1, 1), 1, 2, seed=1).consistent([0.0], reads=1)


def test_the_command() -> None:
    words = ["staleness", "--model", "LNKD-SSD", "--write-quorum", "1", "--reads", "100", "--trials", "1000"]
    done = CliRunner().invoke(main, [*words, "--read-quorum", "1", "-o", "json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert [(line["read"], line["write"], line["reads"]) for line in told] == [(1, 1, 100)] * 4
    done = CliRunner().invoke(main, words)
    head, *lines, _facts = done.stdout.splitlines()
    assert head.split()[:3] == ["model", "R", "W"] and lines[0].split()[:3] == ["LNKD-SSD", "2", "1"]
