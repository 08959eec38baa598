"""The synchronous face: same operations, same errors, a thread of its own."""

import asyncio
import gc
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import kvstore
from kvstore.client import codecs
from kvstore.client.async_batch import AsyncBatch
from kvstore.client.async_client import AsyncClient
from kvstore.client.async_space import AsyncSpace
from kvstore.client.batch import Batch
from kvstore.client.client import Client
from kvstore.client.space import Space
from kvstore.core.errors import ClientClosed, ConflictError, DeadlineExceeded, NotConnected, PreconditionFailed
from tests.client.fake_cluster import FakeCluster
from tests.client.fake_leaderless import LeaderlessCluster
from tests.client.real_node import served


def client_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kvstore-client"]


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """Reached through fake links, which live on the client's own loop, in real time."""
    yield FakeCluster()
    gc.collect()
    assert client_threads() == [], "every client was closed"


@pytest.fixture
def db(cluster: FakeCluster) -> Iterator[Client]:
    with Client(cluster.url, timeout=60, link=cluster.link) as db:
        yield db


def test_everything_of_a_leaderless_keyspace_once() -> None:
    cluster = LeaderlessCluster()
    with Client(cluster.url, timeout=60, link=cluster.link, read="one", write=3) as db:
        db.put("cart", b"milk")
        db.put("cart", b"tea")
        with pytest.raises(ConflictError) as caught:
            db.get("cart")
        longest = db.with_options(resolver=lambda key, values: max(values, key=len))
        assert longest.get("cart") == b"milk" == db.get("cart", resolver=lambda key, values: values[0])
        assert longest.update("cart", lambda value: (value or b"") + b"!") == b"milk!"
        assert db.get("cart") == b"milk!" and list(db.scan()) == [(b"cart", b"milk!")]
        db.resolve(caught.value.record, b"late")
        assert db.update("cart", lambda value: b"one", resolver="lww") == b"one"
        record = db.read_many(["cart"], read="all")["cart"]
        with db.batch(write="one", sloppy=True) as batch:
            batch.put("cart", b"two", context=record)
        assert db.read("cart", read=2).value == b"two" and db.delete("cart", context=batch.versions["cart"])
        assert not db.erase("cart").found and db.info().is_leaderless


def test_everything_once(cluster: FakeCluster, db: Client) -> None:
    version = db.put("user:1", b"Ada")
    assert db.get("user:1") == b"Ada" and db.get("nobody", b"?") == b"?" and db.exists("user:1")
    assert db.read("user:1").version == version
    written = db.write("user:2", b"Bob")
    assert db.outcome(written).written
    with pytest.raises(PreconditionFailed) as caught:
        db.put("user:1", b"x", if_absent=True)
    assert caught.value.current.value == b"Ada"
    assert db.put_many({"user:3": b"Cy"}) and db.get_many(["user:1", "user:3"]) == {"user:1": b"Ada", "user:3": b"Cy"}
    with db.batch() as b:
        b.put("user:4", b"Dee")
        b.delete("user:3")
        assert len(b) == 2
    assert (b.applied, b.failed) == (2, {}) and set(b.versions) == {"user:4", "user:3"}
    assert list(db.scan("user:")) == [(b"user:1", b"Ada"), (b"user:2", b"Bob"), (b"user:4", b"Dee")]
    assert list(db.scan(keys_only=True, limit=1)) == [b"user:1"]
    assert [record.value for record in db.scan_records(start="user:2")] == [b"Bob", b"Dee"]
    assert db.update("user:4", lambda value: (value or b"") + b"!") == b"Dee!" == db.get("user:4")
    assert db.update("new", lambda value: value or b"first") == b"first"
    assert db.delete("new")
    assert db.erase("user:4").found and db.delete("user:4") is False
    assert db.where("user:1").group == cluster.group_of(b"user:1").number and len(db.partitions()) == 4
    assert db.status().healthy
    assert db.create_keyspace("carts", partitions=2).partitions == 2
    assert [info.name for info in db.list_keyspaces()] == ["carts", "default"]
    assert db.describe_keyspace("carts").name == "carts"
    assert db.keyspace("carts").get("user:1") is None
    db.drop_keyspace("carts")
    db.transfer_leader(1, "n2")
    texts = db.space("user:", codec=codecs.text).with_options(consistency="leader")
    assert texts.get("1") == "Ada" and texts.space("x").get("1") is None
    assert repr(texts).startswith("<Space keyspace='default' prefix=b'user:' codecs.text")
    assert repr(db) == f"<Client {cluster.url}/>" and repr(b) == "<Batch 2 applied, 0 failed>"


def test_nothing_starts_before_the_first_call(cluster: FakeCluster) -> None:
    db = Client(cluster.url, link=cluster.link)
    assert client_threads() == [] and cluster.dials == []
    db.close()
    with pytest.raises(ClientClosed):
        db.get("a")
    assert client_threads() == []


def test_closing_ends_the_thread_and_is_idempotent(cluster: FakeCluster) -> None:
    db = Client(cluster.url, timeout=60, link=cluster.link)
    db.put("a", b"1")
    assert len(client_threads()) == 1
    db.close()
    db.close()
    assert client_threads() == [] and not any(node.links for node in cluster.nodes.values())
    with pytest.raises(ClientClosed):
        db.get("a")


def test_a_forgotten_client_is_closed_when_it_is_collected(cluster: FakeCluster) -> None:
    db = Client(cluster.url, timeout=60, link=cluster.link)
    db.put("a", b"1")
    view = db.space("b")
    del db
    gc.collect()
    with pytest.raises(ClientClosed):
        view.get("a")


def test_many_threads_share_a_client(cluster: FakeCluster, db: Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: db.put(f"key:{i}", b"%d" % i), range(400)))
        values = list(pool.map(lambda i: db.get(f"key:{i}"), range(400)))
    assert values == [b"%d" % i for i in range(400)]


def test_the_deadline_of_a_block_reaches_the_other_thread(cluster: FakeCluster, db: Client) -> None:
    db.put("a", b"1")
    for node in cluster.nodes.values():
        node.always = lambda call: None
    with kvstore.timeout(0.05), pytest.raises(DeadlineExceeded):
        db.get("a")
    with kvstore.timeout(1e-9), pytest.raises(DeadlineExceeded, match="nothing was sent"):
        db.put("a", b"1")


def test_an_update_ends_within_its_time_however_often_others_are_faster(cluster: FakeCluster, db: Client) -> None:
    def faster(value: bytes | None) -> bytes:
        db.put("a", (value or b"") + b".")
        return b"mine"

    with pytest.raises(DeadlineExceeded):
        db.update("a", faster, timeout=0.05)
    assert (db.get("a") or b"").startswith(b".")


def test_a_block_of_another_thread_does_not_count_here(cluster: FakeCluster, db: Client) -> None:
    db.put("a", b"1")
    with kvstore.timeout(1e-9), ThreadPoolExecutor(1) as pool:
        assert pool.submit(db.get, "a").result() == b"1"


def test_nothing_is_sent_if_the_block_raises(cluster: FakeCluster, db: Client) -> None:
    with pytest.raises(ZeroDivisionError), db.batch() as b:
        b.put("a", b"1")
        raise ZeroDivisionError
    assert db.get("a") is None


def test_a_scan_may_be_left_early_and_interleaved(cluster: FakeCluster, db: Client) -> None:
    db.put_many({f"{i:03}": b"x" * 50_000 for i in range(200)})
    first, second = db.scan(), db.scan(keys_only=True)
    assert next(first)[0] == next(second) == b"000"
    del first
    assert len(list(second)) == 199


def test_a_client_closed_in_the_middle_of_a_scan_leaves_no_complaint(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """`kvstore export | head`: the pages that were asked for ahead fail, and nobody waits for them."""
    db = Client(cluster.url, timeout=60, link=cluster.link)
    db.put_many({f"{i:03}": b"x" * 50_000 for i in range(200)})
    for node in cluster.nodes.values():
        node.always = lambda call: None if call.page.start else False
    scan = db.scan()
    next(scan)
    db.close()
    del scan
    gc.collect()
    assert caplog.records == []


def test_an_interrupt_cancels_the_call(cluster: FakeCluster, db: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    db.put("a", b"1")
    for node in cluster.nodes.values():
        node.always = lambda call: None

    def interrupted(self: Any, timeout: Any = None) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("concurrent.futures.Future.result", interrupted)
        with pytest.raises(KeyboardInterrupt):
            db.put("a", b"2")
    for node in cluster.nodes.values():
        node.always = None
    assert db.get("a") == b"1"


def test_a_client_cannot_be_used_on_its_own_loop(cluster: FakeCluster, db: Client) -> None:
    db.put("a", b"1")
    caught: list[BaseException] = []

    async def inside() -> None:
        try:
            db.get("a")
        except RuntimeError as error:
            caught.append(error)

    db._thread.run(inside())
    assert "own event loop" in str(caught[0])


def test_connect_over_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(FakeCluster()) as cluster:
        monkeypatch.setenv("KVSTORE_URL", cluster.url)
        with kvstore.connect(timeout=60) as db:
            db.put("a", b"1")
            assert db.get("a") == b"1"
        with kvstore.connect(cluster.url + "/other?consistency=leader") as db:
            assert repr(db) == f"<Client {cluster.url}/other>"
    with pytest.raises(NotConnected) as caught:
        kvstore.connect(cluster.url)
    assert caught.value.exit_code == 8 and client_threads() == []


PAIRS = [(AsyncClient, Client), (AsyncSpace, Space), (AsyncBatch, Batch)]


def public(kind: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(kind) if not name.startswith("_")}


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS)
def test_both_faces_have_the_same_methods(asynchronous: type, synchronous: type) -> None:
    # What the synchronous face is made from.
    inner = {"begin_scan", "range_of", "key_of", "pair_of", "read_to_change", "record_of"}
    attributes = {"failed", "versions"}  # of an AsyncBatch: they are there when it is made
    assert set(public(asynchronous)) - inner == set(public(synchronous)) - {"mapping"} - attributes


@pytest.mark.parametrize(("asynchronous", "synchronous"), PAIRS)
def test_both_faces_take_the_same_arguments_and_say_the_same(asynchronous: type, synchronous: type) -> None:
    for name, method in public(synchronous).items():
        twin = getattr(asynchronous, name, None)
        if twin is None or not inspect.isfunction(method):
            continue
        ours, theirs = inspect.signature(method).parameters, inspect.signature(twin).parameters
        assert list(ours) == list(theirs), name
        assert [p.default for p in ours.values()] == [p.default for p in theirs.values()], name
        assert method.__doc__ and "await " not in method.__doc__ and "async " not in method.__doc__, name


def test_help_is_readable() -> None:
    assert 'version = db.put("user:1", b"Ada")' in (Client.put.__doc__ or "")
    assert "with db.batch() as b:" in (Client.batch.__doc__ or "")
    assert "await" not in (Batch.__doc__ or "await")


def test_it_works_inside_a_running_loop_of_somebody_else(cluster: FakeCluster) -> None:
    async def scene() -> None:
        with Client(cluster.url, timeout=60, link=cluster.link) as db:
            db.put("a", b"1")
            assert await asyncio.to_thread(db.get, "a") == b"1"

    asyncio.run(scene())
