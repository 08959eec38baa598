"""Which node to ask: pure, from rings and hints."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client.routing import Directory
from kvstore.core.errors import UnknownKeyspace, WrongCluster, WrongTimeline
from kvstore.placement.hashing import partition_of
from kvstore.v1 import ring_pb2
from tests.client.fake_cluster import FakeCluster


def known(cluster: FakeCluster) -> Directory:
    directory = Directory()
    directory.learn(cluster.ring())
    return directory


def order(directory: Directory, group: int, avoid: str = "") -> list[str]:
    return directory.whom_to_ask(group, any_replica=False, avoid=avoid, dice=Random(0))


@given(st.binary(min_size=1, max_size=40), st.sampled_from([1, 2, 8, 4096]))
def test_keys_go_where_the_cluster_puts_them(key: bytes, partitions: int) -> None:
    keyspace = ring_pb2.RingKeyspace(id=1, name="k")
    for number in range(partitions):
        keyspace.partitions.add(group=number + 10)
    directory = Directory()
    directory.learn(ring_pb2.Ring(epoch=1, cluster="c", timeline=1, keyspaces=[keyspace]))
    assert directory.route("k").partition_of(key) == partition_of(key, partitions)
    assert directory.route("k").group_of(key) == partition_of(key, partitions) + 10


def test_the_leader_first_then_replicas_then_anybody() -> None:
    cluster = FakeCluster(nodes=5)
    directory = known(cluster)
    group = cluster.groups[1]
    group.leader = group.replicas[2]
    directory.learn(cluster.ring())
    assert order(directory, 1) == ["n3", "n1", "n2", "n4", "n5"]
    assert order(directory, 1, avoid="n3") == ["n1", "n2", "n4", "n5", "n3"]


def test_an_unknown_group_is_anybodys() -> None:
    assert sorted(order(known(FakeCluster()), 999)) == ["n1", "n2", "n3"]


def test_follower_reads_are_spread_over_the_replicas() -> None:
    directory, dice = known(FakeCluster(nodes=5)), Random(0)
    asked = [directory.whom_to_ask(1, any_replica=True, avoid="", dice=dice) for _ in range(100)]
    assert {first for first, *_ in asked} == {"n1", "n2", "n3"}
    assert all(set(nodes[:3]) == {"n1", "n2", "n3"} and set(nodes[3:]) == {"n4", "n5"} for nodes in asked)


def test_hints_are_kept_and_replaced() -> None:
    directory = known(FakeCluster())
    assert directory.leader_of(1) == "n1"
    assert directory.heard_leader(1, "n2") and not directory.heard_leader(1, "n2")
    directory.heard_not_leader(1, "n3")  # somebody else's denial says nothing about n2
    assert directory.leader_of(1) == "n2"
    directory.heard_not_leader(1, "n2")
    assert directory.leader_of(1) == ""
    assert not directory.heard_leader(999, "n1")


def test_a_ring_tells_what_moved() -> None:
    cluster = FakeCluster()
    directory = known(cluster)
    cluster.groups[2].leader = "n3"
    assert directory.learn(cluster.ring()).moved == [2]
    assert directory.learn(cluster.ring()).moved == []


def test_a_new_ring_keeps_hints_it_does_not_contradict() -> None:
    cluster = FakeCluster()
    directory = known(cluster)
    directory.heard_leader(1, "n3")
    cluster.groups[1].leader = ""
    cluster.epoch += 1
    directory.learn(cluster.ring())
    assert directory.leader_of(1) == "n3"


def test_an_older_ring_teaches_nothing() -> None:
    cluster = FakeCluster()
    old = cluster.ring()
    cluster.add_keyspace("carts")
    directory = known(cluster)
    cluster.groups[1].leader = "n2"
    directory.learn(cluster.ring())
    assert directory.learn(old).moved == []
    assert directory.leader_of(1) == "n2" and directory.names == ["carts", "default"]


def test_routes_live_until_their_keyspace_is_dropped_or_made_anew() -> None:
    cluster = FakeCluster()
    cluster.add_keyspace("carts")
    directory = known(cluster)
    carts, default = directory.route("carts"), directory.route("default")
    cluster.drop_keyspace("carts")
    cluster.add_keyspace("carts")
    news = directory.learn(cluster.ring())
    assert news.dropped == [carts] and directory.route("carts") is not carts
    assert directory.route("default") is default


def test_an_unknown_keyspace_names_the_known_ones() -> None:
    with pytest.raises(UnknownKeyspace, match="known: default"):
        known(FakeCluster()).route("cart")


def test_created_and_dropped_keyspaces_count_at_once() -> None:
    cluster = FakeCluster()
    directory = known(cluster)
    made = cluster.add_keyspace("carts")
    made.partitions[0].leader = "n3"
    assert directory.adopt(made) is directory.route("carts")
    assert directory.leader_of(made.partitions[0].group) == "n3"
    assert directory.forget("carts") is not None and directory.forget("carts") is None


def test_other_clusters_and_timelines_are_refused() -> None:
    cluster = FakeCluster()
    directory = known(cluster)
    cluster.timeline += 1
    with pytest.raises(WrongTimeline, match="restored"):
        directory.learn(cluster.ring())
    cluster.cluster = "other"
    with pytest.raises(WrongCluster, match="other"):
        directory.learn(cluster.ring())


def test_where_and_partitions_are_for_people() -> None:
    directory = known(FakeCluster())
    where = directory.where("default", b"a")
    assert where.group == directory.route("default").group_of(b"a") and where.leader == "n3"
    assert str(where).endswith("n3* n1 n2")
    partitions = directory.partitions("default")
    assert [partition.number for partition in partitions] == [0, 1, 2, 3]
    assert str(partitions[1]) == "default p01 group=2 n2* n3 n1"
