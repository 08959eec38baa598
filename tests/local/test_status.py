"""The status names every node, and says of each what is true of it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kvstore.local.process import wait_until
from kvstore.local.processes import LocalCluster
from kvstore.local.status import status
from kvstore.local.topology import Topology

FAKE = (sys.executable, str(Path(__file__).with_name("fake_node.py")))
PATIENCE_S = 60.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster.create(Topology.plain(3), folder=tmp_path / "demo", command=FAKE) as made:
        yield made


def states(cluster: LocalCluster) -> list[str]:
    return [node.state for node in status(cluster).nodes]


def test_a_healthy_cluster(cluster: LocalCluster) -> None:
    found = status(cluster)
    assert found.is_healthy
    assert [(node.id, node.zone, node.state) for node in found.nodes] == [(f"n{i}", f"z{i}", "up") for i in (1, 2, 3)]
    assert [(node.document or {})["node"] for node in found.nodes] == ["n1", "n2", "n3"]
    assert [node.pid for node in found.nodes] == [process.pid for process in cluster.record.alive]


def test_nodes_that_say_nothing_are_named(cluster: LocalCluster) -> None:
    cluster.kill(1)
    cluster.pause(2)
    assert wait_until(lambda: cluster.state(2) == "paused", PATIENCE_S)
    found = status(cluster)
    assert not found.is_healthy
    assert [node.state for node in found.nodes] == ["killed", "paused", "up"]
    assert found.nodes[0].pid == 0
    assert found.nodes[0].said.startswith("DOWN (killed) since ")
    head, lines = found.table()
    assert [line[0] for line in lines] == ["n1", "n2", "n3"]
    assert {len(line) for line in lines} == {len(head)}
    assert [line[head.index("leads")] for line in lines] == ["-", "-", "1 of 8"]


def test_a_node_that_is_not_ready_is_starting(cluster: LocalCluster) -> None:
    cluster.kill(3)
    (cluster.data_path(3) / "order").write_text("mute")
    cluster.start(3, wait=False)
    assert wait_until(lambda: states(cluster) == ["up", "up", "starting"], PATIENCE_S)


def test_the_document_for_machines_is_json(cluster: LocalCluster) -> None:
    cluster.stop(2)
    document = msgspec.json.decode(msgspec.json.encode(status(cluster).as_json()))
    assert (document["name"], document["url"], document["healthy"]) == ("demo", cluster.url, False)
    assert [node["state"] for node in document["nodes"]] == ["up", "stopped", "up"]


def test_a_cluster_with_complaints_is_not_healthy(cluster: LocalCluster) -> None:
    cluster.stop(2)
    (cluster.data_path(2) / "order").write_text("complain")
    cluster.start(2)
    found = status(cluster)
    assert [node.state for node in found.nodes] == ["up", "up", "up"]
    assert not found.is_healthy
    head, lines = found.table()
    assert lines[1][head.index("problems")] == "the clock is off"
