"""Spreads preferred leaders over the nodes of a finished table, changing as few as it can.

Each partition is led by one of its nodes, and each node should lead in proportion to its weight. Leaderships are passed
along chains of nodes while that makes the distribution fairer; when no chain does, it is the fairest there is (a flow
with convex costs is optimal when no augmenting cycle improves it: Ahuja, Magnanti, Orlin, Network Flows, 14.4). So the
most loaded node leads no more than it would if every node led 1/n of what it holds.
"""

from collections.abc import Callable, Iterable, Sequence

from kvstore.placement.shares import last_price, next_price, prices_of
from kvstore.placement.table import Step, Table, shortest_chain

Tie = Callable[[int, int], tuple[int, ...]]


def spread_leaders(table: Table, weights: Sequence[int], old_leaders: Sequence[int | None], tie: Tie) -> list[int]:
    """The leading node of every row. An old leader stays where it can; `tie(partition, node)` orders equals."""
    leaders = _Leaders(table, weights)
    leaders.choose(old_leaders, tie)
    leaders.level()
    return leaders.of


class _Leaders:
    def __init__(self, table: Table, weights: Sequence[int]) -> None:
        self.table = table
        self.of: list[int] = []
        self.led = [0] * len(weights)
        self._prices = prices_of(weights)

    def choose(self, old_leaders: Sequence[int | None], tie: Tie) -> None:
        """Keep who leads and is still there; then, row by row, take who pays least."""
        kept = [old if old in row else None for old, row in zip(old_leaders, self.table.rows, strict=True)]
        for leader in kept:
            if leader is not None:
                self.led[leader] += 1
        for partition, row in enumerate(self.table.rows):
            leader = kept[partition]
            if leader is None:
                leader = min(row, key=lambda node: (self._next(node), tie(partition, node)))
                self.led[leader] += 1
            self.of.append(leader)

    def level(self) -> None:
        """Pass leaderships on until that no longer helps anybody."""
        while self._one_round():
            pass

    def _one_round(self) -> bool:
        """Each node, the highest first, passes one on if that helps: one, so that nobody gives away too many."""
        helped = False
        for node in sorted(range(len(self.led)), key=self._last, reverse=True):
            chain = self._relief(node)
            if chain:
                self._pass_on(node, chain)
                helped = True
        return helped

    def _relief(self, node: int) -> list[Step]:
        """A chain to somebody for whom one more costs less than this node's last."""
        if not self.led[node]:
            return []
        mine = self._last(node)
        if min(map(self._next, range(len(self.led)))) >= mine:
            return []
        return shortest_chain(node, lambda other: self._next(other) < mine, self._handing_over)

    def _next(self, node: int) -> int:
        return next_price(self.led[node], self._prices[node])

    def _last(self, node: int) -> int:
        return last_price(self.led[node], self._prices[node])

    def _handing_over(self, node: int) -> Iterable[Step]:
        """Who could lead instead of this node, and where."""
        for partition in self.table.held[node]:
            if self.of[partition] == node:
                for other in self.table.rows[partition]:
                    yield partition, other

    def _pass_on(self, start: int, chain: list[Step]) -> None:
        for partition, node in chain:
            self.of[partition] = node
        self.led[start] -= 1
        self.led[chain[-1][1]] += 1
