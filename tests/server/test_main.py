"""Starting and stopping: doors that are taken, nodes that cannot start, a hand-over, and a real process."""

import asyncio
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from kvstore.core.errors import ConfigError, ForeignData, Unavailable
from kvstore.core.ids import METADATA_GROUP
from kvstore.node.config import ClusterConfig, MemberConfig, NodeConfig, StorageConfig
from kvstore.node.forms import split_address
from kvstore.server.main import Doors, open_runtime, run
from kvstore.v1 import kv_pb2 as pb
from tests.server.stage import PATIENCE_S, Stage, config_of, members_on, staged, until, unused_ports

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("door", ["client", "peer", "http"])
async def test_a_port_in_use_is_named_with_its_door(tmp_path: Path, door: str) -> None:
    stage = Stage(tmp_path, 1)
    address = getattr(stage.members[0], door)
    with socket.socket() as taken:
        taken.bind(split_address(address))
        taken.listen()
        with pytest.raises(ConfigError, match=rf"listen\.{door}: cannot listen on {address} \(is the port in use\?\)"):
            await stage.start("n1")
        await stage.close()
    async with staged(tmp_path, 1):
        pass  # the directory was let go of, too


async def test_a_second_node_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with staged(tmp_path, 1) as stage:
        with pytest.raises(Unavailable, match="another process"):
            open_runtime(stage.config("n1"))
        await stage.kv().Put(pb.PutRequest(key=b"key", value=b"v"))


async def test_the_data_of_another_cluster_is_refused(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 1)
    await stage.start("n1")
    await stage.stop("n1")
    config = stage.config("n1")
    with pytest.raises(ForeignData, match="belongs to"):
        open_runtime(NodeConfig(
            node=config.node, listen=config.listen, cluster=ClusterConfig(id="another", nodes=config.cluster.nodes)
        ))  # fmt: skip


@pytest.mark.parametrize("listed", [["n1"], ["n1", "n2"], ["n1", "n2", "n3", "n4"], ["n1", "n2", "n4"]])
async def test_a_cluster_is_not_changed_by_editing_the_list_of_nodes(tmp_path: Path, listed: list[str]) -> None:
    """The nodes listed vote on what the cluster is: another list would be another majority."""
    async with staged(tmp_path, 3, storage=StorageConfig(flush_interval_ms=20)) as stage:
        host = stage.one.node.groups.get(METADATA_GROUP)
        await until(lambda: host is not None and host.state is not None and host.state.flushed.index > 1, "no flush")
        await stage.stop("n1")
        members = {member.id: member for member in (*stage.members, *members_on(unused_ports(12))[3:])}
        config = stage.config("n1")
        edited = replace(config, cluster=ClusterConfig(id="stage", nodes=tuple(members[name] for name in listed)))
        with pytest.raises(
            ConfigError, match=r"cluster\.nodes: expected the nodes that founded the cluster \(n1, n2, n3\)"
        ):
            open_runtime(edited)
        await stage.start("n1")  # and nothing is left open or changed
        await stage.ready()


def test_a_node_that_cannot_start_ends_with_1_and_says_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "setswitchinterval", lambda seconds: None)
    members = members_on(unused_ports(3))
    with socket.socket() as taken:
        taken.bind(split_address(members[0].http))
        taken.listen()
        assert run(config_of(members[0], members, tmp_path / "n1")) == 1
    assert "listen.http: cannot listen on" in capfd.readouterr().err


async def test_a_clean_shutdown_hands_every_leadership_over_first(tmp_path: Path) -> None:
    async with staged(tmp_path, 3) as stage:
        leader = stage.leader_of(b"key")
        await stage.kv(leader).Put(pb.PutRequest(key=b"key", value=b"v"))
        others = [runtime for name, runtime in stage.runtimes.items() if name != leader]
        await stage.runtimes[leader].hand_over()
        assert stage.runtimes[leader].node.leads_nothing
        group = stage.group_of(b"key")
        await until(lambda: any(runtime.node.leader_of(group) not in (None, leader) for runtime in others), "no heir")
        await stage.stop(leader)
        survivor = next(iter(stage.runtimes))
        await until(lambda: stage.runtimes[survivor].node.is_ready, "the others never got ready")
        assert (await stage.kv(survivor).Get(pb.GetRequest(key=b"key"))).record.value == b"v"
        await stage.start(leader)
        await stage.ready()
        assert (await stage.kv(leader).Get(pb.GetRequest(key=b"key"))).record.value == b"v"


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with staged(tmp_path, 1) as stage:
        pairs = [pb.Pair(key=b"%d" % i, value=b"v%d" % i) for i in range(500)]
        written = await stage.kv().PutMany(pb.PutManyRequest(pairs=pairs))
        await stage.stop("n1")
        await stage.start("n1")
        await stage.ready()
        found = await stage.kv().GetMany(pb.GetManyRequest(keys=[pair.key for pair in pairs]))
        assert [record.value for record in found.records] == [pair.value for pair in pairs]
        assert [record.version for record in found.records] == list(written.versions)


async def test_a_full_store_takes_deletes_only_says_so_and_recovers(tmp_path: Path) -> None:
    mib = 1 << 20
    storage = StorageConfig(map_bytes_max=8 * mib, map_bytes_start=mib, flush_interval_ms=50)
    async with staged(tmp_path, 1, storage=storage) as stage:
        kv, written = stage.kv(), 0
        runtime = stage.one

        async def put_once() -> bool:
            reply = await kv.PutMany(pb.PutManyRequest(pairs=[pb.Pair(key=b"%03d" % written, value=b"v" * (mib // 4))]))
            assert {failure.code for failure in reply.failures} <= {"StorageFull", "Overloaded"}
            return not any(failure.code == "StorageFull" for failure in reply.failures)

        while written < 200 and await put_once():
            written += 1
        assert 8 <= written < 200, "the limit was never felt"
        for number in range(written):
            await kv.Delete(pb.DeleteRequest(key=b"%03d" % number))
        await until(lambda: not runtime.node.gate.full, "deleting made no room")
        assert not runtime.ended.done()
        reply = await kv.Put(pb.PutRequest(key=b"again", value=b"v" * (mib // 4)))
        assert reply.found


async def is_ready(http: str) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"http://{http}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False


@pytest.mark.cluster
async def test_a_real_process_ends_with_0_when_asked_to_and_finds_everything_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 1)
    member = stage.members[0]
    (tmp_path / "n1.toml").write_text(toml_of(member))
    command = [sys.executable, "-m", "kvstore", "node", "run", "--config", str(tmp_path / "n1.toml")]
    for value in (b"first", b"second"):
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await is_ready(member.http):
                    assert process.returncode is None, "it ended before it was ready"
                    await asyncio.sleep(0.05)
            kv = stage.kv()
            await kv.Put(pb.PutRequest(key=value, value=value), wait_for_ready=True, timeout=PATIENCE_S)
            assert (await kv.Get(pb.GetRequest(key=b"first"))).record.value == b"first"
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                _, log = await process.communicate()
        assert process.returncode == 0, log.decode()
        assert "handing over" in log.decode()
    await stage.close()


def toml_of(member: MemberConfig) -> str:
    line = ", ".join(f'{name} = "{getattr(member, name)}"' for name in ("id", "zone", "client", "peer", "http"))
    return f'[node]\nid = "n1"\ndata = "./n1"\n[cluster]\nid = "stage"\nnodes = [{{{line}}}]\n'


async def test_doors_that_never_opened_can_be_closed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 1)
    config = stage.config("n1")
    assert config.listen is not None
    runtime = open_runtime(config)
    await Doors(runtime, config.listen).close()
    await runtime.close()
