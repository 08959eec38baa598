"""What a leaderless replica hears, and what the world owes it for that.

The law is that of the whole house, persist before promise: `send` may leave at once; what is in `promise` leaves when
everything that was appended so far is on disk.
"""

from typing import NamedTuple

from kvstore.core.commands import Command
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import KvError
from kvstore.core.ids import Millis, NodeId
from kvstore.replication.leaderless.comparing import Outcome
from kvstore.replication.leaderless.messages import Message, Record

# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class WriteAsked(NamedTuple):
    """A client's commands, in their order; answered when `needed` replicas have all of them on disk."""

    handle: int
    client: int
    commands: list[Command]
    needed: int
    deadline: Millis
    sloppy: bool = False
    """Hints that stand-ins keep for replicas that are down count among the needed."""


class WritesAsked(NamedTuple):
    """Several of them, which travel together; each is answered, or refused, by itself."""

    writes: list[WriteAsked]


class ReadAsked(NamedTuple):
    """Answered when `needed` replicas have said what they know of the keys."""

    handle: int
    keys: list[bytes]
    needed: int
    deadline: Millis


class PageAsked(NamedTuple):
    """The same for the keys of a range."""

    handle: int
    start: bytes
    end: bytes
    limit: int
    bytes_max: int
    needed: int
    deadline: Millis


class CompareAsked(NamedTuple):
    """Compare with these others now, and mend what differs unless `check`; answered when all are, or at `deadline`."""

    handle: int
    peers: tuple[NodeId, ...]
    check: bool
    deadline: Millis


class Received(NamedTuple):
    """Another replica spoke."""

    sender: NodeId
    message: Message


class Persisted(NamedTuple):
    """Our log is on disk up to this entry."""

    end: LogEnd


class PeerUp(NamedTuple):
    """A node is heard (again)."""

    peer: NodeId


class PeerDown(NamedTuple):
    """A node is not heard any more."""

    peer: NodeId


class RowDamaged(NamedTuple):
    """The row of a key was found damaged on our disk."""

    key: bytes


class TimePassed(NamedTuple):
    """The clock moved; nothing else happened."""


Ask = WriteAsked | WritesAsked | ReadAsked | PageAsked | CompareAsked
Event = Ask | Received | Persisted | PeerUp | PeerDown | RowDamaged | TimePassed

# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Wrote(NamedTuple):
    """[status, stamp, decided, context] of each command, and who has it on disk."""

    results: list[tuple[int, int, int, bytes]]
    on_disk: int
    siblings: int
    """The most that one of the keys has now."""
    sloppy: bool = False
    """`on_disk` was enough only with hints."""


class ReadDone(NamedTuple):
    """What is known of each key; b"" if nothing is. `repaired`: replicas that were brought up to date before this."""

    records: list[bytes]
    answered: int
    siblings: int
    repaired: int


class PageDone(NamedTuple):
    """Records in key order, and up to before which key that is all (b"": to the end)."""

    records: list[Record]
    upto: bytes
    answered: int


class Compared(NamedTuple):
    """How each comparison went."""

    outcomes: list[Outcome]


class Refused(NamedTuple):
    """The request failed; the error says whether a write may have happened."""

    error: KvError


Answer = Wrote | ReadDone | PageDone | Compared | Refused


class Effects:
    """What one step wants done."""

    __slots__ = ("append", "damaged", "promise", "replies", "send", "wake_at")

    def __init__(self) -> None:
        self.append: list[Entry] = []
        self.send: list[tuple[NodeId, Message]] = []
        self.promise: list[tuple[NodeId, Message]] = []
        self.replies: list[tuple[int, Answer]] = []
        self.wake_at: Millis | None = None
        self.damaged: list[bytes] = []
        """Keys whose rows were found damaged; the others are asked about them."""
