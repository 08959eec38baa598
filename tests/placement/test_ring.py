"""The ring answers who holds a key, quickly and without ever changing."""

import pytest

from kvstore.core.errors import UnknownKeyspace
from kvstore.core.ids import ClusterId, GroupId, KeyspaceId, NodeId, PartitionId, TimelineId
from kvstore.placement.keyspaces import Keyspace, Partition, Settings
from kvstore.placement.members import NodeInfo
from kvstore.placement.ring import Place, Ring

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
ROWS = ((N1, N2), (N2, N3), (N3, N1), (N1, N3))


def keyspace(number: int, name: str, first_group: int) -> Keyspace:
    partitions = tuple(Partition(GroupId(first_group + i), row) for i, row in enumerate(ROWS))
    return Keyspace(KeyspaceId(number), Settings(name, replicas=2, partitions=len(ROWS)), partitions)


def ring(*keyspaces: Keyspace) -> Ring:
    nodes = [NodeInfo(N1, "a"), NodeInfo(N2, "b"), NodeInfo(N3, "c")]
    return Ring(epoch=5, cluster=ClusterId("c"), timeline=TimelineId(9), nodes=nodes, keyspaces=keyspaces)


CARTS, USERS = keyspace(1, "carts", 1), keyspace(2, "users", 5)
RING = ring(CARTS, USERS)


def test_a_key_has_one_partition_with_its_group_and_replicas() -> None:
    for number in range(100):
        key = str(number).encode()
        p = CARTS.partition_of(key)
        assert RING.partition_of("carts", key) == CARTS.partitions[p]
        assert RING.replicas_of("carts", key) == ROWS[p]
        assert RING.partition_of("users", key).group == 5 + p


def test_a_group_is_found_again() -> None:
    assert RING.place_of(GroupId(6)) == Place(USERS, PartitionId(1), USERS.partitions[1])
    assert RING.place_of(GroupId(0)) is None, "the metadata group is no partition"
    assert RING.place_of(GroupId(99)) is None


def test_a_node_finds_its_groups() -> None:
    assert RING.groups_on(N2) == [1, 2, 5, 6]
    assert RING.groups_on(NodeId("stranger")) == []


def test_keyspaces_by_name_and_id() -> None:
    assert RING.keyspace("users") is USERS
    assert RING.keyspace_by_id(KeyspaceId(2)) is USERS
    assert RING.keyspace_by_id(KeyspaceId(3)) is None


def test_an_unknown_keyspace_names_the_known_ones() -> None:
    with pytest.raises(UnknownKeyspace, match="no keyspace 'cart'; known: carts, users"):
        RING.replicas_of("cart", b"x")
    with pytest.raises(UnknownKeyspace, match="known: none"):
        ring().keyspace("carts")


def test_where_says_every_step() -> None:
    found = RING.where("carts", b"hello, world", {GroupId(1): N3, GroupId(2): N2})
    assert found.hashed == 0x342FAC623A5EBC8E
    assert (found.partition, found.group, found.leader) == (0, 1, N3)
    assert [node.zone for node in found.replicas] == ["a", "b"]
    assert str(RING.where("carts", b"hello, world", {GroupId(1): N2})) == (
        "b'hello, world' hash=0x342fac623a5ebc8e p00 group=1 n1 n2*"
    )
    assert RING.where("users", b"hello, world").leader is None


def test_where_copes_with_a_node_that_left_the_list() -> None:
    bare = Ring(epoch=1, cluster=ClusterId("c"), timeline=TimelineId(9), nodes=[], keyspaces=[CARTS])
    assert [node.id for node in bare.where("carts", b"hello, world").replicas] == ["n1", "n2"]


def test_nothing_in_a_ring_can_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        RING.nodes[N1] = NodeInfo(N1)  # type: ignore[index]
    with pytest.raises(AttributeError):
        RING.keyspaces[0].partitions = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        RING.new_fact = 1  # type: ignore[attr-defined]


def test_a_ring_that_contradicts_itself_is_not_built() -> None:
    with pytest.raises(AssertionError, match="same name"):
        ring(CARTS, keyspace(2, "carts", 5))
    with pytest.raises(AssertionError, match="same id"):
        ring(CARTS, keyspace(1, "users", 5))
    with pytest.raises(AssertionError, match="share a group"):
        ring(CARTS, keyspace(2, "users", 4))


def test_a_ring_says_itself_in_one_line() -> None:
    assert str(RING) == "ring epoch=5 cluster=c nodes=3 keyspaces=2 groups=8"
