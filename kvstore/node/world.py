"""World: all a node may ask of the outside, in the order it is owed. One real twin, one simulated."""

from typing import Protocol

from kvstore.core.ids import Millis, NodeId
from kvstore.node.effects import Addressed, Effects, Founding
from kvstore.node.requests import Answer
from kvstore.storage.engine import Batch


class World(Protocol):
    """The outside of one node."""

    def record_founding(self, founding: Founding) -> None:
        """Write the manifest; on return it is on disk."""
        ...

    def send(self, peer: NodeId, messages: list[Addressed]) -> None:
        """One frame, best effort: it may be lost, late or doubled, but never altered."""
        ...

    def persist(self, batch: Batch, ticket: int) -> None:
        """Commit the batch durably, in order of tickets; then the node hears Persisted(ticket)."""
        ...

    def write_rows(self, rows: Batch, ticket: int) -> None:
        """Commit these rows, in order of their tickets; then the node hears RowsWritten(ticket).

        They touch other tables than log entries and ballots. A batch of these alone need not wait for rows, nor rows
        for it; any other batch is written after the rows asked for before it, and before those asked for after it.
        """
        ...

    def reply(self, handle: int, answer: Answer) -> None: ...

    def publish_ring(self) -> None:
        """The ring or a leader changed: tell those who watch."""
        ...

    def fail(self, reason: str) -> None:
        """End this node, saying why."""
        ...

    def wake_me_at(self, when: Millis | None) -> None:
        """Step the node at that instant (monotonic) at the latest; None: only when something happens."""
        ...


def carry_out(effects: Effects, world: World) -> None:
    """Founding first, then frames and the disk in parallel: what depends on the disk is not among these frames."""
    if effects.failure is not None:
        world.fail(effects.failure)
        return
    if effects.founding is not None:
        world.record_founding(effects.founding)
    for peer, messages in effects.send.items():
        world.send(peer, messages)
    if effects.batch is not None:
        world.persist(effects.batch, effects.ticket)
    if effects.rows is not None:
        world.write_rows(effects.rows, effects.rows_ticket)
    for handle, answer in effects.replies:
        world.reply(handle, answer)
    if effects.ring_changed:
        world.publish_ring()
    world.wake_me_at(effects.wake_at)
