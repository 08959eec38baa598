"""A ring comes back from the wire with every fact but the leaders, which are only its sender's belief."""

from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.ids import ClusterId, GroupId, KeyspaceId, NodeId, TimelineId
from kvstore.placement.keyspaces import Keyspace, Partition, Settings
from kvstore.placement.members import NodeInfo
from kvstore.placement.ring import Ring
from kvstore.v1 import ring_pb2 as pb
from kvstore.wire.rings import keyspace_of, keyspace_to, ring_of, ring_to

NODES = [NodeInfo(NodeId(f"n{i}"), f"z{i}", f"h{i}:1", f"h{i}:2", f"h{i}:3") for i in range(1, 5)]
SETTINGS = st.builds(
    Settings, st.from_regex("[a-z]{1,5}", fullmatch=True), replicas=st.integers(1, 3),
    partitions=st.sampled_from([1, 2, 8]), value_bytes_max=st.integers(1, 1 << 20),
    history_versions=st.integers(0, 20), history_seconds=st.integers(0, 1000),
    acks=st.sampled_from(["leader", "majority", "all"]),
)  # fmt: skip


@st.composite
def rings(draw: st.DrawFn) -> Ring:
    keyspaces, group = [], 1
    for number, settings in enumerate(draw(st.lists(SETTINGS, max_size=3, unique_by=lambda one: one.name)), 1):
        partitions = []
        for _ in range(settings.partitions):
            replicas = draw(st.permutations([node.id for node in NODES]))[: settings.replicas]
            partitions.append(Partition(GroupId(group), tuple(replicas)))
            group += 1
        keyspaces.append(Keyspace(KeyspaceId(number), settings, tuple(partitions)))
    epoch, timeline = draw(st.integers(1, 1 << 40)), draw(st.integers(1, (1 << 32) - 1))
    return Ring(epoch=epoch, cluster=ClusterId("demo"), timeline=TimelineId(timeline), nodes=NODES, keyspaces=keyspaces)


@given(rings())
def test_a_ring_comes_back(ring: Ring) -> None:
    wire = pb.Ring.FromString(ring_to(ring, lambda group: NodeId("n1")).SerializeToString())
    back = ring_of(wire)
    assert (back.epoch, back.cluster, back.timeline) == (ring.epoch, ring.cluster, ring.timeline)
    assert back.nodes == ring.nodes
    assert list(back.keyspaces) == list(ring.keyspaces)


@given(rings(), st.sampled_from([None, NodeId("n2")]))
def test_the_senders_belief_about_leaders_travels_along(ring: Ring, leader: NodeId | None) -> None:
    for keyspace in ring.keyspaces:
        wire = keyspace_to(keyspace, lambda group: leader)
        assert {partition.leader for partition in wire.partitions} == {leader or ""}
        assert keyspace_of(wire) == keyspace
