"""Unary calls on a leaderless keyspace: siblings, contexts, deletes, scans."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from kvstore.core import errors
from kvstore.core.versions import CausalVersion, Version
from kvstore.v1 import admin_pb2
from kvstore.v1 import kv_pb2 as pb
from tests.server.stage import refused, staged

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def kv(tmp_path: Path) -> AsyncIterator[Any]:
    async with staged(tmp_path, 1) as stage:
        made = await stage.admin().CreateKeyspace(
            admin_pb2.CreateKeyspaceRequest(name="carts", mode="leaderless", partitions=2)
        )
        assert made.mode == "leaderless"
        yield stage.kv()


async def get(kv: Any, key: bytes) -> pb.Record:
    return (await kv.Get(pb.GetRequest(keyspace="carts", key=key))).record


async def put(kv: Any, key: bytes, value: bytes, context: str = "") -> pb.WriteReply:
    return await kv.Put(pb.PutRequest(keyspace="carts", key=key, value=value, context=context, write_quorum=1))


async def test_siblings_are_told_and_replaced_by_who_has_seen_them(kv: Any) -> None:
    never = await get(kv, b"42")
    assert not never.exists and isinstance(Version.parse(never.version), CausalVersion)
    first = await put(kv, b"42", b"milk", never.version)
    one = await get(kv, b"42")
    assert (one.exists, one.value, one.version, list(one.siblings)) == (True, b"milk", first.version, [])
    await put(kv, b"42", b"tea")
    several = await get(kv, b"42")
    assert several.exists and several.value == b"" and [each.value for each in several.siblings] == [b"milk", b"tea"]
    assert several.siblings[0].written_ms <= several.siblings[1].written_ms == several.written_ms
    merged = await put(kv, b"42", b"both", several.version)
    assert merged.receipt.mode == "leaderless" and merged.receipt.siblings == 1
    assert (await get(kv, b"42")).value == b"both"


async def test_deletes(kv: Any) -> None:
    first = await put(kv, b"42", b"milk")
    await put(kv, b"42", b"tea", first.version)
    stale = await kv.Delete(pb.DeleteRequest(keyspace="carts", key=b"42", context=first.version))
    assert stale.found and (await get(kv, b"42")).value == b"tea"
    assert (await kv.Delete(pb.DeleteRequest(keyspace="carts", key=b"42"))).found
    assert not (await get(kv, b"42")).exists
    assert not (await kv.Delete(pb.DeleteRequest(keyspace="carts", key=b"42"))).found


async def test_many_keys_and_scans(kv: Any) -> None:
    pairs = [pb.Pair(key=b"k%d" % number, value=b"x") for number in range(10)]
    written = await kv.PutMany(pb.PutManyRequest(keyspace="carts", pairs=pairs))
    assert len(set(written.versions)) == 10 and not written.failures
    again = await kv.PutMany(
        pb.PutManyRequest(
            keyspace="carts",
            pairs=[pb.Pair(key=b"k1", value=b"y", context=written.versions[1]), pb.Pair(key=b"k2", value=b"y")],
        )
    )
    assert all(again.versions)
    await kv.Delete(pb.DeleteRequest(keyspace="carts", key=b"k3"))
    found = await kv.GetMany(pb.GetManyRequest(keyspace="carts", keys=[b"k1", b"k2", b"k3"], read_quorum=1))
    assert [record.value for record in found.records] == [b"y", b"", b""]
    assert [len(record.siblings) for record in found.records] == [0, 2, 0]
    rows = [row async for reply in kv.Scan(pb.ScanRequest(keyspace="carts")) for row in reply.records]
    assert [row.key for row in rows] == [b"k%d" % number for number in range(10) if number != 3]
    asked = pb.ScanRequest(keyspace="carts", keys_only=True, limit=3, start=b"k2")
    keys = [row async for reply in kv.Scan(asked) for row in reply.records]
    assert [row.key for row in keys] == [b"k2", b"k4", b"k5"] and not any(row.value or row.siblings for row in keys)


async def test_wrong_terms_are_refused(kv: Any) -> None:
    mine = (await put(kv, b"42", b"milk")).version
    led = (await kv.Put(pb.PutRequest(key=b"42", value=b"1"))).version
    cases = [
        (put(kv, b"43", b"x", mine), errors.InvalidRequest, "another key"),
        (put(kv, b"42", b"x", led), errors.InvalidRequest, "a keyspace with a leader"),
        (put(kv, b"42", b"x", mine[:-1]), errors.InvalidRequest, "not a version token"),
        (kv.Put(pb.PutRequest(key=b"42", value=b"x", context=mine)), errors.WrongMode, "use if_version"),
        (kv.Put(pb.PutRequest(keyspace="carts", key=b"42", value=b"x", if_absent=True)), errors.WrongMode, "context"),
        (
            kv.Put(pb.PutRequest(keyspace="carts", key=b"42", value=b"x", if_absent=True, context=mine)),
            errors.InvalidRequest,
            "exclude each other",
        ),
    ]
    for call, kind, words in cases:
        async with refused(kind, INVALID) as told:
            await call
        assert words in str(told[0]) and told[0].definite
    assert (await get(kv, b"42")).value == b"milk"


async def test_the_outcome_of_a_write(kv: Any) -> None:
    operation = pb.OperationId(client=7, sequence=1)
    request = pb.PutRequest(keyspace="carts", key=b"42", value=b"1", operation=operation)
    first, again = await kv.Put(request), await kv.Put(request)
    assert len((await get(kv, b"42")).siblings) == 0 and first.found and again.found, "the same write, told twice"
    told = await kv.Outcome(pb.OutcomeRequest(keyspace="carts", operation=operation))
    assert told.outcome == pb.OutcomeReply.OUTCOME_WRITTEN
