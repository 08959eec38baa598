"""Keys of a leaderless keyspace on the command line: siblings shown and resolved, contexts, levels."""

import json
from collections.abc import Iterator

import pytest

from kvstore.client.client import Client
from tests.cli.fake_client import CommandLine
from tests.cli.leaderless import leaderless_line
from tests.cli.shell.speaking import Speaking
from tests.client.fake_cluster import FakeCluster
from tests.client.fake_leaderless import LeaderlessCluster

Line = tuple[CommandLine, Client, LeaderlessCluster]


@pytest.fixture
def line() -> Iterator[Line]:
    with leaderless_line() as made:
        _, db, _ = made
        db.put("cart:42", b'{"milk": 1}')
        db.put("cart:42", b'{"tea": 2}')
        db.put("user:1", b"Ada")
        yield made


def test_get_shows_siblings_to_people(line: Line) -> None:
    run = line[0]("get", "cart:42", is_terminal=True)
    shown = run.text.splitlines()
    assert run.code == 4
    assert shown[0] == "! cart:42 has 2 siblings"
    assert shown[1].split() == ["#", "value", "written"]
    assert shown[2].startswith('1  {"milk": 1}') and shown[3].startswith('2  {"tea": 2}')
    assert shown[4] == "resolve cart:42 --pick N | --value V"


def test_get_in_json_has_them_all_with_their_versions(line: Line) -> None:
    run = line[0]("get", "cart:42", "-o", "json")
    document = json.loads(run.text)
    assert run.code == 4 and document["key"] == "cart:42"
    assert [one["value"] for one in document["siblings"]] == ['{"milk": 1}', '{"tea": 2}']
    put = line[0]("put", "cart:42", "both", "--context", document["version"])
    assert put.code == 0 and line[0]("get", "cart:42").text == "both\n"


@pytest.mark.parametrize("words", [["get", "cart:42"], ["get", "cart:42", "--raw"], ["get", "cart:42", "-o", "csv"]])
def test_a_pipe_gets_one_value_or_none(line: Line, words: list[str]) -> None:
    run = line[0](*words)
    assert (run.code, run.out) == (4, b"")
    assert run.err.startswith("error: cart:42 has 2 siblings\n") and "resolve KEY" in run.err


def test_get_of_several_keys_goes_on(line: Line) -> None:
    run = line[0]("get", "user:1", "cart:42", "nobody")
    assert run.code == 4 and run.text == "user:1\tAda\ncart:42\t\nnobody\t\n"
    assert run.err == "! cart:42 has 2 siblings\n"
    run = line[0]("get", "user:1", "cart:42", "--meta")
    assert run.code == 4 and [len(row.split("\t")) for row in run.text.splitlines()] == [4, 4]
    assert line[0]("get", "user:1", "nobody").code == 0


def test_siblings_and_resolve(line: Line) -> None:
    kvstore, db, _ = line
    assert kvstore("siblings", "cart:42", is_terminal=True).text.splitlines()[1].startswith('1  {"milk": 1}')
    assert kvstore("siblings", "nobody").code == 3
    assert kvstore("resolve", "cart:42").code == 2
    assert kvstore("resolve", "cart:42", "--pick", "3").err.startswith("error: there is no sibling 3: cart:42 has 2")
    assert "exclude each other" in kvstore("resolve", "cart:42", "--pick", "1", "--value", "x").err
    run = kvstore("resolve", "cart:42", "--pick", "2", is_terminal=True)
    assert run.code == 0 and run.text.startswith('OK  {"tea": 2}') and db.get("cart:42") == b'{"tea": 2}'
    db.put("cart:42", b"again")
    assert kvstore("resolve", "cart:42", "--value", "-", stdin=b"from a pipe").code == 0
    assert db.get("cart:42") == b"from a pipe"


def test_a_put_beside_another_is_told(line: Line) -> None:
    run = line[0]("put", "user:1", "Eve")
    assert run.code == 0 and run.err == "! user:1 has 2 siblings now; resolve puts one in their place\n"
    run = line[0]("put", "user:1", "Eve", "--if-absent")
    assert run.code == 2 and "is leaderless" in run.err and "put KEY VALUE --context V" in run.err
    assert "Nothing was written" in run.err


def test_del_takes_what_is_there_or_what_was_seen(line: Line) -> None:
    kvstore, db, _ = line
    version = kvstore("put", "a", "1").text.strip()
    db.put("a", b"2")
    assert kvstore("del", "a", "--context", version).code == 0 and db.get("a") == b"2"
    assert kvstore("del", "cart:42").code == 0 and kvstore("del", "cart:42").code == 3
    assert kvstore("del", "a", "user:1", "nobody", "-o", "table").text.startswith("OK  2 keys deleted, 1 did not exist")
    assert kvstore("del", "--prefix", "", "--yes").code == 0


def test_a_scan_goes_on_and_says_what_it_could_not_show(line: Line) -> None:
    run = line[0]("scan")
    assert run.code == 0 and run.text == "cart:42\t\nuser:1\tAda\n" and run.err == "! cart:42 has 2 siblings\n"
    assert line[0]("scan", "--keys").text == "cart:42\nuser:1\n"


def test_importing_twice_leaves_no_siblings(line: Line) -> None:
    kvstore, db, _ = line
    lines = b'{"key": "cart:42", "value": "one"}\n{"key": "new", "value": "1"}\n{"key": "new", "value": "2"}\n'
    for _ in range(2):
        assert kvstore("import", "-", stdin=lines).code == 0
    assert db.get_many(["cart:42", "new"]) == {"cart:42": b"one", "new": b"2"}
    assert kvstore("export", "new").text == '{"key":"new","value":"2"}\n'


def test_levels_reach_the_nodes_and_wrong_ones_are_refused(line: Line) -> None:
    kvstore, _, cluster = line
    assert kvstore("get", "user:1", "--read", "all").code == 0
    assert kvstore("put", "b", "1", "--write", "1", "--sloppy", "yes").code == 0
    calls = [call for node in cluster.nodes for call in cluster.calls(node)]
    assert 3 in [call.read.read_quorum for call in calls]
    assert (1, 1) in [(call.write.write_quorum, call.write.sloppy) for call in calls]
    run = kvstore("get", "user:1", "--read", "7")
    assert run.code == 2 and "from 1 to 3" in run.err
    run = kvstore("get", "user:1", "--consistency", "leader")
    assert run.code == 2 and "allowed: read=one|quorum|all" in run.err
    assert kvstore("put", "b", "1", "--sloppy", "perhaps").code == 2


def test_looking(line: Line) -> None:
    kvstore, _, cluster = line
    first = cluster.coordinator_of(b"user:1").name
    row = kvstore("where", "user:1", is_terminal=True).text.splitlines()[1].split()
    assert row[3] == "-" and row[4] == f"{first}*"
    assert kvstore("bigkeys", "-o", "json").code == 0
    assert json.loads(kvstore("latency", "--seconds", "50ms", "-o", "json").text)["consistency"] == "read=2"
    put = json.loads(kvstore("put", "c", "1", "-o", "json").text)
    assert kvstore("outcome", put["operation"]).text == "written\n"
    told = kvstore("keyspace", "describe", "default", is_terminal=True).text
    assert "2 replicas answer" in told and "concurrent values stay" in told
    assert kvstore("keyspace", "list", is_terminal=True).text.splitlines()[0].split()[:7] == [
        "name", "mode", "n", "partitions", "r", "w", "conflicts",
    ]  # fmt: skip


def test_in_the_shell(line: Line) -> None:
    kvstore, db, cluster = line
    shell = Speaking(kvstore, is_terminal=True)
    assert shell.say("get cart:42").startswith("! cart:42 has 2 siblings\n") and shell.code == 4
    peeked = shell.say("\\peek cart:42")
    assert "2 siblings, shown below" in peeked and '2  {"tea": 2}' in peeked and "* is asked first" in peeked
    assert "value      Ada" in shell.say("\\peek user:1")
    assert shell.say("\\cl read=one write=2 sloppy=yes") == "read=one  write=2  sloppy=yes\n"
    shell.say("put b 1")
    calls = [call for node in cluster.nodes for call in cluster.calls(node) if call.HasField("write")]
    assert (2, 1) in [(call.write.write_quorum, call.write.sloppy) for call in calls]
    refused = shell.say("\\cl read=follower")
    assert "this keyspace is leaderless" in refused and "sloppy=yes|no" in refused
    cluster.keyspaces["led"] = FakeCluster.add_keyspace(cluster, "led")
    cluster.publish()
    assert shell.say("use led") == "keyspace led (leader); levels are the keyspace's own again, see \\cl\n"
    assert shell.say("\\cl") == "read=linearizable (default)  write=as the keyspace says (default)\n"
    assert shell.say("use default") == "keyspace default (leaderless)\n"
    assert shell.say("\\cl").startswith("read=2 (default)  write=2 (default)  sloppy=no (default)")
    assert shell.say("resolve cart:42 --pick 1").startswith('OK  {"milk": 1}') and db.get("cart:42") == b'{"milk": 1}'
