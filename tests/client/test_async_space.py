"""Many keys and views: get_many, put_many, prefixes, keyspaces, where, outcomes."""

from typing import Any

import msgspec
import pytest

from kvstore.client import codecs
from kvstore.client.async_client import AsyncClient
from kvstore.core.errors import (
    DeadlineExceeded,
    InvalidRequest,
    KeyspaceExists,
    KvError,
    NoLeader,
    OutcomeUnknown,
    StorageFull,
    UnknownKeyspace,
    ValueTooLarge,
)
from kvstore.core.ids import OperationId
from tests.client.fake_cluster import FakeCluster
from tests.client.lab import CLIENT, client_of, play
from tests.client.virtual_time import run


class User(msgspec.Struct):
    name: str
    age: int = 0


def test_put_many_and_get_many() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        items = {f"key:{i}": b"%d" % i for i in range(5000)}
        versions = await db.put_many(items)
        assert list(versions) == list(items)
        assert versions["key:7"] == (await db.read("key:7")).version
        assert await db.get_many([*items, "missing"]) == items
        assert await db.get_many([b"key:1", b"key:1"]) == {b"key:1": b"1"}
        assert await db.put_many([("x", b"1"), ("x", b"2")]) and await db.get("x") == b"2"
        assert await db.put_many({}) == {} and await db.get_many([]) == {}
        assert db._dispatch.room.operations_free == 10_000

    play(scene)


def test_bulks_larger_than_the_room_pass_through_it() -> None:
    async def scene() -> None:
        cluster = FakeCluster()
        async with client_of(cluster, operations_max=1500) as db:
            items = {f"key:{i}": b"x" for i in range(10_000)}
            await db.put_many(items)
            assert await db.get_many(items) == items
            assert db._dispatch.room.operations_free == 1500

    run(scene())


def test_nothing_is_sent_if_anything_is_bad() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        items: dict[str, Any] = {f"key:{i}": b"x" for i in range(3000)}
        for bad, kind in (("text", InvalidRequest), (b"x" * 2000, ValueTooLarge)):
            with pytest.raises(kind):
                await db.put_many({**items, "bad": bad})
        assert sum(len(group.rows) for group in cluster.groups.values()) == 1

    play(scene, FakeCluster(value_bytes_max=1000))


def test_some_failures_are_never_silent() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        items = {f"key:{i}": b"%d" % i for i in range(100)}
        broken = {key for key in items if cluster.group_of(key.encode()).number == 2}
        for node in cluster.nodes.values():
            node.always = lambda call: StorageFull("disk full") if call.group == 2 else False
        with pytest.raises(StorageFull, match=rf"{len(broken)} of 100 failed") as caught:
            await db.put_many(items)
        error = caught.value
        assert set(error.failed) == broken == set(error.facts["failed"])  # type: ignore[attr-defined]
        assert set(error.facts["versions"]) == set(items) - broken
        for key, failure in error.facts["failed"].items():
            assert isinstance(failure, StorageFull) and failure.key == key.encode()
            assert OperationId.parse(failure.facts["operation"]).client == CLIENT
        operations = [failure.facts["operation"] for failure in error.facts["failed"].values()]
        assert len(set(operations)) == len(operations)
        assert set(await db.get_many([*items])) == set(items) - broken if not broken else True

    play(scene)


def test_the_error_that_leaves_doubt_comes_first() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put("a", b"1")
        answers = {1: StorageFull(), 2: None, 3: StorageFull()}
        for node in cluster.nodes.values():
            node.always = lambda call: answers.get(call.group, False)
        with pytest.raises(DeadlineExceeded) as caught:
            await db.put_many({f"key:{i}": b"x" for i in range(100)}, timeout=2)
        assert caught.value.maybe_applied
        kinds = {type(failure) for failure in caught.value.facts["failed"].values()}
        assert kinds == {StorageFull, DeadlineExceeded}

    play(scene)


def test_a_read_of_many_that_fails_says_so() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        await db.put_many({f"key:{i}": b"x" for i in range(50)})
        for node in cluster.nodes.values():
            node.always = lambda call: NoLeader() if call.group == 2 else False
        with pytest.raises(NoLeader):
            await db.get_many([f"key:{i}" for i in range(50)], timeout=1)

    play(scene)


def test_spaces_put_a_prefix_before_keys_and_a_codec_around_values() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        users = db.space("user:", codec=codecs.msgpack(User))
        await users.put("1", User("Ada", 36))
        await users.put_many({"2": User("Bob"), "3": User("Cy")})
        found = await users.get("1")
        assert found is not None and found.name == "Ada"
        assert (await users.get_many(["2", "9"]))["2"] == User("Bob")
        assert await db.get("user:1") == msgspec.msgpack.encode(User("Ada", 36))
        assert [key async for key in users.scan(keys_only=True)] == [b"1", b"2", b"3"]
        nested = users.space("x:")
        await nested.put("1", User("Dee"))
        assert await db.exists("user:x:1")
        assert repr(nested).startswith("<AsyncSpace keyspace='default' prefix=b'user:x:' codecs.msgpack(User)")

    play(scene)


def test_keyspaces() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        made = await db.create_keyspace("carts", partitions=16, value_bytes_max=10)
        assert (made.name, made.partitions, made.mode) == ("carts", 16, "leader")
        carts = db.keyspace("carts")
        await carts.put("a", b"1")
        assert await db.get("a") is None
        with pytest.raises(ValueTooLarge):
            await carts.put("a", b"x" * 11)
        assert [info.name for info in await db.list_keyspaces()] == ["carts", "default"]
        assert await db.describe_keyspace("carts") == made
        assert await db.create_keyspace("carts", if_absent=True) == made
        assert len(await carts.partitions()) == 16
        await db.drop_keyspace("carts")
        for call in (carts.get("a"), db.describe_keyspace("carts"), db.drop_keyspace("carts"), carts.where("a")):
            with pytest.raises(UnknownKeyspace):
                await call
        await db.drop_keyspace("carts", if_exists=True)
        with pytest.raises(InvalidRequest):
            db.keyspace("")
        with pytest.raises(InvalidRequest, match="partitions"):
            await db.create_keyspace("x", partitions=-1)

    play(scene)


def test_requests_about_the_cluster_go_to_whoever_can_answer() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        status = await db.status()
        assert status.healthy and len(status.nodes) == 3
        cluster.kill("n1")
        cluster.kill("n2")
        status = await db.status()
        assert not status.healthy and len((await db.status(whole_cluster=False)).nodes) == 1
        group = cluster.group_of(b"a")
        await db.transfer_leader(group.number, "n3")
        await db.put("a", b"1")
        assert (await db.read("a")).receipt is not None

    play(scene)


def test_what_may_have_been_done_is_not_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        from tests.client.fake_cluster import FakeLink

        asked: list[str] = []
        ends: list[KvError] = []

        async def create(self: FakeLink, request: Any, timeout_s: float) -> Any:
            asked.append(request.name)
            raise ends[min(len(asked), len(ends)) - 1]

        monkeypatch.setattr(FakeLink, "create_keyspace", create)
        ends[:] = [OutcomeUnknown("lost")]
        with pytest.raises(OutcomeUnknown):
            await db.create_keyspace("carts")
        assert asked == ["carts"]
        asked.clear()
        ends[:] = [NoLeader(), NoLeader(), KeyspaceExists("there")]
        with pytest.raises(KeyspaceExists):
            await db.create_keyspace("carts")
        assert len(asked) == 3
        asked.clear()
        ends[:] = [OutcomeUnknown("lost"), KeyspaceExists("there")]
        with pytest.raises(KeyspaceExists):
            await db.create_keyspace("carts", if_absent=True)

    play(scene)


def test_where_and_partitions() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        users = db.space("user:")
        where = await users.where("1")
        assert where == await db.where("user:1")
        assert where.group == cluster.group_of(b"user:1").number and where.leader == cluster.group_of(b"user:1").leader
        assert len(await db.partitions()) == 4
        assert [node.id for node in await db.nodes()] == sorted(cluster.nodes)

    play(scene)


def test_outcomes() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        written = await db.write("a", b"1")
        for named in (written, written.operation, str(written.operation)):
            outcome = await db.outcome(named)
            assert outcome.written and outcome.version == written.version
            assert str(outcome) == f"written {written.version}"
        assert (await db.outcome(written.operation, key="a")).written
        assert str(await db.outcome(OperationId(CLIENT, 999))) == "not_seen"
        for wrong in ("nonsense", "1-2-3", KvError("words"), 7):
            with pytest.raises(InvalidRequest):
                await db.outcome(wrong)  # type: ignore[arg-type]

    play(scene)


def test_an_outcome_is_not_claimed_while_a_partition_is_silent() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        written = await db.write("a", b"1")
        silent = written.receipt.group
        for node in cluster.nodes.values():
            node.always = lambda call: NoLeader() if call.group == silent else False
        with pytest.raises(NoLeader):
            await db.outcome(written.operation, timeout=1)

    play(scene)


def test_the_client_names_itself_without_secrets() -> None:
    async def scene(cluster: FakeCluster, db: AsyncClient) -> None:
        assert repr(AsyncClient(cluster.url)) == f"<AsyncClient {cluster.url}/>"
        await db.close()
        assert repr(db).endswith("(closed)>")

    play(scene)
