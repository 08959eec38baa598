"""Who holds a key: asked on every request, changed by none. A new plan makes a new Ring with a higher epoch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from kvstore.core.errors import UnknownKeyspace
from kvstore.core.ids import ClusterId, GroupId, KeyspaceId, NodeId, PartitionId, TimelineId
from kvstore.placement.hashing import key_hash, partition_of_hash
from kvstore.placement.keyspaces import Keyspace, Partition
from kvstore.placement.members import NodeInfo


class Place(NamedTuple):
    """A partition found by its group: which keyspace it belongs to, its number there, and its row of the table."""

    keyspace: Keyspace
    number: PartitionId
    partition: Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """The answer to `where KEY`: every step from the key to its nodes."""

    keyspace: str
    key: bytes
    hashed: int
    partition: PartitionId
    group: GroupId
    replicas: tuple[NodeInfo, ...]
    leader: NodeId | None
    """Who leads, if the asked node knows; else None."""

    def __str__(self) -> str:
        nodes = " ".join(node.id + ("*" if node.id == self.leader else "") for node in self.replicas)
        return f"{self.key!r} hash=0x{self.hashed:016x} p{self.partition:02d} group={self.group} {nodes}"


class Ring:
    """The cluster's plan at one epoch: nodes, keyspaces, and for each partition its group and replicas.

    Cheap to ask and safe to share between threads: nothing in it changes after it is built. For many keys of one
    keyspace take `keyspace(name)` once and ask it.
    """

    __slots__ = ("_by_group", "_by_id", "_by_name", "cluster", "epoch", "keyspaces", "nodes", "timeline")

    def __init__(
        self,
        *,
        epoch: int,
        cluster: ClusterId,
        timeline: TimelineId,
        nodes: Iterable[NodeInfo],
        keyspaces: Iterable[Keyspace],
    ) -> None:
        self.epoch = epoch
        self.cluster = cluster
        self.timeline = timeline
        self.nodes: Mapping[NodeId, NodeInfo] = MappingProxyType({node.id: node for node in nodes})
        self.keyspaces: tuple[Keyspace, ...] = tuple(keyspaces)
        self._by_name = {keyspace.name: keyspace for keyspace in self.keyspaces}
        self._by_id = {keyspace.id: keyspace for keyspace in self.keyspaces}
        self._by_group = {
            partition.group: Place(keyspace, PartitionId(number), partition)
            for keyspace in self.keyspaces
            for number, partition in enumerate(keyspace.partitions)
        }
        assert len(self._by_name) == len(self.keyspaces), "two keyspaces have the same name"
        assert len(self._by_id) == len(self.keyspaces), "two keyspaces have the same id"
        assert len(self._by_group) == sum(len(k.partitions) for k in self.keyspaces), "two partitions share a group"

    def keyspace(self, name: str) -> Keyspace:
        """Raises UnknownKeyspace."""
        found = self._by_name.get(name)
        if found is None:
            known = ", ".join(sorted(self._by_name)) or "none"
            raise UnknownKeyspace(f"there is no keyspace {name!r}; known: {known}", keyspace=name)
        return found

    def keyspace_by_id(self, keyspace: KeyspaceId) -> Keyspace | None:
        return self._by_id.get(keyspace)

    def place_of(self, group: GroupId) -> Place | None:
        """The partition a group replicates; None for the metadata group, dropped keyspaces and newer rings' groups."""
        return self._by_group.get(group)

    def groups_on(self, node: NodeId) -> list[GroupId]:
        """Every partition's group that has a replica on a node, in order of keyspaces and partitions."""
        return [group for group, place in self._by_group.items() if node in place.partition.replicas]

    def partition_of(self, keyspace: str, key: bytes) -> Partition:
        """The partition that holds a key: its group and replicas. Raises UnknownKeyspace."""
        found = self.keyspace(keyspace)
        return found.partitions[found.partition_of(key)]

    def replicas_of(self, keyspace: str, key: bytes) -> tuple[NodeId, ...]:
        """The nodes that hold a key, the preferred leader first. Raises UnknownKeyspace."""
        return self.partition_of(keyspace, key).replicas

    def where(self, keyspace: str, key: bytes, leaders: Mapping[GroupId, NodeId] | None = None) -> Whereabouts:
        """Every step from a key to its nodes, for people. `leaders` is who leads what as far as the asker knows."""
        found = self.keyspace(keyspace)
        hashed = key_hash(key)
        number = partition_of_hash(hashed, len(found.partitions))
        group, replicas = found.partitions[number].group, found.partitions[number].replicas
        return Whereabouts(
            keyspace=keyspace,
            key=key,
            hashed=hashed,
            partition=number,
            group=group,
            replicas=tuple(self.nodes.get(node, NodeInfo(node)) for node in replicas),
            leader=(leaders or {}).get(group),
        )

    def __str__(self) -> str:
        return (
            f"ring epoch={self.epoch} cluster={self.cluster} nodes={len(self.nodes)} "
            f"keyspaces={len(self.keyspaces)} groups={len(self._by_group)}"
        )
