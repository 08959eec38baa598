"""status, where, outcome, latency against a fake client."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.cli.verbs import looking
from kvstore.client.records import Outcome, Verdict
from tests.cli.fake_client import NODES, CommandLine, report, version


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine()


STATUS = """\
fake: healthy   3 of 3 nodes up · 1 keyspace, 1 partition

node  state  zone  leads  replicas  lag  requests   disk
n1    up     z1        1         1    0         0  4 KiB
n2    up     z2        0         1    0         0  4 KiB
n3    up     z3        0         1    2         0  4 KiB
"""

DETAIL = """\

keyspace   partition  leader  replicas   state  term  commit  lag  group
(cluster)  -          n1      n1* n2 n3  ok        2       9    0      0
default    p00        n1      n1* n2 n3  ok        2       9    0      1
"""


def test_status_on_one_screen(kvstore: CommandLine) -> None:
    assert kvstore("status", "-o", "table").text == STATUS
    assert kvstore("status", "-o", "table", "--detail").text == STATUS + DETAIL
    assert kvstore("status").code == 0


def test_status_in_a_pipe_is_lines(kvstore: CommandLine) -> None:
    lines = kvstore("status").text.splitlines()
    assert lines[0].startswith("fake: healthy")
    assert lines[3].split("\t")[:3] == ["n1", "up", "z1"]


def test_status_as_json(kvstore: CommandLine) -> None:
    document = json.loads(kvstore("status", "--detail", "-o", "json").out)
    assert document["healthy"] is True
    assert [node["id"] for node in document["nodes"]] == list(NODES)
    assert document["groups"][1]["replicas"] == list(NODES)
    assert document["groups"][1]["down"] == []


def test_status_of_a_sick_cluster_ends_with_5(kvstore: CommandLine) -> None:
    sick = {"node": "n3", "healthy": False, "ready": False, "problems": ["x"]}
    kvstore.client.store.reports = [
        report("n1", healthy=False, problems=["n3 is down"]), report("n2"), sick
    ]  # fmt: skip
    run = kvstore("status", "-o", "table")
    assert run.code == 5
    assert run.text.startswith("fake: NOT HEALTHY   2 of 3 nodes up")
    assert "n3    DOWN   -         -         -    -         -      -\n" in run.text
    assert run.text.endswith("\n  n1: n3 is down\n")
    assert json.loads(kvstore("status", "-o", "json").out)["problems"] == [{"node": "n1", "problem": "n3 is down"}]
    assert kvstore("status", "-o", "json").code == 5


def test_colours_mark_what_is_wrong(kvstore: CommandLine) -> None:
    kvstore.client.store.reports = [report("n1"), {"node": "n2", "healthy": False, "ready": False, "problems": []}]
    text = kvstore("status", is_terminal=True, color=True).text
    assert "\x1b[31;1mfake: NOT HEALTHY" in text
    assert "\x1b[31;1mDOWN" in text
    assert "\x1b[32mup" in text


def test_where(kvstore: CommandLine) -> None:
    assert kvstore("where", "user:1", "-o", "table").text == (
        "key     hash                partition  leader  replicas   group\n"
        "user:1  0x0000000000000abc  p03        n2      n1 n2* n3      7\n"
        "(1 key)\n"
    )
    assert json.loads(kvstore("where", "a", "-o", "json").out)[0]["replicas"] == list(NODES)


def test_outcome(kvstore: CommandLine) -> None:
    kvstore.client.store.outcomes = {"c-1": Outcome(Verdict.WRITTEN, version(1)), "c-2": Outcome(Verdict.REFUSED)}
    assert kvstore("outcome", "c-1").text == "written\n"
    assert f"as version {version(1)}" in kvstore("outcome", "c-1", "-o", "table").text
    assert kvstore("outcome", "c-2").text == "refused\n"
    assert json.loads(kvstore("outcome", "c-3", "--key", "k", "-o", "json").out) == {
        "operation": "c-3",
        "outcome": "not_seen",
        "version": None,
    }


def test_latency(kvstore: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.25] * 98 + [0.4, 1.2]
    monkeypatch.setattr(looking, "_round_trips", lambda context, key, seconds: iter(times))
    assert kvstore("latency", "-o", "table").text == (
        "100 linearizable reads, one at a time:   p50 0.25 ms   p90 0.25 ms   p99 0.40 ms   max 1.20 ms\n"
        "\n"
        "up to   reads  share\n"
        "0.3 ms     98  98.0%  ████████████████████████████████████████\n"
        "0.5 ms      1   1.0%  ▏\n"
        "0.7 ms      0   0.0%\n"
        "1 ms        0   0.0%\n"
        "1.5 ms      1   1.0%  ▏\n"
    )
    document = json.loads(kvstore("latency", "-o", "json").out)
    assert (document["reads"], document["p50_ms"], document["p99_ms"]) == (100, 0.25, 0.4)
    assert document["distribution"][0] == {"ms": 0.3, "reads": 98}


def test_latency_measures_real_reads(kvstore: CommandLine) -> None:
    document = json.loads(kvstore("latency", "--seconds", "10ms", "--key", "k", "-o", "json").out)
    assert document["reads"] > 0
    assert 0 < document["p50_ms"] <= document["max_ms"]


@given(st.lists(st.floats(0.01, 2_000), min_size=1).map(sorted), st.floats(0.01, 1))
def test_quantiles_are_values_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    found = looking.quantile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values) or found == values[0]


@given(st.lists(st.floats(0.01, 2_000), min_size=1).map(sorted))
def test_the_distribution_counts_everything_once(values: list[float]) -> None:
    spread = list(looking.distribution(values))
    assert sum(count for _, count in spread) == len(values)
    assert spread[0][1]
    assert spread[-1][1]
