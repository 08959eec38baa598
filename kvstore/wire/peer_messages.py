"""Messages between nodes: the dataclasses of `replication/raft/messages.py` and `node/effects.py`, and peer.proto.

One pair of functions per message, in two tables. The hot ones (appends, heartbeats and their replies) come first.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import Incarnation, Index, Millis, Term
from kvstore.node.effects import Forward, ForwardReply, PeerMessage, Pulse
from kvstore.node.requests import (
    AdminRequest,
    CreateKeyspaceRequest,
    DataRequest,
    DropKeyspaceRequest,
    OutcomeRequest,
    PageRequest,
    ReadRequest,
    RepairRequest,
    Request,
    ScrubRequest,
    StatusRequest,
    Told,
    TransferRequest,
    WriteRequest,
)
from kvstore.replication.raft import messages as raft
from kvstore.v1 import peer_pb2 as pb
from kvstore.wire import leaderless_messages
from kvstore.wire.calls import answer_of, call_of, reply_of, request_of

_ADMIN: tuple[type[AdminRequest], ...] = (
    CreateKeyspaceRequest,
    DropKeyspaceRequest,
    TransferRequest,
    RepairRequest,
    ScrubRequest,
    StatusRequest,
)
_DATA = (WriteRequest, ReadRequest, PageRequest, OutcomeRequest)
_LIMIT = 1 << 32


def put_message(addressed: pb.Addressed, message: PeerMessage) -> None:
    """Write a message into its field."""
    _PUT[type(message)](addressed, message)


def message_of(addressed: pb.Addressed) -> PeerMessage:
    """The message in it. Raises MalformedFrame if there is none of a known kind."""
    kind = addressed.WhichOneof("message")
    if kind is None:
        raise MalformedFrame("a frame holds a message of no known kind")
    return _READ[kind](getattr(addressed, kind))


# ── appends ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _put_append_request(addressed: pb.Addressed, message: raft.AppendRequest) -> None:
    to = addressed.append_request
    to.term = message.term
    to.previous_term, to.previous_index = message.previous
    to.commit, to.sent_at = message.commit, message.sent_at
    for entry in message.entries:
        to.terms.append(entry[0])
        to.payloads.append(entry[2])
    if message.echo is not None:
        to.echo = message.echo


def _append_request_of(it: pb.AppendRequest) -> raft.AppendRequest:
    first = it.previous_index + 1
    terms, payloads = it.terms, it.payloads
    if len(terms) != len(payloads):
        raise MalformedFrame(f"an append has {len(payloads)} payloads for {len(terms)} terms")
    return raft.AppendRequest(
        Term(it.term),
        LogEnd(Term(it.previous_term), Index(it.previous_index)),
        tuple(
            Entry(Term(term), Index(first + i), payload)
            for i, (term, payload) in enumerate(zip(terms, payloads, strict=True))
        ),
        Index(it.commit),
        Millis(it.sent_at),
        Millis(it.echo) if it.HasField("echo") else None,
    )


def _put_append_reply(addressed: pb.Addressed, message: raft.AppendReply) -> None:
    to = addressed.append_reply
    to.term, to.match, to.sent_at, to.at = message.term, message.match, message.sent_at, message.at
    if message.rejected:
        to.rejected = message.rejected
        to.hint_term, to.hint_index = message.hint
    if message.recovering:
        to.recovering = True
    if message.needs_image is not None:
        to.needs_image = message.needs_image


def _append_reply_of(it: pb.AppendReply) -> raft.AppendReply:
    return raft.AppendReply(
        Term(it.term),
        Index(it.match),
        Millis(it.sent_at),
        Millis(it.at),
        Index(it.rejected),
        LogEnd(Term(it.hint_term), Index(it.hint_index)),
        it.recovering,
        Index(it.needs_image) if it.HasField("needs_image") else None,
    )


def _put_heartbeat(addressed: pb.Addressed, message: raft.Heartbeat) -> None:
    to = addressed.heartbeat
    to.term, to.commit, to.sent, to.sent_at = message.term, message.commit, message.sent, message.sent_at
    to.context, to.quiesce = message.context, message.quiesce
    if message.echo is not None:
        to.echo = message.echo


def _heartbeat_of(it: pb.Heartbeat) -> raft.Heartbeat:
    echo = Millis(it.echo) if it.HasField("echo") else None
    return raft.Heartbeat(
        Term(it.term), Index(it.commit), Index(it.sent), Millis(it.sent_at), it.context, it.quiesce, echo
    )


def _put_heartbeat_reply(addressed: pb.Addressed, message: raft.HeartbeatReply) -> None:
    to = addressed.heartbeat_reply
    to.term, to.sent_at, to.at, to.context = message.term, message.sent_at, message.at, message.context
    to.received, to.persisted, to.commit = message.received, message.persisted, message.commit
    to.missing, to.quiesced, to.recovering = message.missing, message.quiesced, message.recovering
    if message.needs_image is not None:
        to.needs_image = message.needs_image


def _heartbeat_reply_of(it: pb.HeartbeatReply) -> raft.HeartbeatReply:
    return raft.HeartbeatReply(
        Term(it.term),
        Millis(it.sent_at),
        Millis(it.at),
        it.context,
        Index(it.received),
        Index(it.persisted),
        Index(it.commit),
        it.missing,
        it.quiesced,
        it.recovering,
        Index(it.needs_image) if it.HasField("needs_image") else None,
    )


# ── elections ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _put_vote_request(addressed: pb.Addressed, message: raft.VoteRequest) -> None:
    to = addressed.vote_request
    to.term, to.pre, to.transfer = message.term, message.pre, message.transfer
    to.log_end.term, to.log_end.index = message.log_end


def _vote_request_of(it: pb.VoteRequest) -> raft.VoteRequest:
    return raft.VoteRequest(Term(it.term), _end_of(it.log_end), it.pre, it.transfer)


def _put_vote_reply(addressed: pb.Addressed, message: raft.VoteReply) -> None:
    to = addressed.vote_reply
    to.term, to.granted, to.pre = message.term, message.granted, message.pre


def _vote_reply_of(it: pb.VoteReply) -> raft.VoteReply:
    return raft.VoteReply(Term(it.term), it.granted, it.pre)


def _put_timeout_now(addressed: pb.Addressed, message: raft.TimeoutNow) -> None:
    addressed.timeout_now.term = message.term


def _timeout_now_of(it: pb.TimeoutNow) -> raft.TimeoutNow:
    return raft.TimeoutNow(Term(it.term))


# ── images and recovery ──────────────────────────────────────────────────────────────────────────────────────────────


def _put_snapshot_chunk(addressed: pb.Addressed, message: raft.SnapshotChunk) -> None:
    to = addressed.snapshot_chunk
    to.term, to.sent_at, to.done = message.term, message.sent_at, message.done
    to.mark.term, to.mark.index = message.mark
    to.cursor, to.data, to.next_cursor = message.cursor, message.data, message.next_cursor


def _snapshot_chunk_of(it: pb.SnapshotChunk) -> raft.SnapshotChunk:
    mark = _end_of(it.mark)
    return raft.SnapshotChunk(Term(it.term), mark, it.cursor, it.data, it.next_cursor, it.done, Millis(it.sent_at))


def _put_snapshot_reply(addressed: pb.Addressed, message: raft.SnapshotReply) -> None:
    to = addressed.snapshot_reply
    to.term, to.cursor, to.done = message.term, message.cursor, message.done
    to.mark.term, to.mark.index = message.mark
    to.sent_at, to.at, to.recovering = message.sent_at, message.at, message.recovering


def _snapshot_reply_of(it: pb.SnapshotReply) -> raft.SnapshotReply:
    sent_at, at = Millis(it.sent_at), Millis(it.at)
    return raft.SnapshotReply(Term(it.term), _end_of(it.mark), it.cursor, it.done, sent_at, at, it.recovering)


def _put_term_query(addressed: pb.Addressed, message: raft.TermQuery) -> None:
    addressed.term_query.nonce = message.nonce


def _term_query_of(it: pb.TermQuery) -> raft.TermQuery:
    return raft.TermQuery(it.nonce)


def _put_term_reply(addressed: pb.Addressed, message: raft.TermReply) -> None:
    addressed.term_reply.term, addressed.term_reply.nonce = message.term, message.nonce


def _term_reply_of(it: pb.TermReply) -> raft.TermReply:
    return raft.TermReply(Term(it.term), it.nonce)


def _put_recovery_query(addressed: pb.Addressed, message: raft.RecoveryQuery) -> None:
    addressed.recovery_query.term, addressed.recovery_query.nonce = message.term, message.nonce


def _recovery_query_of(it: pb.RecoveryQuery) -> raft.RecoveryQuery:
    return raft.RecoveryQuery(Term(it.term), it.nonce)


def _put_recovery_reply(addressed: pb.Addressed, message: raft.RecoveryReply) -> None:
    to = addressed.recovery_reply
    to.term, to.nonce, to.commit = message.term, message.nonce, message.commit


def _recovery_reply_of(it: pb.RecoveryReply) -> raft.RecoveryReply:
    return raft.RecoveryReply(Term(it.term), it.nonce, Index(it.commit))


def _end_of(it: pb.LogEnd) -> LogEnd:
    return LogEnd(Term(it.term), Index(it.index))


# ── between the nodes themselves ─────────────────────────────────────────────────────────────────────────────────────


def _put_pulse(addressed: pb.Addressed, message: Pulse) -> None:
    to = addressed.pulse
    to.incarnation, to.boot, to.wall = message.incarnation, message.boot, message.wall
    to.formed, to.recorded = message.formed, message.recorded


def _pulse_of(it: pb.Pulse) -> Pulse:
    return Pulse(Incarnation(it.incarnation), it.boot, Millis(it.wall), it.formed, Incarnation(it.recorded))


def _put_forward(addressed: pb.Addressed, message: Forward) -> None:
    to = addressed.forward
    to.id, to.deadline_ms = message.id, min(message.deadline_ms, _LIMIT - 1)
    if isinstance(message.request, _DATA):
        to.call.CopyFrom(call_of(message.id, to.deadline_ms, message.request))
    else:
        to.admin = msgspec.msgpack.encode([type(message.request).__name__, message.request])


def _forward_of(it: pb.Forward) -> Forward:
    request: Request
    if it.WhichOneof("request") == "call":
        data: DataRequest = request_of(it.call)
        request = data
    else:
        request = _admin_of(it.admin)
    return Forward(it.id, it.deadline_ms, request)


def _admin_of(data: bytes) -> Request:
    """Raises MalformedFrame."""
    try:
        name, fields = msgspec.msgpack.decode(data, type=tuple[str, msgspec.Raw])
        kind: type[AdminRequest] = next(kind for kind in _ADMIN if kind.__name__ == name)
        return msgspec.msgpack.decode(fields, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, StopIteration) as error:
        raise MalformedFrame(f"not a request about the cluster: {error}") from error


def _put_forward_reply(addressed: pb.Addressed, message: ForwardReply) -> None:
    to = addressed.forward_reply
    to.id = message.id
    if isinstance(message.answer, Told):
        to.told = message.answer.json
    else:
        to.reply.CopyFrom(reply_of(message.id, message.answer))


def _forward_reply_of(it: pb.ForwardReply) -> ForwardReply:
    if it.WhichOneof("answer") == "told":
        return ForwardReply(it.id, Told(it.told))
    return ForwardReply(it.id, answer_of(it.reply))


_PUT: dict[type, Callable[[pb.Addressed, Any], None]] = {
    raft.AppendRequest: _put_append_request,
    raft.AppendReply: _put_append_reply,
    raft.Heartbeat: _put_heartbeat,
    raft.HeartbeatReply: _put_heartbeat_reply,
    raft.VoteRequest: _put_vote_request,
    raft.VoteReply: _put_vote_reply,
    raft.TimeoutNow: _put_timeout_now,
    raft.SnapshotChunk: _put_snapshot_chunk,
    raft.SnapshotReply: _put_snapshot_reply,
    raft.TermQuery: _put_term_query,
    raft.TermReply: _put_term_reply,
    raft.RecoveryQuery: _put_recovery_query,
    raft.RecoveryReply: _put_recovery_reply,
    Pulse: _put_pulse,
    Forward: _put_forward,
    ForwardReply: _put_forward_reply,
    **leaderless_messages.PUT,
}

_READ: dict[str, Callable[[Any], PeerMessage]] = {
    "append_request": _append_request_of,
    "append_reply": _append_reply_of,
    "heartbeat": _heartbeat_of,
    "heartbeat_reply": _heartbeat_reply_of,
    "vote_request": _vote_request_of,
    "vote_reply": _vote_reply_of,
    "timeout_now": _timeout_now_of,
    "snapshot_chunk": _snapshot_chunk_of,
    "snapshot_reply": _snapshot_reply_of,
    "term_query": _term_query_of,
    "term_reply": _term_reply_of,
    "recovery_query": _recovery_query_of,
    "recovery_reply": _recovery_reply_of,
    "pulse": _pulse_of,
    "forward": _forward_of,
    "forward_reply": _forward_reply_of,
    **leaderless_messages.READ,
}
