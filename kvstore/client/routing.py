"""Which node to ask: what the client knows of the cluster's ring and leaders (pure).

The ring says where partitions lie and changes seldom; who leads is a hint that changes with every election. Hints come
with rings, with receipts (who served it) and with NotLeader errors (who may). The last one heard counts: a wrong one
costs one detour.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final

from kvstore.client.records import KeyspaceInfo, Partition
from kvstore.core.errors import UnknownKeyspace, WrongCluster, WrongTimeline
from kvstore.core.ids import GroupId, NodeId, PartitionId, TimelineId
from kvstore.placement.hashing import HASH_BITS, key_hash, partition_of_hash
from kvstore.placement.members import NodeInfo
from kvstore.placement.ring import Whereabouts
from kvstore.v1 import ring_pb2

VALUE_BYTES_UNKNOWN: Final = 256 << 10
"""Taken for the size of values until some were read: a client begins with few at once."""


class Route:
    """The way into one keyspace: from a key's hash to its group. Lives until the keyspace is dropped."""

    __slots__ = ("_was_read", "groups", "info", "is_leaderless", "live", "shift", "timeline", "value_bytes")

    def __init__(self, keyspace: ring_pb2.RingKeyspace, timeline: int) -> None:
        self.info = KeyspaceInfo.of(keyspace)
        self.is_leaderless = self.info.is_leaderless
        """Whether replies speak of siblings and contexts (`core.causality`), and any replica answers."""
        self.groups = tuple(GroupId(partition.group) for partition in keyspace.partitions)
        self.shift = HASH_BITS + 1 - len(self.groups).bit_length()
        """A key's hash, shifted right by this, is its partition."""
        self.timeline = TimelineId(timeline)
        self.live = True
        self.value_bytes = min(VALUE_BYTES_UNKNOWN, self.info.value_bytes_max)
        """About how large values are here, by what was read lately: how many to ask for at once."""
        self._was_read = False

    def learn_size(self, value_bytes: int) -> None:
        """Larger ones count at once, smaller ones slowly: an answer too large costs more than one too small."""
        before = self.value_bytes if self._was_read else 0
        self.value_bytes = max(value_bytes, (7 * before + value_bytes) // 8)
        self._was_read = True

    def partition_of(self, key: bytes) -> int:
        return key_hash(key) >> self.shift

    def group_of(self, key: bytes) -> GroupId:
        return self.groups[key_hash(key) >> self.shift]

    def __repr__(self) -> str:
        return f"<Route {self.info}{'' if self.live else ' (dropped)'}>"


@dataclass(slots=True)
class Group:
    """Who replicates a partition, and who leads it as far as we know."""

    replicas: tuple[str, ...]
    leader: str = ""
    is_leaderless: bool = False


@dataclass(slots=True)
class News:
    """What a ring taught us."""

    moved: list[int] = field(default_factory=list)
    """Groups whose leader is now somebody else, or known at last."""
    dropped: list[Route] = field(default_factory=list)


class Directory:
    """Nodes, keyspaces and groups, as of the newest ring heard of."""

    def __init__(self) -> None:
        self.epoch = -1
        self.cluster = ""
        self.timeline = TimelineId(0)
        self.nodes: dict[str, NodeInfo] = {}
        self._routes: dict[str, Route] = {}
        self._groups: dict[int, Group] = {}

    @property
    def known(self) -> bool:
        """Whether any ring was heard yet."""
        return self.epoch >= 0

    def check(self, cluster: str, timeline: int) -> None:
        """Raises WrongCluster or WrongTimeline unless this is the cluster we know, if we know any."""
        if self.cluster and cluster != self.cluster:
            raise WrongCluster(f"this is cluster {cluster!r}, the client belongs to {self.cluster!r}")
        if self.timeline and timeline != self.timeline:
            raise WrongTimeline(
                f"cluster {cluster!r} was restored: it is on timeline {timeline:08x}, the client on "
                f"{self.timeline:08x}; make a new client"
            )

    def learn(self, ring: ring_pb2.Ring) -> News:
        """Take what is new in a ring. Raises WrongCluster or WrongTimeline for the ring of another."""
        self.check(ring.cluster, ring.timeline)
        if ring.epoch < self.epoch:
            return News()
        news = self._replace(ring) if ring.epoch > self.epoch else News()
        for keyspace in ring.keyspaces:
            for partition in keyspace.partitions:
                if partition.leader and self.heard_leader(partition.group, partition.leader):
                    news.moved.append(partition.group)
        return news

    def _replace(self, ring: ring_pb2.Ring) -> News:
        self.epoch, self.cluster, self.timeline = ring.epoch, ring.cluster, TimelineId(ring.timeline)
        self.nodes = {
            node.id: NodeInfo(NodeId(node.id), node.zone, node.client_address, node.http_address, node.peer_address)
            for node in ring.nodes
        }
        before, leaders = self._routes, {number: group.leader for number, group in self._groups.items()}
        self._routes, self._groups = {}, {}
        for keyspace in ring.keyspaces:
            self._take(keyspace, before.get(keyspace.name), leaders)
        kept = {id(route) for route in self._routes.values()}
        dropped = [route for route in before.values() if id(route) not in kept]
        return News(dropped=dropped)

    def _take(self, keyspace: ring_pb2.RingKeyspace, before: Route | None, leaders: dict[int, str]) -> Route:
        groups = tuple(partition.group for partition in keyspace.partitions)
        if before is not None and before.info.id == keyspace.id and before.groups == groups:
            before.timeline = self.timeline
            route = before
        else:
            route = Route(keyspace, self.timeline)
        self._routes[keyspace.name] = route
        for partition in keyspace.partitions:
            self._groups[partition.group] = Group(
                tuple(partition.replicas), leaders.get(partition.group, ""), route.is_leaderless
            )
        return route

    def adopt(self, keyspace: ring_pb2.RingKeyspace) -> Route:
        """A keyspace that was just created: usable before the next ring arrives."""
        route = self._take(keyspace, self._routes.get(keyspace.name), {})
        for partition in keyspace.partitions:
            if partition.leader:
                self.heard_leader(partition.group, partition.leader)
        return route

    def forget(self, name: str) -> Route | None:
        """A keyspace that was just dropped."""
        return self._routes.pop(name, None)

    def route(self, name: str) -> Route:
        """Raises UnknownKeyspace, naming those that exist."""
        found = self._routes.get(name)
        if found is None:
            raise UnknownKeyspace(f"there is no keyspace {name!r}; known: {', '.join(self.names) or 'none'}", name=name)
        return found

    @property
    def routes(self) -> list[Route]:
        return list(self._routes.values())

    @property
    def names(self) -> list[str]:
        return sorted(self._routes)

    def heard_leader(self, group: int, node: str) -> bool:
        """Somebody said who leads a group. Returns whether that is news."""
        known = self._groups.get(group)
        if known is None or known.leader == node or known.is_leaderless:
            return False
        known.leader = node
        return True

    def heard_not_leader(self, group: int, node: str) -> None:
        """A node says it does not lead a group, nor knows who does."""
        known = self._groups.get(group)
        if known is not None and known.leader == node:
            known.leader = ""

    def leader_of(self, group: int) -> str:
        """The node to ask about a group, empty if nobody said so yet."""
        known = self._groups.get(group)
        return "" if known is None else known.leader

    def replicas_of(self, group: int) -> tuple[str, ...]:
        """Who replicates a group, in the order of the ring."""
        known = self._groups.get(group)
        return () if known is None else known.replicas

    def whom_to_ask(self, group: int, *, any_replica: bool, avoid: str, dice: Random) -> list[str]:
        """Every node that could serve a group's request, best first: any node forwards what it cannot serve itself.

        For leader requests: the leader, then the replicas in the order of the ring (the first would lead if it could),
        then the rest. Where any replica serves, a random one, to spread the load. Where there is no leader, the order
        of the ring, which puts every node first equally often: who writes a key over and over writes it at one replica,
        and finds there what it wrote. `avoid` goes to the end: it just failed us.
        """
        known = self._groups.get(group, Group(()))
        replicas = [node for node in known.replicas if node in self.nodes]
        if any_replica:
            dice.shuffle(replicas)
        elif known.leader in self.nodes:
            replicas.insert(0, known.leader)
        order = list(dict.fromkeys([*replicas, *self.nodes]))
        if avoid in order:
            order.remove(avoid)
            order.append(avoid)
        return order

    def partitions(self, name: str) -> list[Partition]:
        """Raises UnknownKeyspace."""
        return [
            Partition(
                keyspace=name,
                number=number,
                group=group,
                replicas=self._groups[group].replicas,
                leader=self._groups[group].leader or None,
            )
            for number, group in enumerate(self.route(name).groups)
        ]

    def where(self, name: str, key: bytes) -> Whereabouts:
        """Every step from a key to its nodes. Raises UnknownKeyspace."""
        route = self.route(name)
        hashed = key_hash(key)
        number = partition_of_hash(hashed, len(route.groups))
        group = self._groups[route.groups[number]]
        return Whereabouts(
            keyspace=name,
            key=key,
            hashed=hashed,
            partition=PartitionId(number),
            group=route.groups[number],
            replicas=tuple(self.nodes.get(node, NodeInfo(NodeId(node))) for node in group.replicas),
            leader=NodeId(group.leader) if group.leader else None,
        )

    def __repr__(self) -> str:
        return f"<Directory cluster={self.cluster} epoch={self.epoch} nodes={len(self.nodes)} {self.names}>"
