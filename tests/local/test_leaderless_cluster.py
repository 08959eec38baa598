"""A leaderless keyspace on real processes: both sides of a cut network take writes, and nothing of them is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.client.client import Client
from kvstore.core.errors import KvError, QuorumUnreachable
from kvstore.local.process import wait_until
from kvstore.local.processes import LocalCluster
from kvstore.local.topology import Topology

pytestmark = pytest.mark.cluster

PATIENCE_S = 60.0
SETTINGS = {"leaderless": {"exchange_interval_ms": 1_000}}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster.create(Topology.plain(3, name="trial", settings=SETTINGS), folder=tmp_path / "trial") as made:
        yield made


def at(cluster: LocalCluster, node: str) -> Client:
    """A client that knows this node alone."""
    return Client(f"kv://{cluster.node(node).client}", timeout=PATIENCE_S)


def knows(cluster: LocalCluster, node: str) -> bool:
    """Whether the node has heard of the keyspace."""
    with at(cluster, node) as client:
        return any(keyspace.name == "carts" for keyspace in client.list_keyspaces())


def test_two_sides_of_a_cut_network_write_and_agree_afterwards(cluster: LocalCluster) -> None:
    with Client(cluster.url, timeout=PATIENCE_S) as db:
        db.create_keyspace("carts", mode="leaderless", partitions=4, write_quorum=1, read_quorum=2)
        carts = db.keyspace("carts")
        for number in range(100):
            carts.put(f"cart:{number}", b"old")
        read = {key: carts.read(key) for key in (f"cart:{number}" for number in range(100))}
        assert wait_until(lambda: all(knows(cluster, node) for node in cluster.nodes), PATIENCE_S)
        cluster.partition([1], [2, 3])
        with at(cluster, "n1") as left, at(cluster, "n2") as right:
            for key, record in read.items():
                left.keyspace("carts").put(key, b"left", context=record)
                right.keyspace("carts").put(key, b"right", context=record)
            cluster.heal()

        def agree() -> bool:
            found = [sorted(sibling.value for sibling in carts.read(key).siblings) for key in read]
            return all(values == [b"left", b"right"] for values in found)

        assert wait_until(agree, PATIENCE_S), "siblings are missing"
        for key in read:
            carts.put(key, b"both", context=carts.read(key))
        assert all(carts.get(key) == b"both" for key in read)


def test_a_minority_cannot_reach_a_quorum_and_says_who_is_there(cluster: LocalCluster) -> None:
    with Client(cluster.url, timeout=PATIENCE_S) as db:
        db.create_keyspace("carts", mode="leaderless", partitions=1)
        assert wait_until(lambda: all(knows(cluster, node) for node in cluster.nodes), PATIENCE_S)
        cluster.partition([1], [2, 3])
        with at(cluster, "n2") as right:
            right.keyspace("carts").put("k", b"v")

        def refused() -> bool:
            with Client(f"kv://{cluster.node('n1').client}", timeout=2.0) as left:
                try:
                    left.keyspace("carts").put("k", b"w")
                except QuorumUnreachable as error:
                    return "2 replicas are needed, 1 (n1) is up; nothing was done" in str(error)
                except KvError:
                    return False
                return False

        cluster.kill("n2")
        cluster.kill("n3")
        assert wait_until(refused, PATIENCE_S), "n1 never said so"
        for node in ("n2", "n3"):
            cluster.start(node, wait=False)
        cluster.wait_ready(["n2", "n3"])
        cluster.heal()
        cluster.wait_ready()
        assert db.keyspace("carts").get("k") == b"v"
