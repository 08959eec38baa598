"""Standing in: nodes that keep a write for replicas that are down, so that it can have its quorum (sloppy quorums).

DeCandia et al. 2007, §4.6: a write goes to the first N nodes that are up, and whoever is none of the key's replicas
keeps it for one of those, and returns it (`guest.py`). A hint that such a node has on disk counts as that replica
would, in writes that ask for it. No read asks a stand-in: until the hint is back R + W > N promises nothing.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kvstore.core.ids import NodeId
from kvstore.replication.leaderless.effects import Effects
from kvstore.replication.leaderless.messages import Record, Store

if TYPE_CHECKING:
    from kvstore.replication.leaderless.replica import LeaderlessReplica


def stand_ins_of(nodes: Iterable[NodeId], replicas: Sequence[NodeId]) -> tuple[NodeId, ...]:
    """The nodes that are no replicas, in the order to ask them: by name, beginning after the last replica.

    >>> stand_ins_of(["n1", "n2", "n3", "n4", "n5"], ["n2", "n3", "n4"])
    ('n5', 'n1')
    """
    others = sorted(set(nodes) - set(replicas))
    after = [node for node in others if node > replicas[-1]]
    return (*after, *(node for node in others if node <= replicas[-1]))


class StandIns:
    """Who keeps the records of a write for replicas that are down: each for one of them. Nobody is asked twice."""

    __slots__ = ("_tried", "asked", "kept")

    def __init__(self) -> None:
        self.asked: dict[NodeId, NodeId] = {}
        """Who has not answered yet, and for whom it stands in."""
        self.kept: dict[NodeId, NodeId] = {}
        """Who has them on disk, and for whom."""
        self._tried: set[NodeId] = set()

    def ask(
        self, replica: "LeaderlessReplica", number: int, records: list[Record], owner: NodeId, out: Effects
    ) -> None:
        """Find one for a replica that is down, if there is one left."""
        for node in replica.stand_ins:
            if node not in self._tried and node not in replica.down:
                self._tried.add(node)
                self.asked[node] = owner
                out.send.append((node, Store(number, records, owner)))
                return

    def ask_again(self, number: int, records: list[Record], out: Effects) -> None:
        """The question or the answer may be lost."""
        out.send += [(node, Store(number, records, owner)) for node, owner in self.asked.items()]

    def keeps(self, node: NodeId) -> bool:
        """It has them on disk. False if it was not asked."""
        owner = self.asked.pop(node, None)
        if owner is not None:
            self.kept[node] = owner
        return owner is not None

    def leaves(self, node: NodeId) -> NodeId | None:
        """It will not answer, or does not want them. For whom it was asked; None if it was not."""
        return self.asked.pop(node, None)
