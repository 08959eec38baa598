"""The ring as clients see it: `Ring` of ring.proto, with a hint of who leads."""

from collections.abc import Callable

from kvstore.core.ids import ClusterId, GroupId, KeyspaceId, NodeId, TimelineId
from kvstore.placement.keyspaces import Keyspace, Partition, Settings
from kvstore.placement.members import NodeInfo
from kvstore.placement.ring import Ring
from kvstore.v1 import ring_pb2 as pb


def ring_to(ring: Ring, leader_of: Callable[[GroupId], NodeId | None]) -> pb.Ring:
    """The ring, with the leaders its sender knows."""
    return pb.Ring(
        epoch=ring.epoch,
        cluster=ring.cluster,
        timeline=ring.timeline,
        nodes=[
            pb.RingNode(
                id=node.id,
                zone=node.zone,
                client_address=node.client_address,
                http_address=node.http_address,
                peer_address=node.peer_address,
            )
            for node in ring.nodes.values()
        ],
        keyspaces=[keyspace_to(keyspace, leader_of) for keyspace in ring.keyspaces],
    )


def keyspace_to(keyspace: Keyspace, leader_of: Callable[[GroupId], NodeId | None]) -> pb.RingKeyspace:
    settings = keyspace.settings
    return pb.RingKeyspace(
        id=keyspace.id,
        name=settings.name,
        mode=settings.mode,
        replicas=settings.replicas,
        value_bytes_max=settings.value_bytes_max,
        history_versions=settings.history_versions,
        history_seconds=settings.history_seconds,
        acks=settings.acks,
        read_quorum=settings.read_quorum,
        write_quorum=settings.write_quorum,
        sloppy=settings.sloppy,
        conflicts=settings.conflicts,
        partitions=[
            pb.RingPartition(group=part.group, replicas=part.replicas, leader=leader_of(part.group) or "")
            for part in keyspace.partitions
        ],
    )


def ring_of(ring: pb.Ring) -> Ring:
    """The inverse of `ring_to`, without the leaders."""
    return Ring(
        epoch=ring.epoch,
        cluster=ClusterId(ring.cluster),
        timeline=TimelineId(ring.timeline),
        nodes=[
            NodeInfo(NodeId(node.id), node.zone, node.client_address, node.http_address, node.peer_address)
            for node in ring.nodes
        ],
        keyspaces=[keyspace_of(keyspace) for keyspace in ring.keyspaces],
    )


def keyspace_of(keyspace: pb.RingKeyspace) -> Keyspace:
    return Keyspace(
        id=KeyspaceId(keyspace.id),
        settings=Settings(
            name=keyspace.name,
            mode=keyspace.mode,
            replicas=keyspace.replicas,
            partitions=len(keyspace.partitions),
            value_bytes_max=keyspace.value_bytes_max,
            history_versions=keyspace.history_versions,
            history_seconds=keyspace.history_seconds,
            acks=keyspace.acks,
            read_quorum=keyspace.read_quorum,
            write_quorum=keyspace.write_quorum,
            sloppy=keyspace.sloppy,
            conflicts=keyspace.conflicts,
        ),
        partitions=tuple(
            Partition(GroupId(part.group), tuple(NodeId(node) for node in part.replicas))
            for part in keyspace.partitions
        ),
    )
