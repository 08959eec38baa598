"""The planner: makes and rebalances the table partition → ordered replicas of a keyspace, and says what would move.

It works in five steps, each of which leaves the rows legal: *keep* what may stay, *fill* the gaps with the nodes
furthest below their quota, *shift* rows from nodes above their quota straight to nodes below, *chain* what is left
through third nodes, and *lead*: choose a preferred leader per row so that these are spread too. The first three find
nearly everything; the fourth is complete, so every node ends at its quota, or one off where only the odd replica is in
question (see `shares.py` for why quotas can be met).

NB: movement is small, not proven minimal. A minimum-cost flow would prove it and take minutes in Python for 4,096
partitions; the tests hold us to the fair share of what has to move plus a small slack.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from kvstore.core.errors import InvalidRequest
from kvstore.core.ids import KeyspaceId, NodeId, PartitionId
from kvstore.placement.hashing import check_partitions, key_hash
from kvstore.placement.keyspaces import Keyspace
from kvstore.placement.leaders import spread_leaders
from kvstore.placement.members import NodeInfo
from kvstore.placement.shares import Candidate, last_price, next_price, prices_of, quotas, spread_over
from kvstore.placement.table import Table, shortest_chain

Rows = Sequence[Sequence[NodeId]]


class Burden:
    """What nodes carry for other keyspaces: replicas held and preferred leaderships. It decides between equals."""

    def __init__(self, rows: Rows = ()) -> None:
        self.replicas: Counter[NodeId] = Counter()
        self.leaders: Counter[NodeId] = Counter()
        self.add(rows)

    def add(self, rows: Rows) -> None:
        """Count the load that a table puts on its nodes."""
        for row in rows:
            self.replicas.update(row)
            self.leaders.update(row[:1])

    def remove(self, rows: Rows) -> None:
        """Take back what `add` counted."""
        for row in rows:
            self.replicas.subtract(row)
            self.leaders.subtract(row[:1])


@dataclass(frozen=True, slots=True)
class Move:
    """One replica's journey. `leaving` is None where the row only grows, `arriving` where it only shrinks."""

    partition: PartitionId
    leaving: NodeId | None
    arriving: NodeId | None

    def __str__(self) -> str:
        return f"p{self.partition:02d} {self.leaving or '-'} → {self.arriving or '-'}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A table, and what becoming it takes. For a new keyspace there is nothing to move."""

    rows: tuple[tuple[NodeId, ...], ...]
    moves: tuple[Move, ...]
    new_leaders: tuple[PartitionId, ...]
    """Partitions whose preferred leader changes."""

    def __str__(self) -> str:
        return f"{len(self.rows)} partitions: {len(self.moves)} replicas move, {len(self.new_leaders)} leaders change"


def plan_rows(
    nodes: Iterable[NodeInfo],
    *,
    partitions: int,
    replicas: int,
    before: Rows = (),
    burden: Burden | None = None,
) -> Plan:
    """Place a keyspace's partitions on the nodes that may hold replicas.

    `before` is its present table (empty for a new keyspace), `burden` what nodes carry otherwise. Raises InvalidRequest
    if there are fewer nodes than replicas, or for a number of partitions that is no power of two.
    """
    check_partitions(partitions)
    assert len(before) in (0, partitions), "a table has a row per partition"
    usable = sorted((node for node in nodes if node.may_hold_replicas), key=lambda node: node.id)
    if not 1 <= replicas <= len(usable):
        names = ", ".join(node.id for node in usable) or "none"
        raise InvalidRequest(
            f"{replicas} replicas need as many nodes that are up, and there are {len(usable)}: {names}"
        )
    planner = _Planner(usable, partitions, replicas, before, burden or Burden())
    planner.keep()
    planner.fill()
    planner.shift()
    planner.chain()
    rows = planner.lead()
    return _compared(rows, before)


def replan(keyspaces: Sequence[Keyspace], nodes: Iterable[NodeInfo]) -> dict[KeyspaceId, Plan]:
    """New plans for all keyspaces after nodes came, went or changed weight, balanced over all of them together.

    Raises InvalidRequest if a keyspace has more replicas than there are nodes left; then nothing should be changed.
    """
    nodes = tuple(nodes)
    burden = Burden([row for keyspace in keyspaces for row in keyspace.rows()])
    plans: dict[KeyspaceId, Plan] = {}
    for keyspace in keyspaces:
        before = keyspace.rows()
        burden.remove(before)
        count, replicas = len(before), keyspace.settings.replicas
        plan = plan_rows(nodes, partitions=count, replicas=replicas, before=before, burden=burden)
        burden.add(plan.rows)
        plans[keyspace.id] = plan
    return plans


class _Planner:
    """One run over one keyspace. Nodes are numbers: their places in the list sorted by id."""

    def __init__(self, nodes: list[NodeInfo], partitions: int, replicas: int, before: Rows, burden: Burden) -> None:
        self.nodes, self.replicas, self.burden = nodes, replicas, burden
        self.numbers = range(len(nodes))
        number = {node.id: i for i, node in enumerate(nodes)}
        zones = {zone: i for i, zone in enumerate(sorted({node.zone for node in nodes}))}
        zone_of = [zones[node.zone] for node in nodes]
        self.spread = spread_over([zone_of.count(zone) for zone in range(len(zones))], replicas)
        self.table = Table(zone_of, self.spread, partitions)
        self.before = [[number[node] for node in row if node in number] for row in before] or [
            [] for _ in range(partitions)
        ]
        self.old_leaders = [number.get(row[0]) for row in before] or [None] * partitions
        self.prices = prices_of([node.weight for node in nodes])
        self.salts = [key_hash(node.id.encode()) for node in nodes]
        self.quotas: list[int] = []

    def keep(self) -> None:
        """Leave in place what may stay, then say how much everyone should have."""
        for partition, row in enumerate(self.before):
            for node in row:
                if self.table.may_join(partition, node):
                    self.table.join(partition, node)
        candidates = [
            Candidate(self.table.zone_of[i], node.weight, self.table.load(i), self.burden.replicas[node.id])
            for i, node in enumerate(self.nodes)
        ]
        self.quotas = quotas(candidates, self.spread, len(self.table.rows))

    def fill(self) -> None:
        """Complete every row with the nodes that have the most room."""
        for partition, row in enumerate(self.table.rows):
            while len(row) < self.replicas:
                fitting = (node for node in self.numbers if self.table.may_join(partition, node))
                self.table.join(partition, min(fitting, key=lambda node: self._fill_order(partition, node)))

    def shift(self) -> None:
        """Hand rows of overfull nodes directly to nodes with room: first what has just been filled in, leaders last."""
        for may_stay in (False, True):
            for partition, row in enumerate(self.table.rows):
                leader = self.old_leaders[partition]
                for node in sorted(row, key=lambda node: (node == leader, -self._excess(node))):
                    if self._excess(node) > 0 and (may_stay or node not in self.before[partition]):
                        self._shift_one(partition, node)

    def _shift_one(self, partition: int, leaving: int) -> None:
        fitting = [
            node for node in self.numbers if self._excess(node) < 0 and self.table.may_replace(partition, leaving, node)
        ]
        if fitting:
            arriving = min(fitting, key=lambda node: self._fill_order(partition, node))
            self.table.replace(partition, leaving, arriving)

    def chain(self) -> None:
        """Where there is no direct way, pass load through third nodes, as long as that makes it fairer."""
        while any(self._relieve(node) for node in self.numbers):
            pass

    def _relieve(self, node: int) -> bool:
        """Hand on one row of an overfull node. Not for the odd replica: between equals somebody has to have it."""
        if self._excess(node) <= 0:
            return False
        mine = last_price(self.table.load(node), self.prices[node])

        def is_goal(other: int) -> bool:
            return self._excess(other) < 0 and next_price(self.table.load(other), self.prices[other]) < mine

        way = shortest_chain(node, is_goal, self.table.swaps_from) if any(map(is_goal, self.numbers)) else []
        self.table.follow(node, way)
        return bool(way)

    def lead(self) -> list[tuple[NodeId, ...]]:
        """Choose who leads each row, and write the rows with the leader first, then who was there before."""
        weights = [node.weight for node in self.nodes]
        leaders = spread_leaders(self.table, weights, self.old_leaders, self._lead_tie)
        rows = []
        for partition, (leader, row) in enumerate(zip(leaders, self.table.rows, strict=True)):
            kept, others = self.before[partition], [node for node in row if node != leader]
            ordered = [leader, *sorted(others, key=lambda node: kept.index(node) if node in kept else len(kept))]
            rows.append(tuple(self.nodes[node].id for node in ordered))
        return rows

    def _lead_tie(self, partition: int, node: int) -> tuple[int, ...]:
        """Between equals: who has the data already, then who leads least of other keyspaces."""
        burden = self.burden.leaders[self.nodes[node].id]
        return node not in self.before[partition], burden, self._chance(partition, node)

    def _excess(self, node: int) -> int:
        return self.table.load(node) - self.quotas[node]

    def _fill_order(self, partition: int, node: int) -> tuple[int, int, int]:
        burden = self.burden.replicas[self.nodes[node].id]
        return self._excess(node), burden, self._chance(partition, node)

    def _chance(self, partition: int, node: int) -> int:
        """A fixed number per pair, so that equal nodes do not always meet in the same rows."""
        return (self.salts[node] ^ (partition + 1) * 0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9 >> 32 & 0xFFFFFFFF


def _compared(rows: list[tuple[NodeId, ...]], before: Rows) -> Plan:
    moves: list[Move] = []
    new_leaders: list[PartitionId] = []
    for number, (row, old) in enumerate(zip(rows, before, strict=False)):
        partition = PartitionId(number)
        leaving = [node for node in old if node not in row]
        arriving = [node for node in row if node not in old]
        moves += [Move(partition, gone, come) for gone, come in zip_longest(leaving, arriving)]
        if row[0] != old[0]:
            new_leaders.append(partition)
    return Plan(tuple(rows), tuple(moves), tuple(new_leaders))
