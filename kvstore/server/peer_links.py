"""Framed TCP between peers: one connection per direction, bounded, best effort.

Each node dials its peers and speaks on the connections it dialled; it listens on those that were dialled to it. A
frame that cannot leave now (no connection, a full queue) is dropped: Raft, and everything above, lives with loss.
A frame that fails its checksum ends its connection; the next one starts clean.

For tests of what a broken network does, links can be cut without being closed (`PeerLinks.cut_off`): what would be sent
to such a peer, or comes from it, is dropped.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import cast

from kvstore.core.errors import InvalidRequest, MalformedFrame
from kvstore.core.ids import Incarnation, NodeId
from kvstore.node.config import NodeConfig
from kvstore.node.effects import Addressed, FrameArrived, LinkLost, PeerRefused
from kvstore.node.forms import split_address
from kvstore.server.metrics import Metrics
from kvstore.v1 import peer_pb2 as pb
from kvstore.wire.frames import (
    GREETING_BYTES_MAX,
    PROTOCOL,
    FrameReader,
    decode_messages,
    encode_frames,
    encode_greeting,
)

log = logging.getLogger("kvstore.server.peers")

REDIAL_S_MIN, REDIAL_S_MAX = 0.05, 1.0
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""Seconds and tries: a silent connection is over after 25 s at most."""

Hear = Callable[..., None]  # takes any number of events


class OutLink(asyncio.Protocol):
    """Our way to one peer: dialled again whenever it is lost."""

    def __init__(self, peer: NodeId, address: str, greeting: bytes, queue_bytes_max: int, metrics: Metrics) -> None:
        self.peer, self._address, self._greeting = peer, address, greeting
        self._queue_bytes_max, self._metrics = queue_bytes_max, metrics
        self._transport: asyncio.WriteTransport | None = None
        self._lost = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._keep_dialling())

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def send(self, messages: list[Addressed]) -> None:
        """One frame, or nothing if it cannot leave now."""
        transport = self._transport
        if transport is None or transport.get_write_buffer_size() > self._queue_bytes_max:
            self._metrics.frames_dropped.inc()
            return
        for frame in encode_frames(messages):
            self._metrics.frame_bytes_sent.inc(len(frame))
            transport.write(frame)

    async def _keep_dialling(self) -> None:
        host, port = split_address(self._address)
        wait_s = REDIAL_S_MIN
        while True:
            self._lost.clear()
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, host, port)
            except OSError:
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, REDIAL_S_MAX)
                continue
            begun = time.monotonic()
            await self._lost.wait()
            refused = time.monotonic() - begun < REDIAL_S_MAX
            wait_s = min(2 * wait_s, REDIAL_S_MAX) if refused else REDIAL_S_MIN
            await asyncio.sleep(wait_s)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's are no subclass
        self._transport.write(self._greeting)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._transport is not None:
            self._transport.abort()


class InLink(asyncio.Protocol):
    """A connection that somebody dialled to us: a greeting first, then frames."""

    def __init__(self, links: "PeerLinks") -> None:
        self._links = links
        self._reader = FrameReader(first_bytes_max=GREETING_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._sender: tuple[NodeId, Incarnation] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._links.incoming.add(self)
        _expect_life(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._links.incoming.discard(self)
        if self._sender is not None and not any(link.speaks_for(self._sender) for link in self._links.incoming):
            self._links.hear(LinkLost(*self._sender))

    def speaks_for(self, sender: tuple[NodeId, Incarnation]) -> bool:
        return self._sender == sender

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
            if self._sender is None and frames:
                self._sender = self._links.welcome(frames.pop(0))
            if self._sender is not None and frames and not self._links.is_cut(self._sender[0]):
                sender = self._sender
                self._links.hear(*[FrameArrived(*sender, decode_messages(frame)) for frame in frames])
        except MalformedFrame as error:
            self._links.on_malformed(self._sender, error)
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _expect_life(transport: asyncio.BaseTransport) -> None:
    """Let the kernel end a connection whose other side is gone without a word: we only listen, and would never know."""
    connection = transport.get_extra_info("socket")
    for level, option, value in KEEP_ALIVE:
        connection.setsockopt(level, option, value)


class PeerLinks:
    """All links of one node."""

    def __init__(self, config: NodeConfig, incarnation: Incarnation, hear: Hear, metrics: Metrics) -> None:
        self._config, self.hear, self._metrics = config, hear, metrics
        self._peers = {NodeId(member.id) for member in config.peers}
        self._members = sorted({NodeId(config.node.id), *self._peers})
        self._server: asyncio.Server | None = None
        self.incoming: set[InLink] = set()
        self._cut: frozenset[NodeId] = frozenset()
        greeting = encode_greeting(config.cluster.id, NodeId(config.node.id), incarnation, self._members)
        queue_bytes_max = config.limits.peer_queue_bytes_max
        self._links = {
            NodeId(member.id): OutLink(NodeId(member.id), member.peer, greeting, queue_bytes_max, metrics)
            for member in config.peers
        }

    async def listen(self) -> None:
        """Open the peer port. Raises OSError."""
        if self._config.listen is not None:
            host, port = split_address(self._config.listen.peer)
            self._server = await asyncio.get_running_loop().create_server(lambda: InLink(self), host, port)

    @property
    def any_connected(self) -> bool:
        return any(link.connected for link in self._links.values())

    def send(self, peer: NodeId, messages: list[Addressed]) -> None:
        link = self._links.get(peer)
        if link is not None and peer not in self._cut:
            link.send(messages)

    def is_cut(self, peer: NodeId) -> bool:
        return peer in self._cut

    def cut_off(self, peers: frozenset[NodeId]) -> None:
        """From now on nothing goes to these peers, nor comes from them; to and from all others it does.

        Raises InvalidRequest if one of them is no peer; then nothing is changed.
        """
        unknown = peers - self._peers
        if unknown:
            raise InvalidRequest(f"no peers of this node: {', '.join(sorted(unknown))}")
        self._cut = peers

    def welcome(self, frame: pb.Frame) -> tuple[NodeId, Incarnation]:
        """Who dialled us. Raises MalformedFrame for a stranger: the connection ends."""
        greeting = frame.greeting
        if greeting.protocol != PROTOCOL:
            raise MalformedFrame(f"a peer speaks protocol {greeting.protocol}, we speak {PROTOCOL}")
        if greeting.cluster != self._config.cluster.id:
            raise MalformedFrame(f"a node of cluster {greeting.cluster!r}; this is {self._config.cluster.id!r}")
        if greeting.node not in self._peers:
            raise MalformedFrame(f"{greeting.node!r} is not a node of this cluster")
        if list(greeting.members) != self._members:
            theirs, ours = ", ".join(greeting.members), ", ".join(self._members)
            why = f"{greeting.node} lists the nodes {theirs}, and we {ours}: cluster.nodes must say the same everywhere"
            self.hear(PeerRefused(NodeId(greeting.node), why))
            raise MalformedFrame(why)
        return NodeId(greeting.node), Incarnation(greeting.incarnation)

    def on_malformed(self, sender: tuple[NodeId, Incarnation] | None, error: MalformedFrame) -> None:
        self._metrics.frames_malformed.inc()
        log.warning("connection from %s ends: %s", sender[0] if sender else "somebody", error)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in self._links.values():
            await link.close()
        for incoming in list(self.incoming):
            incoming.abort()
