"""Damage and images between whole nodes: a replica that meets a damaged row hands nothing on and is mended itself."""

import msgspec
import pytest

from kvstore.core.ids import METADATA_GROUP, GroupId, NodeId
from kvstore.core.records import unseal
from kvstore.node.config import RaftConfig, StorageConfig
from kvstore.node.requests import CreateKeyspaceRequest, Found, ReadLevel, ReadRequest, Told
from kvstore.placement.keyspaces import Settings
from kvstore.storage.engine import Batch
from kvstore.storage.keys import HISTORY, META, OUTCOME, VALUE, meta_key, table_range
from tests.node.trio import Trio

FOUNDED_MS = 3_000


@pytest.fixture
def trio() -> Trio:
    """Three nodes that keep short logs, so that whoever was away for a while needs an image."""
    nodes = Trio(
        raft=RaftConfig(log_entries_max=16, snapshot_chunk_bytes=1024),
        storage=StorageConfig(flush_rows_max=4, flush_interval_ms=20),
    )
    nodes.run(FOUNDED_MS)
    return nodes


def data_of(trio: Trio, name: NodeId, group: int) -> int:
    host = trio.nodes[name].groups.get(GroupId(group))
    assert host is not None
    return host.place.data


def damage(trio: Trio, name: NodeId, group: int, table: bytes, ending: bytes = b"") -> bytes:
    """Flip a bit in a row of that group on that node's disk; the damaged row."""
    rows = table_range(table, data_of(trio, name, group))
    key, row = next((key, row) for key, row in trio.engines[name].scan(*rows) if key.endswith(ending))
    damaged = row[:-1] + bytes([row[-1] ^ 1])
    batch = Batch()
    batch.put(key, damaged)
    trio.engines[name].commit(batch)
    return damaged


def has_row(trio: Trio, name: NodeId, row: bytes) -> bool:
    return any(value == row for _, value in trio.engines[name].scan(b"\0", b"\xff"))


def served(trio: Trio, name: NodeId, key: bytes) -> list[bytes | None]:
    answer = trio.answer(name, ReadRequest(GroupId(trio.group_of(key)), [key], ReadLevel.FOLLOWER))
    assert isinstance(answer, Found), answer
    return [version[1] if version else None for version in msgspec.msgpack.decode(answer.versions)]


@pytest.mark.parametrize(
    ("table", "ending"), [(VALUE, b"quiet"), (HISTORY, b""), (OUTCOME, b""), (META, b"")],
    ids=["a value", "an old version", "outcomes", "the applied index"],
)  # fmt: skip
def test_a_damaged_row_does_not_travel_in_an_image(trio: Trio, table: bytes, ending: bytes) -> None:
    group = trio.group_of(b"quiet")
    leader = trio.leader_of(b"quiet")
    follower = next(name for name in trio.names if name != leader)
    keys = [b"quiet", *[key for key in (b"k%d" % i for i in range(900)) if trio.group_of(key) == group][:60]]
    trio.answer(leader, trio.put(b"quiet", b"old"))
    trio.answer(leader, trio.put(b"quiet", b"precious"))
    trio.run(500)
    trio.crash(follower)
    for key in keys[1:]:
        trio.answer(leader, trio.put(key, b"v" * 50))
    trio.run(1_000)
    damaged = damage(trio, leader, group, table, ending)
    trio.start(follower)
    trio.run(15_000)
    assert not has_row(trio, follower, damaged), "the damage went on to a replica that had none"
    assert not has_row(trio, leader, damaged), "the damage was not mended"
    assert any("checksum" in line for line in trio.nodes[leader].damage) and not trio.failures
    for name in trio.names:
        assert [served(trio, name, key) for key in keys] == [[b"precious"], *[[b"v" * 50]] * 60]


def test_a_damaged_row_of_the_metadata_is_written_again_from_memory(trio: Trio) -> None:
    leader = next(name for name in trio.names if trio.nodes[name].groups.get(METADATA_GROUP).raft.is_leader)  # type: ignore[union-attr]
    follower = next(name for name in trio.names if name != leader)
    trio.crash(follower)
    for number in range(30):
        assert trio.answer(leader, CreateKeyspaceRequest(Settings(f"many{number}", partitions=1))) == Told()
    trio.run(500)
    damaged = damage(trio, leader, METADATA_GROUP, META)
    trio.start(follower)
    trio.run(5_000)
    assert not trio.failures and not has_row(trio, leader, damaged) and not has_row(trio, follower, damaged)
    record = trio.engines[leader].get(meta_key(data_of(trio, leader, METADATA_GROUP)))
    assert record is not None and unseal(record)
    assert any("group 0: " in line for line in trio.nodes[leader].damage)
    assert {len(node.ring.keyspaces) for node in trio.nodes.values() if node.ring is not None} == {31}
