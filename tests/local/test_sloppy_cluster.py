"""Sloppy quorums on real processes: of five nodes two replicas of three are killed, and no write is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.client.client import Client
from kvstore.core.errors import KvError, NotConnected, QuorumUnreachable
from kvstore.local.process import wait_until
from kvstore.local.processes import LocalCluster
from kvstore.local.status import status
from kvstore.local.topology import Topology

pytestmark = pytest.mark.cluster

PATIENCE_S = 60.0
SETTINGS = {"leaderless": {"exchange_interval_ms": 3_600_000}}
"""Without anti-entropy: hints must do it."""
KEYS = [f"cart:{number}" for number in range(60)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster.create(Topology.plain(5, name="trial", settings=SETTINGS), folder=tmp_path / "trial") as made:
        yield made


def hints(cluster: LocalCluster, what: str) -> int:
    """Of all nodes that answer."""
    documents = [node.document for node in status(cluster).nodes if node.document is not None]
    return sum(sum(document["hints"][what].values()) for document in documents)


def test_writes_go_on_with_two_of_three_replicas_killed_and_come_back_from_stand_ins(cluster: LocalCluster) -> None:
    with Client(cluster.url, timeout=PATIENCE_S) as db:
        db.create_keyspace("carts", mode="leaderless", partitions=1, sloppy=True)
        carts = db.keyspace("carts")
        first, *killed = (node.id for node in carts.where(KEYS[0]).replicas)
        for node in killed:
            cluster.kill(node)

        def is_sloppy() -> bool:
            try:
                return carts.write("probe", b"v").receipt.sloppy
            except KvError:
                return False

        assert wait_until(is_sloppy, PATIENCE_S), "no stand-in took a hint"
        assert all(carts.write(key, key.encode()).receipt.sloppy for key in KEYS)
        with pytest.raises((QuorumUnreachable, NotConnected)):  # whoever it tried last, until then
            carts.put("strict", b"v", sloppy=False, timeout=1.0)
        assert hints(cluster, "kept") >= 2 * len(KEYS)
        cluster.kill(first)  # and with it all that the coordinator had in mind
        for node in killed:
            cluster.start(node, wait=False)
        assert wait_until(lambda: hints(cluster, "kept") == 0, PATIENCE_S), status(cluster).as_json()

        def all_there() -> bool:
            try:
                return all(carts.get(key) == key.encode() for key in KEYS)
            except KvError:
                return False

        assert wait_until(all_there, PATIENCE_S), "hints that were counted are lost"
