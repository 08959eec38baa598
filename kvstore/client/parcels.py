"""Parcels: operations for one group that travel as one call, are answered together and tried again together.

A parcel is filled while it waits for its node (`Writes` and `Reads`, one future for each operation) or built whole
(`WholeWrites`, `WholeReads`, `PageAsk`, `OutcomeAsk`, one future for all). It knows how to become a Call and what a
Reply means; where it is and when it is tried again is the dispatch's business.
"""

from asyncio import AbstractEventLoop, Future, TimerHandle
from collections.abc import Sequence
from math import inf
from typing import Any, Final, Protocol

from kvstore.client.routing import Route
from kvstore.core.errors import KvError
from kvstore.core.ids import GroupId
from kvstore.v1 import kv_pb2 as pb

CALL_OPERATIONS_MAX: Final = 1_000
CALL_BYTES_MAX: Final = 1 << 20
READ_BYTES_MAX: Final = 4 << 20
"""A read asks for no more values than make about this, judged by the sizes of the last ones."""
OPERATION_BYTES: Final = 64
"""What an operation weighs besides its key and value, roughly."""


class Home(Protocol):
    """Where parcels are filled: a lane."""

    def leave(self, parcel: "Parcel") -> None:
        """The parcel takes nothing more."""
        ...


class Place(Protocol):
    """Where parcels wait to be sent or answered: a conversation."""

    node: str

    def withdraw(self, parcel: "Parcel") -> None:
        """It is to be forgotten there."""
        ...


class Parcel:
    """What all parcels have: where to, whose, until when, and what happened to it so far."""

    __slots__ = (
        "attempt",
        "avoid",
        "deadline",
        "deadlines",
        "doubtful",
        "finished",
        "futures",
        "group",
        "home",
        "last_error",
        "node",
        "partition",
        "place",
        "pruned",
        "route",
        "sent",
        "size",
        "suspicions",
        "timer",
        "tries",
    )

    is_write = False
    any_replica = False
    proves_leader = False
    """Whether only the leader can have served it: its receipt tells who that is."""
    only = ""
    """The one node that can serve it; empty: there are others."""
    counted = True
    """Whether it takes room among what is outstanding."""

    def __init__(self, route: Route, group: GroupId, deadline: float) -> None:
        self.route, self.group = route, group
        self.futures: list[Future[Any]] = []
        self.deadlines: list[float] = []
        self.deadline = deadline
        """The nearest of the deadlines."""
        self.size = 0
        """Bytes, roughly."""
        self.pruned = 0
        """How many operations were here and left without being sent."""
        self.home: Home | None = None
        """Where further operations join it, as long as it was not sent."""
        self.partition = -1
        """Its place in that home."""
        self.attempt = 0
        """The id of the call it travels as; 0 while it does not."""
        self.sent = 0.0
        """When it was last sent."""
        self.node = ""
        """The node it was last sent to."""
        self.avoid = ""
        """The node that just could not serve it."""
        self.place: Place | None = None
        """Who has it now."""
        self.tries = 0
        """How many times it failed."""
        self.suspicions = 0
        """How many sessions that it was in the node ended for what was said in them."""
        self.doubtful = False
        """An earlier try of this write may have happened."""
        self.last_error: KvError | None = None
        self.timer: TimerHandle | None = None
        """Ends the wait for the next try."""
        self.finished = False

    @property
    def count(self) -> int:
        """How many operations are in it, or were."""
        return len(self.futures) + self.pruned

    def awaited(self, loop: AbstractEventLoop) -> "Future[Any]":
        """The one future of a parcel that was built whole."""
        assert not self.futures, "a whole parcel has one future"
        future: Future[Any] = loop.create_future()
        self.futures.append(future)
        self.deadlines.append(self.deadline)
        return future

    def fill(self, call: pb.Call) -> None:
        """Put what is to be done into the call."""
        raise NotImplementedError

    def settle(self, reply: pb.Reply) -> None:
        """Give everybody their answer. Raises MalformedFrame if this is no answer to the call."""
        raise NotImplementedError

    def keep(self, positions: list[int]) -> None:
        """Keep only the operations at these positions."""
        self.pruned += len(self.futures) - len(positions)
        self.futures = [self.futures[position] for position in positions]
        self.deadlines = [self.deadlines[position] for position in positions]

    def prune(self) -> bool:
        """Take out who does not wait any more: cancelled or expired. Returns whether anybody still does."""
        gone = [future.done() for future in self.futures]
        if True in gone:
            self.keep([position for position, done in enumerate(gone) if not done])
        return bool(self.futures)

    def halves(self) -> Sequence["Parcel"]:
        """The same in two parcels, if one answer would be too large; none if it cannot be halved."""
        return ()

    def error_at(self, position: int, error: KvError) -> KvError:
        """The error as one of the operations is told it."""
        return retold(error)

    def fail(self, error: KvError) -> None:
        """Nobody gets an answer."""
        for position, future in enumerate(self.futures):
            if not future.done():
                future.set_exception(self.error_at(position, error))

    def expire(self, now: float, error: KvError) -> None:
        """Tell those whose deadline has passed. Afterwards `deadline` is the nearest of the others, or infinite."""
        nearest = inf
        for position, deadline in enumerate(self.deadlines):
            if self.futures[position].done():
                continue
            if deadline <= now:
                self.futures[position].set_exception(self.error_at(position, error))
            elif deadline < nearest:
                nearest = deadline
        self.deadline = nearest

    def __repr__(self) -> str:
        where = f"at {self.node}" if self.attempt else "waiting"
        return f"<{type(self).__name__} {self.count} for group {self.group}, {where}, try {self.tries + 1}>"


def retold(error: KvError, **facts: Any) -> KvError:
    """The same error for somebody else: each awaiter gets its own, for tracebacks grow on the object."""
    told = type(error)(str(error), **{**error.facts, **facts})
    told.__cause__ = error.__cause__
    return told
