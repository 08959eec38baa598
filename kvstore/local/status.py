"""How a local cluster is, node by node: what each says of itself, and what we know of those that say nothing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kvstore.local.probes import PROBE_S, is_ready, status_of
from kvstore.local.processes import LocalCluster, state_of
from kvstore.local.records import NodeRecord


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node."""

    id: str
    zone: str
    state: str
    """up, starting, mute (runs, answers nothing), paused, killed, stopped, ended (by itself)."""
    since: float
    """When it was last started, ended, paused or resumed; seconds since 1970."""
    client: str
    http: str
    pid: int
    """0 if it does not run."""
    document: dict[str, Any] | None
    """Its /api/v1/status."""

    @property
    def is_up(self) -> bool:
        return self.state == "up"

    @property
    def problems(self) -> tuple[str, ...]:
        """What the node itself complains about; empty if it says nothing at all."""
        found = (self.document or {}).get("problems", ())
        return tuple(map(str, found))

    @property
    def said(self) -> str:
        """`up since 12:03:11`, or `DOWN (killed) since 12:03:11`."""
        moment = datetime.fromtimestamp(self.since).strftime("%H:%M:%S")
        return f"up since {moment}" if self.is_up else f"DOWN ({self.state}) since {moment}"

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """All nodes of a local cluster."""

    name: str
    url: str
    folder: str
    nodes: tuple[NodeStatus, ...]

    @property
    def is_healthy(self) -> bool:
        """Every node is up and ready, and complains about nothing."""
        return all(node.is_up and not node.problems for node in self.nodes)

    def as_json(self) -> dict[str, Any]:
        """For machines: `kvstore local status -o json`."""
        nodes = [node.as_json() for node in self.nodes]
        return {"name": self.name, "url": self.url, "dir": self.folder, "healthy": self.is_healthy, "nodes": nodes}

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """For people: the head, and one line per node."""
        head = ("node", "zone", "state", "leads", "pid", "clients", "http", "problems")
        lines: list[tuple[str, ...]] = [
            (n.id, n.zone, n.said, _leads(n), str(n.pid or "-"), n.client, n.http, "; ".join(n.problems) or "-")
            for n in self.nodes
        ]
        return head, lines


def _leads(node: NodeStatus) -> str:
    facts = node.document or {}
    return f"{facts['leads']} of {facts['replicas']}" if "leads" in facts and "replicas" in facts else "-"


def status(cluster: LocalCluster, timeout_s: float = PROBE_S) -> ClusterStatus:
    """Ask every node at once; those that say nothing within the time are named all the same."""
    record = cluster.record
    with ThreadPoolExecutor(max_workers=len(record.nodes)) as asked:
        nodes = tuple(asked.map(lambda node: _ask(node, timeout_s), record.nodes))
    return ClusterStatus(record.name, record.url, str(cluster.folder), nodes)


def _ask(node: NodeRecord, timeout_s: float) -> NodeStatus:
    state = state_of(node)
    document = status_of(node.http, timeout_s) if state == "up" else None
    if state == "up" and document is None:
        state = "mute"
    elif state == "up" and not is_ready(node.http, timeout_s):
        state = "starting"
    pid = node.process.pid if node.process is not None and node.process.is_alive else 0
    return NodeStatus(node.id, node.zone, state, node.since, node.client, node.http, pid, document)
