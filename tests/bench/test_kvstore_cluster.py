"""Our own cluster as the bench sees it, with a local cluster that is only pretended."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import kvstore_cluster
from bench.kvstore_cluster import KvstoreCluster
from bench.stores import StoreFailed
from kvstore.core.errors import NotReady
from kvstore.local.topology import Topology


class PretendedCluster:
    """What LocalCluster shows of itself; `alive` of its nodes run."""

    def __init__(self, topology: Topology, folder: str, alive: int) -> None:
        nodes = [SimpleNamespace(client=f"127.0.0.1:{7_400 + i}") for i, _ in enumerate(topology.places, 1)]
        self.record = SimpleNamespace(nodes=nodes, alive=[SimpleNamespace(pid=100 + i) for i in range(alive)])
        self.folder = Path(folder)
        self.nodes = [f"n{i}" for i, _ in enumerate(topology.places, 1)]

    def kill(self, node: str) -> None:
        del self.record.alive[self.nodes.index(node)]

    def down(self) -> None:
        self.folder.rmdir()


def pretend(monkeypatch: pytest.MonkeyPatch, alive: int) -> None:
    def create(topology: Topology, *, folder: str) -> PretendedCluster:
        return PretendedCluster(topology, folder, alive)

    monkeypatch.setattr(kvstore_cluster.LocalCluster, "create", create)


def test_a_cluster_is_started_named_and_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, alive=3)
    with KvstoreCluster(nodes=3, folder=tmp_path) as cluster:
        assert cluster.pids == (100, 101, 102)
        assert cluster.endpoints == ("127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403")
        assert len(list(tmp_path.iterdir())) == 1
        cluster.settle()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreFailed, match="not running"):
        _ = cluster.endpoints


def test_a_node_that_ended_spoils_the_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, alive=2)
    with KvstoreCluster(nodes=3, folder=tmp_path) as cluster, pytest.raises(StoreFailed, match="1 of 3"):
        _ = cluster.pids


def test_a_node_that_is_to_die_dies_once_and_is_not_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, alive=3)
    with KvstoreCluster(nodes=3, folder=tmp_path, dead_node=True) as cluster:
        assert cluster.loads_first
        assert cluster.pids == (100, 101, 102)
        cluster.settle()
        cluster.settle()
        assert cluster.pids == (101, 102)
        assert len(cluster.endpoints) == 3


def test_a_cluster_that_does_not_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def create(_topology: Topology, *, folder: str) -> PretendedCluster:
        (Path(folder) / "n1.log").write_text("no")
        raise NotReady("node n1 ended before it was ready")

    monkeypatch.setattr(kvstore_cluster.LocalCluster, "create", create)
    with pytest.raises(StoreFailed, match="node n1 ended"), KvstoreCluster(nodes=1, folder=tmp_path):
        raise AssertionError("it must not have started")
    assert list(tmp_path.iterdir()) == []
