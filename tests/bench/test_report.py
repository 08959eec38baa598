"""Rows, ratios, tables: the figures people will quote."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.report import (
    Row,
    as_json,
    commit,
    filesystem_of,
    load_table,
    machine_facts,
    median_round,
    plain_table,
    print_table,
    remarks,
    row_of,
    with_ratios,
)
from bench.workload import LoadResult

RESULT = LoadResult(
    ops=20_000,
    calls=20_000,
    errors=0,
    seconds=2.0,
    p50_us=1_500,
    p99_us=4_000,
    p999_us=9_999,
    cpu_seconds=0.2,
    node_cpu_seconds=3.0,
    other_cpu_share=0.02,
)


def row(store: str, ops_per_s: float, **changed: object) -> Row:
    return replace(row_of(store, "put", 64, RESULT), ops_per_s=ops_per_s, **changed)  # type: ignore[arg-type]


def test_a_result_in_the_units_people_read() -> None:
    made = row_of("etcd", "put", 64, RESULT)
    assert (made.ops_per_s, made.p50_ms, made.p99_ms, made.p999_ms) == (10_000.0, 1.5, 4.0, 9.999)
    assert (made.node_cpu_us_per_op, made.client_cpu_us_per_op) == (150.0, 10.0)


def test_nothing_done_divides_by_nothing() -> None:
    made = row_of("etcd", "put", 64, replace(RESULT, ops=0, calls=0))
    assert (made.ops_per_s, made.node_cpu_us_per_op) == (0.0, 3_000_000.0)


def test_the_median_round_is_shown_whole() -> None:
    shown = median_round([row("etcd", 3.0), row("etcd", 1.0, errors=2, first_error="no"), row("etcd", 2.0)])
    assert (shown.ops_per_s, shown.ops_per_s_min, shown.ops_per_s_max) == (2.0, 1.0, 3.0)
    assert (shown.rounds, shown.errors, shown.first_error) == (3, 2, "no")
    assert median_round([row("etcd", 1.0), row("etcd", 2.0)]).ops_per_s == 1.0


def test_ratios_are_ours_by_theirs_under_the_same_load() -> None:
    rows = [
        row("kvstore", 20_000.0, p50_ms=0.75),
        row("etcd", 10_000.0),
        row("kvstore", 5.0, outstanding=1),
    ]
    ours, theirs, alone = with_ratios(rows, against="etcd")
    assert (ours.ops_per_s_ratio, ours.p50_ratio, ours.p99_ratio) == (2.0, 0.5, 1.0)
    assert (theirs.ops_per_s_ratio, theirs.p50_ratio) == (1.0, 1.0)
    assert alone.ops_per_s_ratio is None


def test_a_peer_that_did_nothing_gives_no_ratio() -> None:
    ours, _ = with_ratios([row("kvstore", 5.0), row("etcd", 0.0)], against="etcd")
    assert ours.ops_per_s_ratio is None


def test_json_is_a_list_of_rows() -> None:
    told = json.loads(as_json([row("kvstore", 1.0), row("etcd", 2.0)]))
    promised = {"store", "op", "outstanding", "ops_per_s", "p50_ms", "p99_ms"}
    assert [line["store"] for line in told] == ["kvstore", "etcd"]
    assert promised | {"node_cpu_us_per_op", "client_cpu_us_per_op"} <= set(told[0])


def test_a_plain_table_is_aligned() -> None:
    table = plain_table(["name", "n"], [["a", "1"], ["long one", "1,000"]])
    assert table.splitlines() == ["name          n", "a             1", "long one  1,000"]


def test_the_load_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows = with_ratios([row("kvstore", 25_000.0), row("etcd", 10_000.0)], against="etcd")
    print_table(*load_table(rows, against="etcd"))
    head, ours, theirs = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["store", "op", "outstanding", "ops/s"]
    assert ours.split()[:4] == ["kvstore", "put", "64", "25,000"]
    assert ours.split()[-3:] == ["2.50", "1.00", "1.00"]
    assert theirs.split()[-3:] == ["1.00", "1.00", "1.00"]


def test_a_table_with_spread() -> None:
    _, ((_, _, _, throughput, *_),) = load_table([median_round([row("etcd", 1_000.0), row("etcd", 2_000.0)])])
    assert throughput == "1,000 (1,000–2,000)"


def test_remarks_name_errors_and_noise() -> None:
    quiet, loud = row("kvstore", 1.0), row("etcd", 1.0, errors=3, first_error="refused", other_cpu_share=0.5)
    assert remarks([quiet]) == []
    errors, noise = remarks([quiet, loud])
    assert "3 errors, the first: refused" in errors
    assert "50%" in noise


def test_facts_about_the_machine(tmp_path: Path) -> None:
    facts = machine_facts(tmp_path)
    assert list(facts) == ["date", "cores", "cpu", "python", "system", "disk", "commit"]
    assert all(facts.values())


def test_the_file_system_of_proc_is_proc() -> None:
    assert filesystem_of(Path("/proc/self")) == "proc"


def test_no_repository_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.report.ROOT", tmp_path)
    assert commit() == "unknown"
