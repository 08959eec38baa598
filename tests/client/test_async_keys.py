"""One key: put, get, delete and their full forms, conditions, bad input."""

import asyncio

import pytest

from kvstore.client import codecs
from kvstore.client.async_client import AsyncClient
from kvstore.client.deadlines import timeout
from kvstore.core.errors import (
    CodecError,
    ConsistencyNotSupported,
    DeadlineExceeded,
    EmptyKey,
    InvalidRequest,
    KeyTooLarge,
    NoLeader,
    NotYetAvailable,
    PreconditionFailed,
    ValueTooLarge,
    WrongTimeline,
)
from kvstore.core.ids import OperationId, TimelineId
from kvstore.core.versions import Version
from kvstore.v1 import kv_pb2 as pb
from tests.client.fake_cluster import FakeCluster
from tests.client.lab import CLIENT, play
from tests.client.virtual_time import now


def test_put_get_delete() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        assert await db.get("user:1") is None
        assert await db.get("user:1", b"?") == b"?"
        assert await db.get("user:1", 7) == 7
        version = await db.put("user:1", b"Ada")
        assert isinstance(version, Version)
        assert await db.get("user:1") == await db.get(b"user:1") == b"Ada"
        assert await db.exists("user:1")
        assert await db.delete("user:1") is True
        assert await db.delete("user:1") is False
        assert not await db.exists("user:1")

    play(scene)


def test_records_tell_version_and_time() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"1")
        record = await db.read("a")
        assert (record.key, record.exists, record.value, record.version) == (b"a", True, b"1", version)
        assert record.receipt is not None and record.receipt.node == cluster.group_of(b"a").leader
        assert record.written is not None and record.written.timestamp() == version.wall / 1000
        missing = await db.read("b")
        assert (missing.exists, missing.value, missing.version, missing.written) == (False, None, None, None)
        assert repr(missing) == "<Record b'b' does not exist>" and "b'1'" in repr(record)

    play(scene)


def test_full_forms_tell_operation_and_receipt() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        users = db.space("user:", codec=codecs.text)
        written = await users.write("1", "Ada", acks="all")
        assert written.key == b"1" and written.operation == OperationId(CLIENT, 1)
        assert written.receipt.acknowledged == 3 and written.found
        assert (await users.read("1")).version == written.version
        assert (await db.outcome(written)).version == written.version
        assert (await users.erase("1", if_version=written)).found
        gone = await users.erase("1")
        assert not gone.found and gone.version is None
        assert str((await db.outcome(gone)).verdict) == "refused"

    play(scene)


def test_compare_and_set() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        first = await db.put("a", b"1", if_absent=True)
        with pytest.raises(PreconditionFailed) as caught:
            await db.put("a", b"x", if_absent=True)
        assert caught.value.current == await db.read("a")
        record = await db.read("a")
        second = await db.put("a", b"2", if_version=record)
        assert second > first
        for stale in (first, str(first), record):
            with pytest.raises(PreconditionFailed) as caught:
                await db.put("a", b"x", if_version=stale)
            current = caught.value.current
            assert (current.value, current.version, caught.value.key) == (b"2", second, b"a")
            with pytest.raises(PreconditionFailed):
                await db.delete("a", if_version=stale)
            with pytest.raises(PreconditionFailed):
                await db.write("a", b"x", if_version=stale)
        assert await db.delete("a", if_version=second)
        with pytest.raises(PreconditionFailed) as caught:
            await db.put("a", b"x", if_version=second)
        assert caught.value.current.exists is False

    play(scene)


def test_an_update_reads_changes_and_writes() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        visits = db.space("visits:", codec=codecs.json)
        assert await visits.update("home", lambda n: (n or 0) + 1) == 1
        assert await visits.update("home", lambda n: n + 1) == 2
        assert await visits.get("home") == 2

    play(scene)


def test_no_update_is_lost_when_many_change_the_same_key() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        visits = db.space("visits:", codec=codecs.json)
        seen: list[int | None] = []

        def change(n: int | None) -> int:
            seen.append(n)
            return (n or 0) + 1

        await asyncio.gather(*(visits.update("home", change) for _ in range(20)))
        assert await visits.get("home") == 20
        assert len(seen) > 20, "some were called again"

    play(scene)


def test_an_update_whose_change_raises_changes_nothing() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"1")
        with pytest.raises(ZeroDivisionError):
            await db.update("a", lambda _: bytes(1 // 0))
        assert (await db.read("a")).version == version

    play(scene)


def test_what_is_there_now_is_told_in_the_view_s_own_terms() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        users = db.space("user:", codec=codecs.json)
        await users.put("1", {"name": "Ada"})
        with pytest.raises(PreconditionFailed) as caught:
            await users.put("1", {}, if_absent=True)
        assert caught.value.current.value == {"name": "Ada"} and caught.value.current.key == b"1"

    play(scene)


def test_a_refusal_stands_even_if_what_is_there_cannot_be_read() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"1")
        for node in cluster.nodes.values():
            node.always = lambda call: NoLeader() if call.HasField("read") else False
        with pytest.raises(PreconditionFailed) as caught:
            await db.put("a", b"x", if_absent=True, timeout=1)
        current = caught.value.current
        assert (current.exists, current.version, current.value) == (True, version, None)

    play(scene)


def test_bad_input_is_caught_before_anything_is_sent() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"1")
        sent = sum(len(node.requests) for node in cluster.nodes.values())
        foreign = Version(TimelineId(version.timeline + 1), version.group, version.stamp)
        wrong = [
            (EmptyKey, db.put("", b"")),
            (KeyTooLarge, db.get("x" * 481)),
            (InvalidRequest, db.get(7)),  # type: ignore[call-overload]
            (ValueTooLarge, db.put("a", b"x" * 1001)),
            (ValueTooLarge, db.write("a", b"x" * 1001)),
            (InvalidRequest, db.put("a", "text")),  # type: ignore[arg-type]
            (CodecError, db.space(codec=codecs.text).put("a", b"bytes")),  # type: ignore[arg-type]
            (WrongTimeline, db.put("a", b"", if_version=foreign)),
            (InvalidRequest, db.put("a", b"", if_version="nonsense")),
            (InvalidRequest, db.put("a", b"", if_version=version, if_absent=True)),
            (ConsistencyNotSupported, db.get("a", consistency="quorum")),
            (ConsistencyNotSupported, db.put("a", b"", acks="two")),
            (InvalidRequest, db.get("a", max_staleness=1)),
            (InvalidRequest, db.get("a", timeout=-1)),
        ]
        for kind, call in wrong:
            with pytest.raises(kind):
                await call
        assert sum(len(node.requests) for node in cluster.nodes.values()) == sent

    play(scene, FakeCluster(value_bytes_max=1000))


def test_options_of_a_view_and_of_a_call() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        seen: list[int] = []

        def note(call: pb.Call) -> bool:
            seen.append(call.read.level if call.HasField("read") else call.write.acks)
            return False

        for node in cluster.nodes.values():
            node.always = note
        loose = db.with_options(consistency="leader", acks="leader")
        await loose.put("a", b"1")
        await loose.put("a", b"1", acks="all")
        await loose.get("a")
        await loose.get("a", consistency="follower")
        await db.get("a")
        await loose.space("b").get("x")
        assert seen == [pb.ACKS_LEADER, pb.ACKS_ALL, *(pb.READ_LEVEL_LEADER, pb.READ_LEVEL_FOLLOWER),
                        pb.READ_LEVEL_LINEARIZABLE, pb.READ_LEVEL_LEADER]  # fmt: skip

    play(scene)


def test_follower_reads_need_no_leader() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        cluster.kill(cluster.group_of(b"a").leader)
        assert await db.get("a", consistency="follower", max_staleness=5, timeout=1) == b"1"

    play(scene)


def test_one_deadline_for_a_block() -> None:
    """In real time, for the block's clock is the real one."""

    async def scene() -> None:
        cluster = FakeCluster()
        db = AsyncClient(cluster.url, link=cluster.link)
        async with db:
            await db.put("a", b"1")
            with timeout(1e-9), pytest.raises(DeadlineExceeded, match="nothing was sent"):
                await db.get("a")
            assert await db.get("a") == b"1"

    asyncio.run(scene())


def test_a_block_shortens_the_timeout_of_a_call() -> None:
    """In real time, for the block's clock is the real one."""

    async def scene() -> float:
        cluster = FakeCluster()
        db = AsyncClient(cluster.url, link=cluster.link)
        async with db:
            await db.put("a", b"1")
            for node in cluster.nodes.values():
                node.always = lambda call: None
            began = now()
            with timeout("50ms"), timeout(60), pytest.raises(DeadlineExceeded):
                await db.get("a", timeout=60)
            return now() - began

    assert asyncio.run(scene()) < 30


def test_modes_of_the_future_are_not_pretended() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        cluster.keyspaces["default"].mode = "multileader"
        with pytest.raises(NotYetAvailable, match="multileader"):
            await db.get("a")

    play(scene)
