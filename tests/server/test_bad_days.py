"""Real nodes on a bad day: rows that rot on a real disk, a disk that is full, a clock that is far off, other people."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import lmdb
import msgspec
import pytest

from kvstore import AsyncClient, errors
from kvstore.core.errors import Corruption
from kvstore.core.ids import METADATA_GROUP, Instant, Millis, NodeId
from kvstore.node.config import LimitsConfig, RaftConfig, StorageConfig
from kvstore.replication.raft.effects import Standing
from kvstore.server.data_directory import ENGINE_FOLDER
from kvstore.server.main import open_runtime
from kvstore.server.runtime import NodeRuntime
from kvstore.storage.keys import ballot_key, log_range, meta_key, value_prefix
from kvstore.v1 import admin_pb2
from kvstore.v1 import kv_pb2 as pb
from tests.server.stage import PATIENCE_S, Stage, refused, staged, until

SOON = StorageConfig(flush_interval_ms=20)
MIB = 1 << 20


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Three nodes with a value that is on all their disks, and some others."""
    async with staged(tmp_path, 3, storage=SOON) as stage:
        pairs = [pb.Pair(key=b"good%d" % i, value=b"%d" % i) for i in range(20)]
        await stage.kv().PutMany(pb.PutManyRequest(pairs=[pb.Pair(key=b"key", value=b"precious"), *pairs]))
        await until(lambda: all(is_flushed(stage, name) for name in stage.runtimes), "values never reached their rows")
        yield stage


def is_flushed(stage: Stage, name: str) -> bool:
    state = state_of(stage, name)
    return state is not None and state.read(b"key") is not None and all(
        host.state is not None and not host.state.is_flushing and not host.state.needs_flush
        for host in stage.runtimes[name].node.groups.all()
    )  # fmt: skip


def state_of(stage: Stage, name: str):  # type: ignore[no-untyped-def]
    host = stage.runtimes[name].node.groups.partition(stage.group_of(b"key"))
    assert host is not None
    return host.state


def data_of(stage: Stage, name: str) -> int:
    host = stage.runtimes[name].node.groups.get(stage.group_of(b"key"))
    assert host is not None
    return host.place.data


def rot(folder: Path, start: bytes, end: bytes) -> bytes:
    """Flip a bit in the last row of a range, on the disk of a node that does not run; the row as it is now."""
    path = str(folder / ENGINE_FOLDER)
    with lmdb.open(path, map_size=1 << 30, max_dbs=0) as environment, environment.begin(write=True) as change:
        rows = [(bytes(key), bytes(row)) for key, row in change.cursor() if start <= key < end]
        assert rows, "there is no such row"
        key, row = rows[-1]
        damaged = row[:-1] + bytes([row[-1] ^ 1])
        change.put(key, damaged)
    return damaged


async def with_rotten_value(stage: Stage, name: str) -> None:
    """The node again, after its disk spoilt the value while it was down."""
    row = value_prefix(data_of(stage, name)) + b"key"
    await stage.stop(name)
    rot(stage.folder / name, row, row + b"\0")
    await stage.start(name)
    await stage.ready()


async def make_leader(stage: Stage, name: str) -> None:
    """Ask for it until it is so: who is not up to date, or not yet heard, is passed over."""
    group = stage.group_of(b"key")
    async with asyncio.timeout(PATIENCE_S):
        while stage.runtimes[name].node.leader_of(group) != name:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stage.admin(name).TransferLeader(admin_pb2.TransferLeaderRequest(group=group, to=name))
            await asyncio.sleep(0.1)


# ── a value ──


async def test_a_rotten_value_on_a_follower_is_never_returned_but_mended_by_the_others(stage: Stage) -> None:
    name = next(name for name in stage.runtimes if name != stage.leader_of(b"key"))
    await with_rotten_value(stage, name)
    await make_leader(stage, next(other for other in stage.runtimes if other != name))
    read = pb.GetRequest(key=b"key", level=pb.READ_LEVEL_FOLLOWER)
    async with refused(Corruption, grpc.StatusCode.DATA_LOSS) as told:
        await stage.kv(name).Get(read)
    assert told[0].definite and told[0].retryable and "checksum" in str(told[0])
    await until(lambda: state_of(stage, name) is not None and not damaged(stage, name), "it was never mended")
    found = await stage.kv(name).Get(read)
    assert (found.record.value, found.receipt.node) == (b"precious", name)
    [report] = (await stage.admin(name).Status(admin_pb2.StatusRequest())).nodes_json
    assert any("fails its checksum" in problem for problem in msgspec.json.decode(report)["problems"])


def damaged(stage: Stage, name: str) -> bool:
    host = stage.runtimes[name].node.groups.get(stage.group_of(b"key"))
    assert host is not None
    return host.raft.damaged


async def test_a_client_gets_the_value_whoever_leads_with_a_rotten_one(stage: Stage) -> None:
    name = stage.leader_of(b"key")
    await with_rotten_value(stage, name)
    group = stage.group_of(b"key")
    await make_leader(stage, name)
    async with AsyncClient(f"kv://{stage.config(name).listen.client}", timeout=30) as db:  # type: ignore[union-attr]
        seen = []
        while len(seen) < 2 or stage.runtimes[name].node.leader_of(group) == name:
            try:
                seen.append(await db.get("key"))
            except errors.Corruption:
                seen.append(None)
        assert set(seen) <= {b"precious", None}, "what is rotten was returned"
        await until(lambda: state_of(stage, name) is not None and not damaged(stage, name), "it was never mended")
        assert await db.get("key") == b"precious"
        assert [key async for key, _ in db.scan("good")] == sorted(f"good{i}".encode() for i in range(20))
    found = await stage.kv(name).Get(pb.GetRequest(key=b"key", level=pb.READ_LEVEL_FOLLOWER))
    assert found.record.value == b"precious"


async def test_rot_travels_to_nobody_that_has_to_be_told_everything(tmp_path: Path) -> None:
    """The leader's own row is rotten, unread, when a node without a disk fetches the whole state."""
    async with staged(tmp_path, 3, storage=SOON, raft=RaftConfig(log_entries_max=16)) as stage:
        kv = stage.kv()
        for value in (b"old", b"precious"):
            await kv.Put(pb.PutRequest(key=b"key", value=value))
        leader, group = stage.leader_of(b"key"), stage.group_of(b"key")
        near = [key for key in (b"k%d" % i for i in range(2_000)) if stage.group_of(key) == group][:100]
        for key in near:
            await kv.Put(pb.PutRequest(key=key, value=b"v"))
        await until(lambda: all(is_flushed(stage, name) for name in stage.runtimes), "values never reached their rows")
        follower = next(name for name in stage.runtimes if name != leader)
        await with_rotten_value(stage, leader)
        await make_leader(stage, leader)
        await stage.stop(follower)
        (stage.folder / follower).rename(stage.folder / "lost")
        await stage.start(follower)
        await until(lambda: all(has_it(stage, name) for name in stage.runtimes), "not all have the value")
        for name in stage.runtimes:
            request = pb.GetRequest(key=b"key", level=pb.READ_LEVEL_FOLLOWER)
            assert (await stage.kv(name).Get(request)).record.value == b"precious"
        assert any("checksum" in line for line in stage.runtimes[leader].node.damage), "who sent it did not notice"


def has_it(stage: Stage, name: str) -> bool:
    node = stage.runtimes[name].node
    host = node.groups.partition(stage.group_of(b"key"))
    if host is None or host.state is None or host.place.standing:
        return False
    try:
        return host.state.read(b"key") is not None
    except Corruption:
        return False


# ── what a replica promised, and what the cluster is ──


@pytest.mark.parametrize("what", ["its log", "its ballot"])
async def test_a_node_whose_promises_are_rotten_recovers_from_the_others(stage: Stage, what: str) -> None:
    group = stage.group_of(b"key")
    await stage.stop("n2")
    start, end = log_range(group) if what == "its log" else (ballot_key(group), ballot_key(group) + b"\0")
    rot(stage.folder / "n2", start, end)
    alone = open_runtime(stage.config("n2"))
    unsure = alone.node.groups.get(group)
    await alone.close()
    assert unsure is not None and unsure.raft.standing is Standing.RECOVERING, "the damage was not noticed"
    await stage.start("n2")
    await stage.ready()
    host = stage.runtimes["n2"].node.groups.get(group)
    assert host is not None
    await until(lambda: not host.place.standing, "it never became a voter again")
    await stage.kv().Put(pb.PutRequest(key=b"key", value=b"new", acks=pb.ACKS_ALL))
    found = await stage.kv("n2").Get(pb.GetRequest(key=b"key"))
    assert found.record.value == b"new"


async def test_a_node_that_cannot_read_what_its_cluster_is_does_not_start_and_lets_go(stage: Stage) -> None:
    host = stage.runtimes["n2"].node.groups.get(METADATA_GROUP)
    assert host is not None
    row = meta_key(host.place.data)
    await stage.stop("n2")
    rot(stage.folder / "n2", row, row + b"\0")
    for _ in range(2):
        with pytest.raises(Corruption, match="metadata fails its checksum"):
            open_runtime(stage.config("n2"))
    (stage.folder / "n2").rename(stage.folder / "lost")  # the way out: it fetches everything again
    await stage.start("n2")
    await stage.ready()
    assert (await stage.kv("n2").Get(pb.GetRequest(key=b"key"))).record.value == b"precious"


# ── a full disk ──


async def test_a_full_cluster_takes_deletes_only_says_so_and_recovers(tmp_path: Path) -> None:
    storage = StorageConfig(map_bytes_max=8 * MIB, map_bytes_start=MIB, flush_interval_ms=50)
    async with staged(tmp_path, 3, storage=storage) as stage:
        kv, written = stage.kv(), 0
        told: errors.KvError | None = None
        waits = 0
        while told is None and written < 200:
            try:
                await kv.Put(pb.PutRequest(key=b"%03d" % written, value=b"v" * (MIB // 4)), timeout=20)
                written += 1
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
                if "storage limit" in str(error.details()):
                    told = errors.StorageFull(str(error.details()))
                else:
                    waits += 1
                    assert waits < 300, f"{error.details()}: {[facts(runtime) for runtime in stage.runtimes.values()]}"
                    await asyncio.sleep(0.05)
        assert told is not None and 8 <= written < 200 and "storage.map_bytes_max" in str(told)
        assert "delete something" in str(told)
        for number in range(written):
            await kv.Delete(pb.DeleteRequest(key=b"%03d" % number), timeout=20)
        assert not any(runtime.ended.done() for runtime in stage.runtimes.values())
        again = 0
        async with asyncio.timeout(PATIENCE_S):  # what was deleted is room once it is flushed, on every node
            while again < 8:
                try:
                    await kv.Put(pb.PutRequest(key=b"again%d" % again, value=b"v" * 10_000), timeout=20)
                    again += 1
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
                    await asyncio.sleep(0.05)


def facts(runtime: NodeRuntime) -> tuple[object, ...]:
    """What a node without room may be stuck in."""
    node, groups = runtime.node, list(runtime.node.groups.all())
    behind = [(host.group, host.raft.last.index - host.raft.commit) for host in groups if host.raft.is_leader]
    size = runtime.engine.size_bytes(), runtime.engine.is_full()
    return size, node.gate.full, node.gate.unflushed_too_much, node.batches_open, behind, runtime.ended.done()


# ── clocks ──


def put_forward(stage: Stage, name: str, ms: int) -> None:
    """From now on the wall clock of that node is so far ahead."""
    runtime = stage.runtimes[name]
    right = runtime.now

    def wrong() -> Instant:
        now = right()
        return Instant(now.monotonic, Millis(now.wall + ms))

    runtime.now = wrong  # type: ignore[method-assign]


async def test_a_node_whose_clock_is_far_ahead_gives_its_leaderships_away_and_stamps_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path, 3, limits=LimitsConfig(clock_ahead_ms_max=5_000)) as stage:
        name = stage.leader_of(b"key")
        others = [runtime for other, runtime in stage.runtimes.items() if other != name]
        before = await stage.kv().Put(pb.PutRequest(key=b"key", value=b"1"))
        put_forward(stage, name, 3_600_000)
        node = stage.runtimes[name].node
        group = stage.group_of(b"key")
        await until(lambda: node.gate.clock_ahead_ms > 5_000, "it did not notice")
        await until(lambda: all(runtime.node.leader_of(group) not in (None, name) for runtime in others), "it leads on")
        written = await stage.kv(name).Put(pb.PutRequest(key=b"key", value=b"2"))
        assert written.receipt.node != name, "another node wrote it"
        assert written.receipt.stamp - before.receipt.stamp < 3_000_000 << 16, "a stamp of its clock got in"
        [report] = (await stage.admin(name).Status(admin_pb2.StatusRequest())).nodes_json
        problems = msgspec.json.decode(report)["problems"]
        assert any("clock is 3" in problem and "ahead of most others" in problem for problem in problems)
        assert (await stage.kv(name).Get(pb.GetRequest(key=b"key"))).record.value == b"2"
        put_forward(stage, name, -3_600_000)
        await until(lambda: node.gate.clock_ahead_ms < 5_000, "it did not notice that its clock is right again")


async def test_a_node_whose_clock_is_far_behind_harms_nobody(tmp_path: Path) -> None:
    async with staged(tmp_path, 3) as stage:
        name = stage.leader_of(b"key")
        first = await stage.kv().Put(pb.PutRequest(key=b"key", value=b"1"))
        put_forward(stage, name, -3_600_000)
        second = await stage.kv(name).Put(pb.PutRequest(key=b"key", value=b"2", if_version=first.version))
        assert second.receipt.stamp > first.receipt.stamp, "stamps never go back"
        peers = [runtime.node.liveness.peers.get(NodeId(name)) for runtime in stage.runtimes.values()]
        await until(lambda: any(peer and peer.clock_ahead_ms < -3_000_000 for peer in peers), "nobody noticed")
        assert (await stage.kv().Get(pb.GetRequest(key=b"key"))).record.value == b"2"


# ── other people ──


async def test_a_client_of_another_cluster_is_refused_and_nothing_it_asked_happens(tmp_path: Path) -> None:
    """It learnt the ring of one cluster; at one of the addresses another one listens by now."""
    async with staged(tmp_path / "first", 1) as first:
        address = first.members[0].client
        async with AsyncClient(f"kv://{address}", timeout=5) as db:
            await db.put("key", b"1")
            await first.stop("n1")
            second = Stage(tmp_path / "second", 1)
            second.members = first.members
            try:
                await second.start("n1")  # the same names and addresses, and another timeline
                await second.ready()
                with pytest.raises((errors.WrongTimeline, errors.WrongCluster)):
                    await db.put("key", b"2")
                assert not (await second.kv().Get(pb.GetRequest(key=b"key"))).record.exists
            finally:
                await second.close()
