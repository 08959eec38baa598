"""Tending over gRPC on real disks: a bit flipped in the data file is found by a scrub and mended by the others."""

from pathlib import Path

import grpc

from kvstore.core import errors
from kvstore.storage.keys import value_prefix
from kvstore.v1 import admin_pb2 as pb
from kvstore.v1 import kv_pb2
from tests.server.stage import Stage, refused, staged, until
from tests.server.test_bad_days import rot


def replica(stage: Stage, name: str) -> tuple[int, bytes]:
    """The data id of the replica of carts on a node, and what it knows of the key."""
    node = stage.runtimes[name].node
    assert node.ring is not None
    host = node.groups.quorum_host(node.ring.keyspace("carts").partitions[0].group)
    assert host is not None
    return host.place.data, host.state.record(b"key")


async def test_a_scrub_finds_a_flipped_bit_on_a_real_disk_and_the_others_mend_it(tmp_path: Path) -> None:
    async with staged(tmp_path, 3) as stage:
        await stage.admin("n1").CreateKeyspace(pb.CreateKeyspaceRequest(name="carts", mode="leaderless", partitions=1))
        await stage.kv("n1").Put(kv_pb2.PutRequest(keyspace="carts", key=b"key", value=b"precious", write_quorum=3))
        data, record = replica(stage, "n2")
        sound = list((await stage.admin("n1").Scrub(pb.ScrubRequest(), timeout=20)).nodes)
        assert [(node.node, node.failed, node.damaged) for node in sound] == [(f"n{i}", "", 0) for i in (1, 2, 3)]
        row = value_prefix(data) + b"key"
        await until(lambda: stage.runtimes["n2"].engine.get(row) is not None, "it was never flushed")
        await stage.stop("n2")
        rotten = rot(stage.folder / "n2", row, row + b"\0")
        (down,) = (await stage.admin("n1").Scrub(pb.ScrubRequest(node="n2"), timeout=5)).nodes
        assert down.failed and not down.rows
        await stage.start("n2")
        await stage.ready()
        (found,) = (await stage.admin("n1").Scrub(pb.ScrubRequest(node="n2"), timeout=20)).nodes
        assert (found.failed, found.damaged, found.mending) == ("", 1, 1)
        await until(lambda: stage.runtimes["n2"].engine.get(row) not in (None, rotten), "it was never mended")
        assert replica(stage, "n2")[1] == record
        async with refused(errors.InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT):
            await stage.admin("n1").Scrub(pb.ScrubRequest(node="n9"))
