"""GrpcLink against a real gRPC server in this process."""

import asyncio
import socket

import grpc
import pytest

from kvstore.client import grpc_link
from kvstore.client.async_client import AsyncClient
from kvstore.client.grpc_link import GrpcLink, call_error, session_error
from kvstore.core.errors import (
    DeadlineExceeded,
    KeyspaceExists,
    KvError,
    NotConnected,
    NotYetAvailable,
    OutcomeUnknown,
    RequestTooLarge,
    ValueTooLarge,
    WrongCluster,
)
from kvstore.v1 import admin_pb2
from kvstore.v1 import kv_pb2 as pb
from tests.client.fake_cluster import FakeCluster
from tests.client.grpc_node import serving


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[pb.SessionReply] = asyncio.Queue()
        self.writable = asyncio.Event()
        self.lost: asyncio.Future[KvError] = asyncio.get_running_loop().create_future()

    def on_reply(self, reply: pb.SessionReply) -> None:
        self.replies.put_nowait(reply)

    def on_writable(self) -> None:
        self.writable.set()

    def on_lost(self, error: KvError) -> None:
        self.lost.set_result(error)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_whole_client_over_grpc() -> None:
    cluster = FakeCluster()
    async with serving(cluster), AsyncClient(f"kv://{cluster.addresses[0]}", timeout=30) as db:
        await asyncio.gather(*(db.put(f"key:{i}", b"%d" % i) for i in range(300)))
        values = await asyncio.gather(*(db.get(f"key:{i}") for i in range(300)))
        assert values == [b"%d" % i for i in range(300)]
        assert all(node.requests for node in cluster.nodes.values())
        assert len([key async for key in db.scan("key:", keys_only=True)]) == 300
        large = b"x" * (15 << 20)
        await db.create_keyspace("large")
        big = db.keyspace("large")
        with pytest.raises(ValueTooLarge):
            await big.put("a", large)
        cluster.keyspaces["large"].value_bytes_max = len(large)
        cluster.drop_keyspace("large")
        cluster.add_keyspace("larger", value_bytes_max=len(large))
        bigger = db.keyspace("larger")
        await bigger.put("a", large)
        assert await bigger.get("a") == large, "a message of the largest value passes both ways"
        assert (await db.status()).healthy
        await db.drop_keyspace("larger")


async def test_the_talk_of_a_link() -> None:
    cluster = FakeCluster(nodes=1)
    async with serving(cluster):
        link, heard = GrpcLink(cluster.addresses[0]), Heard()
        assert not link.writable
        link.open(pb.SessionHello(client=7, software="test"), heard)
        welcome = await heard.replies.get()
        assert welcome.welcome.node == "n1" and welcome.ring.epoch == cluster.epoch
        assert cluster.nodes["n1"].hellos[0].client == 7
        await heard.writable.wait()
        assert link.writable
        heard.writable.clear()
        request = pb.SessionRequest()
        call = request.calls.add(id=5, group=1)
        call.read.keys.append(b"a")
        link.send(request)
        assert not link.writable
        await heard.writable.wait()
        assert (await heard.replies.get()).replies[0].id == 5
        assert (await link.get_ring(5)).cluster == cluster.cluster
        await link.close()
        await link.close()
        assert not link.writable and not heard.lost.done(), "who closes hears nothing more"
        with pytest.raises(NotConnected):
            await link.get_ring(5)
        assert repr(link).endswith("(closed)>")


async def test_nobody_listens_there() -> None:
    link, heard = GrpcLink(f"127.0.0.1:{unused_port()}"), Heard()
    link.open(pb.SessionHello(), heard)
    assert isinstance(await heard.lost, NotConnected)
    await link.close()


async def test_a_node_that_gives_no_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_link, "WELCOME_S_MAX", 0.1)
    cluster = FakeCluster(nodes=1)
    cluster.nodes["n1"].paused = True
    async with serving(cluster):
        link, heard = GrpcLink(cluster.addresses[0]), Heard()
        link.open(pb.SessionHello(), heard)
        assert "no welcome" in str(await heard.lost)


async def test_a_server_that_goes_away() -> None:
    cluster = FakeCluster(nodes=1)
    async with serving(cluster):
        link, heard = GrpcLink(cluster.addresses[0]), Heard()
        link.open(pb.SessionHello(), heard)
        await heard.replies.get()
    assert isinstance(await heard.lost, NotConnected)
    assert not link.writable


async def test_a_refusal_reaches_the_caller() -> None:
    cluster = FakeCluster(nodes=1)
    cluster.nodes["n1"].refusal = WrongCluster("another cluster")
    async with serving(cluster), AsyncClient(cluster.url, timeout=30) as db:
        with pytest.raises(WrongCluster, match="another cluster"):
            await db.connect()


async def test_what_was_asked_of_nobody_was_not_done() -> None:
    """A node that is gone is noticed by whoever asks it first; gRPC then has no connection to send on."""
    link, heard = GrpcLink(f"127.0.0.1:{unused_port()}"), Heard()
    link.open(pb.SessionHello(), heard)
    with pytest.raises(NotConnected) as caught:
        await link.create_keyspace(admin_pb2.CreateKeyspaceRequest(name="carts"), 30.0)
    assert not caught.value.maybe_applied
    await link.close()


async def test_a_link_that_is_closed_cancels_nobody() -> None:
    """gRPC cancels the calls of a channel that is closed. Whoever asked was not cancelled: the link was lost."""
    async with serving(FakeCluster()) as servants:
        servant = next(iter(servants.values()))
        link, heard = GrpcLink(servant.node.address), Heard()
        link.open(pb.SessionHello(), heard)
        await heard.replies.get()
        servant.node.paused = True
        asking = asyncio.create_task(link.status(admin_pb2.StatusRequest(), 60.0))
        other = asyncio.create_task(link.status(admin_pb2.StatusRequest(), 60.0))
        await servant.asked.wait()
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other
        await link.close()
        with pytest.raises(OutcomeUnknown, match="ended while it was asked"):
            await asking


async def test_errors_about_the_cluster_keep_their_names() -> None:
    cluster = FakeCluster(nodes=1)
    async with serving(cluster) as servants, AsyncClient(cluster.url, timeout=30) as db:
        servants["n1"].abort = KeyspaceExists("there is one", name="carts")
        with pytest.raises(KeyspaceExists, match="there is one") as caught:
            await db.create_keyspace("carts")
        assert caught.value.facts["name"] == "carts"
        servants["n1"].abort = None
        with pytest.raises(NotYetAvailable):
            await db.transfer_leader(1)
        with pytest.raises(OutcomeUnknown):
            await db.drop_keyspace("never", timeout=30)  # the servant raises something unforeseen


async def test_a_client_survives_a_restart_of_everything() -> None:
    cluster = FakeCluster()
    async with serving(cluster):
        db = AsyncClient(f"kv://{cluster.addresses[0]}", timeout=60)
        await db.put("a", b"1")
        before = cluster.addresses
    write = asyncio.create_task(db.put("a", b"2"))
    async with serving(cluster, stay="n1"):
        await write
        assert cluster.group_of(b"a").rows[b"a"][1] == b"2"
        assert [now == then for now, then in zip(cluster.addresses, before, strict=True)] == [True, False, False]
        await db.close()


async def test_closing_while_connecting() -> None:
    cluster = FakeCluster(nodes=1)
    cluster.nodes["n1"].paused = True
    async with serving(cluster):
        link, heard = GrpcLink(cluster.addresses[0]), Heard()
        link.open(pb.SessionHello(), heard)
        await link.close()
        assert not heard.lost.done()


def broken(code: grpc.StatusCode, details: str = "words", failure: bytes | None = None) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata() if failure is None else grpc.aio.Metadata(("kvstore-failure-bin", failure))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details)


def test_what_grpc_says_is_told_in_our_words() -> None:
    named = pb.Failure(code="NoLeader", message="p01").SerializeToString()
    assert str(session_error(broken(grpc.StatusCode.UNKNOWN, failure=named), "h")) == "p01"
    assert isinstance(session_error(broken(grpc.StatusCode.UNAVAILABLE, failure=b"\xff"), "h"), NotConnected)
    assert isinstance(session_error(broken(grpc.StatusCode.RESOURCE_EXHAUSTED), "h"), RequestTooLarge)
    assert isinstance(call_error(broken(grpc.StatusCode.DEADLINE_EXCEEDED), "h"), DeadlineExceeded)
    assert isinstance(call_error(broken(grpc.StatusCode.UNIMPLEMENTED), "h"), NotYetAvailable)
    assert call_error(broken(grpc.StatusCode.UNAVAILABLE), "h").maybe_applied
    never_sent = broken(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: refused")
    assert isinstance(call_error(never_sent, "h"), NotConnected)
    assert str(call_error(broken(grpc.StatusCode.UNKNOWN, details=""), "h")) == "h: unknown"


async def test_a_status_of_a_dead_node_is_not_connected() -> None:
    link = GrpcLink("127.0.0.1:1")
    with pytest.raises(NotConnected):
        await link.status(admin_pb2.StatusRequest(), 1)
