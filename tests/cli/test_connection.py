"""The names of what a command is connected to."""

from typing import cast

import pytest

from kvstore.cli import connection
from kvstore.cli.connection import Connection, connect, taken_among_several
from kvstore.cli.settings import Settings
from kvstore.client import discovery
from kvstore.client.client import Client
from kvstore.client.discovery import RunningCluster
from kvstore.core.errors import NotConnected, UnknownKeyspace
from kvstore.local import clusters
from kvstore.local.clusters import ClusterInfo
from tests.cli.fake_client import FakeClient


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def here(client: FakeClient) -> Connection:
    return Connection(cast(Client, client), ("127.0.0.1:1", "127.0.0.1:2"))


def test_views_take_keyspace_and_levels(client: FakeClient, here: Connection) -> None:
    assert cast(FakeClient, here.view(Settings())) is client
    assert cast(FakeClient, here.view(Settings(keyspace="carts"))).name == "carts"
    here.view(Settings(keyspace="carts", consistency="leader"))
    assert client.store.asked == [("carts", {"consistency": "leader"})]


def test_names_are_asked_once(client: FakeClient, here: Connection) -> None:
    assert (here.cluster_name(), here.keyspace_name(Settings()), here.mode_of("default")) == (
        "fake",
        "default",
        "leader",
    )
    client.store.error = NotConnected("gone")
    assert (here.cluster_name(), here.keyspace_name(Settings()), here.mode_of("default")) == (
        "fake",
        "default",
        "leader",
    )
    assert here.keyspace_name(Settings(keyspace="carts")) == "carts"


def test_an_unknown_keyspace_has_no_mode(here: Connection) -> None:
    with pytest.raises(UnknownKeyspace):
        here.mode_of("none")


def test_a_local_cluster_is_known_by_its_addresses(here: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def info(name: str, url: str) -> ClusterInfo:
        return ClusterInfo(name, url, "somewhere", (), False, 0.0)

    monkeypatch.setattr(clusters, "list_clusters", lambda: [info("other", "kv://127.0.0.1:9")])
    assert here.local_name() is None
    known = [info("other", "kv://127.0.0.1:9"), info("demo", "kv://127.0.0.1:2,127.0.0.1:3")]
    monkeypatch.setattr(clusters, "list_clusters", lambda: known)
    assert here.local_name() == "demo"


def test_http_addresses_come_from_the_ring(here: Connection) -> None:
    assert here.http_addresses() == {"n1": "127.0.0.1:1", "n2": "127.0.0.1:2"}  # n3 has none


def test_of_several_local_clusters_the_one_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def running(name: str) -> RunningCluster:
        return RunningCluster(name, f"kv://127.0.0.1:{len(name)}", 1, "somewhere", 0.0)

    found = [running("newer"), running("demo")]
    monkeypatch.setattr(discovery, "discover", lambda: found)
    said = "2 local clusters are running: this is newer, the newest; -c NAME takes another"
    assert taken_among_several(Settings(), ("127.0.0.1:5",)) == said
    assert taken_among_several(Settings(), ("127.0.0.1:4",)) == "", "a profile chose"
    assert taken_among_several(Settings(cluster="newer"), ("127.0.0.1:5",)) == ""
    found.pop()
    assert taken_among_several(Settings(), ("127.0.0.1:5",)) == ""


def test_connecting_fails_fast_where_nobody_listens() -> None:
    with pytest.raises(NotConnected):
        connect(Settings(cluster="kv://127.0.0.1:1", timeout=20.0))
    assert connection.HEALTH_TIMEOUT_S < 5
