"""A keyspace's settings are possible, or refused with the expected form."""

import msgspec
import pytest

from kvstore.core.errors import InvalidRequest, KvError, NotYetAvailable
from kvstore.core.ids import GroupId, KeyspaceId, NodeId
from kvstore.placement.hashing import partition_of
from kvstore.placement.keyspaces import Keyspace, Partition, Settings, check_settings

CARTS = Keyspace(
    KeyspaceId(1),
    Settings("carts", partitions=2),
    (Partition(GroupId(7), (NodeId("n1"), NodeId("n2"))), Partition(GroupId(8), (NodeId("n2"), NodeId("n1")))),
)

WRONG = [
    ({"name": ""}, InvalidRequest, "keyspace name ''"),
    ({"name": "-x"}, InvalidRequest, "keyspace name"),
    ({"name": "a/b"}, InvalidRequest, "keyspace name"),
    ({"name": "x" * 65}, InvalidRequest, "keyspace name"),
    ({"mode": "leaderles"}, InvalidRequest, "must be one of leader, multileader, leaderless"),
    ({"mode": "multileader"}, NotYetAvailable, "mode multileader is not yet available; use mode leader"),
    ({"mode": "leaderless", "read_quorum": 4}, InvalidRequest, "read_quorum 4: no read could ever succeed"),
    ({"mode": "leaderless", "write_quorum": 4}, InvalidRequest, "there are 3 replicas; choose from 1 to 3"),
    ({"mode": "leaderless", "write_quorum": -1}, InvalidRequest, "write_quorum -1"),
    ({"mode": "leaderless", "sloppy": True, "replicas": 1}, InvalidRequest, "nobody whom a hint could stand for"),
    ({"mode": "leaderless", "acks": "all"}, InvalidRequest, "is write_quorum"),
    ({"conflicts": "lww"}, InvalidRequest, "are for mode leaderless"),
    ({"write_quorum": 2}, InvalidRequest, "are for mode leaderless"),
    ({"mode": "leaderless", "conflicts": "newest"}, InvalidRequest, "must be one of siblings, lww"),
    ({"mode": "leaderless", "conflicts": "crdt:counter"}, NotYetAvailable, "not yet available"),
    ({"sloppy": True}, InvalidRequest, "are for mode leaderless"),
    ({"acks": "most"}, InvalidRequest, "must be one of leader, majority, all"),
    ({"partitions": 6}, InvalidRequest, "power of two"),
    ({"replicas": 0}, InvalidRequest, "replicas 0: must be from 1 to"),
    ({"replicas": 10}, InvalidRequest, "replicas 10"),
    ({"value_bytes_max": 0}, InvalidRequest, "value_bytes_max 0"),
    ({"value_bytes_max": 1 << 24}, InvalidRequest, "value_bytes_max"),
    ({"history_versions": -1}, InvalidRequest, "history_versions -1"),
    ({"history_seconds": -1}, InvalidRequest, "history_seconds -1"),
]


@pytest.mark.parametrize("settings", [Settings("default"), Settings("9.a_b-c", replicas=1, history_versions=0)])
def test_possible_settings_pass(settings: Settings) -> None:
    check_settings(settings)


@pytest.mark.parametrize(("change", "kind", "words"), WRONG)
def test_impossible_settings_are_refused(change: dict[str, object], kind: type[KvError], words: str) -> None:
    with pytest.raises(kind) as refused:
        check_settings(msgspec.structs.replace(Settings("carts"), **change))
    assert type(refused.value) is kind
    assert words in str(refused.value)


def test_a_keyspace_survives_the_log_of_group_0() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(CARTS), type=Keyspace) == CARTS


def test_a_keyspace_knows_its_partitions() -> None:
    assert CARTS.rows() == (("n1", "n2"), ("n2", "n1"))
    assert {CARTS.partition_of(key) for key in (b"a", b"b", b"c", b"d")} == {0, 1}
    assert CARTS.partition_of(b"a") == partition_of(b"a", 2)
    assert str(CARTS) == "carts mode=leader n=3 partitions=2"
