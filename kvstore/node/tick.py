"""One step of a node in the making: what its groups want done, gathered into one batch and one frame per peer."""

from kvstore.core.entries import LogEnd
from kvstore.core.ids import GroupId, Instant, NodeId
from kvstore.node.effects import Addressed, Effects, PeerMessage
from kvstore.node.requests import Answer
from kvstore.storage.engine import Batch


class Tick:
    """Collects; decides nothing. `Node.step` makes one, hands it round, and turns it into Effects."""

    __slots__ = ("_rows", "after", "batch", "damaged", "effects", "flushing", "log_ends", "now", "promise", "refused")

    def __init__(self, now: Instant) -> None:
        self.now = now
        self.effects = Effects()
        # The gate keeps clients from filling the disk; what a node owes its peers must pass.
        self.batch = Batch(urgent=True)
        self.promise: dict[NodeId, list[Addressed]] = {}
        self.log_ends: dict[GroupId, LogEnd] = {}
        """What each group is to be told when this tick's batch is on disk."""
        self.after: list[GroupId] = []
        """Groups that change images with this batch and want to hear when it is on disk."""
        self._rows: Batch | None = None
        self.flushing: list[GroupId] = []
        """Groups that have a slice of a flush among the rows and want to hear when they are on disk."""
        self.damaged: list[tuple[GroupId, str]] = []
        """Groups that found a damaged row, and which."""
        self.refused: list[tuple[int, Answer]] = []
        """Answers to requests that were never taken on."""

    @property
    def rows(self) -> Batch:
        """For what the log has already: applied values, and the removal of what is past its time."""
        if self._rows is None:
            self._rows = Batch(urgent=True)
        return self._rows

    @property
    def rows_owed(self) -> Batch | None:
        """None if there is nothing to write, nor anybody to be told."""
        return self._rows if self._rows or self.flushing else None

    def write(self, rows: Batch, flushing: list[GroupId]) -> None:
        """These rows, and then tell these groups."""
        self.rows.extend(rows)
        self.flushing += flushing

    def send(self, group: GroupId, peer: NodeId, message: PeerMessage) -> None:
        """May leave at once."""
        outbox = self.effects.send.get(peer)
        if outbox is None:
            self.effects.send[peer] = outbox = []
        outbox.append((group, message))

    def vow(self, group: GroupId, peer: NodeId, message: PeerMessage) -> None:
        """May leave only when everything asked of the disk so far is done."""
        outbox = self.promise.get(peer)
        if outbox is None:
            self.promise[peer] = outbox = []
        outbox.append((group, message))

    def reply(self, handle: int, answer: Answer) -> None:
        self.effects.replies.append((handle, answer))
