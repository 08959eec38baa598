"""How much each zone and each node should hold: the arithmetic of a plan, before any partition is looked at.

Two questions, answered in whole numbers so that every machine answers alike. *Spread*: how many replicas of one
partition may a zone have? *Quotas*: how many partitions should each node hold, given its weight, that no node holds a
partition twice, and the spread? A table that meets both exactly always exists: giving every partition the same fraction
of every node (quota / partitions) obeys all bounds, and a flow with whole bounds that has a fractional solution has a
whole one (Ford and Fulkerson, Flows in Networks, 1962).
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

KEPT_BONUS = 2  # a node keeps the odd replica it has unless another node's whole load is this much lower


def prices_of(weights: Sequence[int]) -> list[int]:
    """What one unit of load costs each node: inverse to its weight, in whole numbers."""
    whole = lcm(*weights)
    return [whole // weight for weight in weights]


def next_price(count: int, price: int) -> int:
    """What the next unit costs a node that has so many. Load is spread fairly while the cheapest takes it."""
    return (2 * count + 1) * price


def last_price(count: int, price: int) -> int:
    """What the last unit cost a node that has so many. Moving it to where the next one is cheaper is fairer."""
    return (2 * count - 1) * price


@dataclass(frozen=True, slots=True)
class Spread:
    """How many replicas of one partition each zone has at least and at most, and how many zones have one more."""

    least: tuple[int, ...]
    most: tuple[int, ...]
    extras: int


def spread_over(zone_sizes: Sequence[int], replicas: int) -> Spread:
    """Fill the zones like connected vessels: every zone has the same level, less only where it has fewer nodes."""
    assert 0 < replicas <= sum(zone_sizes), "each replica needs a node of its own"
    level = 1
    while sum(min(level, size) for size in zone_sizes) < replicas:
        level += 1
    least = tuple(min(level - 1, size) for size in zone_sizes)
    return Spread(least, tuple(min(level, size) for size in zone_sizes), replicas - sum(least))


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the dealing needs to know of a node. Its number is its place in the list of candidates."""

    zone: int
    weight: int
    kept: int  # replicas of this keyspace that it has and that may stay
    burden: int  # replicas of other keyspaces


def quotas(candidates: Sequence[Candidate], spread: Spread, partitions: int) -> list[int]:
    """How many of a keyspace's partitions each node should hold; the sum is partitions x replicas.

    Dealt one by one to the node that is furthest below its weighted share (Webster's method, so equal weights differ by
    at most one); first what each zone must have, then the rest. Where nodes are level, the odd one goes to a node that
    has it already, else to the one with the least other load.
    """
    dealt = [0] * len(candidates)
    zones = range(len(spread.least))
    for zone in zones:
        owed = spread.least[zone] * partitions
        _deal(candidates, dealt, owed, [owed if z == zone else 0 for z in zones], partitions)
    room = [(most - least) * partitions for most, least in zip(spread.most, spread.least, strict=True)]
    _deal(candidates, dealt, spread.extras * partitions, room, partitions)
    return dealt


def _deal(candidates: Sequence[Candidate], dealt: list[int], units: int, zone_room: list[int], node_max: int) -> None:
    """Deal so many units to nodes that have less than `node_max`, in zones that have room."""
    prices = prices_of([candidate.weight for candidate in candidates])

    def turn(i: int) -> tuple[int, int, int]:
        node = candidates[i]
        odd = node.burden - (KEPT_BONUS if node.kept > dealt[i] else 0)
        return next_price(dealt[i], prices[i]), odd * prices[i], i

    queue = [turn(i) for i in range(len(candidates))]
    heapq.heapify(queue)
    while units:
        i = queue[0][2]
        if dealt[i] == node_max or not zone_room[candidates[i].zone]:
            heapq.heappop(queue)
            continue
        dealt[i] += 1
        zone_room[candidates[i].zone] -= 1
        units -= 1
        heapq.heapreplace(queue, turn(i))
