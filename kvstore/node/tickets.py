"""Tickets: what a node has given to its disk, and what happens when it is there.

The law of effects is kept here: a promise that was made on the strength of a batch leaves when that batch is on disk,
and not before; one that asked nothing of the disk still waits for all that earlier steps asked.
"""

from collections import deque
from typing import NamedTuple

from kvstore.core.entries import LogEnd
from kvstore.core.ids import GroupId, NodeId
from kvstore.node.effects import Addressed
from kvstore.node.tick import Tick

Outboxes = dict[NodeId, list[Addressed]]


class Ticket(NamedTuple):
    """One batch on its way to the disk."""

    number: int
    log_ends: dict[GroupId, LogEnd]
    after: list[GroupId]
    promise: Outboxes


class RowsTicket(NamedTuple):
    """Rows on their way to the disk, and the groups that flush with them."""

    number: int
    flushing: list[GroupId]


class Done(NamedTuple):
    """What is on disk now: each group's log up to here, and the images of these groups."""

    log_ends: dict[GroupId, LogEnd]
    after: list[GroupId]


class Tickets:
    """Open tickets, in the order of their numbers: of batches, and apart from them of rows."""

    def __init__(self) -> None:
        self._batches: deque[Ticket] = deque()
        self._batch_number = 0
        self._rows: deque[RowsTicket] = deque()
        self._rows_number = 0

    def __len__(self) -> int:
        """Batches on their way."""
        return len(self._batches)

    def open(self, tick: Tick) -> None:
        """Put what the tick owes the disk into its effects."""
        effects, rows = tick.effects, tick.rows_owed
        if rows is not None:
            self._rows_number += 1
            effects.rows, effects.rows_ticket = rows, self._rows_number
            self._rows.append(RowsTicket(self._rows_number, tick.flushing))
        if tick.batch or tick.after:
            self._batch_number += 1
            effects.batch, effects.ticket = tick.batch, self._batch_number
            self._batches.append(Ticket(self._batch_number, tick.log_ends, tick.after, tick.promise))
        elif tick.promise:
            _add(self._batches[-1].promise if self._batches else effects.send, tick.promise)

    def persisted(self, number: int, send: Outboxes) -> Done:
        """Batches up to this number are on disk: what was promised with them is added to `send`."""
        done = Done({}, [])
        while self._batches and self._batches[0].number <= number:
            ticket = self._batches.popleft()
            _add(send, ticket.promise)
            done.log_ends.update(ticket.log_ends)
            done.after.extend(ticket.after)
        return done

    def rows_written(self, number: int) -> list[GroupId]:
        """Rows up to this number are on disk: the groups that flushed with them."""
        groups: list[GroupId] = []
        while self._rows and self._rows[0].number <= number:
            groups += self._rows.popleft().flushing
        return groups


def _add(outboxes: Outboxes, promise: Outboxes) -> None:
    for peer, messages in promise.items():
        outboxes.setdefault(peer, []).extend(messages)
