"""`bench load --mode leaderless`: a leaderless keyspace beside leader mode under the same load, and without a node.

The yardstick is measured in the same run: a put of W replicas beside a put to a leader's majority, a get of R replicas
beside a leader's linearizable get. With a dead node, also the same load with all nodes alive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.compare import compare
from bench.kvstore_cluster import KvstoreCluster
from bench.load import Ask
from bench.report import Row

LEADER, HEALTHY, DEAD = "leader", "leaderless", "leaderless, a node dead"
WANTED_OF_LEADER = {"put": 1.0, "get": 1.5}
"""Throughput of W=2 puts, and of R=1 gets, divided by leader mode's."""
WANTED_P99_OF_HEALTHY = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorums:
    """The leaderless keyspace that is asked for."""

    read: int
    write: int
    conflicts: str
    nodes: int
    dead_node: bool = False

    @property
    def settings(self) -> dict[str, str | int]:
        """As `create_keyspace` takes them."""
        return {
            "mode": "leaderless",
            "replicas": self.nodes,
            "read_quorum": self.read,
            "write_quorum": self.write,
            "conflicts": self.conflicts,
        }

    def __str__(self) -> str:
        return f"R={self.read} W={self.write}"


def measure_beside(
    quorums: Quorums, ask: Ask, rounds: int, folder: Path | None, tell: Callable[[Row], None]
) -> list[Row]:
    """Leaderless, with a dead node too if that is asked for, and leader mode last. Raises BenchError."""
    names = [HEALTHY, *([DEAD] if quorums.dead_node else [])]

    def starter(name: str) -> Callable[[], KvstoreCluster]:
        settings = {} if name == LEADER else quorums.settings
        return lambda: KvstoreCluster(quorums.nodes, folder, name=name, settings=settings, dead_node=name == DEAD)

    return compare([starter(name) for name in (*names, LEADER)], [ask], rounds, LEADER, tell)


def verdicts(quorums: Quorums, rows: Sequence[Row]) -> list[str]:
    """A line for each ratio, with what is wanted where something is."""
    by_name = {row.store: row for row in rows}
    leader, healthy, dead = by_name[LEADER], by_name[HEALTHY], by_name.get(DEAD)
    lines = []
    if leader.ops_per_s:
        ratio = healthy.ops_per_s / leader.ops_per_s
        lines.append(f"{healthy.op} {quorums}: {ratio:.2f} of leader mode's ops/s{_wanted(quorums, healthy)}")
    if dead is not None and healthy.p99_ms:
        ratio = dead.p99_ms / healthy.p99_ms
        lines.append(
            f"{dead.op} {quorums} with a node dead: p99 is {ratio:.2f} of the healthy one, "
            f"wanted at most {WANTED_P99_OF_HEALTHY:g}"
        )
    return lines


def _wanted(quorums: Quorums, row: Row) -> str:
    asked = quorums.write if row.op == "put" else quorums.read
    if (row.op, asked) in (("put", 2), ("get", 1)):
        return f", wanted {WANTED_OF_LEADER[row.op]:g}"
    return ""
