"""Batches: gathered in a block, sent at its end or not at all."""

import pytest

from kvstore.client import codecs
from kvstore.client.async_client import AsyncClient
from kvstore.core.errors import (
    ConsistencyNotSupported,
    EmptyKey,
    InvalidRequest,
    PreconditionFailed,
    RequestTooLarge,
    StorageFull,
    ValueTooLarge,
)
from tests.client.fake_cluster import FakeCluster
from tests.client.lab import play


def stored(cluster: FakeCluster) -> dict[bytes, bytes]:
    return {key: value for group in cluster.groups.values() for key, (_, value) in group.rows.items()}


def test_a_batch_is_sent_at_the_end_of_its_block() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("gone", b"x")
        async with db.batch() as b:
            for i in range(3000):
                b.put(f"row:{i}", b"%d" % i)
            b.delete("gone")
            b.delete("never")
            assert len(b) == 3002 and stored(cluster) == {b"gone": b"x"}
        assert b.applied == 3002 and not b.failed
        assert b.versions["row:1"] == (await db.read("row:1")).version and b.versions["never"] is None
        assert stored(cluster) == {b"row:%d" % i: b"%d" % i for i in range(3000)}
        assert repr(b) == "<AsyncBatch 3002 applied, 0 failed>"

    play(scene)


def test_nothing_is_sent_if_the_block_raises() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        with pytest.raises(ZeroDivisionError):
            async with db.batch() as b:
                b.put("a", b"1")
                raise ZeroDivisionError
        assert stored(cluster) == {}
        with pytest.raises(InvalidRequest, match="new one"):
            b.put("a", b"1")
        with pytest.raises(InvalidRequest, match="new one"):
            await b.send()

    play(scene)


def test_an_empty_batch_sends_nothing() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        async with db.batch():
            ...
        async with db.batch(atomic=True):
            ...
        assert cluster.dials == []

    play(scene)


def test_a_later_write_to_the_same_key_replaces_the_earlier_one() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        async with db.batch() as b:
            b.put("a", b"1")
            b.delete(b"a")
            b.put("a", b"2")
            b.put("b", b"1", if_absent=True)
            with pytest.raises(InvalidRequest, match="in this batch already"):
                b.put("b", b"2")
        assert stored(cluster) == {b"a": b"2", b"b": b"1"} and b.applied == 2

    play(scene)


def test_failures_are_told_by_key_and_raised() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("taken", b"x")
        with pytest.raises(PreconditionFailed) as caught:
            async with db.batch() as b:
                b.put("taken", b"1", if_absent=True)
                b.put("free", b"1", if_absent=True)
        assert (b.applied, list(b.failed), caught.value.facts["failed"]) == (1, ["taken"], b.failed)
        assert caught.value.failed is not None  # type: ignore[attr-defined]
        assert stored(cluster) == {b"taken": b"x", b"free": b"1"}
        assert caught.value.current.version == (await db.read("taken")).version

    play(scene)


def test_an_atomic_batch_happens_or_does_not() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        first, second, third = cluster.keys_of_group(2, 3)
        async with db.batch(atomic=True) as b:
            b.put(first, b"1")
            b.put(second, b"1", if_absent=True)
        assert b.applied == 2
        assert [(atomic, count) for _, atomic, count in cluster.groups[2].batches] == [(True, 2)]
        with pytest.raises(PreconditionFailed) as caught:
            async with db.batch(atomic=True) as b:
                b.put(third, b"2")
                b.put(first, b"2")
                b.put(second, b"2", if_absent=True)
        assert caught.value.key == second and set(b.failed) == {first, second, third} and b.applied == 0
        assert isinstance(b.failed[first], InvalidRequest) and "another operation" in str(b.failed[first])
        assert stored(cluster) == {first: b"1", second: b"1"}
        current = await db.read(first)
        async with db.batch(atomic=True) as b:
            b.delete(first, if_version=current)
            b.put(second, b"3")
        assert stored(cluster) == {second: b"3"}

    play(scene)


def test_an_atomic_batch_needs_one_partition() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        (ours,), (theirs,) = cluster.keys_of_group(2, 1), cluster.keys_of_group(3, 1)
        with pytest.raises(InvalidRequest, match=r"one partition, but .* lies in p01 and .* in p02"):
            async with db.batch(atomic=True) as b:
                b.put(ours, b"1")
                b.put(theirs, b"1")
        assert stored(cluster) == {}

    play(scene)


def test_bad_input_changes_nothing() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        with pytest.raises(EmptyKey):
            async with db.batch() as b:
                b.put("a", b"1")
                b.put("", b"1")
        with pytest.raises(InvalidRequest):
            async with db.batch() as b:
                b.put("a", "text")  # type: ignore[arg-type]
        with pytest.raises(ValueTooLarge):
            async with db.batch() as b:
                b.put("a", b"1")
                b.put("b", b"x" * 2_000_000)
        with pytest.raises(InvalidRequest):
            async with db.batch() as b:
                b.put("a", b"1")
                b.put("b", b"1", if_version="nonsense")
        with pytest.raises(ConsistencyNotSupported):
            db.batch(acks="two")
        assert stored(cluster) == {}

    play(scene)


def test_an_atomic_batch_has_a_size() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        keys = cluster.keys_of_group(2, 17)
        with pytest.raises(RequestTooLarge):
            async with db.batch(atomic=True) as b:
                for key in keys:
                    b.put(key, b"x" * (1 << 20))

    play(scene)


def test_a_batch_of_a_space() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        async with db.space("user:", codec=codecs.text).batch(acks="leader", timeout=2) as b:
            b.put("1", "Ada")
        assert stored(cluster) == {b"user:1": b"Ada"} and list(b.versions) == ["1"]

    play(scene)


def test_a_node_that_fails_fails_only_its_keys() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        (ours,), (theirs,) = cluster.keys_of_group(2, 1), cluster.keys_of_group(3, 1)
        for node in cluster.nodes.values():
            node.always = lambda call: StorageFull() if call.group == 3 else False
        with pytest.raises(StorageFull):
            async with db.batch() as b:
                b.put(ours, b"1")
                b.put(theirs, b"1")
        assert list(b.versions) == [ours] and list(b.failed) == [theirs]

    play(scene)
