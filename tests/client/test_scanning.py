"""Scans: merged in order over all partitions, paged, bounded, prefetched."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client import codecs
from kvstore.client.async_client import AsyncClient
from kvstore.core.errors import InvalidRequest, KvError, NoLeader
from kvstore.v1 import kv_pb2 as pb
from tests.client.fake_cluster import FakeCluster
from tests.client.lab import play
from tests.client.virtual_time import turns

KEYS = st.lists(st.binary(min_size=1, max_size=3), max_size=60, unique=True)


def put(cluster: FakeCluster, key: bytes, value: bytes) -> None:
    group = cluster.group_of(key)
    group.stamp += 1
    group.rows[key] = (group.stamp, value)


def pages(cluster: FakeCluster) -> list[pb.Page]:
    calls = [call for node in cluster.nodes.values() for request in node.requests for call in request.calls]
    return [call.page for call in calls if call.HasField("page")]


@given(KEYS, st.binary(max_size=2), st.integers(0, 9), st.sampled_from([1, 4, 16]))
def test_a_prefix_scan_is_the_sorted_rest(keys: list[bytes], prefix: bytes, limit: int, partitions: int) -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for key in keys:
            put(cluster, key, b"v" + key)
        expected = [(key, b"v" + key) for key in sorted(keys) if key.startswith(prefix)]
        if limit:
            expected = expected[:limit]
        assert [pair async for pair in db.scan(prefix, limit=limit)] == expected

    play(scene, FakeCluster(partitions=partitions))


@given(KEYS, st.binary(max_size=2), st.binary(max_size=2))
def test_a_range_scan_is_the_sorted_rest(keys: list[bytes], start: bytes, end: bytes) -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for key in keys:
            put(cluster, key, b"")
        expected = [key for key in sorted(keys) if start <= key and (not end or key < end)]
        assert [key async for key in db.scan(start=start, end=end, keys_only=True)] == expected

    play(scene)


@given(KEYS, st.integers(1, 5))
def test_however_small_the_pages(keys: list[bytes], rows: int) -> None:
    """The node may cut a page wherever it likes."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for key in keys:
            put(cluster, key, key)

        def short(call: pb.Call) -> bool:
            if call.HasField("page"):
                call.page.limit = rows
            return False

        for node in cluster.nodes.values():
            node.always = short
        assert [pair async for pair in db.scan()] == [(key, key) for key in sorted(keys)]

    play(scene)


def test_pages_are_bounded_by_bytes_and_one_ahead() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for i in range(80):
            put(cluster, b"%03d" % i, b"x" * 200_000)
        scan = db.scan()
        assert (await anext(scan))[0] == b"000"
        await asyncio.sleep(1)
        asked = pages(cluster)
        assert all(0 < page.bytes_max <= 1 << 20 for page in asked)
        assert len(asked) <= 2 * len(cluster.groups), "at most one page ahead"
        await scan.aclose()  # type: ignore[attr-defined]
        await turns()
        assert not db._dispatch._live or all(parcel.futures[0].cancelled() for parcel in db._dispatch._live)

    play(scene)


def test_keys_only_leaves_the_values_where_they_are() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        put(cluster, b"a", b"x" * 1000)
        assert [key async for key in db.scan(keys_only=True)] == [b"a"]
        assert all(page.keys_only for page in pages(cluster))

    play(scene)


def test_a_scan_of_a_space_sees_only_its_keys_and_without_the_prefix() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        users = db.space("user:", codec=codecs.text)
        await db.put_many({"user": b"0", "user:": b"-", "user:1": b"Ada", "user:12": b"Bob", "user;": b"0"})
        assert [pair async for pair in users.scan("1")] == [(b"1", "Ada"), (b"12", "Bob")]
        assert [pair async for pair in users.scan(start="11")] == [(b"12", "Bob")]
        assert [key async for key in users.scan(end="12", keys_only=True)] == [b"", b"1"]
        records = [record async for record in users.scan_records("12")]
        assert [(record.key, record.value) for record in records] == [(b"12", "Bob")]
        assert records[0] == await users.read("12")

    play(scene)


def test_scans_that_make_no_sense() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        with pytest.raises(InvalidRequest, match="either"):
            db.scan("a", start="b")
        with pytest.raises(InvalidRequest, match="negative"):
            db.scan(limit=-1)
        with pytest.raises(InvalidRequest):
            db.scan(7)  # type: ignore[call-overload]
        assert [key async for key in db.scan(start="b", end="a")] == []
        assert cluster.dials == []

    play(scene)


def test_a_scan_goes_on_when_leaders_change() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for i in range(300):
            put(cluster, b"%03d" % i, b"x" * 50_000)
        seen = []
        async for key, _ in db.scan():
            seen.append(key)
            if len(seen) in (50, 150):
                cluster.kill("n2" if len(seen) == 50 else "n3")
                for group in cluster.groups.values():
                    group.leader = "n1"
        assert seen == [b"%03d" % i for i in range(300)]

    play(scene)


def test_a_partition_that_cannot_be_read_ends_the_scan_with_its_error() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for i in range(100):
            put(cluster, b"%03d" % i, b"x")
        for node in cluster.nodes.values():
            node.always = lambda call: NoLeader() if call.group == 2 else False
        with pytest.raises(NoLeader):
            async for _ in db.scan(timeout=1):
                ...
        odd = pb.Reply(page=pb.PageReply(rows=b"\x90", more=True))
        for node in cluster.nodes.values():
            node.always = lambda call: odd
        with pytest.raises(KvError, match="promises more"):
            async for _ in db.scan(timeout=1):
                ...

    play(scene)
