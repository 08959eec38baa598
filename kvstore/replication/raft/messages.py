"""Each message of a Raft group and the promise it makes.

Instants (`sent_at`, `at`, `echo`) are milliseconds of one node's monotonic clock. They are never compared with another
node's clock: `sent_at` is the leader's and comes back in the reply; `at` is the follower's and comes back as `echo`.
Entries of one message are consecutive: the first follows `previous`, so the wire needs only terms and payloads.
"""

import msgspec

from kvstore.core.entries import NOTHING, Entry, LogEnd
from kvstore.core.ids import Index, Millis, Term


class VoteRequest(msgspec.Struct, frozen=True, gc=False):
    """A candidate asks for our vote. We grant at most one per term.

    The candidate's own vote is on its disk before the request leaves. `pre`: only a question, `term` is the term it
    would campaign in, and nobody records anything. `transfer`: the leader itself asked for this election, so that
    having heard from it lately is no reason to refuse.
    """

    term: Term
    log_end: LogEnd
    pre: bool = False
    transfer: bool = False


class VoteReply(msgspec.Struct, frozen=True, gc=False):
    """Our answer. A granted vote (not `pre`) is on disk before it leaves.

    `term` is our own, except in a granted pre-vote: there it is the term that was asked about.
    """

    term: Term
    granted: bool
    pre: bool = False


class AppendRequest(msgspec.Struct, frozen=True, gc=False):
    """The leader of `term` has these entries right after `previous`, and everything up to `commit` is decided.

    `echo`: the latest `at` the leader has from this follower, given only while it holds its lease: `commit` covers
    everything that was committed before that instant of the follower's clock.
    """

    term: Term
    previous: LogEnd
    entries: tuple[Entry, ...]
    commit: Index
    sent_at: Millis
    echo: Millis | None = None


class AppendReply(msgspec.Struct, frozen=True, gc=False):
    """Accepted: my log equals yours up to `match`, and it is on my disk. Rejected: I lack the entry before yours.

    `rejected` is the index of that `previous` (0: accepted); `hint` is then the last entry of mine that may still be
    in your log, and `match` says how far they are equal, on disk or not. `recovering`: I lost my disk and am no
    witness of anything yet. `needs_image`: my state is damaged, send me an image of at least this index although our
    logs match.
    """

    term: Term
    match: Index
    sent_at: Millis
    at: Millis
    rejected: Index = Index(0)
    hint: LogEnd = NOTHING
    recovering: bool = False
    needs_image: Index | None = None


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """I still lead `term`. `sent`: the last entry I sent you. `context`: the latest read round, to be confirmed.

    `quiesce`: we are idle and alike; if you agree, stop your clock until somebody has news.
    """

    term: Term
    commit: Index
    sent: Index
    sent_at: Millis
    context: int = 0
    quiesce: bool = False
    echo: Millis | None = None


class HeartbeatReply(msgspec.Struct, frozen=True, gc=False):
    """When this was sent, I had not voted in any term above `term`.

    My log equals yours up to `received`, of which `persisted` is on my disk; `missing`: `received` falls short of
    what you said you had sent. `quiesced`: I am quiet now. Others as in AppendReply.
    """

    term: Term
    sent_at: Millis
    at: Millis
    context: int
    received: Index
    persisted: Index
    commit: Index
    missing: bool = False
    quiesced: bool = False
    recovering: bool = False
    needs_image: Index | None = None


class TimeoutNow(msgspec.Struct, frozen=True, gc=False):
    """The leader of `term` hands over: campaign at once. It has given up its lease for the rest of this term."""

    term: Term


class SnapshotChunk(msgspec.Struct, frozen=True, gc=False):
    """A part of the state as of `mark`. An empty `cursor` begins an image; `done` marks the last part."""

    term: Term
    mark: LogEnd
    cursor: bytes
    data: bytes
    next_cursor: bytes
    done: bool
    sent_at: Millis


class SnapshotReply(msgspec.Struct, frozen=True, gc=False):
    """Everything of the image `mark` before `cursor` is on my disk; go on there. `done`: I need no more of it."""

    term: Term
    mark: LogEnd
    cursor: bytes
    done: bool
    sent_at: Millis
    at: Millis
    recovering: bool = False


class TermQuery(msgspec.Struct, frozen=True, gc=False):
    """I lost my disk: which term are you in? `nonce` tells this loss from an earlier one."""

    nonce: int


class TermReply(msgspec.Struct, frozen=True, gc=False):
    """I have `term` on disk: I asked for votes in no later one."""

    term: Term
    nonce: int


class RecoveryQuery(msgspec.Struct, frozen=True, gc=False):
    """I lost my disk and know everyone's term: up to which index must I be before I may vote again?"""

    term: Term
    nonce: int


class RecoveryReply(msgspec.Struct, frozen=True, gc=False):
    """A majority without you confirmed, after your query, that I lead `term`; everything up to `commit` is decided."""

    term: Term
    nonce: int
    commit: Index


Message = (
    VoteRequest
    | VoteReply
    | AppendRequest
    | AppendReply
    | Heartbeat
    | HeartbeatReply
    | TimeoutNow
    | SnapshotChunk
    | SnapshotReply
    | TermQuery
    | TermReply
    | RecoveryQuery
    | RecoveryReply
)
