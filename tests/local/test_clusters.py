"""Named clusters are found, not mixed up, and gone or kept as was asked."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kvstore.client.discovery import RunningCluster, discover
from kvstore.core.errors import ConfigError, InvalidRequest, NotConnected, NotReady
from kvstore.local import records
from kvstore.local.clusters import attach, list_clusters, unused_name, up
from kvstore.local.node_files import config_file
from kvstore.local.ports import HOST, free_ports
from kvstore.local.processes import LocalCluster
from kvstore.local.topology import read_topology
from kvstore.node.forms import split_address
from kvstore.server.config_file import read_config

FAKE = (sys.executable, str(Path(__file__).with_name("fake_node.py")))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user of its own for every test; whatever it left running is taken down."""
    for name in ("run", "state", "temporary"):
        (tmp_path / name).mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    yield
    for cluster in list_clusters():
        LocalCluster(cluster.folder).remove()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A cluster file with ports that nobody uses."""
    path = tmp_path / "cluster.toml"
    path.write_text('name = "trial"\nports = {client = 0}\nnodes = [{id = "a"}, {id = "b"}]\n')
    return path


def registered(tmp_path: Path, name: str) -> RunningCluster:
    data = (tmp_path / "run" / "kvstore" / f"{name}.json").read_bytes()
    return msgspec.json.decode(data, type=RunningCluster)


def test_a_cluster_is_found_by_its_name_or_because_it_is_the_only_one(file: Path, tmp_path: Path) -> None:
    cluster = up(file=file, command=FAKE)
    assert (cluster.name, cluster.nodes) == ("trial", ["a", "b"])
    assert attach().folder == attach("trial").folder == cluster.folder
    assert cluster.folder.is_relative_to(tmp_path / "temporary")
    entry = registered(tmp_path, "trial")
    assert (entry.name, entry.url, entry.dir) == ("trial", cluster.url, str(cluster.folder))
    assert entry.pid in [process.pid for process in cluster.record.alive]
    assert [found.url for found in discover()] == [cluster.url]
    attach().kill("a")
    assert cluster.state("a") == "killed"
    (info,) = list_clusters()
    assert (info.nodes, info.running, info.keep) == ((("a", "killed"), ("b", "up")), 1, False)
    attach().down()
    assert list_clusters() == []
    assert list((tmp_path / "run" / "kvstore").iterdir()) == []
    assert not cluster.folder.exists()


def test_the_registered_process_is_one_that_runs(file: Path, tmp_path: Path) -> None:
    cluster = up(file=file, command=FAKE)
    for node, left in (("a", 1), ("b", 0)):
        cluster.kill(node)
        alive = [process.pid for process in cluster.record.alive]
        assert len(alive) == left
        assert registered(tmp_path, "trial").pid == (alive[0] if alive else 0)
    assert attach("trial").folder == cluster.folder, "a cluster with every node killed can still be started again"
    assert discover() == []
    with pytest.raises(NotConnected, match="no local cluster is running"):
        attach()


def test_two_clusters_side_by_side(file: Path) -> None:
    one, two = (up(file=file, name=name, command=FAKE) for name in ("one", "two"))
    assert attach("one").folder == one.folder
    with pytest.raises(InvalidRequest, match=r"several local clusters are running \(one, two\)"):
        attach()
    with pytest.raises(InvalidRequest, match="a local cluster one is running"):
        up(file=file, name="one", command=FAKE)
    one.down()
    assert attach().folder == two.folder
    with pytest.raises(NotConnected, match="no local cluster is called one"):
        attach("one")


def test_kept_data_is_found_again_by_name(file: Path, tmp_path: Path) -> None:
    cluster = up(file=file, keep=True, command=FAKE)
    assert cluster.folder.is_relative_to(tmp_path / "state")
    (cluster.data_path("a") / "mine").write_text("kept")
    cluster.down()
    (info,) = list_clusters()
    assert (info.name, info.running, info.keep) == ("trial", 0, True)
    assert list((tmp_path / "run" / "kvstore").iterdir()) == [], "clients shall not find a cluster that is down"
    again = up(file=file, command=FAKE)
    assert again.folder == cluster.folder
    assert again.url == cluster.url
    assert (again.data_path("a") / "mine").read_text() == "kept"
    again.remove()
    assert list_clusters() == []
    assert not cluster.folder.exists()


def test_a_file_may_change_the_settings_of_kept_data_but_not_its_nodes(file: Path) -> None:
    cluster = up(file=file, keep=True, command=FAKE)
    cluster.down()
    text = file.read_text()
    file.write_text(text + "[raft]\nheartbeat_ms = 77\n")
    up(file=file, command=FAKE).down()
    assert read_config(config_file(cluster.folder, "b")).raft.heartbeat_ms == 77
    file.write_text(text.replace('{id = "b"}', '{id = "c"}'))
    with pytest.raises(InvalidRequest, match="a cluster with the nodes a, b, the file has a, c"):
        up(file=file, command=FAKE)
    up(name="trial", command=FAKE).remove()


def test_a_folder_of_my_own(file: Path, tmp_path: Path) -> None:
    up(file=file, dir=tmp_path / "here", command=FAKE).down()
    assert (tmp_path / "here" / "a" / "data").is_dir()
    with pytest.raises(InvalidRequest, match=r"a local cluster trial is kept in .*here"):
        up(file=file, dir=tmp_path / "there", command=FAKE)
    assert up(file=file, dir=tmp_path / "here", command=FAKE).folder == tmp_path / "here"
    with pytest.raises(InvalidRequest, match="is running already"):
        up(file=file, dir=tmp_path / "here", command=FAKE)


def test_a_port_taken_meanwhile_is_named(file: Path) -> None:
    cluster = up(file=file, keep=True, command=FAKE)
    peer = cluster.node("b").peer
    cluster.down()
    with (
        socket.create_server(split_address(peer)),
        pytest.raises(InvalidRequest, match=f"{peer} of node b is in use by another program"),
    ):
        up(file=file, command=FAKE)


def test_base_ports_are_used_when_they_are_free(tmp_path: Path) -> None:
    (base,) = free_ports(1)
    file = tmp_path / "cluster.toml"
    ports = f"ports = {{client = {base}, http = {base + 1}, peer = {base + 2}}}"
    file.write_text(f'{ports}\nnodes = [{{id = "a"}}]\n')
    first = up(file=file, name="first", command=FAKE).node("a")
    assert [first.client, first.http, first.peer] == [f"{HOST}:{base + i}" for i in (1, 2, 3)]
    second = up(file=file, name="second", command=FAKE).node("a")
    assert {second.client, second.http, second.peer}.isdisjoint({first.client, first.http, first.peer})


def test_what_a_cluster_left_that_ended_is_cleared_away(file: Path) -> None:
    cluster = up(file=file, command=FAKE)
    for node in ("a", "b"):
        cluster.kill(node)
    fresh = up(file=file, command=FAKE)
    assert fresh.folder != cluster.folder
    assert not cluster.folder.exists()


def test_a_cluster_that_cannot_start_is_not_registered(file: Path) -> None:
    with pytest.raises(NotReady):
        up(file=file, command=["/no/such/program"])
    assert list_clusters() == []


def test_a_registration_without_a_cluster_is_passed_over(file: Path, tmp_path: Path) -> None:
    folder = records.runtime_folder()
    folder.mkdir(mode=0o700)
    (folder / "broken.json").write_text("{")
    entry = RunningCluster("gone", "kv://127.0.0.1:1", 1, str(tmp_path / "gone"), 0.0)
    (folder / "gone.json").write_bytes(msgspec.json.encode(entry))
    assert list_clusters() == []
    with pytest.raises(NotConnected):
        attach("gone")


def test_a_registry_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run" / "kvstore").mkdir(mode=0o755)
    (tmp_path / "run" / "kvstore").chmod(0o777)
    with pytest.raises(PermissionError, match="only we can write"):
        records.runtime_folder()
    (tmp_path / "run" / "kvstore").chmod(0o700)


def test_without_a_runtime_folder_a_private_one_is_made(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    cluster = up(file=file, command=FAKE)
    folder = records.runtime_folder()
    assert folder.parent == tmp_path / "temporary"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["trial.json"]
    cluster.down()


def test_nonsense_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        up(0)
    with pytest.raises(ConfigError, match="name: expected a name"):
        up(1, name="../up")
    with pytest.raises(ConfigError, match="cannot be read"):
        up(file=tmp_path / "missing.toml")
    assert list_clusters() == []
    assert not list((tmp_path / "run").iterdir()) and not list((tmp_path / "state").iterdir()), "looking makes nothing"


def test_a_name_that_nobody_uses(file: Path) -> None:
    topology = read_topology(file)
    assert unused_name(topology).name == "trial"
    up(file=file, command=FAKE)
    assert unused_name(topology).name == "trial-2"
    up(file=file, name="trial-2", command=FAKE)
    assert unused_name(topology).name == "trial-3"
