"""AdminService: gRPC from clients about the cluster; what it does is in administration.py."""

from typing import Any

import grpc

from kvstore.server.administration import Administration
from kvstore.server.deadlines import left_ms
from kvstore.server.failures import answering
from kvstore.v1 import admin_pb2 as pb
from kvstore.v1 import admin_pb2_grpc, ring_pb2

Context = grpc.aio.ServicerContext[Any, Any]


class AdminService(admin_pb2_grpc.AdminServicer):
    """See proto/kvstore/v1/admin.proto for what each call means."""

    def __init__(self, administration: Administration) -> None:
        self._cluster = administration

    async def GetRing(self, request: pb.GetRingRequest, context: Context) -> ring_pb2.Ring:
        async with answering(context):
            return self._cluster.get_ring()

    async def CreateKeyspace(self, request: pb.CreateKeyspaceRequest, context: Context) -> ring_pb2.RingKeyspace:
        async with answering(context):
            return await self._cluster.create_keyspace(request, left_ms(context))

    async def DropKeyspace(self, request: pb.DropKeyspaceRequest, context: Context) -> pb.DropKeyspaceReply:
        async with answering(context):
            await self._cluster.drop_keyspace(request, left_ms(context))
            return pb.DropKeyspaceReply()

    async def TransferLeader(self, request: pb.TransferLeaderRequest, context: Context) -> pb.TransferLeaderReply:
        async with answering(context):
            await self._cluster.transfer_leader(request, left_ms(context))
            return pb.TransferLeaderReply()

    async def Repair(self, request: pb.RepairRequest, context: Context) -> pb.RepairReply:
        async with answering(context):
            return await self._cluster.repair(request, left_ms(context))

    async def Scrub(self, request: pb.ScrubRequest, context: Context) -> pb.ScrubReply:
        async with answering(context):
            return await self._cluster.scrub(request, left_ms(context))

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusReply:
        async with answering(context):
            return await self._cluster.status(request, left_ms(context))
