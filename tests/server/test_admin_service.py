"""What a client may do to the cluster, and the standard services beside it: reflection and health."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kvstore.core import errors
from kvstore.placement.keyspaces import Settings
from kvstore.v1 import admin_pb2 as pb
from kvstore.v1 import kv_pb2
from kvstore.wire.rings import ring_of
from tests.server.stage import Stage, refused, staged, until

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, 1) as stage:
        yield stage


async def test_the_ring_as_the_node_knows_it(stage: Stage) -> None:
    wire = await stage.admin().GetRing(pb.GetRingRequest())
    ring = ring_of(wire)
    assert (ring.cluster, list(ring.nodes)) == ("stage", ["n1"])
    assert ring.epoch == 2 and [keyspace.name for keyspace in ring.keyspaces] == ["default"]
    assert wire.nodes[0].client_address == stage.members[0].client


async def test_keyspaces_come_and_go(stage: Stage) -> None:
    admin = stage.admin()
    made = await admin.CreateKeyspace(
        pb.CreateKeyspaceRequest(name="carts", partitions=2, history_versions=0, acks="all", value_bytes_max=9)
    )
    assert (made.name, made.mode, made.replicas, len(made.partitions)) == ("carts", "leader", 1, 2)
    assert (made.history_versions, made.history_seconds, made.acks, made.value_bytes_max) == (
        0,
        Settings("x").history_seconds,
        "all",
        9,
    )
    async with refused(errors.KeyspaceExists, grpc.StatusCode.ALREADY_EXISTS):
        await admin.CreateKeyspace(pb.CreateKeyspaceRequest(name="carts"))
    again = await admin.CreateKeyspace(pb.CreateKeyspaceRequest(name="carts", if_absent=True))
    assert again.id == made.id
    await admin.DropKeyspace(pb.DropKeyspaceRequest(name="carts"))
    async with refused(errors.UnknownKeyspace, NOT_FOUND):
        await admin.DropKeyspace(pb.DropKeyspaceRequest(name="carts"))
    async with refused(errors.UnknownKeyspace, NOT_FOUND):
        await stage.kv().Get(kv_pb2.GetRequest(keyspace="carts", key=b"key"))


REFUSED = [
    (pb.CreateKeyspaceRequest(name="x", mode="multileader"), errors.NotYetAvailable, grpc.StatusCode.UNIMPLEMENTED),
    (pb.CreateKeyspaceRequest(name="x", mode="multileader"), errors.NotYetAvailable, grpc.StatusCode.UNIMPLEMENTED),
    (pb.CreateKeyspaceRequest(name="x", mode="magic"), errors.InvalidRequest, INVALID),
    (pb.CreateKeyspaceRequest(name="x", partitions=3), errors.InvalidRequest, INVALID),
    (pb.CreateKeyspaceRequest(name="x", replicas=2), errors.InvalidRequest, INVALID),
    (pb.CreateKeyspaceRequest(name="x", value_bytes_max=1 << 30), errors.InvalidRequest, INVALID),
    (pb.CreateKeyspaceRequest(name="x", acks="some"), errors.InvalidRequest, INVALID),
    (pb.CreateKeyspaceRequest(name=""), errors.InvalidRequest, INVALID),
    (pb.CreateKeyspaceRequest(name="no spaces"), errors.InvalidRequest, INVALID),
]


@pytest.mark.parametrize(("request_", "kind", "status"), REFUSED)
async def test_keyspaces_that_cannot_be(
    stage: Stage, request_: pb.CreateKeyspaceRequest, kind: type[errors.KvError], status: grpc.StatusCode
) -> None:
    async with refused(kind, status):
        await stage.admin().CreateKeyspace(request_)
    ring = stage.one.node.ring
    assert ring is not None and ring.epoch == 2


async def test_leadership_can_be_sent_only_to_nodes_there_are(stage: Stage) -> None:
    group = stage.group_of(b"key")
    async with refused(errors.InvalidRequest, INVALID) as told:
        await stage.admin().TransferLeader(pb.TransferLeaderRequest(group=group, to="n9"))
    assert "no node 'n9'" in str(told[0])
    await stage.admin().TransferLeader(pb.TransferLeaderRequest(group=group, to="n1"))


async def test_a_node_reports_on_itself(stage: Stage) -> None:
    [report] = (await stage.admin().Status(pb.StatusRequest(whole_cluster=True))).nodes_json
    facts = msgspec.json.decode(report)
    assert (facts["node"], facts["ready"], facts["healthy"], facts["problems"]) == ("n1", True, True, [])
    assert facts["leads"] == facts["replicas"] == 8


async def test_the_health_service_answers_for_every_service(stage: Stage) -> None:
    health = health_pb2_grpc.HealthStub(stage.channel())
    for service in ("", "kvstore.v1.Kv", "kvstore.v1.Admin"):
        reply = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(health_pb2.HealthCheckRequest(service="kvstore.v1.Nobody"))
    assert caught.value.code() is NOT_FOUND


async def test_reflection_lists_and_describes_the_services(stage: Stage) -> None:
    """So that grpcurl works without our files."""
    reflect = reflection_pb2_grpc.ServerReflectionStub(stage.channel())
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="kvstore.v1.Kv"),
    ]
    listed, described = [reply async for reply in reflect.ServerReflectionInfo(iter(asked))]
    names = {service.name for service in listed.list_services_response.service}
    assert {"kvstore.v1.Kv", "kvstore.v1.Admin", "grpc.health.v1.Health"} <= names
    assert described.file_descriptor_response.file_descriptor_proto


async def test_in_a_cluster_any_node_passes_on_what_it_cannot_do_itself(tmp_path: Path) -> None:
    async with staged(tmp_path, 3) as stage:
        for name in ("n1", "n2", "n3"):
            made = await stage.admin(name).CreateKeyspace(pb.CreateKeyspaceRequest(name=f"by-{name}", partitions=1))
            assert made.replicas == 3
            await stage.kv(name).Put(kv_pb2.PutRequest(keyspace=f"by-{name}", key=b"key", value=name.encode()))
            for reader in ("n1", "n2", "n3"):
                found = await stage.kv(reader).Get(kv_pb2.GetRequest(keyspace=f"by-{name}", key=b"key"))
                assert found.record.value == name.encode()
        reports = (await stage.admin("n2").Status(pb.StatusRequest(whole_cluster=True))).nodes_json
        assert [msgspec.json.decode(report)["node"] for report in reports] == ["n2", "n1", "n3"]
        group, leader = stage.group_of(b"key"), stage.leader_of(b"key")
        other = next(name for name in ("n1", "n2", "n3") if name != leader)
        await stage.admin(other).TransferLeader(pb.TransferLeaderRequest(group=group, to=other))
        await until(lambda: stage.runtimes[other].node.leader_of(group) == other, "leadership never moved")
        await stage.stop("n3")
        reports = (await stage.admin("n1").Status(pb.StatusRequest(whole_cluster=True))).nodes_json
        silent = msgspec.json.decode(reports[-1])
        assert silent["node"] == "n3" and not silent["healthy"] and silent["problems"]


async def test_replicas_are_compared_pair_by_pair(tmp_path: Path) -> None:
    async with staged(tmp_path, 3) as stage:
        admin = stage.admin("n2")
        await admin.CreateKeyspace(pb.CreateKeyspaceRequest(name="carts", mode="leaderless", partitions=2))
        await until(
            lambda: all(len(one.node.ring.keyspaces) == 2 for one in stage.runtimes.values() if one.node.ring),
            "not everybody heard of the keyspace",
        )
        await stage.kv("n1").Put(kv_pb2.PutRequest(keyspace="carts", key=b"key", value=b"v"))
        pairs = list((await admin.Repair(pb.RepairRequest(check=True))).pairs)
        named = [(pair.keyspace, pair.partition, pair.asker, pair.peer) for pair in pairs]
        couples = (("n1", "n2"), ("n1", "n3"), ("n2", "n3"))
        assert named == [("carts", number, one, other) for number in (0, 1) for one, other in couples]
        assert [(pair.failed, pair.differing) for pair in pairs] == [("", 0)] * 6
        async with refused(errors.WrongMode, INVALID):
            await admin.Repair(pb.RepairRequest(keyspace="default"))
        async with refused(errors.UnknownKeyspace, NOT_FOUND):
            await admin.Repair(pb.RepairRequest(keyspace="nobody"))
        async with refused(errors.InvalidRequest, INVALID):
            await admin.Repair(pb.RepairRequest(keyspace="carts", partition=2))
        await stage.stop("n3")
        pairs = list((await admin.Repair(pb.RepairRequest(keyspace="carts", partition=1), timeout=5)).pairs)
        assert [(pair.asker, pair.peer, bool(pair.failed)) for pair in pairs] == [
            ("n1", "n2", False), ("n1", "n3", True), ("n2", "n3", True)
        ]  # fmt: skip
