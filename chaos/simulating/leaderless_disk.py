"""What is on a machine's disk of a leaderless group: rows and log, merged, as its node would find it at a start."""

from kvstore.core.causality import UNKNOWN, Versions, covers, decode, joined, merged
from kvstore.core.ids import GroupId, Index, NodeId
from kvstore.core.records import unseal
from kvstore.node.guest_host import GUEST
from kvstore.node.quorum_log import read_payload
from kvstore.sim.cluster import SimCluster
from kvstore.sim.machine import Machine
from kvstore.storage import entry_log, group_places
from kvstore.storage.keys import log_key, log_range, value_prefix


class DiskView:
    """What one machine's disk has of a group. Looks only at what was added to the log since it looked last."""

    def __init__(self, machine: Machine, group: GroupId) -> None:
        self._machine, self._group = machine, group
        self._wipes = machine.wipes
        self._upto = Index(0)
        self._logged: dict[bytes, Versions] = {}

    def known(self, key: bytes) -> Versions:
        """UNKNOWN if nothing is there."""
        self._look()
        return merged(self._logged.get(key, UNKNOWN), self._row(key))

    def everything(self) -> dict[bytes, Versions]:
        """By key."""
        self._look()
        prefix = self._prefix()
        rows = self._machine.disk.engine.scan(prefix, _after(prefix)) if prefix else ()
        keys = {*self._logged, *(key[len(prefix) :] for key, _ in rows)}
        return {key: merged(self._logged.get(key, UNKNOWN), self._row(key)) for key in sorted(keys)}

    def _look(self) -> None:
        machine = self._machine
        if machine.wipes != self._wipes:
            self._wipes, self._upto = machine.wipes, Index(0)
            self._logged.clear()
        end = log_range(self._group)[1]
        for key, row in machine.disk.engine.scan(log_key(self._group, Index(self._upto + 1)), end):
            entry = entry_log.decode_row(key, row)
            self._upto = entry.index
            for name, record in read_payload(entry.payload)[0]:
                self._logged[name] = merged(self._logged.get(name, UNKNOWN), decode(record))

    def _row(self, key: bytes) -> Versions:
        prefix = self._prefix()
        row = self._machine.disk.engine.get(prefix + key) if prefix else None
        return decode(unseal(row)) if row is not None else UNKNOWN

    def _prefix(self) -> bytes:
        place = group_places.load_place(self._machine.disk.engine, self._group)
        return value_prefix(place.data) if place is not None else b""


def _after(prefix: bytes) -> bytes:
    """The end of the range of keys with this beginning."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")


def others_have_all(cluster: SimCluster, node: NodeId) -> bool:
    """Whether the disks of the other replicas, together, have seen everything that is on this one.

    Not if it keeps hints for a replica that is down: they may be all that there is.
    """
    ring = cluster.ring
    groups = [group for group in ring.groups_on(node) if is_leaderless(cluster, group)] if ring is not None else []
    if ring is None or all(keyspace.settings.mode != "leaderless" for keyspace in ring.keyspaces):
        return True
    if any(place.standing == GUEST for _, place in group_places.load_places(cluster.machines[node].disk.engine)):
        return False
    return all(_others_have(cluster, node, group) for group in groups)


def is_leaderless(cluster: SimCluster, group: GroupId) -> bool:
    """Whether the group is a partition in leaderless mode."""
    place = cluster.ring.place_of(group) if cluster.ring is not None else None
    return place is not None and place.keyspace.settings.mode == "leaderless"


def replicas_of(cluster: SimCluster, group: GroupId) -> tuple[NodeId, ...]:
    place = cluster.ring.place_of(group) if cluster.ring is not None else None
    return place.partition.replicas if place is not None else ()


def _others_have(cluster: SimCluster, node: NodeId, group: GroupId) -> bool:
    mine = DiskView(cluster.machines[node], group).everything()
    contexts: dict[bytes, dict[int, int]] = {key: {} for key in mine}
    for other in replicas_of(cluster, group):
        if other != node:
            for key, versions in DiskView(cluster.machines[other], group).everything().items():
                if key in contexts:
                    contexts[key] = joined(contexts[key], versions.context)
    return all(covers(contexts[key], each.dot) for key, versions in mine.items() for each in versions.siblings)
