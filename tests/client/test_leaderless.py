"""Leaderless keyspaces: siblings, contexts, resolvers, quorums, and whom the client asks."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kvstore.client import codecs
from kvstore.client.async_client import AsyncClient
from kvstore.client.records import Record, Sibling, Verdict
from kvstore.core.errors import (
    ConflictError,
    ConsistencyNotSupported,
    InvalidRequest,
    NotReady,
    QuorumNotMet,
    QuorumUnreachable,
    SiblingsExceeded,
    Unavailable,
    WrongMode,
    WrongTimeline,
)
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.ids import TimelineId
from kvstore.core.versions import CausalVersion, Version
from kvstore.v1 import kv_pb2 as pb
from tests.client import lab
from tests.client.fake_cluster import FakeCluster
from tests.client.fake_leaderless import SIBLINGS_MAX, LeaderlessCluster, LeaderlessGroup

Scene = Callable[[LeaderlessCluster, AsyncClient], Awaitable[Any]]


def play(scene: Scene) -> None:
    async def with_cluster(cluster: FakeCluster, db: AsyncClient) -> None:
        assert isinstance(cluster, LeaderlessCluster)
        await scene(cluster, db)

    lab.play(with_cluster, LeaderlessCluster())


async def two_siblings(cluster: LeaderlessCluster, db: AsyncClient, key: str = "cart:42") -> Record[bytes]:
    """Two writers who had not seen each other, and two actors who took their writes."""
    await db.put(key, b"milk")
    cluster.lives += 1
    await db.put(key, b"tea")
    return await db.read(key)


# ── one key ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_put_get_delete() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        assert await db.get("a") is None and await db.get("a", 7) == 7 and not await db.exists("a")
        version = await db.put("a", b"1")
        assert isinstance(version, CausalVersion) and await db.get("a") == b"1" and await db.exists("a")
        assert await db.delete("a") is True and await db.get("a") is None and not await db.exists("a")
        assert await db.delete("a") is False

    play(scene)


def test_a_record_tells_everything() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"1")
        record = await db.read("a")
        assert (record.exists, record.value, record.version) == (True, b"1", version)
        assert record.siblings == (Sibling(b"1", version),)
        assert record.written is not None and record.written.timestamp() == version.wall / 1000
        assert record.receipt is not None and record.receipt.mode == "leaderless" and record.receipt.siblings == 1

    play(scene)


def test_keys_that_are_not_there_have_a_context_too() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        never = await db.read("a")
        assert (never.exists, never.value, never.siblings, never.written) == (False, None, (), None)
        assert isinstance(never.version, CausalVersion) and never.version.seen == {}
        await db.put("a", b"1", context=never)
        await db.delete("a")
        deleted = await db.read("a")
        assert not deleted.exists and isinstance(deleted.version, CausalVersion) and deleted.version.seen
        await db.put("a", b"2", context=deleted)
        assert await db.get("a") == b"2" and len(cluster.group(b"a").known[b"a"].siblings) == 1

    play(scene)


def test_a_version_that_put_returned_is_a_context() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        first = await db.put("a", b"1")
        second = await db.put("a", b"2", context=first)
        third = await db.put("a", b"3", context=str(second))
        assert first < second < third and await db.get("a") == b"3"
        written = await db.write("a", b"4", context=third)
        assert written.version is not None and written.version > third and written.found
        assert await db.delete("a", context=written) and await db.get("a") is None

    play(scene)


def test_siblings_are_told_never_chosen_from() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        record = await two_siblings(cluster, db)
        assert [sibling.value for sibling in record.siblings] == [b"milk", b"tea"] and record.exists
        assert record.siblings[0].written <= record.siblings[1].written == record.written
        assert "with 2 siblings" in repr(record)
        for ask in (lambda: db.get("cart:42"), lambda: db.get("cart:42", b"?"), lambda: db.get_many(["cart:42"])):
            with pytest.raises(ConflictError) as caught:
                await ask()  # type: ignore[no-untyped-call]
            assert caught.value.record == record and caught.value.key == b"cart:42" and caught.value.exit_code == 4
        with pytest.raises(ConflictError):
            _ = record.value

    play(scene)


def test_resolving_replaces_exactly_what_was_read() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        record = await two_siblings(cluster, db)
        await db.resolve(record, record.siblings[-1])
        assert await db.get("cart:42") == b"tea"
        record = await db.read("cart:42")
        await db.put("cart:42", b"late")
        await db.resolve(record, b"both")
        left = await db.read("cart:42")
        assert sorted(sibling.value for sibling in left.siblings) == [b"both", b"late"]

    play(scene)


def test_a_sibling_s_version_replaces_that_one_alone() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        record = await two_siblings(cluster, db)
        await db.put("cart:42", b"bread", context=record.siblings[0].version)
        assert [sibling.value for sibling in (await db.read("cart:42")).siblings] == [b"tea", b"bread"]

    play(scene)


def test_a_delete_takes_all_it_has_seen_and_nothing_else() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        record = await two_siblings(cluster, db)
        await db.put("cart:42", b"late")
        assert await db.delete("cart:42", context=record)
        assert await db.get("cart:42") == b"late"
        assert (await db.erase("cart:42")).found and not await db.exists("cart:42")
        nothing = await db.erase("cart:42")
        assert not nothing.found and (await db.outcome(nothing)).verdict is Verdict.NOT_SEEN

    play(scene)


def test_an_unbounded_heap_of_siblings_is_refused() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        for number in range(SIBLINGS_MAX):
            await db.put("a", b"%d" % number)
        with pytest.raises(SiblingsExceeded, match="5 unresolved siblings") as caught:
            await db.put("a", b"more")
        assert caught.value.definite and caught.value.key == b"a"
        await db.put("a", b"one", context=await db.read("a"))
        assert await db.get("a") == b"one"

    play(scene)


# ── resolvers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_resolver_makes_one_value_of_several() -> None:
    def union(key: bytes, values: list[Any]) -> Any:
        assert key == b"42"
        return sorted({item for value in values for item in value})

    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        carts = db.space("cart:", codec=codecs.json)
        await carts.put("42", ["milk"])
        await carts.put("42", ["tea"])
        merging = carts.space(resolver=union)
        assert await merging.get("42") == ["milk", "tea"] == await carts.get("42", resolver=union)
        assert await merging.get_many(["42", "43"]) == {"42": ["milk", "tea"]}
        assert len((await merging.read("42")).siblings) == 2, "a read shows all, and nothing was written back"
        assert await merging.update("42", lambda cart: [*cart, "bread"]) == ["milk", "tea", "bread"]
        assert await carts.get("42") == ["milk", "tea", "bread"]
        await merging.put("42", ["jam"])
        with pytest.raises(ConflictError):
            await merging.with_options(resolver="raise").get("42")

    play(scene)


def test_last_writer_wins_if_asked_for() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        record = await two_siblings(cluster, db)
        newest = db.with_options(resolver="lww")
        assert await newest.get("cart:42") == b"tea" and await newest.exists("cart:42")
        await db.delete("cart:42", context=record.siblings[1].version)  # newer than milk, which it has not seen
        assert await db.get("cart:42") == b"milk"
        assert await newest.get("cart:42", b"?") == b"?" and not await newest.exists("cart:42")
        assert [pair async for pair in newest.scan()] == [] and await newest.get_many(["cart:42"]) == {}

    play(scene)


def test_a_keyspace_where_the_last_writer_wins_has_no_siblings() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        cluster.add_keyspace("newest", conflicts="lww")
        newest = db.keyspace("newest")
        await newest.put("a", b"1")
        await newest.put("a", b"2")
        assert await newest.get("a") == b"2" and (await newest.info()).conflicts == "lww"

    play(scene)


def test_what_is_no_resolver() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        with pytest.raises(InvalidRequest, match="'lww' or 'raise'"):
            await db.get("a", resolver="newest")

    play(scene)


def test_an_update_without_a_resolver_does_not_guess() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        counted = db.space(codec=codecs.json)
        assert await counted.update("n", lambda n: (n or 0) + 1) == 1
        assert await counted.update("n", lambda n: (n or 0) + 1) == 2
        await counted.put("n", 9)
        with pytest.raises(ConflictError):
            await counted.update("n", lambda n: (n or 0) + 1)
        assert await counted.update("n", lambda n: (n or 0) + 1, resolver=lambda _, values: max(values)) == 10

    play(scene)


# ── wrong tokens and conditions ─────────────────────────────────────────────────────────────────────────────────────


def test_a_context_of_something_else_is_refused() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"1")
        assert isinstance(version, CausalVersion)
        with pytest.raises(InvalidRequest, match="comes from another key"):
            await db.put("b", b"1", context=version)
        old = CausalVersion(TimelineId(1), version.group, version.stamp, version.key_hash, version.context)
        with pytest.raises(WrongTimeline):
            await db.put("a", b"2", context=old)
        with pytest.raises(InvalidRequest, match="a keyspace with a leader"):
            await db.put("a", b"2", context=Version(version.timeline, version.group, version.stamp))
        broken = str(version)[:-3] + "AAA"
        with pytest.raises(InvalidRequest, match="is not a version token"):
            await db.put("a", b"2", context=broken)
        cluster.add_keyspace("other")
        with pytest.raises(InvalidRequest, match="of another partition"):
            await db.keyspace("other").put("a", b"2", context=version)
        with pytest.raises(InvalidRequest, match="context must be"):
            await db.put("a", b"2", context=7)  # type: ignore[arg-type]
        assert await db.get("a") == b"1"

    play(scene)


def test_conditions_are_refused_and_the_way_out_is_named() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"1")
        asks: list[Callable[[], Awaitable[Any]]] = [
            lambda: db.put("a", b"2", if_absent=True),
            lambda: db.put("a", b"2", if_version=version),
            lambda: db.write("a", b"2", if_version=version),
            lambda: db.delete("a", if_version=version),
            lambda: db.erase("a", if_version=version),
        ]
        for ask in asks:
            with pytest.raises(WrongMode, match="context=record"):
                await ask()
        async with db.batch() as batch:
            batch.put("b", b"1")
        with pytest.raises(WrongMode):
            async with db.batch() as batch:
                batch.put("b", b"2", if_absent=True)
        assert await db.get("b") == b"1"

    play(scene)


def test_a_context_makes_no_sense_where_there_is_a_leader() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        version = await db.put("a", b"1")
        with pytest.raises(WrongMode, match="use if_version"):
            await db.put("a", b"2", context=version)
        with pytest.raises(WrongMode, match="use if_version"):
            await db.resolve(await db.read("a"), b"2")
        causal = CausalVersion(version.timeline, version.group, Stamp(1), 5)
        with pytest.raises(InvalidRequest, match="of a leaderless keyspace"):
            await db.put("a", b"2", if_version=causal)

    lab.play(scene)


# ── levels ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def quorums_asked(cluster: LeaderlessCluster, kind: str) -> list[int]:
    calls = [call for node in cluster.nodes for call in cluster.calls(node) if call.WhichOneof("body") == kind]
    return [call.write.write_quorum if kind == "write" else getattr(call, kind).read_quorum for call in calls]


@pytest.mark.parametrize(("level", "count"), [(None, 0), ("one", 1), ("quorum", 2), ("all", 3), (2, 2), ("3", 3)])
def test_levels_become_numbers_of_replicas(level: Any, count: int) -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        await db.put("a", b"1", write=level)
        await db.get("a", read=level)
        await db.with_options(read=level, write=level).put("a", b"1")
        await db.with_options(read=level, write=level).get("a", resolver="lww")
        assert [key async for key in db.scan(keys_only=True, read=level)] == [b"a"]
        assert quorums_asked(cluster, "write") == [count] * 2 and quorums_asked(cluster, "read") == [count] * 2
        assert set(quorums_asked(cluster, "page")) == {count}

    play(scene)


def test_sloppiness_is_asked_for_or_forbidden() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        await db.put("a", b"1", sloppy=True)
        await db.with_options(sloppy=True).delete("a", sloppy=False)
        calls = [
            call.write.sloppy for call in cluster.calls(cluster.coordinator_of(b"a").name) if call.HasField("write")
        ]
        assert calls == [pb.SLOPPY_UNSPECIFIED, pb.SLOPPY_YES, pb.SLOPPY_NO]

    play(scene)


@pytest.mark.parametrize("wrong", [0, -1, True, "most", "leader", 1.5])
def test_levels_that_do_not_exist(wrong: Any) -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        with pytest.raises(ConsistencyNotSupported, match="one, quorum, all, or a number"):
            await db.get("a", read=wrong)
        with pytest.raises(ConsistencyNotSupported, match="one, quorum, all, or a number"):
            await db.put("a", b"1", write=wrong)

    play(scene)


def test_more_replicas_than_there_are_is_refused_before_anything_is_sent() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        with pytest.raises(ConsistencyNotSupported, match=r"read=4: .* has 3 replicas .* from 1 to 3"):
            await db.get("a", read=4)
        with pytest.raises(ConsistencyNotSupported, match="write=4"):
            await db.erase("a", write=4)
        assert not any(cluster.calls(node) for node in cluster.nodes)

    play(scene)


def test_levels_of_the_other_mode_are_refused_and_the_right_ones_named() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        for view in (db, db.with_options(consistency="leader")):
            with pytest.raises(
                ConsistencyNotSupported, match=r"knows no consistency=leader; allowed: read=one\|quorum"
            ):
                await view.get("a", consistency="leader")
        with pytest.raises(ConsistencyNotSupported, match=r"knows no acks=all; allowed: write=one\|quorum\|all"):
            await db.put("a", b"1", acks="all")
        with pytest.raises(ConsistencyNotSupported, match="acks=all"):
            async with db.batch(acks="all") as batch:
                batch.put("a", b"1")

    async def with_leader(cluster: FakeCluster, db: AsyncClient) -> None:
        with pytest.raises(
            ConsistencyNotSupported, match=r"knows no read=one; allowed: consistency=linearizable\|leader"
        ):
            await db.get("a", read="one")
        with pytest.raises(
            ConsistencyNotSupported, match=r"knows no sloppy=False; allowed: acks=majority\|all\|leader"
        ):
            await db.put("a", b"1", sloppy=False)
        with pytest.raises(ConsistencyNotSupported, match="read=2"):
            assert [key async for key in db.scan(keys_only=True, read=2)]

    play(scene)
    lab.play(with_leader)


# ── many keys ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_many_keys_at_once() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        items = {f"k{number}": b"%d" % number for number in range(50)}
        versions = await db.put_many(items, write="all")
        assert all(isinstance(version, CausalVersion) for version in versions.values())
        assert await db.get_many([*items, "nobody"]) == items
        records = await db.read_many(["k1", "nobody"])
        assert records["k1"].value == b"1" and records["k1"].version == versions["k1"]
        assert not records["nobody"].exists and records["nobody"].version is not None
        assert set(quorums_asked(cluster, "write")) == {3}

    play(scene)


def test_a_batch_replaces_what_was_read_and_deletes_what_is_there() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        await db.put_many({"a": b"1", "b": b"1", "c": b"1"})
        record = await db.read("a")
        async with db.batch() as batch:
            batch.put("a", b"2", context=record)
            batch.delete("b")
            batch.delete("nobody")
            batch.delete("c", context=await db.read("c"))
        assert await db.get_many(["a", "b", "c"]) == {"a": b"2"}
        assert batch.applied == 4 and batch.versions["nobody"] is None and batch.versions["b"] is not None
        assert b"nobody" not in cluster.group(b"nobody").known, "there was nothing to delete, so nothing was written"
        with pytest.raises(InvalidRequest, match="is in this batch already"):
            async with db.batch() as batch:
                batch.put("a", b"3", context=record)
                batch.put("a", b"4")

    play(scene)


def test_a_scan_passes_over_what_is_deleted_and_stops_at_siblings() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        await db.put_many({f"k{number}": b"x" for number in range(40)})
        async with db.batch() as batch:
            for number in range(40):
                if number != 7:
                    batch.delete(f"k{number}")
        assert [pair async for pair in db.scan()] == [(b"k7", b"x")]
        assert [key async for key in db.scan(keys_only=True, limit=1)] == [b"k7"]
        await db.put("k7", b"y")
        with pytest.raises(ConflictError) as caught:
            assert [pair async for pair in db.scan()]
        assert caught.value.key == b"k7"
        assert [pair async for pair in db.scan(resolver="lww")] == [(b"k7", b"y")]
        assert [key async for key in db.scan(keys_only=True)] == [b"k7"]
        (record,) = [record async for record in db.scan_records()]
        assert [sibling.value for sibling in record.siblings] == [b"x", b"y"]

    play(scene)


def test_an_outcome_is_told_with_the_version_if_the_key_is_known() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        written = await db.write("a", b"1")
        assert (await db.outcome(written)).verdict is Verdict.WRITTEN
        outcome = await db.outcome(str(written.operation), key="a")
        assert outcome.verdict is Verdict.WRITTEN and outcome.version == written.version

    play(scene)


def test_an_outcome_is_asked_of_every_replica() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        written = await db.write("a", b"1")
        first, second, third = (cluster.nodes[name] for name in cluster.group(b"a").replicas)
        knows_nothing = cluster.execute(first, LeaderlessGroup(1, [], ""), pb.Call(outcome=pb.OutcomeQuery(client=1)))
        first.always = second.always = lambda call: knows_nothing
        assert (await db.outcome(written)).verdict is Verdict.WRITTEN, "the third knows"
        cluster.kill(third.name)
        with pytest.raises(Unavailable, match=f"nobody else has seen it, but {third.name} may have"):
            await db.outcome(str(written.operation), key="a", timeout=1)
        cluster.kill(first.name)
        third.up, second.always = True, None
        assert (await db.outcome(str(written.operation), key="a")).verdict is Verdict.WRITTEN, "the first is down"

    play(scene)


def test_what_a_keyspace_says_of_itself() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        info = await db.info()
        assert (info.is_leaderless, info.read_quorum, info.write_quorum, info.sloppy) == (True, 2, 2, False)
        assert str(info) == "default mode=leaderless n=3 r=2 w=2 conflicts=siblings partitions=4"

    play(scene)


# ── whom to ask ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_replica_that_is_up_coordinates() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        keys = [f"k{number}" for number in range(60)]
        await db.put_many(dict.fromkeys(keys, b"1"))
        for key in keys[:10]:
            assert (await db.read(key)).receipt.node == cluster.coordinator_of(key.encode()).name  # type: ignore[union-attr]
        assert all(cluster.calls(node) for node in cluster.nodes), "the first replicas are spread over the nodes"
        group = cluster.group(b"k0")
        cluster.kill(group.replicas[0])
        assert (await db.read("k0")).receipt.node == group.replicas[1]  # type: ignore[union-attr]

    play(scene)


@pytest.mark.parametrize(
    "error", [NotReady("recovering"), QuorumUnreachable(needed=2, got=1), QuorumNotMet(needed=2, got=1)]
)
def test_another_replica_is_asked_when_one_cannot(error: Exception) -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        group = cluster.group(b"a")
        cluster.nodes[group.replicas[0]].always = lambda call: error  # type: ignore[assignment, return-value]
        written = await db.write("a", b"1")
        assert written.receipt.node == group.replicas[1] and len(group.executed) == 1
        assert await db.get("a") == b"1"

    play(scene)


def test_a_write_that_is_tried_again_elsewhere_happens_once() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        group = cluster.group(b"a")
        first = cluster.nodes[group.replicas[0]]

        def written_but_silent(call: pb.Call) -> None:
            cluster.execute(first, group, call)

        first.before.append(written_but_silent)  # type: ignore[arg-type]
        await db.put("a", b"1", timeout=10)
        assert len(group.executed) == 1 and await db.get("a") == b"1"

    play(scene)


def test_a_quorum_that_stays_out_of_reach_is_told_with_doubt() -> None:
    async def scene(cluster: LeaderlessCluster, db: AsyncClient) -> None:
        for node in cluster.nodes.values():
            node.always = lambda call: QuorumNotMet(needed=2, got=1, replicas="n1")
        with pytest.raises(QuorumNotMet, match="2 replicas were needed") as caught:
            await db.put("a", b"1", timeout=1)
        assert caught.value.maybe_applied and caught.value.exit_code == 5
        for node in cluster.nodes.values():
            node.always = lambda call: QuorumUnreachable(needed=2, got=1, replicas="n1")
        with pytest.raises(QuorumUnreachable, match="nothing was done") as unreachable:
            await db.put("b", b"1", timeout=1)
        assert unreachable.value.definite

    play(scene)
