"""Failures on the way: retries are exact, deadlines hold, nobody is left waiting, nothing happens twice."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.client.async_client import AsyncClient
from kvstore.core.commands import PutBatch, WriteBatch, decode_batch
from kvstore.core.errors import (
    ClientClosed,
    DeadlineExceeded,
    InvalidRequest,
    KvError,
    MalformedFrame,
    NoLeader,
    NotConnected,
    NotReady,
    OperationExpired,
    OutcomeUnknown,
    Overloaded,
    QuorumNotMet,
    RequestTooLarge,
    StorageFull,
    UnknownKeyspace,
    WrongCluster,
    WrongPartition,
    WrongTimeline,
)
from kvstore.core.ids import OperationId
from kvstore.v1 import kv_pb2 as pb
from tests.client.fake_cluster import Answer, FakeCluster
from tests.client.lab import CLIENT, client_of, play
from tests.client.virtual_time import VirtualLoop, now, run, turns


def settled(db: AsyncClient) -> bool:
    """Nothing is under way, and all room was given back."""
    room = db._dispatch.room
    return not db._dispatch._live and (room.operations_free, room.bytes_free) == (10_000, 64 << 20)


def happened_and_lost(cluster: FakeCluster, name: str) -> Callable[[pb.Call], Answer | bool]:
    """The node does what the call says, then its link breaks: the answer never arrives."""

    def serve(call: pb.Call) -> Answer:
        cluster.execute(cluster.nodes[name], cluster.groups[call.group], call)
        for link in list(cluster.nodes[name].links):
            link.break_off(NotConnected("connection reset"))
        return None

    return serve


@pytest.mark.parametrize(
    "error", [NoLeader(), NotReady(), StorageFull(), QuorumNotMet(), OutcomeUnknown(), Overloaded(retry_after_ms=20)]
)
def test_what_passes_is_waited_for(error: KvError) -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        cluster.leader_of(b"a").before = [lambda call: error]
        await db.put("a", b"1")
        assert await db.get("a") == b"1"
        assert len(cluster.group_of(b"a").executed) == 2 and settled(db)

    play(scene)


def test_a_write_whose_answer_was_lost_is_sent_again_and_happens_once() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        group = cluster.group_of(b"a")
        cluster.nodes[group.leader].before = [happened_and_lost(cluster, group.leader)]
        version = await db.put("a", b"1")
        assert group.rows[b"a"] == (version.stamp, b"1")
        assert group.executed == [(CLIENT, 1), (CLIENT, 2)] and len(group.batches) == 3
        assert settled(db)

    play(scene)


def test_a_compare_and_set_whose_answer_was_lost_gets_its_first_answer() -> None:
    """Without operation ids the second try would find its own write and call it a conflict."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"0")
        group = cluster.group_of(b"a")
        cluster.nodes[group.leader].before = [happened_and_lost(cluster, group.leader)]
        newer = await db.put("a", b"1", if_version=version)
        assert group.rows[b"a"] == (newer.stamp, b"1")

    play(scene)


def test_a_client_follows_the_leader() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        group = cluster.group_of(b"a")
        cluster.move_leader(group.number, group.replicas[1], publish=False)
        began = now()
        await db.put("a", b"1")
        assert now() - began < 0.01, "the redirection was followed at once"
        for node in cluster.nodes.values():
            node.requests.clear()
        await db.put("a", b"2")
        assert [name for name, node in cluster.nodes.items() if node.requests] == [group.leader]

    play(scene)


def test_whoever_served_it_is_asked_next_time() -> None:
    """A node that forwards saves the redirection; the receipt tells where to go straight."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        group = cluster.group_of(b"a")
        old, new = cluster.nodes[group.leader], cluster.nodes[group.replicas[1]]
        group.leader = new.name
        old.always = lambda call: cluster.execute(new, cluster.groups[call.group], call)  # forwards
        await db.put("a", b"1")
        old.requests.clear()
        await db.put("a", b"2")
        assert old.requests == [] and group.rows[b"a"][1] == b"2"

    play(scene)


def test_a_published_leader_is_asked_without_waiting_for_the_old_one() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await asyncio.gather(*(db.put(f"warm:{i}", b"") for i in range(20)))  # connects to all nodes
        group = cluster.group_of(b"a")
        old = cluster.nodes[group.leader]
        old.paused = True
        began, write = now(), asyncio.create_task(db.put("a", b"1"))
        read = asyncio.create_task(db.get("a"))
        await asyncio.sleep(0.1)
        cluster.move_leader(group.number, group.replicas[1])
        await write
        await read
        assert now() - began < 0.15 and settled(db)

    play(scene)


@pytest.mark.parametrize("told_by", ["ring", "receipt"])
def test_a_request_passed_on_to_a_dead_leader_is_asked_for_again(told_by: str) -> None:
    """The old leader is dead; a follower took the write and passed it on to it. Then that follower leads."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await asyncio.gather(*(db.put(f"warm:{i}", b"") for i in range(20)))
        group = cluster.group_of(b"a")
        heir = group.replicas[1]
        for node in cluster.nodes.values():
            node.always = lambda call: None if call.group == group.number else False
        cluster.kill(group.leader)
        write = asyncio.create_task(db.put("a", b"1", timeout=30))
        await asyncio.sleep(0.5)
        for node in cluster.nodes.values():
            node.always = None
        began, group.leader = now(), heir
        if told_by == "ring":
            cluster.publish(heir)
        else:
            await db.put("a", b"2")
        await write
        assert now() - began < 0.2 and settled(db)

    play(scene)


def test_what_the_old_leader_says_too_late_does_not_count() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await asyncio.gather(*(db.put(f"warm:{i}", b"") for i in range(20)))
        group = cluster.group_of(b"a")
        old, new = cluster.nodes[group.leader], cluster.nodes[group.replicas[1]]
        old.always, old.latency_s = lambda call: InvalidRequest("odd"), 0.4
        write = asyncio.create_task(db.put("a", b"1"))
        await asyncio.sleep(0.1)
        new.latency_s = 0.8
        group.leader = new.name
        cluster.publish("n1", "n2", "n3")
        await write
        assert group.rows[b"a"][1] == b"1" and settled(db)

    play(scene)


def test_waiting_ends_when_a_leader_is_published() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await asyncio.gather(*(db.put(f"warm:{i}", b"") for i in range(20)))
        group = cluster.group_of(b"a")
        for node in cluster.nodes.values():
            node.always = lambda call: NoLeader() if call.group == group.number else False
        write = asyncio.create_task(db.put("a", b"1", timeout=60))
        await asyncio.sleep(20)  # by now it waits long between tries
        for node in cluster.nodes.values():
            node.always = None
        elected = now()
        cluster.move_leader(group.number, group.replicas[1])
        await write
        assert now() - elected < 0.01

    play(scene)


def test_a_silent_node_is_left_for_another() -> None:
    """A stopped process keeps its connections: nothing breaks, nothing is answered, and nobody publishes anything."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        group = cluster.group_of(b"a")
        old = cluster.nodes[group.leader]
        old.paused = True
        cluster.move_leader(group.number, group.replicas[1], publish=False)
        began = now()
        await db.put("a", b"1")
        assert now() - began < 1.6
        began = now()
        assert await db.get("a") == b"1"
        assert now() - began < 0.01, "the next operation goes straight to the new leader"

    play(scene)


def test_a_silent_node_is_trusted_again_when_it_speaks() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        old = cluster.leader_of(b"a")
        old.paused = True
        with pytest.raises(KvError):
            await db.put("a", b"1", timeout=3)
        old.paused = False
        old.links[0].say(pb.SessionReply())
        await asyncio.sleep(0.01)
        began = now()
        await db.put("a", b"2")
        assert now() - began < 0.01

    play(scene)


def test_a_silent_node_whose_link_breaks_is_connected_to_again() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        node = cluster.nodes["n1"]
        node.paused = True
        write = asyncio.create_task(db.put("a", b"1", timeout=20))
        await asyncio.sleep(3)
        cluster.kill("n1")
        node.up, node.paused = True, False
        await write

    play(scene, FakeCluster(nodes=1))


def test_a_single_silent_node_is_waited_for() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        node = cluster.leader_of(b"a")
        node.latency_s = 1.7
        await db.put("a", b"1")
        assert len(node.requests) == 2, "it was not asked again: there is nobody else"

    play(scene, FakeCluster(nodes=1))


def test_when_a_node_dies_its_calls_go_elsewhere() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await asyncio.gather(*(db.put(f"warm:{i}", b"") for i in range(20)))
        group = cluster.group_of(b"a")
        old = group.leader
        cluster.nodes[old].always = lambda call: None
        writes = [asyncio.create_task(db.put("a", b"%d" % i)) for i in range(10)]
        await asyncio.sleep(0.1)
        group.leader = group.replicas[1]
        cluster.kill(old)
        await asyncio.gather(*writes)
        assert len(set(group.executed)) == len(group.executed) and settled(db)

    play(scene)


def test_a_node_that_comes_back_is_used_again() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        name = cluster.group_of(b"a").leader
        cluster.kill(name)
        with pytest.raises(KvError):
            await db.put("a", b"1", timeout=2)
        cluster.nodes[name].up = True
        await db.put("a", b"2", timeout=2)
        assert await db.get("a") == b"2"

    play(scene)


# Deadlines.


def test_a_deadline_on_the_way_leaves_doubt_and_names_the_operation() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        for node in cluster.nodes.values():
            node.always = lambda call: None
        began = now()
        with pytest.raises(DeadlineExceeded) as caught:
            await db.put("a", b"1", timeout=0.5)
        assert 0.5 <= now() - began < 0.52
        error = caught.value
        assert error.maybe_applied and error.key == b"a"
        assert OperationId.parse(error.facts["operation"]) == OperationId(CLIENT, 2)
        assert isinstance(error, TimeoutError)
        assert settled(db)

    play(scene)


def test_each_operation_of_a_parcel_has_its_own_deadline() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        cluster.leader_of(b"a").latency_s = 0.3
        began = now()

        async def timed(timeout: float) -> tuple[str, float]:
            try:
                await db.put("a", b"1", timeout=timeout)
                return "done", round(now() - began, 1)
            except DeadlineExceeded:
                return "late", round(now() - began, 1)

        results = await asyncio.gather(*(timed(seconds) for seconds in (2.0, 0.1, 0.4, 9.0)))
        assert results == [("done", 0.6), ("late", 0.1), ("late", 0.4), ("done", 0.6)]
        assert len(cluster.leader_of(b"a").requests) == 2, "they travelled together"
        assert settled(db)

    play(scene)


def test_the_call_carries_what_is_left_of_the_deadline() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        cluster.leader_of(b"a").before = [lambda call: Overloaded(retry_after_ms=1000)]
        await db.put("a", b"1", timeout=3)
        first, second = (request.calls[0].deadline_ms for request in cluster.leader_of(b"a").requests[1:])
        assert first == 3000 and 1700 < second < 2000

    play(scene)


def test_what_was_never_sent_ends_with_the_reason_and_no_doubt() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        for node in cluster.nodes.values():
            node.always = lambda call: NoLeader("p02 has no leader")
        with pytest.raises(NoLeader, match="p02") as caught:
            await db.put("a", b"1", timeout=1)
        assert not caught.value.maybe_applied and caught.value.facts["operation"]
        assert settled(db)

    play(scene)


def test_an_end_without_doubt_is_not_claimed_after_a_lost_answer() -> None:
    """The first try happened and its answer was lost; all later tries are definitely refused."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        group = cluster.group_of(b"a")
        cluster.nodes[group.leader].before = [happened_and_lost(cluster, group.leader)]
        for node in cluster.nodes.values():
            node.always = lambda call: NoLeader()
        with pytest.raises(KvError) as caught:
            await db.put("a", b"1", timeout=1)
        assert caught.value.maybe_applied and group.rows[b"a"][1] == b"1"
        for node in cluster.nodes.values():
            node.always = None
        assert (await db.outcome(caught.value)).written

    play(scene)


def test_an_expired_operation_id_leaves_doubt() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        cluster.leader_of(b"a").before = [lambda call: OperationExpired()]
        with pytest.raises(OperationExpired) as caught:
            await db.put("a", b"1")
        assert caught.value.maybe_applied

    play(scene)


def test_a_deadline_named_by_the_node_is_final() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        cluster.leader_of(b"a").before = [lambda call: DeadlineExceeded("too late")]
        with pytest.raises(DeadlineExceeded):
            await db.put("a", b"1")
        assert len(cluster.leader_of(b"a").requests) == 2

    play(scene)


def test_answers_that_came_while_we_were_stopped_count() -> None:
    """A stopped process (or a suspended machine) wakes up after all deadlines, with the answers in its sockets."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        write = asyncio.create_task(db.put("a", b"1", timeout=5))
        await turns(5)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.jump(60)
        db._dispatch.alarm.go_off()  # before anything else is looked at
        await write

    play(scene)


# Overload.


def test_what_is_outstanding_is_bounded() -> None:
    async def scene() -> None:
        cluster = FakeCluster()
        async with client_of(cluster, operations_max=50) as db:
            await db.put("a", b"0")
            outstanding = peak = 0

            def count(call: pb.Call) -> bool:
                nonlocal outstanding, peak
                outstanding = 50 - db._dispatch.room.operations_free
                peak = max(peak, outstanding)
                return False

            for node in cluster.nodes.values():
                node.always = count
            await asyncio.gather(*(db.put(f"key:{i}", b"x") for i in range(1000)))
            assert peak == 50 and db._dispatch.room.operations_free == 50

    run(scene())


def test_who_waits_for_room_has_a_deadline_too() -> None:
    async def scene() -> None:
        cluster = FakeCluster()
        async with client_of(cluster, operations_max=1) as db:
            await db.put("a", b"0")
            for node in cluster.nodes.values():
                node.always = lambda call: None
            stuck = asyncio.create_task(db.put("a", b"1", timeout=9))
            await turns()
            began = now()
            with pytest.raises(DeadlineExceeded):
                await db.get("b", timeout=0.5)
            assert 0.5 <= now() - began < 0.52
            stuck.cancel()

    run(scene())


def test_an_overloaded_node_is_left_alone_for_as_long_as_it_says() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        times: list[float] = []

        def overloaded(call: pb.Call) -> Answer | bool:
            times.append(now())
            return Overloaded(retry_after_ms=300) if len(times) < 4 else False

        cluster.leader_of(b"a").always = overloaded
        await db.put("a", b"1")
        assert len(times) == 4
        assert all(0.3 <= later - earlier < 0.4 for earlier, later in pairwise(times))

    play(scene)


# Cancellation and closing.


def test_who_is_cancelled_before_sending_is_not_sent() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        tasks = [asyncio.create_task(db.put(f"a{i}", b"x")) for i in range(10)]
        await asyncio.sleep(0)  # they are queued; the request leaves at the end of this turn
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in done] == [True, False] * 5
        stored = sorted(key for group in cluster.groups.values() for key in group.rows)
        assert stored == [b"a"] + [b"a%d" % i for i in range(1, 10, 2)] and settled(db)

    play(scene)


def test_a_write_that_is_retried_without_its_neighbours_keeps_its_number() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        sent: list[WriteBatch] = []

        def refuse(call: pb.Call) -> KvError:
            sent.append(decode_batch(call.write.commands))
            for task in tasks[1:3]:
                task.cancel()
            return NotReady("not now")

        tasks = [asyncio.create_task(db.write(key, b"x")) for key in keys]
        group = cluster.group_of(keys[0])
        cluster.nodes[group.leader].before = [refuse]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        (first,) = sent
        assert isinstance(first, PutBatch) and first.keys == keys
        assert group.executed[-2:] == [(first.client, first.first), (first.client, first.last)]
        assert [str(done[place].operation) for place in (0, 3)] == [  # type: ignore[union-attr]
            f"{first.client:x}-{number:x}" for number in (first.first, first.last)
        ]
        assert settled(db)

    cluster = FakeCluster()
    keys = cluster.keys_of_group(cluster.group_of(b"a").number, 4)
    play(scene, cluster)


def test_who_expires_unsent_has_a_number_that_nobody_else_gets() -> None:
    """The error names the operation, and whoever comes later travels under numbers of their own."""

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        node = cluster.leader_of(b"a")
        (link,) = node.links
        link._busy = True
        expiring = [asyncio.create_task(db.put("a", b"%d" % i, timeout=0.1)) for i in range(2)]
        patient = asyncio.create_task(db.write("a", b"patient"))
        await asyncio.sleep(0.2)
        late = asyncio.create_task(db.write("a", b"late"))
        await turns()
        link._left()
        errors = await asyncio.gather(*expiring, return_exceptions=True)
        written = [await patient, await late]
        operations = [str(one.facts["operation"]) for one in errors if isinstance(one, DeadlineExceeded)]
        operations += [str(one.operation) for one in written]
        assert len(set(operations)) == 4 and await db.get("a") == b"late" and settled(db)

    play(scene)


def test_who_is_cancelled_on_the_way_does_not_disturb_the_others() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        tasks = [asyncio.create_task(db.put(f"a{i}", b"%d" % i)) for i in range(10)]
        await turns(5)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for i in range(1, 10, 2):
            assert await db.get(f"a{i}") == b"%d" % i
        assert sum(isinstance(one, asyncio.CancelledError) for one in done) == 5 and settled(db)

    play(scene)


def test_asyncio_timeout_works_too() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        for node in cluster.nodes.values():
            node.always = lambda call: None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await db.put("a", b"1")

    play(scene)


def test_closing_tells_everybody_the_truth() -> None:
    async def scene() -> None:
        cluster = FakeCluster()
        async with client_of(cluster, operations_max=2) as db:
            await db.put("a", b"0")
            for node in cluster.nodes.values():
                node.always = lambda call: None
            write, read = asyncio.create_task(db.put("a", b"1")), asyncio.create_task(db.get("a"))
            await asyncio.sleep(0.1)
            queued = asyncio.create_task(db.put("a", b"2"))
            await turns()
            await db.close()
            ends = await asyncio.gather(write, read, queued, return_exceptions=True)
            assert [type(end) for end in ends] == [OutcomeUnknown, ClientClosed, ClientClosed]
            for call in (db.put("a", b"3"), db.get("a"), db.get_many(["a"]), db.put_many({"a": b""}), db.status()):
                with pytest.raises(ClientClosed):
                    await call
            await db.close()
        assert not any(node.links for node in cluster.nodes.values())

    run(scene())


def test_closing_before_anything_was_connected() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.close()
        with pytest.raises(ClientClosed):
            await db.get("a")
        assert cluster.dials == []

    play(scene)


def test_closing_while_connecting() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for node in cluster.nodes.values():
            node.paused = True
        waiting = asyncio.create_task(db.get("a"))
        await asyncio.sleep(0.1)
        await db.close()
        with pytest.raises(ClientClosed):
            await waiting

    play(scene)


# Connecting.


def test_one_endpoint_is_enough() -> None:
    async def scene() -> None:
        cluster = FakeCluster()
        async with client_of(cluster, "kv://10.0.0.2") as db:
            await asyncio.gather(*(db.put(f"key:{i}", b"") for i in range(20)))
            assert all(node.requests for node in cluster.nodes.values())

    run(scene())


def test_dead_endpoints_are_skipped() -> None:
    async def scene() -> None:
        cluster = FakeCluster()
        url = "kv://10.9.9.1,10.9.9.2,10.9.9.3,10.9.9.4,10.0.0.1"
        async with client_of(cluster, url) as db:
            began = now()
            await db.put("a", b"1", timeout=1)
            assert now() - began < 0.2

    run(scene())


def test_a_cluster_that_is_just_starting_is_waited_for() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for node in cluster.nodes.values():
            node.up = False
        write = asyncio.create_task(db.put("a", b"1", timeout=10))
        await asyncio.sleep(3)
        for node in cluster.nodes.values():
            node.up = True
        began = now()
        await write
        assert now() - began < 1.1

    play(scene)


def test_nobody_there() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for node in cluster.nodes.values():
            node.up = False
        began = now()
        with pytest.raises(NotConnected, match="connection refused") as caught:
            await db.connect()
        assert now() - began < 0.3, "connect fails fast"
        assert caught.value.exit_code == 8 and not caught.value.maybe_applied
        began = now()
        with pytest.raises(NotConnected):
            await db.get("a", timeout=2)
        assert 2 <= now() - began < 2.1, "an operation waits for the cluster until its deadline"

    play(scene)


@pytest.mark.parametrize("refusal", [WrongCluster("other"), WrongTimeline("restored")])
def test_a_refusal_of_all_is_told_at_once(refusal: KvError) -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        for node in cluster.nodes.values():
            node.refusal = refusal
        began = now()
        with pytest.raises(type(refusal)):
            await db.get("a")
        assert now() - began < 0.5

    play(scene)


def test_a_refusal_of_one_is_not_the_end() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        cluster.nodes["n2"].refusal = WrongCluster("other")
        await db.connect()

    play(scene)


def test_a_restored_cluster_refuses_its_old_clients() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        cluster.timeline += 1
        for name in cluster.nodes:
            cluster.kill(name)
            cluster.nodes[name].up = True
        with pytest.raises(WrongTimeline, match="new client"):
            await db.get("a", timeout=2)
        assert cluster.nodes["n1"].hellos[-1].timeline == cluster.timeline - 1

    play(scene)


def test_a_client_belongs_to_one_event_loop() -> None:
    cluster = FakeCluster()
    db = AsyncClient(cluster.url, link=cluster.link)

    async def first() -> None:
        await db.put("a", b"1")
        await db._dispatch.board.close()

    async def second() -> None:
        with pytest.raises(RuntimeError, match="event loop"):
            await db.keyspace("default").put("a", b"1")

    asyncio.run(first())
    asyncio.run(second())


# Odd answers.


def test_a_malformed_answer_leaves_doubt() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        for wrong in (pb.Reply(results=b"\xc1"), pb.Reply(results=b"\x90"), pb.Reply(versions=b"\x90"), pb.Reply()):
            cluster.leader_of(b"a").before = [lambda call, wrong=wrong: wrong]
            with pytest.raises(OutcomeUnknown, match="last one failed"):
                await db.put("a", b"1")
            cluster.leader_of(b"a").before = [lambda call, wrong=wrong: wrong]
            with pytest.raises(MalformedFrame):
                await db.get("a")
        assert settled(db)

    play(scene)


def test_an_error_of_a_newer_node_leaves_doubt() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        failure = pb.Failure(code="InventedLater", message="words", definite=True, facts=b"\xc1")
        cluster.leader_of(b"a").before = [lambda call: pb.Reply(failure=failure)]
        with pytest.raises(KvError, match="words") as caught:
            await db.put("a", b"1")
        assert caught.value.maybe_applied

    play(scene)


def test_what_ends_every_session_is_not_repeated_for_ever() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        node = cluster.leader_of(b"a")

        def refuse(call: pb.Call) -> Answer | bool:
            if not call.HasField("write"):
                return False
            node.links[0].say(pb.SessionReply(refused=pb.Failure(code="MalformedFrame", message="odd")))
            return None

        node.always = refuse
        bystander = asyncio.create_task(db.get("a"))
        with pytest.raises(OutcomeUnknown, match="odd"):
            await db.put("a", b"1")
        assert await bystander == b"0", "who was in the same session is asked for again"
        began = now()
        assert await db.get("a") == b"0" and now() - began < 1, "the node is not shunned for it"
        assert settled(db)

    play(scene)


def test_a_single_node_that_ended_a_session_in_anger_is_come_back_to() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        cluster.nodes["n1"].links[0].break_off(RequestTooLarge("too large"))
        assert await db.get("a") == b"0"

    play(scene, FakeCluster(nodes=1))


def test_a_session_that_broke_under_too_large_an_answer_is_begun_again_with_less() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        keys = cluster.keys_of_group(1, 16)
        for key in keys:
            await db.put(key, key)
        node = cluster.nodes["n1"]

        def limited(call: pb.Call) -> Answer | bool:
            if len(call.read.keys) <= 8:
                return False
            node.links[0].break_off(RequestTooLarge("sent message larger than max"))
            return None

        node.always = limited
        assert await asyncio.gather(*(db.get(key) for key in keys)) == keys
        assert settled(db)

    play(scene)


def test_a_node_that_stops_says_so_and_its_calls_go_elsewhere() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"0")
        group = cluster.group_of(b"a")
        node = cluster.nodes[group.leader]

        def stop(call: pb.Call) -> Answer:
            group.leader = group.replicas[1]
            node.links[0].say(pb.SessionReply(refused=pb.Failure(code="NotReady", message="stopping")))
            return None

        node.before = [stop]
        await db.put("a", b"1")
        assert await db.get("a") == b"1"

    play(scene)


def test_an_answer_too_large_is_asked_for_in_halves() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        keys = cluster.keys_of_group(1, 16)
        for key in keys:
            await db.put(key, key)

        def limited(call: pb.Call) -> Answer | bool:
            return RequestTooLarge("too much") if len(call.read.keys) > 3 else False

        for node in cluster.nodes.values():
            node.always = limited
        assert await asyncio.gather(*(db.get(key) for key in keys)) == keys
        assert await db.get_many(keys) == dict(zip(keys, keys, strict=True))
        assert settled(db)

    play(scene)


def test_a_client_that_has_read_nothing_yet_begins_with_few_at_once() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await asyncio.gather(*(db.get(f"key:{i}") for i in range(400)))
        first = cluster.nodes["n1"].requests[0]
        assert max(len(call.read.keys) for call in first.calls) <= 17
        before = len(cluster.nodes["n1"].requests)
        await asyncio.gather(*(db.get(f"key:{i}") for i in range(400)))
        assert len(cluster.nodes["n1"].requests) == before + 1, "now it knows that they are small"

    play(scene, FakeCluster(nodes=1))


def test_large_values_are_asked_for_a_few_at_a_time() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        keys = cluster.keys_of_group(1, 40)
        large = b"x" * (1 << 20)
        for key in keys:
            cluster.groups[1].rows[key] = (1, large)
        await db.get(keys[0])  # now the client knows how large they are
        before = len(cluster.nodes["n1"].requests)
        await asyncio.gather(*(db.get(key) for key in keys))
        calls = [call for request in cluster.nodes["n1"].requests[before:] for call in request.calls]
        assert max(len(call.read.keys) for call in calls) <= 4 and settled(db)

    play(scene)


def test_a_ring_that_is_old_is_fetched_anew() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        carts = db.keyspace("carts")
        with pytest.raises(UnknownKeyspace, match="known: default"):
            await carts.put("a", b"1")
        cluster.add_keyspace("carts")  # and nobody publishes it
        await carts.put("a", b"1")
        cluster.drop_keyspace("carts")
        with pytest.raises((WrongPartition, UnknownKeyspace)):
            await carts.get("a", timeout=1)
        with pytest.raises(UnknownKeyspace):
            await carts.get("a", timeout=1)
        cluster.add_keyspace("carts")
        cluster.publish()
        assert await carts.get("a") is None

    play(scene)


# Everything at once.


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_on_a_bad_day_every_write_happens_at_most_once_and_is_told_truly(seed: int) -> None:
    """Random faults; afterwards the store, the answers and the clients' beliefs must agree."""
    dice = Random(seed)

    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        told: dict[bytes, type[BaseException] | None] = {}

        def fault(call: pb.Call) -> Answer | bool:
            group = cluster.groups[call.group]
            roll = dice.random()
            if roll < 0.05:
                return dice.choice([NoLeader(), Overloaded(retry_after_ms=30), NotReady(), QuorumNotMet()])
            if roll < 0.08:
                cluster.execute(cluster.nodes[group.leader], group, call)  # happens, and the answer is lost
                return None
            if roll < 0.10:
                return None  # lost before it happened
            if roll < 0.12:
                group.leader = dice.choice(group.replicas)
            if roll < 0.13:
                return InvalidRequest("never")
            return False

        async def nemesis() -> None:
            while True:
                await asyncio.sleep(dice.random())
                name = dice.choice(list(cluster.nodes))
                if dice.random() < 0.5:
                    cluster.kill(name)
                    for group in cluster.groups.values():
                        if group.leader == name:
                            group.leader = dice.choice(group.replicas)
                else:
                    cluster.nodes[name].paused = True
                await asyncio.sleep(dice.random() / 2)
                cluster.nodes[name].up, cluster.nodes[name].paused = True, False
                if dice.random() < 0.5:
                    cluster.publish()

        async def user(number: int) -> None:
            for turn in range(6):
                key = b"%d:%d" % (number, turn)
                try:
                    await db.put(key, key, timeout=dice.choice([0.05, 1.0, 3.0]))
                    told[key] = None
                except KvError as error:
                    told[key] = type(error)
                    if not error.maybe_applied:
                        refused.add(key)

        refused: set[bytes] = set()
        for node in cluster.nodes.values():
            node.always = fault
        evil = asyncio.create_task(nemesis())
        await asyncio.gather(*(user(number) for number in range(20)))
        evil.cancel()
        await asyncio.gather(evil, return_exceptions=True)
        for node in cluster.nodes.values():
            node.always, node.up, node.paused = None, True, False
        await asyncio.sleep(60)  # whatever was on its way has arrived, or never will
        stored = {key for group in cluster.groups.values() for key in group.rows}
        assert {key for key, end in told.items() if end is None} <= stored, "an acknowledged write is there"
        assert not refused & stored, "a write that definitely failed is not there"
        for group in cluster.groups.values():
            assert len(set(group.executed)) == len(group.executed), "nothing happens twice"
        assert settled(db)

    play(scene)
