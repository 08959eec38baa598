"""kvstore local: the verbs over a cluster that only remembers what was done to it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvstore.cli.registry import Parsed
from kvstore.cli.verbs import local
from kvstore.core.errors import InvalidRequest, NotConnected, NotReady
from kvstore.local import clusters, processes
from kvstore.local import status as statuses
from kvstore.local.status import ClusterStatus, NodeStatus
from tests.cli.fake_client import CommandLine
from tests.cli.shell.speaking import Speaking


@dataclass
class Cluster:
    """What kvstore.local would hand out."""

    folder: Path
    name: str = "demo"
    keep: bool = False
    states: dict[str, str] = field(default_factory=lambda: {"n1": "up", "n2": "up", "n3": "up"})
    done: list[str] = field(default_factory=list)
    url: str = "kv://127.0.0.1:7401"

    @property
    def nodes(self) -> list[str]:
        return list(self.states)

    @property
    def record(self) -> Any:
        nodes = [SimpleNamespace(id=n, zone="z1", client=f"{n}:1", http=f"{n}:2") for n in self.states]
        return SimpleNamespace(name=self.name, url=self.url, nodes=nodes, keep=self.keep)

    def node(self, n: str) -> Any:
        name = n if n in self.states else f"n{n}"
        if name not in self.states:
            raise InvalidRequest(f"there is no node {n}: expected one of n1, n2, n3 or 1 to 3")
        return SimpleNamespace(id=name)

    def state(self, n: str) -> str:
        return self.states[n]

    def _do(self, what: str, n: str, state: str) -> None:
        self.done.append(f"{what} {n}")
        self.states[n] = state

    def kill(self, n: str) -> None:
        self._do("kill", n, "killed")

    def partition(self, *sides: list[str]) -> None:
        self.done.append("partition " + " | ".join(" ".join(self.node(n).id for n in side) for side in sides))

    def heal(self) -> None:
        self.done.append("heal")

    def stop(self, n: str) -> None:
        self._do("stop", n, "stopped")

    def start(self, n: str, wait: bool) -> None:
        if (self.folder / "broken").exists():
            raise NotReady("node n1 ended before it was ready; the end of its log:\nno reason", node=n)
        self._do("start", n, "up")

    def restart(self, n: str, wait: bool) -> None:
        self._do("restart", n, "up")

    def wait_ready(self, nodes: list[str]) -> None:
        self.done.append(f"wait for {' '.join(nodes)}")

    def pause(self, n: str) -> None:
        self._do("pause", n, "paused")

    def resume(self, n: str) -> None:
        self._do("resume", n, "up")

    def down(self) -> None:
        self.done.append("down")

    def logs(self, n: str, bytes_max: int) -> str:
        return "".join(f"line {number}\n" for number in range(100))

    def log_path(self, n: str) -> Path:
        return self.folder / f"{n}.log"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster(tmp_path)
    asked: list[object] = []

    def attach(name: str | None = None) -> Cluster:
        asked.append(name)
        if name not in (None, "demo"):
            raise NotConnected(f"no local cluster is called {name}")
        return found

    def up(**given: Any) -> Cluster:
        found.done.append(f"up {given['n']} {given['name']} {given['keep']}")
        found.keep = given["keep"]
        return found

    monkeypatch.setattr(clusters, "attach", attach)
    monkeypatch.setattr(clusters, "up", up)
    return found


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine(unreachable=True)


def test_up_says_where_it_is_and_what_to_try(kvstore: CommandLine, cluster: Cluster) -> None:
    run = kvstore("local", "up", "-n", "5", "--name", "five", "--keep", "-o", "table")
    assert cluster.done == ["up 5 five True"]
    assert run.err == "starting 5 nodes ...\n"
    lines = run.text.splitlines()
    assert lines[0].startswith("demo: 3 nodes ready in ")
    assert lines[1:3] == ["  clients  kv://127.0.0.1:7401", "  status   http://n1:2/api/v1/status"]
    assert "kvstore put hello world" in lines[4]
    assert kvstore("local", "up", "-q").text == "kv://127.0.0.1:7401\n"
    assert json.loads(kvstore("local", "up", "-o", "json").out)["nodes"][0]["state"] == "up"


def test_no_nodes_are_not_three(kvstore: CommandLine, cluster: Cluster) -> None:
    kvstore("local", "up", "-n", "0")
    assert cluster.done == ["up 0 None False"]  # and clusters.up says how many there may be


def test_up_in_a_shell_that_is_nowhere_connects_it(cluster: Cluster) -> None:
    shell = Speaking(is_terminal=True)
    assert "the shell talks to fake now" in shell.say("local up")
    assert [settings.cluster for settings in shell.line.settings] == ["demo"]
    assert "\\c demo connects to it" in shell.say("local up")


def test_up_in_a_shell_whose_cluster_had_these_addresses_connects_it_anew(cluster: Cluster) -> None:
    shell = Speaking(is_terminal=True)
    shell.say("get a")
    cluster.url = f"kv://{','.join(shell.shell.context.connection.endpoints)}"
    assert "the shell talks to fake now" in shell.say("local up")
    assert [settings.cluster for settings in shell.line.settings] == [None, "demo"]
    assert shell.line.client.store.closed == 1


def test_up_takes_a_number_or_a_file(kvstore: CommandLine, cluster: Cluster) -> None:
    assert kvstore("local", "up", "-n", "5", "--file", "five.toml").code == 2
    assert cluster.done == []


@pytest.mark.parametrize(
    ("verb", "did", "state"),
    [("kill", "killed", "killed"), ("stop", "stopped", "stopped"), ("restart", "restarted", "up"),
     ("pause", "paused", "paused"), ("resume", "resumed", "up"), ("start", "started", "up")],
)  # fmt: skip
def test_acts_on_nodes(kvstore: CommandLine, cluster: Cluster, verb: str, did: str, state: str) -> None:
    run = kvstore("local", verb, "2")
    assert run.code == 0
    assert [done for done in cluster.done if not done.startswith("wait")] == [f"{verb} n2"]
    assert ("wait for n2" in cluster.done) == (verb in ("start", "restart"))
    up = 3 if state == "up" else 2
    assert run.text.startswith(f"n2 {did} in ")
    assert run.text.endswith(f"; {up} of 3 nodes up\n")


@pytest.mark.parametrize(
    ("words", "done", "said"),
    [
        (["1", "/", "2,3"], "partition n1 | n2 n3", "the network is cut: n1 | n2 n3"),
        (["1|2", "3"], "partition n1 | n2 n3", "the network is cut: n1 | n2 n3"),
        (["n2"], "partition n2", "the network is cut: n2 | n1 n3"),
    ],
)
def test_the_network_is_cut_and_healed(
    kvstore: CommandLine, cluster: Cluster, words: list[str], done: str, said: str
) -> None:
    ran = kvstore("local", "partition", *words)
    assert ran.code == 0 and said in ran.out.decode() + ran.err
    assert kvstore("local", "heal").code == 0
    assert cluster.done == [done, "heal"]


def test_losing_the_majority_is_said(kvstore: CommandLine, cluster: Cluster) -> None:
    run = kvstore("local", "kill", "1", "n3")
    assert "1 of 3 nodes up: no majority, nothing can be read or written" in run.text
    assert cluster.done == ["kill n1", "kill n3"]


def test_a_cluster_that_is_down_starts_all_at_once(kvstore: CommandLine, cluster: Cluster) -> None:
    cluster.states = dict.fromkeys(cluster.states, "killed")
    assert "no majority" in kvstore("local", "start", "1").text
    assert cluster.done == ["start n1"]  # alone it would never be ready
    assert kvstore("local", "start", "2", "3").text.endswith("; 3 of 3 nodes up\n")
    assert cluster.done == ["start n1", "start n2", "start n3", "wait for n2 n3"]


def test_several_restart_one_after_the_other(kvstore: CommandLine, cluster: Cluster) -> None:
    kvstore("local", "restart", "1", "2")
    assert cluster.done == ["restart n1", "wait for n1", "restart n2", "wait for n2"]


def test_an_unknown_node_stops_before_anything_is_done(kvstore: CommandLine, cluster: Cluster) -> None:
    run = kvstore("local", "kill", "1", "9")
    assert run.code == 2
    assert "there is no node 9" in run.err
    assert cluster.done == []


def test_a_node_that_does_not_come_up_names_its_log(kvstore: CommandLine, cluster: Cluster) -> None:
    (cluster.folder / "broken").touch()
    run = kvstore("local", "start", "1")
    assert run.code == 5
    assert run.err.endswith("no reason\n  all it said: kvstore local logs n1 --lines 0\n")


def test_another_cluster_is_chosen_by_name(kvstore: CommandLine, cluster: Cluster) -> None:
    assert kvstore("local", "kill", "1", "-c", "demo").code == 0
    assert kvstore("local", "kill", "1", "-c", "other").code == 8
    assert kvstore("local", "down", "other").code == 8
    assert kvstore("local", "kill", "2", "-c", "kv://h:1").code == 0  # an address names no local cluster


def test_down(kvstore: CommandLine, cluster: Cluster) -> None:
    assert kvstore("local", "down").text == "demo is down; its data is removed\n"
    cluster.keep = True
    assert kvstore("local", "down", "demo").text == f"demo is down; its data stays in {cluster.folder}\n"


def test_logs(kvstore: CommandLine, cluster: Cluster) -> None:
    assert kvstore("local", "logs", "1").text.count("\n") == 40
    assert kvstore("local", "logs", "1", "--lines", "2").text == "line 98\nline 99\n"
    assert kvstore("local", "logs", "1", "--lines", "0").text.count("\n") == 100


def test_logs_follow_until_ctrl_c(kvstore: CommandLine, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    log = cluster.log_path("n1")
    log.write_text("one\ntwo\n")
    naps = iter(["three\n", None])

    def sleep(seconds: float) -> None:
        more = next(naps)
        if more is None:
            raise KeyboardInterrupt
        with log.open("a") as file:
            file.write(more)

    monkeypatch.setattr(local.time, "sleep", sleep)
    run = kvstore("local", "logs", "1", "-f", "--lines", "1")
    assert (run.text, run.code) == ("two\nthree\n", 130)


def test_env(kvstore: CommandLine, cluster: Cluster) -> None:
    assert kvstore("local", "env").text == "export KVSTORE_URL=kv://127.0.0.1:7401\n"


def test_ls_and_rm(kvstore: CommandLine, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    info = clusters.ClusterInfo("demo", "kv://h:1", "somewhere", (("n1", "up"), ("n2", "killed")), True, 1.7e9)
    monkeypatch.setattr(clusters, "list_clusters", lambda: [info])
    removed: list[str] = []
    stub = SimpleNamespace(remove=lambda: removed.append("demo"))
    monkeypatch.setattr(processes, "LocalCluster", lambda folder: stub)
    assert kvstore("local", "ls").text == "demo\t1/2 up\tkv://h:1\tyes\t2023-11-14T22:13:20.000Z\tsomewhere\n"
    assert kvstore("local", "rm", "other", "--yes").code == 8
    assert kvstore("local", "rm", "demo").code == 2
    assert removed == []
    assert kvstore("local", "rm", "demo", "--yes").code == 0
    assert removed == ["demo"]
    monkeypatch.setattr(clusters, "list_clusters", list)
    assert "kvstore local up starts one" in kvstore("local", "ls", "-o", "table").text


def test_status(kvstore: CommandLine, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"n1": "up", "n2": "killed"}
    nodes = tuple(NodeStatus(n, "z1", s, 1.7e9, "c:1", "h:2", 7, None) for n, s in states.items())
    monkeypatch.setattr(statuses, "status", lambda cluster: ClusterStatus("demo", "kv://c:1", "dir", nodes))
    run = kvstore("local", "status")
    assert run.code == 5
    assert run.text.splitlines()[0] == "demo: 1 of 2 nodes up"
    assert "n2\tz1\tDOWN (killed)\t2023-11-14T22:13:20.000Z\t7\tc:1\th:2" in run.text
    assert json.loads(kvstore("local", "status", "-o", "json").out)["healthy"] is False


def test_a_folder_that_cannot_be_made(kvstore: CommandLine, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def up(**given: Any) -> None:
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr(clusters, "up", up)
    run = kvstore("local", "up")
    assert run.code == 1
    assert "the cluster cannot be started" in run.err


def test_last_lines() -> None:
    assert local._last_lines("a\nb\nc\n", 2) == "b\nc"
    assert Parsed({"lines": 0}).number("lines") == 0
