"""Real nodes keep what they acknowledged through kills, restarts, pauses and the loss of a disk."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.client.client import Client
from kvstore.core.errors import NotReady
from kvstore.local.process import wait_until
from kvstore.local.processes import LocalCluster, environment
from kvstore.local.status import status
from kvstore.local.topology import Topology
from kvstore.node.forms import split_address

pytestmark = pytest.mark.cluster

PATIENCE_S = 60.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster.create(Topology.plain(3, name="trial"), folder=tmp_path / "trial") as made:
        yield made


@pytest.fixture
def store(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster.url, timeout=PATIENCE_S) as made:
        yield made


def rows(word: str, count: int = 200) -> dict[str, bytes]:
    return {f"{word}:{i}": f"{word} {i}".encode() for i in range(count)}


def test_every_fault_in_turn(cluster: LocalCluster, store: Client) -> None:
    """After each fault new writes succeed, and at the end every one of them is there."""
    written = rows("calm")
    store.put_many(written)
    leader = store.where("calm:0").leader
    assert leader in cluster.nodes
    other = next(node for node in cluster.nodes if node != leader)

    def go_on(word: str) -> None:
        written.update(rows(word))
        store.put_many(rows(word))
        assert store.get_many(list(written)) == written

    cluster.kill(leader)
    go_on("killed")
    cluster.start(leader)
    go_on("back")
    cluster.pause(other)
    go_on("paused")
    cluster.resume(other)
    cluster.restart(leader)
    go_on("restarted")
    cluster.kill(other)
    cluster.wipe(other)
    cluster.start(other)
    go_on("wiped")
    for node in cluster.nodes:
        cluster.stop(node)
    for node in cluster.nodes:
        cluster.start(node, wait=False)
    cluster.wait_ready()
    go_on("all at once")
    assert wait_until(lambda: status(cluster).is_healthy, PATIENCE_S), status(cluster).as_json()


def test_losing_power_on_all_nodes_at_once_loses_nothing(cluster: LocalCluster, store: Client) -> None:
    written = rows("before")
    store.put_many(written)
    for node in cluster.nodes:
        cluster.kill(node)
    for node in cluster.nodes:
        cluster.start(node, wait=False)
    cluster.wait_ready()
    assert store.get_many(list(written)) == written


def test_a_port_that_is_taken_is_named(cluster: LocalCluster) -> None:
    cluster.kill(2)
    http = cluster.node(2).http
    with (
        socket.create_server(split_address(http)),
        pytest.raises(
            NotReady, match=rf"node n2 ended before it was ready(.|\n)*listen\.http: cannot listen on {http}"
        ),
    ):
        cluster.start(2)
    cluster.start(2)


def test_a_running_cluster_is_found_by_clients_without_an_address(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    home = {"XDG_RUNTIME_DIR": str(run), "XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    variables = {name: value for name, value in environment().items() if not name.startswith("KVSTORE_")} | home

    def kvstore(*words: str) -> str:
        command = [sys.executable, "-m", "kvstore", *words]
        done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    (tmp_path / "one.toml").write_text('name = "one"\nports = {client = 0}\nnodes = [{id = "n1"}]\n')
    url = kvstore("local", "up", "--file", "one.toml").strip()
    try:
        assert url.startswith("kv://127.0.0.1:")
        kvstore("put", "hello", "world")
        assert kvstore("get", "hello").strip() == "world"
        kvstore("local", "restart", "n1")
        assert kvstore("get", "hello").strip() == "world"
    finally:
        kvstore("local", "down")
    assert os.listdir(run / "kvstore") == []
