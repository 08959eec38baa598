"""What leaves together: batching by turn of the loop, partition and node; splitting; one answer for each."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from kvstore.client.async_client import AsyncClient
from kvstore.client.parcels import CALL_BYTES_MAX, CALL_OPERATIONS_MAX
from kvstore.core.commands import PutBatch, decode_batch
from kvstore.v1 import kv_pb2 as pb
from tests.client.fake_cluster import FakeCluster
from tests.client.lab import play
from tests.client.virtual_time import turns


def calls_of(cluster: FakeCluster) -> list[pb.Call]:
    return [call for node in cluster.nodes.values() for request in node.requests for call in request.calls]


def forget(cluster: FakeCluster) -> None:
    for node in cluster.nodes.values():
        node.requests.clear()


def test_one_turn_makes_one_request_for_each_node_and_one_call_for_each_group() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await asyncio.gather(*(db.put(f"warm:{i}", b"") for i in range(20)))
        forget(cluster)
        await asyncio.gather(*(db.put(f"key:{i}", b"x") for i in range(100)))
        assert [len(node.requests) for node in cluster.nodes.values()] == [1, 1, 1]
        calls = calls_of(cluster)
        assert sorted(call.group for call in calls) == [1, 2, 3, 4]
        assert sum(len(decode_batch(call.write.commands).commands) for call in calls) == 100

    play(scene)


def test_reads_of_one_turn_travel_together_if_they_ask_alike() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        forget(cluster)
        stale = db.with_options(consistency="follower", max_staleness=2)
        values = await asyncio.gather(
            db.get("a"), db.get("a"), db.get("a", consistency="leader"), stale.get("a"), stale.get("a", max_staleness=5)
        )
        assert values == [b"1"] * 5
        reads = sorted((call.read.level, call.read.max_staleness_ms, len(call.read.keys)) for call in calls_of(cluster))
        assert reads == [
            (pb.READ_LEVEL_LINEARIZABLE, 0, 2),
            (pb.READ_LEVEL_LEADER, 0, 1),
            (pb.READ_LEVEL_FOLLOWER, 2000, 1),
            (pb.READ_LEVEL_FOLLOWER, 5000, 1),
        ]

    play(scene)


def test_writes_with_different_acks_do_not_mix() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        forget(cluster)
        await asyncio.gather(
            db.put("a", b"1"), db.put("a", b"2", acks="all"), db.with_options(acks="leader").put("a", b"3")
        )
        assert sorted(call.write.acks for call in calls_of(cluster)) == [
            pb.ACKS_UNSPECIFIED,
            pb.ACKS_LEADER,
            pb.ACKS_ALL,
        ]

    play(scene)


def test_puts_travel_by_columns_and_whatever_else_there_is_one_by_one() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("gone", b"0")
        forget(cluster)
        await asyncio.gather(*(db.put(f"key:{i}", b"x") for i in range(10)), db.put_many({"a": b"1", "b": b"2"}))
        assert {type(decode_batch(call.write.commands)) for call in calls_of(cluster)} == {PutBatch}
        forget(cluster)
        done = await asyncio.gather(
            db.put("new", b"1", if_absent=True), db.put("old", b"2"), db.delete("gone"), db.delete("never")
        )
        assert done[2:] == [True, False]
        (call,) = calls_of(cluster)
        batch = decode_batch(call.write.commands)
        assert [(one.kind, one.key, one.value, one.condition) for one in batch.commands] == [
            (0, b"new", b"1", 1), (0, b"old", b"2", 0), (1, b"gone", b"", 0), (1, b"never", b"", 0)
        ]  # fmt: skip

    play(scene, FakeCluster(partitions=1))


def test_while_the_link_is_busy_more_gathers() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await asyncio.gather(*(db.put(f"warm:{i}", b"") for i in range(20)))
        forget(cluster)
        leader = cluster.leader_of(b"a")
        (link,) = leader.links
        link._busy = True  # a request is on its way out
        waves = []
        for wave in range(5):
            waves.append(asyncio.create_task(db.put("a", b"%d" % wave)))
            await turns()
        assert leader.requests == []
        link._left()
        await asyncio.gather(*waves)
        (request,) = leader.requests
        (call,) = request.calls
        assert len(decode_batch(call.write.commands).commands) == 5

    play(scene)


def test_calls_are_split_by_count_and_by_bytes() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        forget(cluster)
        await asyncio.gather(*(db.put(f"small:{i}", b"") for i in range(4 * CALL_OPERATIONS_MAX)))
        counts = [len(decode_batch(call.write.commands).commands) for call in calls_of(cluster)]
        assert sum(counts) == 4 * CALL_OPERATIONS_MAX and max(counts) <= CALL_OPERATIONS_MAX and len(counts) > 4
        forget(cluster)
        large = b"x" * (300 << 10)
        await asyncio.gather(*(db.put(f"large:{i}", large) for i in range(40)))
        sizes = [len(call.write.commands) for call in calls_of(cluster)]
        assert sum(sizes) > 40 * len(large) and max(sizes) < CALL_BYTES_MAX + 2 * len(large)

    play(scene, FakeCluster(partitions=4))


def test_a_request_is_not_filled_without_bound() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        forget(cluster)
        await asyncio.gather(*(db.put(f"large:{i}", b"x" * (1 << 20)) for i in range(40)))
        sizes = [request.ByteSize() for node in cluster.nodes.values() for request in node.requests]
        assert max(sizes) < 6 << 20 and sum(sizes) > 40 << 20

    play(scene, FakeCluster(nodes=1, partitions=4))


@given(st.lists(st.tuples(st.sampled_from("pgd"), st.integers(0, 12)), max_size=80), st.integers(1, 3))
def test_everybody_gets_their_own_answer(steps: list[tuple[str, int]], partitions: int) -> None:
    """Operations on one key wait for each other here, those on different keys do not: like a dict for each key."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        model: dict[int, bytes] = {}
        pending: dict[int, list[tuple[str, bytes]]] = {}
        for number, (verb, key) in enumerate(steps):
            pending.setdefault(key, []).append((verb, b"%d" % number))

        async def user(key: int) -> None:
            for verb, value in pending[key]:
                if verb == "p":
                    await db.put(f"{key}", value)
                    model[key] = value
                elif verb == "d":
                    assert await db.delete(f"{key}") == (model.pop(key, None) is not None)
                else:
                    assert await db.get(f"{key}") == model.get(key)

        await asyncio.gather(*(user(key) for key in pending))
        assert {key: value async for key, value in db.scan()} == {b"%d" % key: v for key, v in model.items()}

    play(scene, FakeCluster(partitions=2**partitions))


def test_answered_below_follows_the_answers() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for i in range(3):
            await db.put("a", b"%d" % i)
        cluster.leader_of(b"a").before = [lambda call: None]  # the fourth is never answered
        stuck = asyncio.create_task(db.put("a", b"stuck", timeout=0.5))
        await turns(3)
        for i in range(3):
            await db.put("a", b"%d" % i)
        below = [answered_below for answered_below, _, _ in cluster.group_of(b"a").batches]
        assert below == [1, 2, 3, 4, 4, 4]
        await asyncio.gather(stuck, return_exceptions=True)
        await db.put("a", b"after")
        assert cluster.group_of(b"a").batches[-1][0] == 8

    play(scene)
