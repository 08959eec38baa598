"""One client's Session stream: calls in, replies out, many of each in a message.

A client that does not read what it asked for cannot fill the node's memory: while much waits for it no further message
of it is read, and once far too much waits (for it, or for all clients together) its reads are answered with Overloaded
and not with what they found. Answers to writes are small, and are always kept: they alone say what happened.
"""

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from kvstore.core.errors import (
    InvalidRequest,
    KvError,
    MalformedFrame,
    Overloaded,
    RequestTooLarge,
    WrongCluster,
    WrongTimeline,
)
from kvstore.node.effects import Asked
from kvstore.node.requests import Answer, Failure, Found, PageFound
from kvstore.v1 import kv_pb2 as pb
from kvstore.wire.calls import failure_to, reply_of, request_of
from kvstore.wire.rings import ring_to

if TYPE_CHECKING:
    from kvstore.server.runtime import NodeRuntime

log = logging.getLogger("kvstore.server.session")

REPLY_BYTES_MAX = 4 << 20
"""Replies are gathered into messages of about this size."""
CALLS_MAX = 20_000
"""Calls in one message."""
UNREAD_REPLIES_PAUSE = 20_000
UNREAD_BYTES_PAUSE = 16 << 20
"""With so much unread by a client, no further message of it is read."""
UNREAD_BYTES_MAX = 64 << 20
"""With so much unread by a client, it gets no more values."""
RING_INTERVAL_S = 0.05
"""Leaders may change in bursts; a client hears of the ring at most this often."""


class Session:
    """Reads calls until the client leaves; a second task writes what is ready to be said."""

    def __init__(self, runtime: "NodeRuntime", context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._runtime, self._context = runtime, context
        self._replies: list[tuple[int, pb.Reply]] = []
        """What waits to be said, each with its bytes."""
        self._unread_bytes = 0
        self._was_read = asyncio.Event()
        self._something_to_say = asyncio.Event()
        self._ring_due = False
        self._is_ending = False
        self._refusal: KvError | None = None
        self._is_over = False
        self._welcome: pb.SessionWelcome | None = None
        self._latencies = {
            name: runtime.metrics.request_seconds.labels(name) for name in ("write", "read", "page", "outcome")
        }

    async def run(self) -> None:
        """Until the client closes its side, or breaks the protocol."""
        self._runtime.metrics.sessions.inc()
        writer = asyncio.ensure_future(self._write())
        reader = asyncio.ensure_future(self._read())
        self._runtime.watch_ring(self._on_ring)
        try:
            await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                writer.result()  # a client that cannot be answered must not go on asking
            await self._until_said(reader, writer)
        finally:
            self._runtime.unwatch_ring(self._on_ring)
            reader.cancel()
            writer.cancel()
            await asyncio.wait([reader, writer])
            self._runtime.unread_bytes -= self._unread_bytes
            self._is_over = True

    async def _until_said(self, reader: "asyncio.Future[None]", writer: "asyncio.Future[None]") -> None:
        """Let the writer say what it has begun to say, and why we end: gRPC hangs if a message is cut off under way."""
        try:
            await reader
        except KvError as error:
            self._refusal = error
        self._is_ending = True
        self._something_to_say.set()
        await writer

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        read = self._context.read
        while True:
            request = await read()
            if request is grpc.aio.EOF:
                return
            if self._welcome is None:
                self._greet(request)
            if len(request.calls) > CALLS_MAX:
                raise RequestTooLarge(f"{len(request.calls)} calls in a message: at most {CALLS_MAX} are allowed")
            arrived = time.perf_counter()
            asked = [self._asked(call, arrived) for call in request.calls]
            self._runtime.submit(*(event for event in asked if event is not None))
            while self._unread_bytes > UNREAD_BYTES_PAUSE or len(self._replies) > UNREAD_REPLIES_PAUSE:
                self._was_read.clear()
                await self._was_read.wait()

    def _greet(self, request: pb.SessionRequest) -> None:
        """Raises WrongCluster, WrongTimeline or MalformedFrame: the session ends."""
        if not request.HasField("hello"):
            raise MalformedFrame("a session begins with a hello")
        hello, config = request.hello, self._runtime.config
        ring = self._runtime.node.ring
        timeline = ring.timeline if ring is not None else 0
        if hello.cluster and hello.cluster != config.cluster.id:
            raise WrongCluster(f"this node is of cluster {config.cluster.id!r}, the client wants {hello.cluster!r}")
        if hello.timeline and timeline and hello.timeline != timeline:
            raise WrongTimeline(f"the cluster is on timeline {timeline:08x}, the client on {hello.timeline:08x}")
        self._welcome = pb.SessionWelcome(node=config.node.id, cluster=config.cluster.id, timeline=timeline)
        self._ring_due = True
        self._something_to_say.set()

    def _asked(self, call: pb.Call, arrived: float) -> Asked | None:
        """The call as an event; None if it makes no sense and was answered so."""
        kind = call.WhichOneof("body") or "nothing"
        try:
            request = request_of(call)
            if not call.deadline_ms:
                raise InvalidRequest("a call needs a deadline (deadline_ms)")
        except KvError as error:
            self._say(call.id, kind, arrived, Failure.of(error))
            return None
        return self._runtime.asked(request, call.deadline_ms, partial(self._say, call.id, kind, arrived))

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _say(self, number: int, kind: str, arrived: float, answer: Answer) -> None:
        if self._unread_bytes > 0 and isinstance(answer, Found | PageFound) and self._is_unread_too_much:
            answer = Failure.of(Overloaded("too many answers were not read yet: read them", retry_after_ms=100))
        if isinstance(answer, Failure):
            self._runtime.metrics.errors.labels(kind, answer.code).inc()
        latency = self._latencies.get(kind)
        if latency is not None:
            latency.observe(time.perf_counter() - arrived)
        if self._is_over:
            return
        reply = reply_of(number, answer)
        size = reply.ByteSize()
        self._count_unread(size)
        self._replies.append((size, reply))
        self._something_to_say.set()

    @property
    def _is_unread_too_much(self) -> bool:
        runtime = self._runtime
        return self._unread_bytes > UNREAD_BYTES_MAX or runtime.unread_bytes > runtime.config.limits.queue_bytes_max

    def _count_unread(self, size: int) -> None:
        self._unread_bytes += size
        self._runtime.unread_bytes += size

    def _on_ring(self) -> None:
        if not self._ring_due:
            self._ring_due = True
            self._runtime.loop.call_later(RING_INTERVAL_S, self._something_to_say.set)

    async def _write(self) -> None:
        write = self._context.write
        while True:
            await self._something_to_say.wait()
            self._something_to_say.clear()
            message = self._next_message()
            while message is not None:
                await write(message)
                message = self._next_message()
            if self._refusal is not None:
                await write(pb.SessionReply(refused=failure_to(Failure.of(self._refusal))))
            if self._is_ending:
                return

    def _next_message(self) -> pb.SessionReply | None:
        ring = self._runtime.node.ring
        if self._welcome is None or not (self._replies or (self._ring_due and ring is not None) or self._welcome.node):
            return None
        message = pb.SessionReply()
        if self._welcome.node:
            message.welcome.CopyFrom(self._welcome)
            self._welcome = pb.SessionWelcome()  # said once; an empty one remembers that
        if self._ring_due and ring is not None:
            self._ring_due = False
            message.ring.CopyFrom(ring_to(ring, self._runtime.node.leader_of))
        self._take_replies(message)
        return message

    def _take_replies(self, message: pb.SessionReply) -> None:
        """As many as fit; a single one may be as large as a message can be."""
        replies = self._replies
        size = taken = 0
        while taken < len(replies):
            larger = size + replies[taken][0]
            if taken and larger > REPLY_BYTES_MAX:
                break
            size = larger
            taken += 1
        message.replies.extend([reply for _, reply in replies[:taken]])
        self._replies = replies[taken:]
        self._count_unread(-size)
        self._was_read.set()
