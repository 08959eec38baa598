"""One measurement from start to stop: the order of things, and how a generator's failure is told."""

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner

from bench import load as load_module
from bench.__main__ import main
from bench.load import Ask, measure, run_generator
from bench.report import Row
from bench.stores import BenchError, Store
from bench.workload import LoadPlan, LoadResult

RESULT = LoadResult(
    ops=1_000,
    calls=1_000,
    errors=0,
    seconds=1.0,
    p50_us=1_000,
    p99_us=2_000,
    p999_us=3_000,
    cpu_seconds=0.01,
    node_cpu_seconds=0.1,
    other_cpu_share=0.0,
)


class Noted:
    """A store that writes down what is done with it, and changes its pids when it settles."""

    name = "noted"
    generator = "noted.generator"
    version = "1"
    endpoints = ("127.0.0.1:1",)

    settings: ClassVar[dict[str, str | int]] = {}
    loads_first = False

    def __init__(self) -> None:
        self.story: list[str] = []
        self.pids: tuple[int, ...] = (1, 2)

    def settle(self) -> None:
        self.story.append("settle")
        self.pids = (3, 4)

    def __enter__(self) -> "Noted":
        self.story.append("start")
        return self

    def __exit__(self, *_: object) -> None:
        self.story.append("stop")


def ask(op: str) -> Ask:
    return Ask(op=op, outstanding=8, seconds=1.0, warmup_s=0.5, key_count=100)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    store = Noted()

    def generator(_module: str, plan: LoadPlan) -> LoadResult | None:
        store.story.append(f"{'load keys, ' * plan.preload}{plan.seconds:g} s, pids {plan.node_pids}")
        return RESULT if plan.seconds else None

    monkeypatch.setattr(load_module, "run_generator", generator)
    return store


def test_puts_are_measured_in_one_go(noted: Noted) -> None:
    assert measure(noted, ask("put")).ops_per_s == 1_000.0
    assert noted.story == ["start", "load keys, 1 s, pids (1, 2)", "stop"]


def test_a_store_settles_between_loading_and_reading(noted: Noted) -> None:
    measure(noted, ask("get"))
    assert noted.story == ["start", "load keys, 0 s, pids (1, 2)", "settle", "1 s, pids (3, 4)", "stop"]


def test_a_store_that_wants_it_settles_before_puts_too(noted: Noted) -> None:
    noted.loads_first = True
    measure(noted, ask("put"))
    assert noted.story == ["start", "load keys, 0 s, pids (1, 2)", "settle", "1 s, pids (3, 4)", "stop"]


def test_the_store_stops_when_the_generator_fails(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_module: str, _plan: LoadPlan) -> None:
        raise BenchError("no")

    monkeypatch.setattr(load_module, "run_generator", failing)
    with pytest.raises(BenchError):
        measure(noted, ask("put"))
    assert noted.story == ["start", "stop"]


def test_a_generator_that_fails_is_quoted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        endpoint = f"127.0.0.1:{closed_soon.getsockname()[1]}"
    with pytest.raises(BenchError, match=r"status 1: load on etcd failed: .*refused"):
        run_generator("bench.etcd_load", LoadPlan(endpoints=(endpoint,), op="put", outstanding=1, seconds=1))


def test_a_generator_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "GENERATOR_S_MARGIN", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"127.0.0.1:{mute.getsockname()[1]}"
        plan = LoadPlan(endpoints=(endpoint,), op="put", outstanding=1, seconds=0, warmup_s=0)
        with pytest.raises(BenchError, match="did not end within"):
            run_generator("bench.etcd_load", plan)


def shown(monkeypatch: pytest.MonkeyPatch, *words: str, errors: int = 0) -> tuple[int, str]:
    """What `bench load` says of a measurement that is only pretended."""
    from bench.report import row_of

    def pretended(_store: Store, asked: Ask) -> Row:
        result = replace(RESULT, errors=errors, first_error="refused" if errors else "")
        return row_of("kvstore", asked.op, asked.outstanding, result)

    monkeypatch.setattr(load_module, "measure", pretended)
    done = CliRunner().invoke(main, ["load", *words])
    return done.exit_code, done.output


def test_the_command_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    status, out = shown(monkeypatch, "--nodes", "5", "--op", "mixed", "--outstanding", "512", "-o", "json")
    told = json.loads(out)
    assert status == 0
    assert (told["store"], told["nodes"], told["op"], told["outstanding"]) == ("kvstore", 5, "mixed", 512)
    assert (told["ops_per_s"], told["p50_ms"], told["p99_ms"], told["p999_ms"]) == (1_000.0, 1.0, 2.0, 3.0)
    assert (told["node_cpu_us_per_op"], told["client_cpu_us_per_op"]) == (100.0, 10.0)
    assert told["machine"]["cores"].isdigit()


def test_the_command_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    status, out = shown(monkeypatch, errors=7)
    assert status == 0
    head, row, remark, _facts = out.splitlines()
    assert head.split()[:2] == ["store", "op"]
    assert row.split()[:4] == ["kvstore", "put", "64", "1,000"]
    assert remark == "kvstore put 64: 7 errors, the first: refused"


def test_a_failure_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_store: Store, _ask: Ask) -> Row:
        raise BenchError("the cluster did not start")

    monkeypatch.setattr(load_module, "measure", failing)
    done = CliRunner().invoke(main, ["load"])
    assert (done.exit_code, done.stderr) == (1, "bench load: the cluster did not start\n")


def test_a_folder_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["load", "--folder", str(tmp_path / "none")])
    assert done.exit_code == 2
