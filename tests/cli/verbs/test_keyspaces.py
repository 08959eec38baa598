"""keyspace create, list, describe, drop against a fake client."""

import json

import pytest

from tests.cli.fake_client import CommandLine


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine()


def test_create_and_list(kvstore: CommandLine) -> None:
    made = kvstore("keyspace", "create", "carts", "-n", "5", "--partitions", "16", "-o", "table")
    assert made.text == "OK  keyspace carts: leader mode, n=5, 16 partitions\n"
    assert kvstore("keyspace", "create", "other").text == "other\n"
    assert kvstore("keyspace", "list", "-o", "table").text == (
        "name     mode    n  partitions  acks      value up to  history  for seconds\n"
        "carts    leader  3           8  majority        1 MiB       16          600\n"
        "default  leader  3           8  majority        1 MiB       16          600\n"
        "other    leader  3           8  majority        1 MiB       16          600\n"
        "(3 keyspaces)\n"
    )
    assert kvstore("keyspace", "list").text.splitlines()[0].startswith("carts\tleader\t3\t8\tmajority\t\t\t\t1048576")


def test_limits_reach_the_cluster(kvstore: CommandLine) -> None:
    kvstore(
        "keyspace", "create", "a", "--value-bytes-max", "64KiB", "--history", "10m", "--history-versions", "3",
        "--wait-for", "all",
    )  # fmt: skip
    assert kvstore.client.store.asked[-1] == (
        "a",
        {"value_bytes_max": 65536, "history_seconds": 600, "history_versions": 3, "acks": "all"},
    )


@pytest.mark.parametrize("mode", ["multileader", "leaderless"])
def test_modes_that_are_not_built_are_refused(kvstore: CommandLine, mode: str) -> None:
    run = kvstore("keyspace", "create", "x", "--mode", mode)
    assert run.code == 2
    assert f"mode {mode} is not yet available" in run.err


def test_a_keyspace_that_exists(kvstore: CommandLine) -> None:
    taken = kvstore("keyspace", "create", "default")
    assert taken.code == 2
    assert "--if-absent" in taken.err
    assert kvstore("keyspace", "create", "default", "--if-absent").code == 0


def test_describe(kvstore: CommandLine) -> None:
    text = kvstore("keyspace", "describe", "-o", "table").text
    assert text.startswith("default\n  mode       leader\n  replicas   3 of each partition\n  partitions 8\n")
    assert "history    up to 16 old versions of a key, for 10 min" in text
    assert "p07        n1      n1* n2 n3      8\n" in text
    document = json.loads(kvstore("keyspace", "describe", "default", "-o", "json").out)
    assert document["layout"][0] == {"partition": "p00", "leader": "n1", "replicas": ["n1", "n2", "n3"], "group": 1}
    assert kvstore("keyspace", "describe", "none").code == 2


def test_drop_asks(kvstore: CommandLine) -> None:
    kvstore("keyspace", "create", "a")
    assert kvstore("keyspace", "drop", "a").code == 2
    assert kvstore("keyspace", "drop", "a", stdin=b"\n", is_terminal=True).code == 1
    assert "a" in kvstore.client.store.keyspaces
    assert kvstore("keyspace", "drop", "a", "--yes").text == "a\n"
    assert kvstore("keyspace", "drop", "a", "--yes").code == 2
    assert kvstore("keyspace", "drop", "a", "--yes", "--if-exists").code == 0
