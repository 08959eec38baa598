"""What a node hears and what it wants done: events, messages between nodes, effects.

The law: `batch` is handed to the disk; `send` may leave at once; what was promised on the strength of a batch is kept
inside the node until the disk has said `Persisted`, and comes out as `send` of a later step. `replies` are final.
`rows` are what the log has already: nobody waits for them, and they may take their time beside the batches.
"""

from collections.abc import Sequence

import msgspec

from kvstore.core.ids import GroupId, Incarnation, Millis, NodeId
from kvstore.node.requests import Answer, Request
from kvstore.replication.leaderless.messages import Message as LeaderlessMessage
from kvstore.replication.raft.messages import Message as RaftMessage
from kvstore.storage.engine import Batch

NODE_LEVEL = GroupId(0xFFFF_FFFF)
"""In place of a group: the message is for the node itself."""


class Pulse(msgspec.Struct, frozen=True, gc=False):
    """Sent to every peer each heartbeat: I am here, who I am, and whom I take you for."""

    incarnation: Incarnation
    boot: int
    """Drawn at each start of the process, so that a restart is seen even if nobody missed a beat."""
    wall: Millis
    formed: bool
    """The sender's disk knows the founding members."""
    recorded: Incarnation
    """The incarnation of the receiver that the sender's disk knows; 0 if none."""


class Forward(msgspec.Struct, frozen=True, gc=False):
    """A request of the sender's client, for the leader that the sender believes the receiver to be."""

    id: int
    deadline_ms: int
    request: Request


class ForwardReply(msgspec.Struct, frozen=True, gc=False):
    """The answer to a Forward."""

    id: int
    answer: Answer


PeerMessage = RaftMessage | LeaderlessMessage | Pulse | Forward | ForwardReply
Addressed = tuple[GroupId, PeerMessage]


class TimePassed(msgspec.Struct, frozen=True, gc=False):
    """The clock moved. Nothing else happened."""


class FrameArrived(msgspec.Struct, frozen=True, gc=False):
    """Messages of one peer, in the order it sent them."""

    sender: NodeId
    incarnation: Incarnation
    messages: Sequence[Addressed]


class LinkLost(msgspec.Struct, frozen=True, gc=False):
    """The last connection on which a peer spoke to us ended: its process may be gone. If not, it is heard again soon.

    `incarnation` is who it said it was, None if that is not known: the end of an earlier life, or of a stranger under a
    peer's name, says nothing about the peer.
    """

    peer: NodeId
    incarnation: Incarnation | None = None


class PeerRefused(msgspec.Struct, frozen=True, gc=False):
    """A peer wanted to speak to us and was not let in: its configuration and ours do not fit together."""

    peer: NodeId
    why: str


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A client's request. The answer goes to `handle`; after `deadline` (monotonic) nobody waits for it."""

    handle: int
    request: Request
    deadline: Millis


class Persisted(msgspec.Struct, frozen=True, gc=False):
    """The batch with this ticket, and all before it, are on disk."""

    ticket: int
    duration_ms: float = 0.0


class RowsWritten(msgspec.Struct, frozen=True, gc=False):
    """The `rows` with this ticket, and all before them, are on disk."""

    ticket: int


class Stopping(msgspec.Struct, frozen=True, gc=False):
    """The process is about to end: hand leaderships over and take no new requests."""


Event = TimePassed | FrameArrived | LinkLost | PeerRefused | Asked | Persisted | RowsWritten | Stopping


class Founding(msgspec.Struct, frozen=True):
    """What the manifest must say before the node goes on: the members' incarnations at the founding."""

    members: dict[str, int]


class Effects:
    """What one step wants done. Carried out by `world.carry_out`, in that order."""

    __slots__ = (
        "batch",
        "failure",
        "founding",
        "replies",
        "ring_changed",
        "rows",
        "rows_ticket",
        "send",
        "ticket",
        "wake_at",
    )

    def __init__(self) -> None:
        self.founding: Founding | None = None
        self.send: dict[NodeId, list[Addressed]] = {}
        self.batch: Batch | None = None
        self.ticket = 0
        self.rows: Batch | None = None
        self.rows_ticket = 0
        self.replies: list[tuple[int, Answer]] = []
        self.wake_at: Millis | None = None
        self.ring_changed = False
        self.failure: str | None = None
        """The node cannot go on (its own data is damaged beyond what peers can mend): the process ends, saying this."""
