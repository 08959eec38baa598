"""Events and Effects: what happens to a replica, what it then wants done, and the law between the two.

The law, in the order the world owes it:

1. Everything to persist, of one step in one transaction, steps in their order: `ballot`, `standing`, `truncate_from`,
   `append`, `store_chunk`, `install`.
2. `send` may leave at once. `promise` may leave only when everything that this step *and all earlier steps of the
   group* asked to persist is on disk; in their order.
3. `committed` goes to the state machine, in order. Entries at or below its applied index (after a restart) are skipped.
4. When a step with `append` or `install` is on disk, the replica is told `Persisted(end)`: the last entry appended,
   or else the mark installed. Of several steps in one transaction, the last one's is enough.
"""

from enum import IntEnum

import msgspec

from kvstore.core.entries import Ballot, Entry, LogEnd
from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.messages import Message, SnapshotChunk


class Standing(IntEnum):
    """Whether a replica's disk can be trusted to remember what it promised."""

    VOTER = 0
    RECOVERING = 1  # it lost its ballot or a part of its log: no vote, no count, until recovery.py says so


# --- events -----------------------------------------------------------------------------------------------------------


class TimePassed(msgspec.Struct, frozen=True, gc=False):
    """The clock moved; nothing else happened. Harmless when early. The first event of every replica's life."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message arrived: perhaps late, twice or out of order, but uncorrupted and really from `sender`."""

    sender: NodeId
    message: Message


class Propose(msgspec.Struct, frozen=True, gc=False):
    """Put these into the log, one entry per payload. Payloads are not empty: that is the leader's first entry."""

    payloads: tuple[bytes, ...]


class Persisted(msgspec.Struct, frozen=True, gc=False):
    """The disk holds the log up to this entry, written by the latest step that had it as its end."""

    end: LogEnd


class ReadRequested(msgspec.Struct, frozen=True, gc=False):
    """A linearizable read. `context` is the asker's own number for it and comes back in `reads_ready` or `_failed`."""

    context: int


class TransferLeadership(msgspec.Struct, frozen=True, gc=False):
    """Hand the leadership to `to`, or to the follower best suited (None). Ignored unless we lead."""

    to: NodeId | None = None


class Compact(msgspec.Struct, frozen=True, gc=False):
    """The state machine is durable up to here: forget the entries up to it. Never goes beyond the commit index."""

    upto: Index


class PeerUp(msgspec.Struct, frozen=True, gc=False):
    """A node can be reached (again). `restarted`: it is another process than the one we knew."""

    node: NodeId
    restarted: bool = False


class PeerDown(msgspec.Struct, frozen=True, gc=False):
    """A node was not heard from for a while."""

    node: NodeId


class ChunkRead(msgspec.Struct, frozen=True, gc=False):
    """The part of our state that `chunks_wanted` asked for.

    If the image asked about is gone, the node opens a new one and answers with its mark and from an empty cursor.
    """

    peer: NodeId
    mark: LogEnd
    cursor: bytes
    data: bytes
    next_cursor: bytes
    done: bool


class Damaged(msgspec.Struct, frozen=True, gc=False):
    """The local state machine is corrupt: it needs a fresh image. (Lost log rows: start as RECOVERING instead.)"""


Event = (
    TimePassed
    | Received
    | Propose
    | Persisted
    | ReadRequested
    | TransferLeadership
    | Compact
    | PeerUp
    | PeerDown
    | ChunkRead
    | Damaged
)


# --- effects ----------------------------------------------------------------------------------------------------------


class ChunkWanted(msgspec.Struct, frozen=True, gc=False):
    """Read a part of our state for `peer`. `mark` None: open an image at the durable applied index and begin.

    The image must be at least `mark_min`; a younger one is fine. If ours is older, answer when it has got there.
    """

    peer: NodeId
    mark: LogEnd | None
    cursor: bytes
    mark_min: Index = Index(0)


class Effects(msgspec.Struct):
    """What the world owes us, in the order it owes it (see the law above)."""

    ballot: Ballot | None = None
    standing: Standing | None = None
    truncate_from: Index | None = None
    """Delete our persisted entries from here on."""
    append: list[Entry] = []
    """Write these; they follow what is left. Never together with a later `truncate_from`."""
    store_chunk: SnapshotChunk | None = None
    """Write these rows to the staging image; an empty cursor clears it first."""
    install: LogEnd | None = None
    """Comes with the last chunk: point the group at the staged image; the log restarts after this mark, entries up to
    it go, entries after it stay (unless `truncate_from` said otherwise), all in the same transaction."""

    send: list[tuple[NodeId, Message]] = []
    promise: list[tuple[NodeId, Message]] = []

    committed: list[Entry] = []
    """Newly committed, in order, each exactly once; after an `install` again from its mark on."""
    accepted: tuple[Term, Index] | None = None
    """The Propose went into the log at this index and the following ones, in this term."""
    refused: bool = False
    """The Propose did not go into the log, and never will."""
    overloaded: bool = False
    """… because too many bytes wait for their commit already; otherwise because we do not lead, or hand over."""
    reads_ready: list[tuple[int, Index]] = []
    """(context, index): answer when the state machine has applied up to index."""
    reads_failed: list[int] = []
    """We do not lead (any more); ask the leader."""

    chunks_wanted: list[ChunkWanted] = []
    images_over: list[NodeId] = []
    """No more parts will be wanted for this peer: close the image that was opened for it."""
    role_changed: bool = False
    """Our role, or who we believe leads, is another than before."""
    wake_at: Millis | None = None
    """Send TimePassed at this instant (None: nothing to wait for). Replaces the wish of the step before; a world that
    has an earlier alarm set may keep it and let TimePassed come early."""
