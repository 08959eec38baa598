"""LocalCluster keeps its word about processes and folders. The nodes here are stand-ins: see fake_node.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.core.errors import ConfigError, ForeignData, InvalidRequest, NotConnected, NotReady, VersionSkew
from kvstore.local import records
from kvstore.local.probes import what_is_missing
from kvstore.local.process import wait_until
from kvstore.local.processes import LocalCluster, environment
from kvstore.local.topology import Topology
from kvstore.server.config_file import read_config

FAKE = (sys.executable, str(Path(__file__).with_name("fake_node.py")))
PATIENCE_S = 60.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster.create(Topology.plain(3), folder=tmp_path / "demo", command=FAKE) as made:
        yield made


def order(cluster: LocalCluster, n: int, what: str) -> None:
    """Tell a stand-in how to behave from its next start on."""
    (cluster.data_path(n) / "order").write_text(what)


def runs(cluster: LocalCluster, n: int) -> int:
    return len((cluster.data_path(n) / "runs").read_text())


def test_every_node_runs_with_a_configuration_of_its_own(cluster: LocalCluster) -> None:
    assert cluster.nodes == ["n1", "n2", "n3"]
    assert [cluster.state(n) for n in (1, "n2", "3")] == ["up"] * 3
    configs = [read_config(cluster.folder / node / "node.toml") for node in cluster.nodes]
    assert [config.node.id for config in configs] == cluster.nodes
    assert [config.node.zone for config in configs] == ["z1", "z2", "z3"]
    assert {config.cluster for config in configs} == {configs[0].cluster}
    assert configs[1].node.data == str(cluster.data_path(2))
    assert cluster.url == "kv://" + ",".join(member.client for member in configs[0].cluster.nodes)
    assert "node n2 begins demo" in cluster.logs(2)


def test_settings_reach_every_node(tmp_path: Path) -> None:
    topology = Topology.plain(
        2, settings={"raft": {"heartbeat_ms": 50, "lease_reads": False}, "log": {"level": "error"}}
    )
    with LocalCluster.create(topology, folder=tmp_path / "demo", command=FAKE) as cluster:
        raft = [read_config(cluster.folder / node / "node.toml").raft for node in cluster.nodes]
        assert [(part.heartbeat_ms, part.lease_reads) for part in raft] == [(50, False)] * 2


def test_settings_that_do_not_fit_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"raft\.heartbeat_ms: expected at most half"):
        LocalCluster.create(Topology.plain(1, settings={"raft": {"heartbeat_ms": 500}}), folder=tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_kill_start_stop_restart(cluster: LocalCluster) -> None:
    cluster.kill(2)
    assert cluster.state(2) == "killed"
    cluster.start(2)
    assert (cluster.state(2), runs(cluster, 2)) == ("up", 2)
    assert not (cluster.data_path(2) / "clean").exists()
    assert cluster.stop(2) is True
    assert cluster.state(2) == "stopped"
    assert (cluster.data_path(2) / "clean").exists()
    cluster.restart(2)
    cluster.restart(2)
    assert (cluster.state(2), runs(cluster, 2)) == ("up", 4)


def test_a_paused_node_says_nothing_and_goes_on(cluster: LocalCluster) -> None:
    cluster.pause(3)
    assert wait_until(lambda: cluster.state(3) == "paused", PATIENCE_S)
    with pytest.raises(NotReady, match=r"node n3 was not ready after 0\.05 s"):
        cluster.wait_ready([3], seconds=0.05)
    cluster.resume(3)
    cluster.wait_ready([3])
    assert runs(cluster, 3) == 1


def test_a_paused_node_is_stopped_cleanly(cluster: LocalCluster) -> None:
    cluster.pause(1)
    assert cluster.stop(1) is True


def test_a_node_that_lingers_is_killed(cluster: LocalCluster) -> None:
    cluster.stop(1)
    order(cluster, 1, "linger")
    cluster.start(1)
    assert cluster.stop(1, seconds=0.05) is False
    assert cluster.state(1) == "stopped"


def test_acts_that_make_no_sense_are_refused(cluster: LocalCluster) -> None:
    with pytest.raises(InvalidRequest, match="n1 is running already"):
        cluster.start(1)
    with pytest.raises(InvalidRequest, match="n1 is running: stop or kill it first"):
        cluster.wipe(1)
    cluster.kill(1)
    for act in (cluster.kill, cluster.stop, cluster.pause, cluster.resume):
        with pytest.raises(InvalidRequest, match=r"n1 is not running \(killed\)"):
            act(1)
    for name in (0, 4, "n4", "-1", ""):
        with pytest.raises(InvalidRequest, match="expected one of n1, n2, n3 or 1 to 3"):
            cluster.kill(name)


def test_a_wiped_node_comes_back_empty(cluster: LocalCluster) -> None:
    cluster.kill(2)
    cluster.wipe(2)
    cluster.start(2)
    assert runs(cluster, 2) == 1


def test_a_node_that_dies_at_start_is_reported_with_its_last_words(cluster: LocalCluster) -> None:
    cluster.kill(2)
    order(cluster, 2, "die")
    with pytest.raises(NotReady) as caught:
        cluster.start(2)
    assert "node n2 ended before it was ready" in str(caught.value)
    assert "nothing goes without a reason" in str(caught.value)
    assert cluster.state(2) == "ended"
    with pytest.raises(NotReady):
        cluster.wait_ready()


def test_a_node_that_never_gets_ready_is_reported(cluster: LocalCluster) -> None:
    cluster.kill(2)
    order(cluster, 2, "mute")
    cluster.start(2, wait=False)
    http = cluster.node(2).http
    assert wait_until(lambda: what_is_missing(http) == "not ready: mute by order", PATIENCE_S)
    with pytest.raises(NotReady, match=r"node n2 was not ready after 0\.05 s \(not ready: mute by order\)"):
        cluster.wait_ready(seconds=0.05)
    assert cluster.state(2) == "up"


def test_a_cluster_that_cannot_start_goes_away(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="/no/such/program: not found"):
        LocalCluster.create(Topology.plain(2), folder=tmp_path / "demo", command=["/no/such/program"])
    assert not (tmp_path / "demo").exists()


def test_logs_are_cut_at_a_line(cluster: LocalCluster) -> None:
    with cluster.log_path(1).open("w") as log:
        log.writelines(f"line {i}\n" for i in range(1000))
    assert cluster.logs(1, 20).splitlines() == ["line 998", "line 999"]
    assert len(cluster.logs(1, 0).splitlines()) == 1000


def test_nothing_is_left_after_down(cluster: LocalCluster) -> None:
    cluster.pause(1)
    processes = cluster.record.alive
    assert len(processes) == 3
    cluster.down()
    assert not any(process.is_alive for process in processes)
    assert not cluster.folder.exists()
    with pytest.raises(NotConnected, match="no local cluster"):
        cluster.kill(1)
    cluster.down()


def test_foreign_files_stay(tmp_path: Path) -> None:
    with LocalCluster.create(Topology.plain(1), folder=tmp_path / "demo", command=FAKE) as cluster:
        (cluster.folder / "notes.txt").write_text("mine")
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["notes.txt"]
    with pytest.raises(InvalidRequest, match="expected a new or empty folder"):
        LocalCluster.create(Topology.plain(1), folder=tmp_path / "demo", command=FAKE)


def test_kept_data_survives_and_is_used_again(tmp_path: Path) -> None:
    with LocalCluster.create(Topology.plain(1), folder=tmp_path / "demo", keep=True, command=FAKE) as cluster:
        order(cluster, 1, "")
    assert (cluster.state(1), cluster.record.alive) == ("stopped", [])
    assert (cluster.data_path(1) / "clean").exists()
    again = LocalCluster(tmp_path / "demo")
    again.launch(bound=True)
    assert runs(again, 1) == 2
    again.remove()
    assert not (tmp_path / "demo").exists()


def test_a_block_that_raises_ends_the_cluster(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        LocalCluster.create(Topology.plain(2), folder=tmp_path / "demo", command=FAKE) as cluster,
    ):
        processes = cluster.record.alive
        print(1 / 0)
    assert not any(process.is_alive for process in processes)


PARENT = """
import sys
from kvstore.local.processes import LocalCluster
from kvstore.local.topology import Topology
cluster = LocalCluster.create(Topology.plain(2), folder=sys.argv[1], command=sys.argv[2:])
cluster.pause(2)
print("up", flush=True)
input()
"""


def test_a_cluster_ends_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    """Even if that one is killed, and a node is paused, and somebody else restarted another."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "demo"), *FAKE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        cluster = LocalCluster(tmp_path / "demo")
        cluster.restart(1)
        processes = cluster.record.alive
        assert len(processes) == 2
        parent.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not (tmp_path / "demo").exists(), PATIENCE_S)
    assert not any(process.is_alive for process in processes)


RESTARTER = """
import sys
from kvstore.local.processes import LocalCluster
for _ in range(5):
    LocalCluster(sys.argv[1]).restart(1)
"""


def test_two_processes_do_not_act_at_once(cluster: LocalCluster) -> None:
    """Many restarts from outside and from here end in one process per node, all of them written down."""
    command = [sys.executable, "-c", RESTARTER, str(cluster.folder)]
    with subprocess.Popen(command, env=environment()) as other:
        for _ in range(5):
            cluster.restart(2)
        assert other.wait() == 0
    assert (runs(cluster, 1), runs(cluster, 2)) == (6, 6)
    assert [cluster.state(n) for n in cluster.nodes] == ["up"] * 3


def test_a_state_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / records.STATE).write_text("[]")
    with pytest.raises(ForeignData, match="not the state of a local cluster"):
        LocalCluster(tmp_path)
    record = records.ClusterRecord("demo", 0.0, False, False, [], [], format=2)
    records.save(tmp_path, record)
    with pytest.raises(VersionSkew, match="format 2, this version reads 1"):
        LocalCluster(tmp_path)


def test_nodes_get_our_environment_and_our_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["x", "y"]))
    monkeypatch.setenv("SOME_WORD", "here")
    made = environment()
    assert made["SOME_WORD"] == "here"
    assert made["PYTHONPATH"].split(os.pathsep) == [str(Path(__file__).parents[2]), "x", "y"]
