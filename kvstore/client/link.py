"""Link: a way to one node. Everything above speaks to nodes through it, in the words of `kv.proto` and `admin.proto`.

There are two sorts: `GrpcLink` (a Session stream over a channel) and, for an embedded node, one that hands the messages
over in this process. Both carry SessionRequest one way and SessionReply the other; whoever implements a third needs to
know only this page.

    client                              link                              node
      open(hello, listener)  ────────────▶ SessionRequest(hello)  ──────────▶
      listener.on_reply      ◀──────────── SessionReply(welcome, ring) ◀─────
      send(request)          ────────────▶ SessionRequest(calls)  ──────────▶
      listener.on_writable   ◀──────────── the request has left
      listener.on_reply      ◀──────────── SessionReply(replies | ring) ◀────
      listener.on_lost       ◀──────────── nothing more will come (once, the last word)
"""

from typing import Protocol

from kvstore.core.errors import KvError
from kvstore.v1 import admin_pb2, ring_pb2
from kvstore.v1 import kv_pb2 as pb


class Listener(Protocol):
    """Who hears what a link brings. Called on the event loop, never from inside `open` or `send`."""

    def on_reply(self, reply: pb.SessionReply) -> None:
        """Whatever the node said: welcome, ring, replies, or that it refuses us."""
        ...

    def on_writable(self) -> None:
        """The last request has left; `send` may be called again."""
        ...

    def on_lost(self, error: KvError) -> None:
        """The link is dead. What was sent and not answered may have happened."""
        ...


class Link(Protocol):
    """A way to one node. Made for one event loop; opened once, lost or closed once."""

    @property
    def writable(self) -> bool:
        """Whether `send` may be called: open, not lost, and the last request has left."""
        ...

    def open(self, hello: pb.SessionHello, listener: Listener) -> None:
        """Begin to connect, and return at once. Success shows as a reply with a welcome, failure as `on_lost`."""
        ...

    def send(self, request: pb.SessionRequest) -> None:
        """Hand over calls; only while `writable`. The request belongs to the link from then on."""
        ...

    async def close(self) -> None:
        """Let go. The listener hears nothing more, not even `on_lost`."""
        ...

    async def get_ring(self, timeout_s: float) -> ring_pb2.Ring: ...

    async def create_keyspace(
        self, request: admin_pb2.CreateKeyspaceRequest, timeout_s: float
    ) -> ring_pb2.RingKeyspace: ...

    async def drop_keyspace(self, request: admin_pb2.DropKeyspaceRequest, timeout_s: float) -> None: ...

    async def status(self, request: admin_pb2.StatusRequest, timeout_s: float) -> admin_pb2.StatusReply: ...

    async def repair(self, request: admin_pb2.RepairRequest, timeout_s: float) -> admin_pb2.RepairReply: ...

    async def scrub(self, request: admin_pb2.ScrubRequest, timeout_s: float) -> admin_pb2.ScrubReply: ...

    async def transfer_leader(self, request: admin_pb2.TransferLeaderRequest, timeout_s: float) -> None:
        """Each of these raises a KvError: what the node answered, NotConnected, or DeadlineExceeded."""
        ...
