"""The watch over leaderless groups: an acknowledged write is on W disks, and what is answered fits what was asked.

Everything else that is promised of them is judged by what clients saw (`chaos.checkers.siblings`, `regular`, `kept`).
Group 0 is watched as in leader mode.
"""

import msgspec

from chaos.simulating.leaderless_disk import DiskView, is_leaderless, replicas_of
from chaos.simulating.oracle import Violation
from chaos.simulating.watch import Watch
from kvstore.core.causality import UNKNOWN, covers
from kvstore.core.commands import Status, decode_batch, decode_results
from kvstore.core.ids import GroupId, NodeId
from kvstore.node.requests import Acks, Answer, Found, ReadRequest, Receipt, Request, Sloppy, WriteRequest, Written
from kvstore.replication.quorum import majority
from kvstore.sim.cluster import SimCluster
from kvstore.sim.machine import Machine
from kvstore.sim.scheduler import Micros

_FOUND = msgspec.msgpack.Decoder(list[bytes | None])


class LeaderlessWatch(Watch):
    """See `Watch`."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster: SimCluster
        self._views: dict[tuple[NodeId, GroupId], DiskView] = {}

    def observe(self, cluster: SimCluster) -> None:
        super().observe(cluster)
        self.cluster = cluster

    def replied(self, machine: Machine, request: Request, answer: Answer, asked_at: Micros) -> None:
        if not is_leaderless(self.cluster, request.group):
            super().replied(machine, request, answer, asked_at)
            return
        self.replies += 1
        if isinstance(answer, Written) and isinstance(request, WriteRequest):
            self._check_stored(request, answer)
        elif isinstance(answer, Found) and isinstance(request, ReadRequest):
            self._check_counted(request.read_quorum or self._settings(request.group)[0], answer.receipt)
            if len(_FOUND.decode(answer.versions)) != len(request.keys):
                raise Violation("answers fit", f"{machine.name} answers {request} with {answer}")

    def _settings(self, group: GroupId) -> tuple[int, int]:
        """(R, W) of the group's keyspace."""
        place = self.cluster.ring.place_of(group) if self.cluster.ring is not None else None
        assert place is not None, "asked of groups of the ring"
        return place.keyspace.settings.r, place.keyspace.settings.w

    def _is_sloppy(self, group: GroupId) -> bool:
        place = self.cluster.ring.place_of(group) if self.cluster.ring is not None else None
        return place is not None and place.keyspace.settings.sloppy

    def _check_counted(self, needed: int, receipt: Receipt) -> None:
        if receipt.acknowledged < needed:
            raise Violation("answers have their quorum", f"{receipt} is of fewer than {needed}")

    def _check_stored(self, request: WriteRequest, answer: Written) -> None:
        """Each write that is said to be written is on the disks of as many replicas as it asked for."""
        receipt = answer.receipt
        replicas = replicas_of(self.cluster, request.group)
        own = {Acks.MAJORITY: majority(len(replicas)), Acks.ALL: len(replicas)}.get(Acks(request.acks), 0)
        needed = request.write_quorum or own or self._settings(request.group)[1]
        allowed = self._is_sloppy(request.group) if request.sloppy == Sloppy.DEFAULT else request.sloppy == Sloppy.YES
        if receipt.sloppy and not allowed:
            raise Violation("strict is strict", f"{receipt} answers a request that is not sloppy")
        if receipt.sloppy or any(self.machines[name].wipes for name in replicas):
            return
        batch = decode_batch(request.commands)
        for command, result in zip(batch.commands, decode_results(answer.results), strict=True):
            if result.status == Status.WRITTEN:
                self._check_counted(needed, receipt)
                operation = (batch.client, command.sequence, result.stamp)
                self._check_on_disks(request.group, replicas, operation, command.key, receipt.node, needed)

    def _check_on_disks(
        self,
        group: GroupId,
        replicas: tuple[NodeId, ...],
        operation: tuple[int, int, int],
        key: bytes,
        coordinator: str,
        needed: int,
    ) -> None:
        """`operation` is (client, sequence, stamp); what has been replaced already is known to whoever did it."""
        node = self.machines[NodeId(coordinator)].node
        host = node.groups.quorum_host(group) if node is not None else None
        known = host.state.known(key) if host is not None else UNKNOWN
        dots = [each.dot for each in known.siblings if (*each.operation, each.stamp) == operation]
        # Two tries may have the same stamp by chance: then it is one of them that was waited for.
        found = [[name for name in replicas if covers(self._view(name, group).known(key).context, dot)] for dot in dots]
        have = max(found, key=len, default=list(replicas))
        if len(have) < needed:
            raise Violation(
                "acknowledged is on disk",
                f"group {group}: {coordinator} acknowledges {operation} on {key!r} to one who asked for {needed}, "
                f"it is on those of {have}, of {list(replicas)}",
            )

    def _view(self, name: NodeId, group: GroupId) -> DiskView:
        view = self._views.get((name, group))
        if view is None:
            view = self._views[name, group] = DiskView(self.machines[name], group)
        return view
