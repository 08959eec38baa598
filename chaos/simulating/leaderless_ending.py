"""The end of a leaderless day: all replicas come to hold the same bytes, and what clients saw is what was promised."""

from chaos.checkers import convergent, kept
from chaos.simulating.day import Day
from chaos.simulating.ending import Ending
from chaos.simulating.leaderless_disk import replicas_of
from chaos.simulating.leaderless_traffic import LeaderlessTraffic, convict
from chaos.simulating.oracle import Violation
from chaos.simulating.watch import Watch
from chaos.workloads.causal_register import Version
from kvstore.core.causality import decode
from kvstore.core.ids import GroupId
from kvstore.sim.cluster import SimCluster
from kvstore.sim.machine import Machine

PAGE = 1_000
Records = tuple[tuple[bytes, bytes], ...]


class LeaderlessEnding(Ending):
    """Anti-entropy is done when every replica of a partition has the same records."""

    def __init__(self, cluster: SimCluster, day: Day, watch: Watch) -> None:
        self._traffic = LeaderlessTraffic(cluster, day)
        super().__init__(cluster, day, self._traffic, watch)

    def _spare(self) -> int:
        keyspace = self._day.keyspace
        return min((len(self._cluster.names) - 1) // 2, keyspace.replicas - max(keyspace.r, keyspace.w))

    # --- agreement ----------------------------------------------------------------------------------------------------

    def _is_level(self, machine: Machine) -> bool:
        return self._is_raft_level(machine)

    def _is_agreed(self) -> bool:
        """Group 0 is level, no hint is kept any more, and all replicas of a leaderless group hold the same."""
        if not super()._is_agreed() or any(self._hints(machine) for machine in self._cluster.up()):
            return False
        return all(len({*self._records(group).values()}) == 1 for group in self._traffic.groups)

    def _hints(self, machine: Machine) -> int:
        """How many a node without a replica keeps for those that were down."""
        return sum(machine.node.groups.guests.hints().values()) if machine.node is not None else 0

    def _records(self, group: GroupId) -> dict[str, Records]:
        """By replica, all its records."""
        found: dict[str, Records] = {}
        for name in replicas_of(self._cluster, group):
            node = self._cluster.machines[name].node
            host = node.groups.quorum_host(group) if node is not None else None
            records: list[tuple[bytes, bytes]] = []
            start, more = b"", host is not None
            while more and host is not None:
                page, start = host.state.page(start, b"", PAGE, 1 << 30)
                records += page
                more = bool(start)
            found[name] = tuple(records) if host is not None else ((b"no replica is here", name.encode()),)
        return found

    def _compare(self, when: str) -> None:
        convict("convergence", convergent.check({group: self._records(group) for group in self._traffic.groups}))
        self._check_trees(when)
        final = self._final()
        histories = self._traffic.histories()
        convict("nothing is lost", kept.check(histories, final, lww=self._traffic.is_lww))

    def _check_trees(self, when: str) -> None:
        """Equal records have equal trees."""
        for group in self._traffic.groups:
            roots: dict[str, set[str]] = {}
            for name in replicas_of(self._cluster, group):
                node = self._cluster.machines[name].node
                host = node.groups.quorum_host(group) if node is not None else None
                counted = host.state.tree if host is not None else None
                tree = getattr(counted, "tree", None)
                if tree is not None and getattr(counted, "is_whole", False):
                    roots.setdefault(str(tree.root), set()).add(name)
            if len(roots) > 1:
                raise Violation("trees are those of the records", f"{when}: group {group}: {roots}")

    def _final(self) -> dict[object, tuple[Version, ...]]:
        """What is left of each key of the workload."""
        final: dict[object, tuple[Version, ...]] = {}
        for group in self._traffic.groups:
            records = dict(next(iter(self._records(group).values())))
            for key in self._traffic.group_keys(group):
                record = records.get(key.encode())
                if record:
                    final[key] = self._traffic.told(decode(record))
        return final

    def judge(self) -> int:
        """What the clients saw fits together."""
        self._traffic.judge_reads(self._traffic.histories())
        return 0
