"""Stores in turn: order, rounds and ratios, with stores that only pretend; and what the command says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import compare as compare_module
from bench.__main__ import main
from bench.compare import CommaList, compare
from bench.load import Ask
from bench.report import Row, row_of
from bench.stores import BenchError, Store
from bench.workload import LoadResult


class Pretended:
    """A store with a speed of its own that gets faster each time it is measured."""

    generator = "none"
    version = "1"
    pids = ()
    endpoints = ("127.0.0.1:1",)

    def __init__(self, name: str, speeds: Iterator[int]) -> None:
        self.name = name
        self.speed = next(speeds)

    def settle(self) -> None:
        raise AssertionError("not measured here")

    def __enter__(self) -> "Pretended":
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(store: Store, ask: Ask) -> Row:
        assert isinstance(store, Pretended)
        ops = store.speed
        result = LoadResult(
            ops=ops,
            calls=ops,
            errors=0,
            seconds=1.0,
            p50_us=1_000,
            p99_us=2_000,
            p999_us=3_000,
            cpu_seconds=0.1,
            node_cpu_seconds=1.0,
            other_cpu_share=0.0,
        )
        return row_of(store.name, ask.op, ask.outstanding, result)

    monkeypatch.setattr(compare_module, "measure", measured)


def ask(op: str, outstanding: int) -> Ask:
    return Ask(op=op, outstanding=outstanding, seconds=1.0, warmup_s=0.0, key_count=100)


@pytest.mark.usefixtures("pretended")
def test_stores_take_turns_and_odd_rounds_go_backwards() -> None:
    told: list[str] = []
    ours, theirs = iter((300, 100, 200)), iter((100, 100, 100))
    starters = [lambda: Pretended("kvstore", ours), lambda: Pretended("etcd", theirs)]
    rows = compare(starters, [ask("put", 64)], rounds=3, against="etcd", tell=lambda row: told.append(row.store))
    assert told == ["kvstore", "etcd", "etcd", "kvstore", "kvstore", "etcd"]
    assert [(row.store, row.ops_per_s, row.ops_per_s_ratio) for row in rows] == [
        ("kvstore", 200.0, 2.0),
        ("etcd", 100.0, 1.0),
    ]


@pytest.mark.usefixtures("pretended")
def test_rows_stand_side_by_side_in_the_order_asked() -> None:
    ours, theirs = iter(range(1, 9)), iter(range(1, 9))
    starters = [lambda: Pretended("etcd", theirs), lambda: Pretended("kvstore", ours)]
    asks = [ask("put", 64), ask("put", 1), ask("get", 64)]
    rows = compare(starters, asks, rounds=1, against="etcd", tell=lambda _: None)
    assert [(row.store, row.op, row.outstanding) for row in rows] == [
        (store, wanted.op, wanted.outstanding) for wanted in asks for store in ("kvstore", "etcd")
    ]


def test_comma_lists_are_checked_item_by_item() -> None:
    import click

    numbers = CommaList(click.IntRange(1, 100))
    assert numbers.convert("1, 64,100", None, None) == [1, 64, 100]
    assert numbers.convert([5], None, None) == [5]
    with pytest.raises(click.BadParameter):
        numbers.convert("1,101", None, None)
    with pytest.raises(click.BadParameter):
        numbers.convert("1,,2", None, None)


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, words, prog_name="bench")
    return done.exit_code, done.stdout, done.stderr


def test_an_absent_peer_is_status_2_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, out, err = run("compare", "--peer", "etcd")
    assert (status, out) == (2, "")
    assert err == "bench compare: etcd is not installed; on Debian or Ubuntu: apt-get install etcd-server\n"


@pytest.mark.parametrize("words", [("--peer", "oracle"), ("--op", "put,drop"), ("--outstanding", "0")])
def test_wrong_usage_is_status_2(words: tuple[str, str]) -> None:
    status, _, err = run("compare", *words)
    assert status == 2
    assert "Invalid value" in err


class FakeEtcd(Pretended):
    def __init__(self, nodes: int = 3, folder: Path | None = None) -> None:
        super().__init__("etcd", iter((100,)))


class FakeKvstore(Pretended):
    def __init__(self, nodes: int = 3, folder: Path | None = None) -> None:
        super().__init__("kvstore", iter((250,)))


@pytest.fixture
def both_pretended(pretended: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.etcd_peer.EtcdCluster", FakeEtcd)
    monkeypatch.setattr("bench.kvstore_cluster.KvstoreCluster", FakeKvstore)


@pytest.mark.usefixtures("both_pretended")
def test_the_command_in_json() -> None:
    status, out, err = run("compare", "--op", "put,get", "--outstanding", "1,64", "-o", "json")
    assert status == 0
    rows = json.loads(out)
    assert [(row["store"], row["op"], row["outstanding"]) for row in rows[:3]] == [
        ("kvstore", "put", 1),
        ("etcd", "put", 1),
        ("kvstore", "put", 64),
    ]
    assert rows[0]["ops_per_s_ratio"] == 2.5
    assert len(err.splitlines()) == 9, "a line for each measurement, and the machine"


@pytest.mark.usefixtures("both_pretended")
def test_the_command_for_people() -> None:
    status, out, _ = run("compare")
    assert status == 0
    head, ours, theirs, facts = out.splitlines()
    assert "ops/s ÷ etcd" in head
    assert ours.split()[0] == "kvstore"
    assert theirs.split()[0] == "etcd"
    assert "etcd 1" in facts


@pytest.mark.usefixtures("both_pretended")
def test_a_failed_measurement_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(store: Store, ask: Ask) -> Row:
        raise BenchError("it broke")

    monkeypatch.setattr(compare_module, "measure", failing)
    status, out, err = run("compare")
    assert (status, out, err) == (1, "", "bench compare: it broke\n")
