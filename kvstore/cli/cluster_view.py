"""What the reports of all nodes say together: which nodes are up, which partitions are whole, who lags (pure)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

METADATA_GROUP = 0
LEADERLESS = "leaderless"
CLUSTER = "(cluster)"
"""Stands where a keyspace would for the group that holds the cluster itself."""

_NUMBERS = re.compile(r"(\d+)", re.ASCII)

Report = Mapping[str, Any]
"""One node's report, as in /api/v1/status; of a node that did not answer only `node`, `healthy` and `problems`."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node, in a line."""

    id: str
    state: str
    """up, not ready (it runs, but cannot serve all it should) or DOWN."""
    zone: str | None = None
    leads: int | None = None
    replicas: int | None = None
    lag: int | None = None
    """Log entries it has not applied that its leaders have committed, in the worst of its groups."""
    open: int | None = None
    """Requests under way, without the one that asked for the report."""
    disk: int | None = None
    disk_max: int | None = None
    hints: int = 0
    """Keys of leaderless keyspaces that it keeps in mind for other replicas, and hints that it keeps as a guest."""
    suspicion: float = 0.0
    """How surely it has failed or become slow, as the others see it that hear it (the highest φ)."""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionView:
    """One group, as its leader sees it; of a leaderless keyspace as all its replicas say."""

    keyspace: str
    number: int
    group: int
    leader: str | None
    term: int
    up: tuple[str, ...]
    """Replicas that are known to be there, the leader first."""
    down: tuple[str, ...]
    lag: int
    """Entries the slowest replica that is up has yet to store."""
    commit: int
    mode: str = "leader"
    hints: int = 0
    """Leaderless: keys that its replicas keep in mind for each other."""

    @property
    def needs_leader(self) -> bool:
        """Whether it has none, and cannot do without."""
        return self.leader is None and self.mode != LEADERLESS

    @property
    def state(self) -> str:
        """`ok`, or what is missing."""
        if self.needs_leader:
            return "NO LEADER"
        return "ok" if not self.down else f"{len(self.up)}/{len(self.up) + len(self.down)} up"


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The whole cluster at a glance."""

    cluster: str
    healthy: bool
    nodes: tuple[NodeView, ...]
    partitions: tuple[PartitionView, ...]
    """With the cluster's own group first."""
    epoch: int = 0
    timeline: int = 0
    problems: tuple[tuple[str, str], ...] = field(default=())
    """(who says it, what), each thing once."""

    @property
    def up(self) -> int:
        """How many nodes answered."""
        return sum(node.state != "DOWN" for node in self.nodes)

    @property
    def data(self) -> list[PartitionView]:
        """The partitions that hold keys."""
        return [partition for partition in self.partitions if partition.group != METADATA_GROUP]

    @property
    def without_leader(self) -> int:
        """Partitions that cannot be served."""
        return sum(partition.needs_leader for partition in self.data)

    @property
    def short(self) -> int:
        """Partitions that are served, but do not have all their replicas."""
        return sum(bool(partition.down) and not partition.needs_leader for partition in self.data)

    @property
    def hints(self) -> int:
        """Keys that wait for replicas that were down."""
        return sum(node.hints for node in self.nodes)


def view_of(reports: Sequence[Report], healthy: bool) -> ClusterView:
    """Put the nodes' reports together."""
    answered = [report for report in reports if "groups" in report]
    newest = max(answered, key=lambda report: int(report["epoch"]), default={})
    partitions = tuple(_partitions(answered))
    committed = {partition.group: partition.commit for partition in partitions}
    return ClusterView(
        cluster=str(newest.get("cluster", "?")),
        healthy=healthy,
        nodes=tuple(sorted((_node(report, committed, answered) for report in reports), key=lambda n: in_order(n.id))),
        partitions=partitions,
        epoch=int(newest.get("epoch", 0)),
        timeline=int(newest.get("timeline", 0)),
        problems=tuple(_problems(reports)),
    )


def in_order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Sorts names by the numbers in them: n2 comes before n10."""
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in _NUMBERS.split(name))


def _node(report: Report, committed: Mapping[int, int], answered: Sequence[Report]) -> NodeView:
    name, problems = str(report.get("node", "?")), tuple(map(str, report.get("problems", ())))
    if "groups" not in report:
        return NodeView(name, "DOWN", problems=problems)
    led = [group for group in report["groups"] if group.get("mode") != LEADERLESS]  # the others have logs of their own
    lags = [committed.get(group["group"], 0) - group["applied"] for group in led]
    return NodeView(
        name,
        "up" if report["ready"] else "not ready",
        zone=report["zone"],
        leads=report["leads"],
        replicas=report["replicas"],
        lag=max([0, *lags]),
        open=max(0, report["requests_open"] - 1),
        disk=report["storage_bytes"],
        disk_max=report["storage_bytes_max"],
        hints=_hints(report),
        suspicion=max([0.0, *(_suspicion(other, name) for other in answered)]),
        problems=problems,
    )


def _suspicion(report: Report, name: str) -> float:
    peer = report.get("peers", {}).get(name, {})
    return float(peer.get("suspicion", 0.0)) if peer.get("up") else 0.0


def _hints(report: Report) -> int:
    kept: int = sum(report.get("hints", {}).get("kept", {}).values())
    return kept + sum(sum(group.get("hints", {}).values()) for group in report["groups"])


def _partitions(reports: Iterable[Report]) -> list[PartitionView]:
    seen: dict[int, list[tuple[str, Mapping[str, Any]]]] = {}
    for report in reports:
        for group in report["groups"]:
            seen.setdefault(group["group"], []).append((report["node"], group))
    found = [
        _replicas(members) if members[0][1].get("mode") == LEADERLESS else _partition(members)
        for members in seen.values()
    ]
    return sorted(
        found, key=lambda partition: (partition.group != METADATA_GROUP, partition.keyspace, partition.number)
    )


def _partition(members: Sequence[tuple[str, Mapping[str, Any]]]) -> PartitionView:
    leaders = [member for member in members if member[1]["role"] == "leader"]
    name, leading = max(leaders or members, key=lambda member: int(member[1]["term"]))
    down = [follower["node"] for follower in leading["followers"] if follower["down"]] if leaders else []
    up = [follower["node"] for follower in leading["followers"] if not follower["down"]] if leaders else []
    others = [node for node, _ in members if node != name] if not leaders else []
    lags = [leading["commit"] - follower["match"] for follower in leading["followers"] if not follower["down"]]
    return PartitionView(
        keyspace=str(leading["keyspace"]) if leading["group"] != METADATA_GROUP else CLUSTER,
        number=int(leading["partition"]),
        group=int(leading["group"]),
        leader=name if leaders else None,
        term=int(leading["term"]),
        up=(name, *up, *others),
        down=tuple(down),
        lag=max([0, *lags]) if leaders else 0,
        commit=int(leading["commit"]),
    )


def _replicas(members: Sequence[tuple[str, Mapping[str, Any]]]) -> PartitionView:
    """A leaderless partition: who answered and has its data is up."""
    group = members[0][1]
    up = sorted((node for node, replica in members if replica["standing"] != "recovering"), key=in_order)
    return PartitionView(
        keyspace=str(group["keyspace"]),
        number=int(group["partition"]),
        group=int(group["group"]),
        leader=None,
        term=0,
        up=tuple(up),
        down=tuple(node for node in group["replicas"] if node not in up),
        lag=0,
        commit=0,
        mode=LEADERLESS,
        hints=sum(sum(replica.get("hints", {}).values()) for _, replica in members),
    )


def _problems(reports: Iterable[Report]) -> list[tuple[str, str]]:
    """Each thing once: that n3 is down is said by everybody else. Who does not answer says nothing himself."""
    told: dict[str, str] = {}
    silent: list[str] = []
    for report in reports:
        node = str(report.get("node", "?"))
        if "groups" not in report:
            silent.append(node)
            continue
        for problem in report["problems"]:
            told.setdefault(str(problem), node)
    lost = [(node, "does not answer") for node in silent if f"{node} is down" not in told]
    return [(who, what) for what, who in told.items()] + lost
