"""An embedded database: one whole node in this process, and the client's way to it: no ports, no sockets."""

import asyncio
from functools import partial
from pathlib import Path

from kvstore.client.async_client import AsyncClient
from kvstore.client.client import Client
from kvstore.client.link import Listener
from kvstore.core.errors import KvError, Unavailable
from kvstore.node.config import NodeConfig
from kvstore.node.requests import Answer, Failure
from kvstore.server.administration import Administration
from kvstore.server.main import open_runtime
from kvstore.server.runtime import NodeRuntime
from kvstore.v1 import admin_pb2, ring_pb2
from kvstore.v1 import kv_pb2 as pb
from kvstore.wire.calls import reply_of, request_of
from kvstore.wire.rings import ring_to

OPEN_S_MAX = 30.0
EMBEDDED_ADDRESS = "embedded:1"


class EmbeddedLink:
    """A way to a node that this link runs on its own event loop. See `kvstore.client.link.Link`."""

    def __init__(self, path: str | Path, _address: str = EMBEDDED_ADDRESS) -> None:
        self._config = NodeConfig.single(str(Path(path).absolute()))
        self._runtime: NodeRuntime | None = None
        self._listener: Listener | None = None
        self._replies: list[pb.Reply] = []
        self._writable = False
        self._speaking = False

    @property
    def writable(self) -> bool:
        return self._writable

    def open(self, hello: pb.SessionHello, listener: Listener) -> None:
        self._listener = listener
        loop = asyncio.get_running_loop()
        try:
            runtime = open_runtime(self._config)
        except KvError as error:
            loop.call_soon(listener.on_lost, error)
            return
        self._runtime = runtime
        runtime.watch_ring(self._on_ring)
        runtime.ended.add_done_callback(self._on_ended)

    def _on_ring(self) -> None:
        """The node is ready: say welcome once, and the ring whenever it changes."""
        runtime, listener = self._runtime, self._listener
        if runtime is None or listener is None or not runtime.node.is_ready:
            return
        ring = runtime.node.ring
        assert ring is not None, "a node that is ready knows the ring"
        reply = pb.SessionReply(ring=ring_to(ring, runtime.node.leader_of))
        if not self._writable:
            self._writable = True
            reply.welcome.node = runtime.config.node.id
            reply.welcome.cluster, reply.welcome.timeline = ring.cluster, ring.timeline
            runtime.loop.call_soon(listener.on_writable)
        listener.on_reply(reply)

    def _on_ended(self, ended: "asyncio.Future[str]") -> None:
        if self._listener is not None and not ended.cancelled():
            self._listener.on_lost(Unavailable(f"the embedded node ended: {ended.result()}"))

    def send(self, request: pb.SessionRequest) -> None:
        runtime = self._open_runtime()
        for call in request.calls:
            try:
                asked = request_of(call)
            except KvError as error:
                self._say(call.id, Failure.of(error))
                continue
            runtime.ask(asked, call.deadline_ms, partial(self._say, call.id))
        if self._listener is not None:
            runtime.loop.call_soon(self._listener.on_writable)

    def _say(self, number: int, answer: Answer) -> None:
        self._replies.append(reply_of(number, answer))
        if not self._speaking:
            self._speaking = True
            self._open_runtime().loop.call_soon(self._speak)

    def _speak(self) -> None:
        self._speaking = False
        replies, self._replies = self._replies, []
        if self._listener is not None:
            self._listener.on_reply(pb.SessionReply(replies=replies))

    def _open_runtime(self) -> NodeRuntime:
        if self._runtime is None:
            raise Unavailable("the embedded node is not open")
        return self._runtime

    async def close(self) -> None:
        self._listener, self._writable = None, False
        if self._runtime is not None:
            runtime, self._runtime = self._runtime, None
            await runtime.close()

    # ── the cluster, which is this node ──

    def _administration(self) -> Administration:
        return Administration(self._open_runtime())

    async def get_ring(self, timeout_s: float) -> ring_pb2.Ring:
        return self._administration().get_ring()

    async def create_keyspace(
        self, request: admin_pb2.CreateKeyspaceRequest, timeout_s: float
    ) -> ring_pb2.RingKeyspace:
        return await self._administration().create_keyspace(request, int(timeout_s * 1000))

    async def drop_keyspace(self, request: admin_pb2.DropKeyspaceRequest, timeout_s: float) -> None:
        await self._administration().drop_keyspace(request, int(timeout_s * 1000))

    async def status(self, request: admin_pb2.StatusRequest, timeout_s: float) -> admin_pb2.StatusReply:
        return await self._administration().status(request, int(timeout_s * 1000))

    async def repair(self, request: admin_pb2.RepairRequest, timeout_s: float) -> admin_pb2.RepairReply:
        return await self._administration().repair(request, int(timeout_s * 1000))

    async def scrub(self, request: admin_pb2.ScrubRequest, timeout_s: float) -> admin_pb2.ScrubReply:
        return await self._administration().scrub(request, int(timeout_s * 1000))

    async def transfer_leader(self, request: admin_pb2.TransferLeaderRequest, timeout_s: float) -> None:
        await self._administration().transfer_leader(request, int(timeout_s * 1000))


def open_database(path: str | Path, *, keyspace: str | None = None) -> Client:
    """The database in the folder `path`, made if absent: the whole client API on one node in this process.

    Raises Unavailable if another process has it open, Corruption, ForeignData or VersionSkew for what is in there.
    """
    url = f"kv://{EMBEDDED_ADDRESS}/"
    return Client(url, keyspace=keyspace, link=partial(EmbeddedLink, path)).connect(timeout=OPEN_S_MAX)


async def open_database_async(path: str | Path, *, keyspace: str | None = None) -> AsyncClient:
    """The same for asyncio: `async with await kvstore.open_async(path) as db`."""
    url = f"kv://{EMBEDDED_ADDRESS}/"
    client = AsyncClient(url, keyspace=keyspace, link=partial(EmbeddedLink, path))
    return await client.connect(timeout=OPEN_S_MAX)
