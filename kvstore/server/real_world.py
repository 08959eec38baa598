"""RealWorld: what a node asks for, done with LMDB, sockets and the clock."""

from typing import TYPE_CHECKING

from kvstore.core.ids import Millis, NodeId
from kvstore.node.effects import Addressed, Founding
from kvstore.node.requests import Answer
from kvstore.server.disk_writer import DiskWriter
from kvstore.server.peer_links import PeerLinks
from kvstore.storage.engine import Batch

if TYPE_CHECKING:
    from kvstore.server.runtime import NodeRuntime


class RealWorld:
    """See `kvstore.node.world.World` for the contract."""

    def __init__(self, runtime: "NodeRuntime", links: PeerLinks, writer: DiskWriter) -> None:
        self._runtime, self._links, self._writer = runtime, links, writer

    def record_founding(self, founding: Founding) -> None:
        self._runtime.directory.record_founding(founding.members)

    def send(self, peer: NodeId, messages: list[Addressed]) -> None:
        self._links.send(peer, messages)

    def persist(self, batch: Batch, ticket: int) -> None:
        self._writer.submit(batch, ticket)

    def write_rows(self, rows: Batch, ticket: int) -> None:
        self._writer.submit_rows(rows, ticket)

    def reply(self, handle: int, answer: Answer) -> None:
        self._runtime.reply(handle, answer)

    def publish_ring(self) -> None:
        self._runtime.publish_ring()

    def fail(self, reason: str) -> None:
        self._runtime.fail(reason)

    def wake_me_at(self, when: Millis | None) -> None:
        self._runtime.wake_me_at(when)
