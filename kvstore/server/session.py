"""One client's Session stream: calls in, replies out, many of each in a message."""

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc

from kvstore.core.errors import InvalidRequest, KvError, MalformedFrame, WrongCluster, WrongTimeline
from kvstore.node.effects import Asked
from kvstore.node.requests import Answer, Failure
from kvstore.v1 import kv_pb2 as pb
from kvstore.wire.calls import failure_to, reply_of, request_of
from kvstore.wire.rings import ring_to

if TYPE_CHECKING:
    from kvstore.server.runtime import NodeRuntime

log = logging.getLogger("kvstore.server.session")

REPLY_BYTES_MAX = 4 << 20
"""Replies are gathered into messages of about this size."""
RING_INTERVAL_S = 0.05
"""Leaders may change in bursts; a client hears of the ring at most this often."""


class Session:
    """Reads calls until the client leaves; a second task writes what is ready to be said."""

    def __init__(self, runtime: "NodeRuntime", context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._runtime, self._context = runtime, context
        self._replies: list[pb.Reply] = []
        self._something_to_say = asyncio.Event()
        self._ring_due = False
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
            await reader
        except KvError as error:
            writer.cancel()
            await asyncio.wait([writer])
            await self._context.write(pb.SessionReply(refused=failure_to(Failure.of(error))))
        finally:
            self._runtime.unwatch_ring(self._on_ring)
            reader.cancel()
            writer.cancel()
            await asyncio.wait([reader, writer])

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        read = self._context.read
        while True:
            request = await read()
            if request is grpc.aio.EOF:
                return
            if self._welcome is None:
                self._greet(request)
            arrived = time.perf_counter()
            asked = [self._asked(call, arrived) for call in request.calls]
            self._runtime.submit(*(event for event in asked if event is not None))

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
        if isinstance(answer, Failure):
            self._runtime.metrics.errors.labels(kind, answer.code).inc()
        latency = self._latencies.get(kind)
        if latency is not None:
            latency.observe(time.perf_counter() - arrived)
        self._replies.append(reply_of(number, answer))
        self._something_to_say.set()

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
            size += replies[taken].ByteSize()
            if taken and size > REPLY_BYTES_MAX:
                break
            taken += 1
        message.replies.extend(replies[:taken])
        self._replies = replies[taken:]
