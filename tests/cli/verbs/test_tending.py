"""cluster repair against a fake client: a table for people, a document for programs, an exit code for scripts."""

import json

import pytest

from kvstore.client.tending import Comparison, Scrubbing
from tests.cli.fake_client import NODES, CommandLine, report


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine()


def pair(peer: str, failed: str = "", differing: int = 0, pulled: int = 0, pushed: int = 0) -> Comparison:
    return Comparison(
        keyspace="carts", partition=3, asker="n1", peer=peer, failed=failed, differing=differing, pulled=pulled,
        pushed=pushed, skipped=0, bytes=2048, ms=7,
    )  # fmt: skip


def test_equal_replicas(kvstore: CommandLine) -> None:
    kvstore.client.store.comparisons = [pair("n2"), pair("n3")]
    run = kvstore("cluster", "repair", "carts", "-o", "table")
    assert run.code == 0
    assert run.text == (
        "keyspace  partition  replica  with  result  differ  pulled  pushed  bytes  ms\n"
        "carts     p03        n1       n2    equal        0       0       0  2 KiB   7\n"
        "carts     p03        n1       n3    equal        0       0       0  2 KiB   7\n"
        "\n"
        "2 pairs equal\n"
    )
    assert kvstore.client.store.asked[-1] == ("carts", {"partition": None, "check": False})


def test_what_was_mended_is_told(kvstore: CommandLine) -> None:
    kvstore.client.store.comparisons = [pair("n2"), pair("n3", differing=5, pulled=1, pushed=4)]
    run = kvstore("cluster", "repair", "-o", "table", "--partition", "3", "--timeout", "9s")
    assert run.code == 0 and "n3    mended" in run.text
    assert run.text.endswith("1 pair equal · 5 keys differed, 5 brought up to date\n")
    assert kvstore.client.store.asked[-1] == ("", {"partition": 3, "check": False, "timeout": 9.0})


def test_a_check_that_finds_something_ends_with_1(kvstore: CommandLine) -> None:
    kvstore.client.store.comparisons = [pair("n2", differing=5)]
    run = kvstore("cluster", "repair", "--check", "-o", "table")
    assert run.code == 1 and "DIFFERENT" in run.text and "nothing was changed" in run.text


def test_a_replica_that_is_down_ends_with_5(kvstore: CommandLine) -> None:
    kvstore.client.store.comparisons = [pair("n2", differing=5, pushed=5), pair("n3", "n3 is down")]
    run = kvstore("cluster", "repair", "-o", "table")
    assert run.code == 5
    assert run.text.splitlines()[2].split()[:6] == ["carts", "p03", "n1", "n3", "NOT", "COMPARED"]
    assert "1 pair NOT COMPARED\n  n3 is down\n" in run.text
    document = json.loads(kvstore("cluster", "repair", "-o", "json").text)
    assert (document["complete"], document["differing"]) == (False, 5)
    assert document["pairs"][1]["failed"] == "n3 is down" and document["pairs"][0]["pushed"] == 5


def test_nothing_to_compare(kvstore: CommandLine) -> None:
    run = kvstore("cluster", "repair", "-o", "table")
    assert run.code == 0 and "no two replicas to compare" in run.text


def node(name: str, failed: str = "", damaged: int = 0) -> Scrubbing:
    return Scrubbing(node=name, failed=failed, rows=1200, bytes=4096, damaged=damaged, mending=damaged, ms=3)


def test_disks_that_are_sound(kvstore: CommandLine) -> None:
    kvstore.client.store.scrubbings = [node("n1"), node("n2")]
    run = kvstore("cluster", "scrub", "-o", "table")
    assert run.code == 0 and run.text.endswith("\n2,400 rows read, all sound\n")
    assert run.text.splitlines()[1].split() == ["n1", "sound", "1,200", "4", "KiB", "0", "0", "3"]


def test_damage_and_nodes_that_are_down(kvstore: CommandLine) -> None:
    kvstore.client.store.scrubbings = [node("n1"), node("n2", damaged=2)]
    run = kvstore("cluster", "scrub", "n2", "-o", "table")
    assert run.code == 1 and "DAMAGED" in run.text and "2,400 rows read, 2 damaged" in run.text
    kvstore.client.store.scrubbings.append(node("n3", "n3 is down"))
    run = kvstore("cluster", "scrub", "-o", "table")
    assert run.code == 5 and "n3    NOT READ" in run.text and "  n3: n3 is down\n" in run.text
    document = json.loads(kvstore("cluster", "scrub", "-o", "json").text)
    assert (document["complete"], document["damaged"], document["nodes"][2]["rows"]) == (False, 2, None)


def test_hints_of_all_nodes(kvstore: CommandLine) -> None:
    none = {"waiting": {}, "kept": {}, "returned": 0, "dropped": 0, "refused": 0}
    kvstore.client.store.reports = [report(name, hints=dict(none)) for name in NODES]
    run = kvstore("cluster", "hints", "-o", "table")
    assert run.code == 0 and run.text == "no hints wait\n0 returned, 0 dropped since the nodes started\n"
    kvstore.client.store.reports[0]["hints"] = none | {"waiting": {"n3": 17}, "kept": {"n3": 2}, "returned": 5}
    kvstore.client.store.reports[1] = {"node": "n2", "healthy": False, "problems": ["it does not answer"]}
    assert kvstore("cluster", "hints", "-o", "table").text == (
        "node  keeps for  waiting  kept\n"
        "n1    n3              17     2\n"
        "\n"
        "5 returned, 0 dropped since the nodes started\n"
    )
    document = json.loads(kvstore("cluster", "hints", "-o", "json").text)
    assert document["hints"] == [{"node": "n1", "target": "n3", "waiting": 17, "kept": 2}]
    assert "1 partition · 2 hints\n" in kvstore("status", "-o", "table").text
