"""A leaderless keyspace beside leader mode: which measurements, in which order, and what their ratios say."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import compare as compare_module
from bench.__main__ import main
from bench.kvstore_cluster import KvstoreCluster
from bench.load import Ask
from bench.quorums import DEAD, HEALTHY, LEADER, Quorums, measure_beside, verdicts
from bench.report import Row, row_of
from bench.stores import Store
from bench.workload import LoadResult

RESULT = LoadResult(
    ops=1_000, calls=1_000, errors=0, seconds=1.0, p50_us=1_000, p99_us=2_000, p999_us=3_000, cpu_seconds=0.01,
    node_cpu_seconds=0.1, other_cpu_share=0.0,
)  # fmt: skip
W2 = Quorums(read=1, write=2, conflicts="lww", nodes=3)


def row(store: str, op: str = "put", **changed: object) -> Row:
    return replace(row_of(store, op, 64, RESULT), **changed)  # type: ignore[arg-type]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[KvstoreCluster]:
    """The clusters that were to be measured, with results that are only pretended."""
    clusters: list[KvstoreCluster] = []

    def pretended(store: Store, ask: Ask) -> Row:
        assert isinstance(store, KvstoreCluster)
        clusters.append(store)
        return row(store.name, ask.op)

    monkeypatch.setattr(compare_module, "measure", pretended)
    return clusters


def ask(op: str = "put") -> Ask:
    return Ask(op=op, outstanding=64, seconds=1.0, warmup_s=0.0, key_count=100)


def test_leader_mode_is_measured_in_the_same_run(measured: list[KvstoreCluster]) -> None:
    rows = measure_beside(W2, ask(), 1, None, lambda _: None)
    assert [row.store for row in rows] == [HEALTHY, LEADER]
    ours, leader = measured
    assert (ours.settings, ours.loads_first) == (
        {"mode": "leaderless", "replicas": 3, "read_quorum": 1, "write_quorum": 2, "conflicts": "lww"},
        False,
    )
    assert (leader.settings, leader.loads_first) == ({}, False)
    assert [row.ops_per_s_ratio for row in rows] == [1.0, 1.0]


def test_a_dead_node_is_measured_beside_the_living(measured: list[KvstoreCluster]) -> None:
    rows = measure_beside(replace(W2, dead_node=True), ask(), 2, None, lambda _: None)
    assert [row.store for row in rows] == [HEALTHY, DEAD, LEADER]
    assert [store.name for store in measured] == [HEALTHY, DEAD, LEADER, LEADER, DEAD, HEALTHY]
    assert [store.loads_first for store in measured[:3]] == [False, True, False]


def test_ratios_are_told_with_what_is_wanted() -> None:
    rows = [row(HEALTHY, ops_per_s=900.0), row(DEAD, p99_ms=3.0), row(LEADER)]
    assert verdicts(replace(W2, dead_node=True), rows) == [
        "put R=1 W=2: 0.90 of leader mode's ops/s, wanted 1",
        "put R=1 W=2 with a node dead: p99 is 1.50 of the healthy one, wanted at most 2",
    ]


def test_nothing_is_wanted_where_the_issue_says_nothing() -> None:
    rows = [row(HEALTHY, "get", ops_per_s=3_000.0), row(LEADER, "get")]
    assert verdicts(W2, rows) == ["get R=1 W=2: 3.00 of leader mode's ops/s, wanted 1.5"]
    assert verdicts(replace(W2, read=3), rows) == ["get R=3 W=2: 3.00 of leader mode's ops/s"]
    assert verdicts(W2, [row(HEALTHY), row(LEADER, ops_per_s=0.0)]) == []


def test_the_command_in_json(measured: list[KvstoreCluster]) -> None:
    words = ["load", "--mode", "leaderless", "--op", "mixed", "--read-quorum", "2", "--dead-node", "-o", "json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert [line["store"] for line in told["rows"]] == [HEALTHY, DEAD, LEADER]
    assert told["settings"]["read_quorum"] == 2
    assert len(told["ratios"]) == 2


def test_the_command_for_people(measured: list[KvstoreCluster]) -> None:
    done = CliRunner().invoke(main, ["load", "--mode", "leaderless"])
    head, ours, leader, ratio, _facts = done.stdout.splitlines()
    assert head.split()[:2] == ["store", "op"]
    assert (ours.split()[0], leader.split()[0]) == (HEALTHY, LEADER)
    assert ratio.startswith("put R=1 W=2: 1.00")


@pytest.mark.parametrize(
    "words",
    [
        ("--mode", "leaderless", "--write-quorum", "4"),
        ("--mode", "leaderless", "--write-quorum", "3", "--dead-node"),
        ("--mode", "leader", "--dead-node"),
        ("--mode", "crdt"),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage(words: tuple[str, ...], tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["load", "--folder", str(tmp_path), *words]).exit_code == 2
    assert list(tmp_path.iterdir()) == []
