"""A real gRPC server on a port of the kernel's choice, serving a FakeCluster's node: what GrpcLink speaks to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import msgspec

from kvstore.core.errors import KvError
from kvstore.v1 import admin_pb2, admin_pb2_grpc, kv_pb2_grpc, ring_pb2
from kvstore.v1 import kv_pb2 as pb
from tests.client.fake_cluster import FakeCluster, FakeNode, failure_of

OPTIONS = [
    ("grpc.max_receive_message_length", 17 << 20),
    ("grpc.max_send_message_length", 17 << 20),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
]


class Servant(kv_pb2_grpc.KvServicer, admin_pb2_grpc.AdminServicer):
    """One node's services."""

    def __init__(self, cluster: FakeCluster, node: FakeNode) -> None:
        self.cluster, self.node = cluster, node
        self.sessions: list[grpc.aio.ServicerContext[Any, Any]] = []
        self.abort: KvError | None = None
        """What unary calls fail with."""
        self.asked = asyncio.Event()
        """A unary call has arrived."""

    async def Session(self, requests: AsyncIterator[pb.SessionRequest], context: Any) -> AsyncIterator[pb.SessionReply]:
        self.sessions.append(context)
        async for request in requests:
            if request.HasField("hello"):
                self.node.hellos.append(request.hello)
                if self.node.paused:
                    await asyncio.Event().wait()
                if self.node.refusal is not None:
                    yield pb.SessionReply(refused=failure_of(self.node.refusal))
                    return
                welcome = pb.SessionWelcome(
                    node=self.node.name, cluster=self.cluster.cluster, timeline=self.cluster.timeline
                )
                yield pb.SessionReply(welcome=welcome, ring=self.cluster.ring())
                continue
            self.node.requests.append(request)
            message = pb.SessionReply()
            for call in request.calls:
                answer = self.cluster.serve(self.node, call)
                if isinstance(answer, KvError):
                    message.replies.add(id=call.id, failure=failure_of(answer))
                elif answer is not None:
                    reply = message.replies.add()
                    reply.CopyFrom(answer)
                    reply.id = call.id
            if message.replies:
                yield message

    async def _answer(self, context: Any) -> None:
        self.asked.set()
        if self.node.paused:
            await asyncio.Event().wait()
        if self.abort is not None:
            failure = failure_of(self.abort)
            metadata = (("kvstore-failure-bin", failure.SerializeToString()),)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "see metadata", trailing_metadata=metadata)

    async def GetRing(self, request: admin_pb2.GetRingRequest, context: Any) -> ring_pb2.Ring:
        await self._answer(context)
        return self.cluster.ring()

    async def CreateKeyspace(self, request: admin_pb2.CreateKeyspaceRequest, context: Any) -> ring_pb2.RingKeyspace:
        await self._answer(context)
        return self.cluster.add_keyspace(request.name, request.partitions or 8)

    async def DropKeyspace(self, request: admin_pb2.DropKeyspaceRequest, context: Any) -> admin_pb2.DropKeyspaceReply:
        await self._answer(context)
        self.cluster.drop_keyspace(request.name)
        return admin_pb2.DropKeyspaceReply()

    async def Status(self, request: admin_pb2.StatusRequest, context: Any) -> admin_pb2.StatusReply:
        await self._answer(context)
        return admin_pb2.StatusReply(nodes_json=[msgspec.json.encode({"node": self.node.name, "healthy": True})])


@asynccontextmanager
async def serving(cluster: FakeCluster, stay: str = "") -> AsyncIterator[dict[str, Servant]]:
    """Serve every node of the cluster, on new ports, and put these into its ring; node `stay` keeps its address."""
    servers: list[grpc.aio.Server] = []
    servants: dict[str, Servant] = {}
    cluster.epoch += 1
    for node in cluster.nodes.values():
        server = grpc.aio.server(options=OPTIONS)
        servant = servants[node.name] = Servant(cluster, node)
        kv_pb2_grpc.add_KvServicer_to_server(servant, server)
        admin_pb2_grpc.add_AdminServicer_to_server(servant, server)
        wanted = node.address if node.name == stay else "127.0.0.1:0"
        node.address = f"127.0.0.1:{server.add_insecure_port(wanted)}"
        await server.start()
        servers.append(server)
    try:
        yield servants
    finally:
        for server in servers:
            await server.stop(None)
