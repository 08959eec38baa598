"""Unary calls, as grpcurl or another language makes them: every call, and every error with its whole story."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from kvstore.core import errors
from kvstore.core.versions import Version
from kvstore.v1 import admin_pb2
from kvstore.v1 import kv_pb2 as pb
from tests.server.stage import PATIENCE_S, Stage, refused, staged

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
MIB = 1 << 20


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, 1) as stage:
        yield stage


async def test_put_get_and_delete(stage: Stage) -> None:
    kv = stage.kv()
    missing = await kv.Get(pb.GetRequest(key=b"key"))
    assert (missing.record.key, missing.record.exists, missing.record.version) == (b"key", False, "")
    written = await kv.Put(pb.PutRequest(key=b"key", value=b"value"))
    assert written.found and written.receipt.on_disk == 1 and written.receipt.node == "n1"
    found = await kv.Get(pb.GetRequest(key=b"key"))
    assert (found.record.exists, found.record.value, found.record.version) == (True, b"value", written.version)
    assert found.record.written_ms == Version.parse(written.version).wall
    assert found.receipt.by_lease
    deleted = await kv.Delete(pb.DeleteRequest(key=b"key"))
    assert deleted.found and Version.parse(deleted.version) > Version.parse(written.version)
    assert not (await kv.Delete(pb.DeleteRequest(key=b"key"))).found
    assert not (await kv.Get(pb.GetRequest(key=b"key"))).record.exists


async def test_conditions(stage: Stage) -> None:
    kv = stage.kv()
    first = await kv.Put(pb.PutRequest(key=b"key", value=b"1", if_absent=True))
    async with refused(errors.PreconditionFailed, grpc.StatusCode.FAILED_PRECONDITION) as told:
        await kv.Put(pb.PutRequest(key=b"key", value=b"2", if_absent=True))
    assert told[0].facts == {"key": b"key", "version": first.version}
    second = await kv.Put(pb.PutRequest(key=b"key", value=b"2", if_version=first.version))
    async with refused(errors.PreconditionFailed, grpc.StatusCode.FAILED_PRECONDITION) as told:
        await kv.Delete(pb.DeleteRequest(key=b"key", if_version=first.version))
    assert told[0].facts["version"] == second.version and "nothing was written" in str(told[0])
    await kv.Delete(pb.DeleteRequest(key=b"key", if_version=second.version))
    async with refused(errors.PreconditionFailed, grpc.StatusCode.FAILED_PRECONDITION) as told:
        await kv.Put(pb.PutRequest(key=b"key", value=b"3", if_version=second.version))
    assert told[0].facts["version"] is None and "does not exist" in str(told[0])
    async with refused(errors.InvalidRequest, INVALID):
        await kv.Put(pb.PutRequest(key=b"key", value=b"3", if_version=second.version, if_absent=True))


async def test_a_version_of_another_key_is_never_this_ones(stage: Stage) -> None:
    """Stamps are unique inside a partition only: two keys of two partitions may have the same."""
    kv = stage.kv()
    written = Version.parse((await kv.Put(pb.PutRequest(key=b"key", value=b"1"))).version)
    keys = [b"k%d" % i for i in range(99)]
    elsewhere = next(key for key in keys if stage.group_of(key) != written.group)
    foreign = str(Version(written.timeline, stage.group_of(elsewhere), written.stamp))
    for call in (
        kv.Put(pb.PutRequest(key=b"key", value=b"2", if_version=foreign)),
        kv.Delete(pb.DeleteRequest(key=b"key", if_version=foreign)),
    ):
        async with refused(errors.InvalidRequest, INVALID) as told:
            await call
        assert "comes from a key of another partition" in str(told[0]) and told[0].definite
    neighbour = next(key for key in keys if stage.group_of(key) == written.group)
    near = await kv.Put(pb.PutRequest(key=neighbour, value=b"1"))
    async with refused(errors.PreconditionFailed, grpc.StatusCode.FAILED_PRECONDITION):
        await kv.Put(pb.PutRequest(key=b"key", value=b"2", if_version=near.version))
    assert (await kv.Get(pb.GetRequest(key=b"key"))).record.value == b"1"


async def test_a_version_of_another_timeline_is_refused(stage: Stage) -> None:
    kv = stage.kv()
    written = await kv.Put(pb.PutRequest(key=b"key", value=b"1"))
    ours = Version.parse(written.version)
    foreign = str(Version(ours.timeline ^ 1, ours.group, ours.stamp))  # type: ignore[arg-type]
    for call in (
        kv.Put(pb.PutRequest(key=b"key", value=b"2", if_version=foreign)),
        kv.Delete(pb.DeleteRequest(key=b"key", if_version=foreign)),
    ):
        async with refused(errors.WrongTimeline, INVALID):
            await call
    assert (await kv.Get(pb.GetRequest(key=b"key"))).record.value == b"1"


async def test_bad_requests_are_refused_by_name_and_change_nothing(stage: Stage) -> None:
    kv = stage.kv()
    cases = [
        (kv.Put(pb.PutRequest(key=b"", value=b"v")), errors.EmptyKey, INVALID),
        (kv.Get(pb.GetRequest(key=b"")), errors.EmptyKey, INVALID),
        (kv.Put(pb.PutRequest(key=b"k" * 481, value=b"v")), errors.KeyTooLarge, INVALID),
        (kv.Put(pb.PutRequest(key=b"k", value=b"v" * (MIB + 1))), errors.ValueTooLarge, INVALID),
        (kv.Put(pb.PutRequest(key=b"k", value=b"v", keyspace="nobody")), errors.UnknownKeyspace, NOT_FOUND),
        (kv.Get(pb.GetRequest(key=b"k", keyspace="nobody")), errors.UnknownKeyspace, NOT_FOUND),
        (kv.Put(pb.PutRequest(key=b"k", value=b"v", if_version="garbage")), errors.InvalidRequest, INVALID),
        (kv.Put(pb.PutRequest(key=b"k", value=b"v", acks=9)), errors.InvalidRequest, INVALID),  # type: ignore[arg-type]
        (kv.Get(pb.GetRequest(key=b"k", level=9)), errors.InvalidRequest, INVALID),  # type: ignore[arg-type]
        (
            kv.Put(pb.PutRequest(key=b"k", value=b"v", operation=pb.OperationId(client=1 << 63, sequence=1))),
            errors.InvalidRequest,
            INVALID,
        ),
        (
            kv.Put(pb.PutRequest(key=b"k", value=b"v", operation=pb.OperationId(client=1, sequence=1 << 63))),
            errors.InvalidRequest,
            INVALID,
        ),
    ]
    for call, kind, status in cases:
        async with refused(kind, status) as told:
            await call
        assert told[0].definite
    assert not (await kv.Get(pb.GetRequest(key=b"k"))).record.exists


@pytest.mark.parametrize("method", ["Kv/Put", "Kv/GetMany", "Kv/Scan", "Admin/CreateKeyspace"])
async def test_bytes_that_are_no_message_are_refused_by_name(stage: Stage, method: str) -> None:
    channel = stage.channel()
    call = channel.unary_stream if method.endswith("Scan") else channel.unary_unary
    async with refused(errors.MalformedFrame, INVALID):
        answer = call(f"/kvstore.v1.{method}")(b"\xff\xff\xff")
        _ = [part async for part in answer] if method.endswith("Scan") else await answer


@pytest.mark.parametrize("call", ["Put", "Get", "PutMany", "Outcome"])
async def test_bytes_that_are_no_request_end_their_call_and_nothing_else(stage: Stage, call: str) -> None:
    raw = stage.channel().unary_unary(f"/kvstore.v1.Kv/{call}")
    for garbage in (b"\xff" * 20, b"\x0a\xff\xff\xff\x7f", bytes(range(256))):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(garbage)
        assert caught.value.code() in (grpc.StatusCode.INTERNAL, INVALID), caught.value
    assert not stage.one.ended.done()
    assert (await stage.kv().Put(pb.PutRequest(key=b"key", value=b"v"))).found


async def test_bytes_that_are_no_message_end_their_session_and_nothing_else(stage: Stage) -> None:
    stream = stage.channel().stream_stream("/kvstore.v1.Kv/Session")()
    await stream.write(b"\xff" * 20)
    async with asyncio.timeout(PATIENCE_S):
        assert await stream.code() is not grpc.StatusCode.OK
    assert not stage.one.ended.done()
    assert (await stage.kv().Put(pb.PutRequest(key=b"key", value=b"v"))).found


async def test_a_request_too_large_for_a_message_ends_at_the_door(stage: Stage) -> None:
    pairs = [pb.Pair(key=b"%d" % i, value=b"v" * MIB) for i in range(18)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stage.kv().PutMany(pb.PutManyRequest(pairs=pairs))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_retry_with_an_operation_id_is_exact_and_its_outcome_is_known(stage: Stage) -> None:
    kv = stage.kv()
    operation = pb.OperationId(client=99, sequence=5)
    first = await kv.Put(pb.PutRequest(key=b"key", value=b"1", if_absent=True, operation=operation))
    again = await kv.Put(pb.PutRequest(key=b"key", value=b"1", if_absent=True, operation=operation))
    assert again.version == first.version
    for request in (pb.OutcomeRequest(operation=operation), pb.OutcomeRequest(operation=operation, key=b"key")):
        outcome = await kv.Outcome(request)
        assert outcome.outcome == pb.OutcomeReply.OUTCOME_WRITTEN and outcome.version == first.version
    refusal = pb.OperationId(client=99, sequence=6)
    async with refused(errors.PreconditionFailed, grpc.StatusCode.FAILED_PRECONDITION):
        await kv.Put(pb.PutRequest(key=b"key", value=b"2", if_absent=True, operation=refusal))
    assert (await kv.Outcome(pb.OutcomeRequest(operation=refusal))).outcome == pb.OutcomeReply.OUTCOME_REFUSED
    unseen = pb.OperationId(client=99, sequence=7)
    assert (await kv.Outcome(pb.OutcomeRequest(operation=unseen))).outcome == pb.OutcomeReply.OUTCOME_NOT_SEEN


async def test_many_keys_over_all_partitions_come_in_the_order_asked(stage: Stage) -> None:
    kv = stage.kv()
    keys = [b"key%03d" % i for i in range(100)]
    written = await kv.PutMany(pb.PutManyRequest(pairs=[pb.Pair(key=key, value=key) for key in keys]))
    assert len(written.versions) == 100 and all(written.versions) and not written.failures
    asked = [*reversed(keys), b"missing", keys[3], keys[3]]
    found = await kv.GetMany(pb.GetManyRequest(keys=asked))
    assert [record.key for record in found.records] == asked
    assert [record.value for record in found.records] == [key if key != b"missing" else b"" for key in asked]
    assert [record.exists for record in found.records] == [key != b"missing" for key in asked]
    assert found.records[0].version == written.versions[-1]


async def test_of_many_writes_those_that_fail_are_named(stage: Stage) -> None:
    kv = stage.kv()
    good, bad = b"good", next(b"k%d" % i for i in range(99) if stage.group_of(b"k%d" % i) != stage.group_of(b"good"))
    pairs = [pb.Pair(key=good, value=b"v"), pb.Pair(key=bad, value=b"v" * (MIB + 1))]
    written = await kv.PutMany(pb.PutManyRequest(pairs=pairs))
    assert written.versions[0] and not written.versions[1]
    [failure] = written.failures
    assert failure.code == "ValueTooLarge" and failure.definite
    assert (await kv.Get(pb.GetRequest(key=good))).record.exists


async def test_an_atomic_batch_is_whole_and_stays_in_one_partition(stage: Stage) -> None:
    kv = stage.kv()
    group = stage.group_of(b"a")
    keys = [b"a%d" % i for i in range(300)]
    together = [key for key in keys if stage.group_of(key) == group][:3]
    elsewhere = next(key for key in keys if stage.group_of(key) != group)
    written = await kv.PutMany(pb.PutManyRequest(pairs=[pb.Pair(key=key, value=b"1") for key in together], atomic=True))
    assert all(written.versions) and not written.failures
    torn = [pb.Pair(key=key, value=b"2") for key in (*together, elsewhere)]
    async with refused(errors.InvalidRequest, INVALID) as told:
        await kv.PutMany(pb.PutManyRequest(pairs=torn, atomic=True))
    assert "stays in one partition" in str(told[0])
    too_large = [pb.Pair(key=together[0], value=b"2"), pb.Pair(key=together[1], value=b"2" * (MIB + 1))]
    failed = await kv.PutMany(pb.PutManyRequest(pairs=too_large, atomic=True))
    assert not any(failed.versions) and {failure.code for failure in failed.failures} == {"ValueTooLarge"}
    found = await kv.GetMany(pb.GetManyRequest(keys=[*together, elsewhere]))
    assert [record.value for record in found.records] == [b"1", b"1", b"1", b""]


async def scanned(stage: Stage, **request: object) -> list[pb.Record]:
    return [record async for reply in stage.kv().Scan(pb.ScanRequest(**request)) for record in reply.records]  # type: ignore[arg-type]


async def test_a_scan_merges_all_partitions_in_key_order(stage: Stage) -> None:
    kv = stage.kv()
    keys = sorted(b"s%04d" % i for i in range(300))
    await kv.PutMany(pb.PutManyRequest(pairs=[pb.Pair(key=key, value=key * 50) for key in keys]))
    await kv.Put(pb.PutRequest(key=b"t", value=b"v"))
    assert [record.key for record in await scanned(stage, start=b"s", end=b"t")] == keys
    assert [record.key for record in await scanned(stage)] == [*keys, b"t"]
    assert [record.key for record in await scanned(stage, start=b"s0100", limit=7)] == keys[100:107]
    only_keys = await scanned(stage, start=b"s", limit=3, keys_only=True)
    assert [(record.key, record.value) for record in only_keys] == [(key, b"") for key in keys[:3]]
    assert all(record.version for record in only_keys)
    assert await scanned(stage, start=b"z") == [] == await scanned(stage, start=b"t", end=b"s")


async def test_a_scan_of_large_values_is_paged(stage: Stage) -> None:
    kv = stage.kv()
    for i in range(24):
        await kv.Put(pb.PutRequest(key=b"large%02d" % i, value=b"%02d" % i * (MIB // 2)))
    found = await scanned(stage, start=b"large", end=b"largf")
    assert [record.value[:2] for record in found] == [b"%02d" % i for i in range(24)]


async def test_a_scan_that_cannot_be_is_refused(stage: Stage) -> None:
    async with refused(errors.UnknownKeyspace, NOT_FOUND):
        await scanned(stage, keyspace="nobody")
    async with refused(errors.KeyTooLarge, INVALID):
        await scanned(stage, start=b"k" * 600)


async def test_keyspaces_are_apart(stage: Stage) -> None:
    await stage.admin().CreateKeyspace(admin_pb2.CreateKeyspaceRequest(name="carts", partitions=2, value_bytes_max=10))
    kv = stage.kv()
    await kv.Put(pb.PutRequest(keyspace="carts", key=b"key", value=b"cart"))
    assert not (await kv.Get(pb.GetRequest(key=b"key"))).record.exists
    assert (await kv.Get(pb.GetRequest(keyspace="carts", key=b"key"))).record.value == b"cart"
    async with refused(errors.ValueTooLarge, INVALID) as told:
        await kv.Put(pb.PutRequest(keyspace="carts", key=b"key", value=b"v" * 11))
    assert "11 bytes, this keyspace allows 10" in str(told[0])


async def test_unary_calls_are_measured_like_those_of_sessions(stage: Stage) -> None:
    kv = stage.kv()
    await kv.Put(pb.PutRequest(key=b"key", value=b"v"))
    await kv.Get(pb.GetRequest(key=b"key"))
    async with refused(errors.EmptyKey, INVALID):
        await kv.Get(pb.GetRequest(key=b""))
    text = stage.one.metrics.text().decode()
    assert 'kvstore_request_seconds_count{operation="write"} 1.0' in text
    assert 'kvstore_request_seconds_count{operation="read"} 2.0' in text
    assert 'kvstore_errors_total{code="EmptyKey",operation="read"} 1.0' in text
    assert 'kvstore_operations_total{operation="write"} 1.0' in text
