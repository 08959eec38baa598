"""One node's conversation: when requests wait for company, and when they do not."""

import asyncio

from kvstore.client.async_client import AsyncClient
from kvstore.client.conversation import GATHER_FROM, GATHER_S_MAX, STUCK_S
from tests.client.fake_cluster import LATENCY_S, FakeCluster
from tests.client.lab import play
from tests.client.virtual_time import now, turns


def one_node() -> FakeCluster:
    cluster = FakeCluster(nodes=1, partitions=4)
    cluster.nodes["n1"].latency_s = 0.05  # an answer takes much longer than waiting for company may
    return cluster


def sizes(cluster: FakeCluster) -> list[int]:
    return [sum(len(call.read.keys) for call in request.calls) for request in cluster.nodes["n1"].requests]


async def ask(db: AsyncClient, count: int) -> "asyncio.Future[list[bytes | None]]":
    """So many reads in one turn."""
    together = asyncio.gather(*(db.get(f"key:{number}") for number in range(count)))
    await turns(5)
    return together


def test_one_at_a_time_never_waits() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.connect()
        began = now()
        for _ in range(10):
            await db.get("a")
        assert now() - began < 10 * 2 * LATENCY_S * 1.01

    play(scene)


def test_few_follow_at_once() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.connect()
        first = await ask(db, GATHER_FROM - 1)
        second = await ask(db, 1)
        assert sizes(cluster) == [GATHER_FROM - 1, 1]
        await asyncio.gather(first, second)

    play(scene, one_node())


def test_few_wait_for_company_while_many_are_unanswered() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.connect()
        calls = [await ask(db, 10)]
        began = now()
        ours, theirs = cluster.keys_of_group(1, 9), cluster.keys_of_group(2, 1)
        calls.append(asyncio.gather(*(db.get(key) for key in ours)))
        await turns(5)
        assert sizes(cluster) == [10], "nine wait, ten are unanswered"
        calls.append(asyncio.gather(*(db.get(key) for key in theirs)))
        await turns(5)
        assert sizes(cluster) == [10, 10] and now() == began, "as many wait as are unanswered: no more waiting"
        await asyncio.gather(*calls)

    play(scene, one_node())


def test_nobody_waits_long() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.connect()
        first, second = await ask(db, 10), await ask(db, 1)
        await asyncio.sleep(GATHER_S_MAX * 0.9)
        assert sizes(cluster) == [10]
        await asyncio.sleep(GATHER_S_MAX * 0.2)
        assert sizes(cluster) == [10, 1]
        await asyncio.gather(first, second)

    play(scene, one_node())


def test_the_last_answer_ends_the_waiting() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        cluster.nodes["n1"].latency_s = GATHER_S_MAX / 10
        await db.connect()
        first, second = await ask(db, 10), await ask(db, 1)
        began = now()
        await first
        await turns(5)
        assert sizes(cluster) == [10, 1] and now() - began < GATHER_S_MAX / 2
        await second

    play(scene, one_node())


def test_what_is_stuck_is_no_reason_to_wait() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.connect()
        cluster.nodes["n1"].before = [lambda call: None] * 4
        stuck = await ask(db, 20)
        await asyncio.sleep(STUCK_S * 1.1)
        second = await ask(db, 1)
        assert sizes(cluster) == [20, 1]
        stuck.cancel()
        await asyncio.gather(stuck, second, return_exceptions=True)

    play(scene, one_node())


def test_a_lost_node_takes_no_one_waiting_with_it() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.connect()
        await asyncio.gather(*(db.get(f"key:{number}") for number in range(20)))
        cluster.nodes["n2"].latency_s = 0.05
        key, *_ = cluster.keys_of_group(2, 1)
        first = [asyncio.create_task(db.get(key)) for _ in range(10)]
        await turns(5)
        second = asyncio.create_task(db.get(key))
        await turns(5)
        cluster.groups[2].leader = "n3"
        cluster.kill("n2")
        assert await asyncio.gather(*first, second) == [None] * 11

    play(scene)
