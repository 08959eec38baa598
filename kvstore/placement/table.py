"""The planner's workbench: rows of nodes, one per partition, kept legal while they change.

Nodes and zones are numbers here. A row is legal when its nodes differ and each zone has between `least` and `most` of
them; at most `extras` zones are above their least. Moving load along a chain of nodes is how both replicas and leaders
reach their quotas: the augmenting path of Ford and Fulkerson, looked for among nodes instead of partitions.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from kvstore.placement.shares import Spread

Step = tuple[int, int]  # through which partition, to which node


def shortest_chain(start: int, is_goal: Callable[[int], bool], steps: Callable[[int], Iterable[Step]]) -> list[Step]:
    """The fewest steps from one node to any goal; empty if there is no way.

    A shortest chain never uses a partition twice in a way that disturbs itself: if two of its steps went through the
    same partition, one step from the first node to the last would be legal too, and shorter.
    """
    came_from: dict[int, tuple[int, Step]] = {}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for partition, there in steps(here):
            if there == start or there in came_from:
                continue
            came_from[there] = here, (partition, there)
            if is_goal(there):
                return _walk_back(start, there, came_from)
            waiting.append(there)
    return []


def _walk_back(start: int, end: int, came_from: dict[int, tuple[int, Step]]) -> list[Step]:
    chain: list[Step] = []
    while end != start:
        before, step = came_from[end]
        chain.append(step)
        end = before
    return chain[::-1]


class Table:
    """Rows under construction: who is in which row, and how many rows each node is in."""

    def __init__(self, zone_of: Sequence[int], spread: Spread, partitions: int) -> None:
        self.zone_of = zone_of
        self.spread = spread
        self.rows: list[list[int]] = [[] for _ in range(partitions)]
        self.held: list[dict[int, None]] = [{} for _ in zone_of]  # per node its partitions; a dict keeps its order
        self._counts = [[0] * len(spread.least) for _ in range(partitions)]
        self._spare = [spread.extras] * partitions

    def load(self, node: int) -> int:
        """How many rows a node is in."""
        return len(self.held[node])

    def may_join(self, partition: int, node: int) -> bool:
        """Whether an incomplete row may have this node too."""
        if partition in self.held[node]:
            return False
        zone = self.zone_of[node]
        count = self._counts[partition][zone]
        return count < self.spread.least[zone] or (count < self.spread.most[zone] and self._spare[partition] > 0)

    def may_replace(self, partition: int, leaving: int, arriving: int) -> bool:
        """Whether a complete row may swap one node for another."""
        if partition in self.held[arriving]:
            return False
        counts, from_zone, to_zone = self._counts[partition], self.zone_of[leaving], self.zone_of[arriving]
        if from_zone == to_zone:
            return True
        return counts[from_zone] > self.spread.least[from_zone] and counts[to_zone] < self.spread.most[to_zone]

    def join(self, partition: int, node: int) -> None:
        """Add a node at the end of a row."""
        self.rows[partition].append(node)
        self.held[node][partition] = None
        zone = self.zone_of[node]
        self._spare[partition] -= self._counts[partition][zone] >= self.spread.least[zone]
        self._counts[partition][zone] += 1

    def replace(self, partition: int, leaving: int, arriving: int) -> None:
        """Put a node in another's place in the row."""
        assert self.may_replace(partition, leaving, arriving), f"p{partition} may not swap {leaving} for {arriving}"
        row = self.rows[partition]
        row[row.index(leaving)] = arriving
        del self.held[leaving][partition]
        self.held[arriving][partition] = None
        # A complete row has no spare extra, and a legal swap gives back exactly the one it takes.
        self._counts[partition][self.zone_of[leaving]] -= 1
        self._counts[partition][self.zone_of[arriving]] += 1

    def swaps_from(self, node: int) -> Iterable[Step]:
        """Every legal swap that takes one row away from a node, as (partition, arriving node)."""
        for partition in self.held[node]:
            for other in range(len(self.held)):
                if self.may_replace(partition, node, other):
                    yield partition, other

    def follow(self, start: int, chain: list[Step]) -> None:
        """Move one row along a chain: afterwards the start has one less and the end has one more."""
        leaving = start
        for partition, arriving in chain:
            self.replace(partition, leaving, arriving)
            leaving = arriving
