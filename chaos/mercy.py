"""Mercy: damage disks only as far as the replicas can cover it, or the "bug" is only more damage than was promised.

A node that lost its disk counts for nothing until it is a voter of all its groups again; until then no other disk is
lost. Where nobody leads, a write may be on one disk alone, and that one is not lost before the others, together, have
everything that is on it. And bits flip on one machine only, whose disk is then the only one that may be lost: one copy
may be bad, not two.
"""

from chaos.simulating.leaderless_disk import others_have_all
from kvstore.core.errors import Corruption
from kvstore.core.ids import METADATA_GROUP, GroupId, NodeId
from kvstore.sim.cluster import SimCluster
from kvstore.sim.machine import Machine
from kvstore.storage import group_places


class Mercy:
    """Asked before a disk is damaged; remembers what it allowed."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._wiped: NodeId | None = None
        self.rotten: NodeId | None = None
        """Whose bits may flip; None if none have yet."""

    def lets_wipe(self, node: NodeId) -> bool:
        """Whether this machine may lose its disk now."""
        if self.rotten not in (None, node) or self._another_catches_up(node):
            return False
        if not others_have_all(self._cluster, node):
            return False
        self._wiped = node
        return True

    def lets_rot(self, node: NodeId) -> bool:
        """Whether a bit of this machine's disk may flip."""
        if self.rotten is None and not self._another_catches_up(node):
            self.rotten = node
        return self.rotten == node

    def _another_catches_up(self, node: NodeId) -> bool:
        wiped = self._wiped
        return wiped not in (None, node) and not is_whole(self._cluster, self._cluster.machines[wiped])


def is_whole(cluster: SimCluster, machine: Machine) -> bool:
    """Whether the machine's disk holds a voter of every group that the newest ring gives it."""
    ring = cluster.ring
    if machine.node is None or not machine.node.identity.founded or ring is None:
        return False
    groups = machine.node.groups
    for group in (METADATA_GROUP, *ring.groups_on(machine.name)):
        quorum = groups.quorum_host(group)
        if quorum is not None:
            if quorum.replica.is_recovering:
                return False
            continue
        host = groups.raft_host(group)
        if host is None or host.raft.recovery is not None or not _stands(machine, group):
            return False
    return True


def _stands(machine: Machine, group: GroupId) -> bool:
    """Whether the disk says that the group's replica is a voter."""
    try:
        place = group_places.load_place(machine.disk.engine, group)
    except Corruption:
        return False
    return place is not None and not place.standing
