"""Administration: what a client may ask about the cluster, for whichever door it comes through."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from kvstore.core.errors import DeadlineExceeded, InvalidRequest, NotReady
from kvstore.core.ids import GroupId, NodeId
from kvstore.core.limits import PARTITIONS_DEFAULT, VALUE_BYTES_DEFAULT
from kvstore.node.requests import (
    CreateKeyspaceRequest,
    DropKeyspaceRequest,
    Failure,
    Request,
    StatusRequest,
    Told,
    TransferRequest,
)
from kvstore.placement.keyspaces import Settings
from kvstore.placement.ring import Ring
from kvstore.server.runtime import NodeRuntime
from kvstore.server.tending import repair, scrub
from kvstore.v1 import admin_pb2 as pb
from kvstore.v1 import ring_pb2
from kvstore.wire.rings import keyspace_to, ring_to

LED_MS = 3_000
"""How long a new keyspace may take to elect its leaders before its creator is told that it is there."""
STATUS_MS = 1_500
"""How long other nodes may take to report on themselves."""


class Administration:
    """See proto/kvstore/v1/admin.proto for what each call means. Every method raises KvError."""

    def __init__(self, runtime: NodeRuntime) -> None:
        self._runtime = runtime

    def get_ring(self) -> ring_pb2.Ring:
        return ring_to(self._ring(), self._runtime.node.leader_of)

    async def create_keyspace(self, request: pb.CreateKeyspaceRequest, deadline_ms: int) -> ring_pb2.RingKeyspace:
        settings = settings_of(request)
        await self._tell(CreateKeyspaceRequest(settings, request.if_absent), deadline_ms)
        await self._until(lambda ring: any(keyspace.name == settings.name for keyspace in ring.keyspaces), deadline_ms)
        with contextlib.suppress(DeadlineExceeded):  # it is there all the same
            await self._until(lambda ring: self._is_led(ring, settings.name), min(LED_MS, deadline_ms))
        return keyspace_to(self._ring().keyspace(settings.name), self._runtime.node.leader_of)

    async def drop_keyspace(self, request: pb.DropKeyspaceRequest, deadline_ms: int) -> None:
        await self._tell(DropKeyspaceRequest(request.name), deadline_ms)
        await self._until(lambda ring: all(keyspace.name != request.name for keyspace in ring.keyspaces), deadline_ms)

    async def transfer_leader(self, request: pb.TransferLeaderRequest, deadline_ms: int) -> None:
        if request.to and NodeId(request.to) not in self._ring().nodes:
            raise InvalidRequest(f"there is no node {request.to!r}")
        await self._tell(TransferRequest(GroupId(request.group), request.to), deadline_ms)

    async def repair(self, request: pb.RepairRequest, deadline_ms: int) -> pb.RepairReply:
        """Replicas that cannot be compared are in it all the same, with why."""
        return await repair(self._runtime, self._ring(), request, deadline_ms)

    async def scrub(self, request: pb.ScrubRequest, deadline_ms: int) -> pb.ScrubReply:
        """Nodes that do not answer in time are in it all the same, with why."""
        return await scrub(self._runtime, self._ring(), request, deadline_ms)

    async def status(self, request: pb.StatusRequest, deadline_ms: int) -> pb.StatusReply:
        """Nodes that do not answer are in it all the same, with that as their problem."""
        me = self._runtime.config.node.id
        others = [member.id for member in self._runtime.config.peers] if request.whole_cluster else []
        timeout_ms = min(STATUS_MS, deadline_ms)
        reports = await asyncio.gather(*(self._status(name, timeout_ms) for name in (me, *others)))
        return pb.StatusReply(nodes_json=reports)

    async def _status(self, name: str, timeout_ms: int) -> bytes:
        answer = await self._runtime.answer(StatusRequest(name), timeout_ms)
        if isinstance(answer, Told):
            return answer.json
        problem = "it does not answer" if isinstance(answer, Failure) else "it answered something else"
        return msgspec.json.encode({"node": name, "healthy": False, "ready": False, "problems": [problem]})

    def _is_led(self, ring: Ring, name: str) -> bool:
        """Whether every partition of a keyspace that this node holds has a leader."""
        node = self._runtime.node
        here = [keyspace.partitions for keyspace in ring.keyspaces if keyspace.name == name]
        return all(
            node.groups.raft_host(part.group) is None or node.leader_of(part.group) for parts in here for part in parts
        )

    async def _until(self, told: Callable[[Ring], bool], deadline_ms: int) -> None:
        """The leader of group 0 has applied a change; wait until our own ring says so, too.

        Raises DeadlineExceeded.
        """
        changed = asyncio.Event()
        self._runtime.watch_ring(changed.set)
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                while not told(self._ring()):
                    changed.clear()
                    await changed.wait()
        except TimeoutError as error:
            raise DeadlineExceeded("the change was made, but this node has not heard of it yet") from error
        finally:
            self._runtime.unwatch_ring(changed.set)

    async def _tell(self, request: Request, deadline_ms: int) -> None:
        answer = await self._runtime.answer(request, deadline_ms)
        if isinstance(answer, Failure):
            raise answer.error()

    def _ring(self) -> Ring:
        ring = self._runtime.node.ring
        if ring is None:
            raise NotReady("the node does not know the ring yet")
        return ring


def settings_of(request: pb.CreateKeyspaceRequest) -> Settings:
    """What was asked for, with the defaults for what was left out."""
    given: dict[str, int] = {}
    if request.HasField("history_versions"):
        given["history_versions"] = request.history_versions
    if request.HasField("history_seconds"):
        given["history_seconds"] = request.history_seconds
    return Settings(
        request.name,
        mode=request.mode or "leader",
        replicas=request.replicas,
        partitions=request.partitions or PARTITIONS_DEFAULT,
        value_bytes_max=request.value_bytes_max or VALUE_BYTES_DEFAULT,
        acks=request.acks or "majority",
        read_quorum=request.read_quorum,
        write_quorum=request.write_quorum,
        sloppy=request.sloppy,
        conflicts=request.conflicts or "siblings",
        **given,
    )
