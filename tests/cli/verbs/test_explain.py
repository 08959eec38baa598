"""explain: promises in words for people, a document for programs, and what reads found."""

import json

import pytest

from tests.cli.fake_client import NODES, CommandLine, report


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine()


def with_measured(kvstore: CommandLine, *measured: dict[str, object]) -> None:
    kvstore.client.store.leaderless = {"read_quorum": 1, "write_quorum": 2, "conflicts": "siblings"}
    kvstore.client.store.reports = [report(node) for node in NODES]
    for found, told in zip(measured, kvstore.client.store.reports, strict=False):
        told["groups"][1]["staleness"] = found


def test_leader_mode_in_words(kvstore: CommandLine) -> None:
    shown = kvstore("explain", "-o", "table").text.splitlines()
    assert shown[0] == "default mode=leader n=3 partitions=8 acks=majority"
    assert shown[2].startswith("  ✓ freshness     Reads are linearizable")
    assert all(len(line) <= 80 for line in shown)
    assert "last hour" not in "\n".join(shown)


def test_what_is_not_promised_is_marked(kvstore: CommandLine) -> None:
    with_measured(kvstore)
    text = kvstore("explain", "default", "-o", "table").text
    assert "! freshness     Stale reads are possible: r + w = 3 is not more than n = 3" in text
    assert "last hour     Nothing was measured" in text


def test_what_all_nodes_found_is_added(kvstore: CommandLine) -> None:
    one = {"reads": 900, "stale": 3, "ages": {"10": 2, "more": 1}, "oldest_ms": 4_000_000}
    other = {"reads": 100, "stale": 1, "ages": {"10": 1}, "oldest_ms": 4}
    with_measured(kvstore, one, other)
    text = " ".join(kvstore("explain", "-o", "table").text.split())
    assert "1,000 keys read from two replicas or more, 4 of them (0.40%) found a replica" in text
    assert "66.7 min old at most: 3 up to 10 ms, 1 older." in text
    document = json.loads(kvstore("explain", "-o", "json").text)
    assert document["last_hour"] == {"reads": 1000, "stale": 4, "ages_ms": {"10": 3, "more": 1}, "oldest_ms": 4_000_000}
    assert {name: document["promises"][1][name] for name in ("about", "holds")} == {
        "about": "going back",
        "holds": False,
    }


def test_a_keyspace_that_is_not_there(kvstore: CommandLine) -> None:
    assert kvstore("explain", "nobody").code == 2


@pytest.mark.parametrize("which", ["--read-quorum", "--write-quorum"])
def test_a_quorum_of_nobody_is_refused(kvstore: CommandLine, which: str) -> None:
    run = kvstore("keyspace", "create", "carts", "--mode", "leaderless", which, "0")
    assert run.code == 2 and "a quorum of 0" not in run.err and "that no replica takes part in" in run.err
