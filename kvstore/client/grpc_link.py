"""GrpcLink: a Session stream and the Admin calls over one gRPC channel. The only file here that knows gRPC."""

import logging
from asyncio import CancelledError, Future, Task, current_task, gather, get_running_loop, timeout
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from kvstore.client.failures import failure_error
from kvstore.client.link import Listener
from kvstore.core.errors import (
    DeadlineExceeded,
    KvError,
    NotConnected,
    NotYetAvailable,
    OutcomeUnknown,
    RequestTooLarge,
)
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.v1 import admin_pb2, admin_pb2_grpc, kv_pb2_grpc, ring_pb2
from kvstore.v1 import kv_pb2 as pb

T = TypeVar("T")
MESSAGE_BYTES_MAX: Final = REQUEST_BYTES_MAX + (1 << 20)
"""The limit of a request, and slack for what is around it."""
WELCOME_S_MAX: Final = 2.0
"""So long may a node take to answer the hello: a stopped one accepts connections and says nothing."""

OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_retries", 0),  # it cannot choose another node, and does not know our operation ids
    ("grpc.use_local_subchannel_pool", 1),  # a new link is a new connection, with no backoff of an old one
    ("grpc.enable_http_proxy", 0),  # nodes are addressed directly
]
NEVER_SENT: Final = "failed to connect to all addresses"
"""gRPC says so when there was no connection to send anything on; it has no status of its own for that."""
FAILURE_KEY: Final = "kvstore-failure-bin"

log = logging.getLogger("kvstore.client")


class GrpcLink:
    """A way to the node at `host:port`. See `kvstore.client.link.Link`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel: grpc.aio.Channel | None = None
        self._listener: Listener | None = None
        self._tasks: list[Task[None]] = []
        self._hand_over: Future[pb.SessionRequest] | None = None
        """Where the writer waits for the next request."""

    @property
    def writable(self) -> bool:
        return self._hand_over is not None and not self._hand_over.done()

    def open(self, hello: pb.SessionHello, listener: Listener) -> None:
        assert self._channel is None, "a link is opened once"
        self._listener = listener
        self._channel = grpc.aio.insecure_channel(self.address, options=OPTIONS)
        stream = kv_pb2_grpc.KvStub(self._channel).Session()
        loop = get_running_loop()
        self._tasks = [loop.create_task(self._write(stream, hello)), loop.create_task(self._read(stream))]

    def send(self, request: pb.SessionRequest) -> None:
        assert self._hand_over is not None and not self._hand_over.done(), "send only when writable"
        self._hand_over.set_result(request)

    async def _write(self, stream: Any, hello: pb.SessionHello) -> None:
        """Write one request at a time; what comes meanwhile gathers above."""
        loop = get_running_loop()
        try:
            await stream.write(pb.SessionRequest(hello=hello))
            while self._listener is not None:
                self._hand_over = loop.create_future()
                self._listener.on_writable()
                await stream.write(await self._hand_over)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError) as error:
            log.debug("writing to %s ended: %s", self.address, error)  # the reader tells why
        finally:
            self._hand_over = None

    async def _read(self, stream: Any) -> None:
        try:
            async with timeout(WELCOME_S_MAX):
                reply = await stream.read()
            while reply is not grpc.aio.EOF:
                if self._listener is not None:
                    self._listener.on_reply(reply)
                reply = await stream.read()
            error: KvError = NotConnected(f"{self.address} ended the session")
        except TimeoutError:
            error = NotConnected(f"{self.address} gave no welcome within {WELCOME_S_MAX:g} s")
        except grpc.aio.AioRpcError as broken:
            error = session_error(broken, self.address)
        await self._lost(error)

    async def _lost(self, error: KvError) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.on_lost(error)
        await self.close()

    async def close(self) -> None:
        self._listener = None
        channel, self._channel = self._channel, None
        if channel is None:
            return
        others = [task for task in self._tasks if task is not current_task()]
        for task in others:
            task.cancel()
        await channel.close()
        await gather(*others, return_exceptions=True)

    # Requests about the cluster.

    @property
    def _admin(self) -> Any:
        if self._channel is None:
            raise NotConnected(f"the link to {self.address} is closed")
        return admin_pb2_grpc.AdminStub(self._channel)

    async def get_ring(self, timeout_s: float) -> ring_pb2.Ring:
        return await self._ask(self._admin.GetRing(admin_pb2.GetRingRequest(), timeout=timeout_s))

    async def create_keyspace(
        self, request: admin_pb2.CreateKeyspaceRequest, timeout_s: float
    ) -> ring_pb2.RingKeyspace:
        return await self._ask(self._admin.CreateKeyspace(request, timeout=timeout_s))

    async def drop_keyspace(self, request: admin_pb2.DropKeyspaceRequest, timeout_s: float) -> None:
        await self._ask(self._admin.DropKeyspace(request, timeout=timeout_s))

    async def status(self, request: admin_pb2.StatusRequest, timeout_s: float) -> admin_pb2.StatusReply:
        return await self._ask(self._admin.Status(request, timeout=timeout_s))

    async def repair(self, request: admin_pb2.RepairRequest, timeout_s: float) -> admin_pb2.RepairReply:
        return await self._ask(self._admin.Repair(request, timeout=timeout_s))

    async def scrub(self, request: admin_pb2.ScrubRequest, timeout_s: float) -> admin_pb2.ScrubReply:
        return await self._ask(self._admin.Scrub(request, timeout=timeout_s))

    async def transfer_leader(self, request: admin_pb2.TransferLeaderRequest, timeout_s: float) -> None:
        await self._ask(self._admin.TransferLeader(request, timeout=timeout_s))

    async def _ask(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except grpc.aio.AioRpcError as broken:
            raise call_error(broken, self.address) from broken
        except CancelledError:
            task = current_task()
            if task is None or task.cancelling():
                raise
            words = f"{self.address}: the connection ended while it was asked"  # a closed channel cancels its calls
            raise OutcomeUnknown(words) from None

    def __repr__(self) -> str:
        return f"<GrpcLink {self.address}{'' if self._channel else ' (closed)'}>"


def named_error(broken: grpc.aio.AioRpcError) -> KvError | None:
    """The error the node named in the trailing metadata, if it did."""
    for key, value in broken.trailing_metadata():
        if key == FAILURE_KEY and isinstance(value, bytes):
            try:
                return failure_error(pb.Failure.FromString(value))
            except DecodeError:
                return None
    return None


def session_error(broken: grpc.aio.AioRpcError, address: str) -> KvError:
    """Why a session ended."""
    named = named_error(broken)
    if named is not None:
        return named
    words = f"{address}: {broken.details() or broken.code().name.lower()}"
    if broken.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RequestTooLarge(words)
    return NotConnected(words)


def call_error(broken: grpc.aio.AioRpcError, address: str) -> KvError:
    """Why a call about the cluster failed."""
    named = named_error(broken)
    if named is not None:
        return named
    words = f"{address}: {broken.details() or broken.code().name.lower()}"
    if broken.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(words)
    if broken.code() is grpc.StatusCode.UNIMPLEMENTED:
        return NotYetAvailable(words)
    if broken.code() is grpc.StatusCode.UNAVAILABLE and NEVER_SENT in words:
        return NotConnected(words)
    return OutcomeUnknown(words)
