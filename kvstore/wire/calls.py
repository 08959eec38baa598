"""Requests and answers about data: `Call` and `Reply` of kv.proto."""

from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import GroupId
from kvstore.node.requests import (
    Answer,
    DataRequest,
    Failure,
    Found,
    OutcomeFound,
    OutcomeRequest,
    PageFound,
    PageRequest,
    ReadRequest,
    Receipt,
    Told,
    WriteRequest,
    Written,
)
from kvstore.v1 import kv_pb2 as pb


def request_of(call: pb.Call) -> DataRequest:
    """What a call asks. Raises MalformedFrame if it asks nothing."""
    group = GroupId(call.group)
    match call.WhichOneof("body"):
        case "write":
            write = call.write
            return WriteRequest(group, write.commands, write.acks, write.write_quorum, write.sloppy)
        case "read":
            read = call.read
            return ReadRequest(group, list(read.keys), read.level, read.max_staleness_ms, read.read_quorum)
        case "page":
            page = call.page
            return PageRequest(
                group,
                page.start,
                page.end,
                page.limit,
                page.bytes_max,
                page.keys_only,
                page.level,
                page.max_staleness_ms,
                page.read_quorum,
            )
        case "outcome":
            return OutcomeRequest(group, call.outcome.client, call.outcome.sequence)
    raise MalformedFrame(f"call {call.id} asks nothing")


def call_of(number: int, deadline_ms: int, request: DataRequest) -> pb.Call:
    """The inverse of `request_of`."""
    call = pb.Call(id=number, group=request.group, deadline_ms=deadline_ms)
    match request:
        case WriteRequest():
            call.write.commands = request.commands
            call.write.acks = request.acks  # type: ignore[assignment]
            call.write.write_quorum = request.write_quorum
            call.write.sloppy = request.sloppy  # type: ignore[assignment]
        case ReadRequest():
            call.read.SetInParent()
            call.read.keys.extend(request.keys)
            call.read.level = request.level  # type: ignore[assignment]
            call.read.max_staleness_ms = request.max_staleness_ms
            call.read.read_quorum = request.read_quorum
        case PageRequest():
            call.page.SetInParent()
            call.page.start, call.page.end = request.start, request.end
            call.page.limit, call.page.bytes_max = request.limit, request.bytes_max
            call.page.keys_only, call.page.max_staleness_ms = request.keys_only, request.max_staleness_ms
            call.page.level = request.level  # type: ignore[assignment]
            call.page.read_quorum = request.read_quorum
        case OutcomeRequest():
            call.outcome.client, call.outcome.sequence = request.client, request.sequence
    return call


def receipt_to(receipt: Receipt) -> pb.Receipt:
    return pb.Receipt(
        mode=receipt.mode,
        group=receipt.group,
        partition=receipt.partition,
        term=receipt.term,
        node=receipt.node,
        acknowledged=receipt.acknowledged,
        on_disk=receipt.on_disk,
        index=receipt.index,
        stamp=receipt.stamp,
        staleness_ms=receipt.staleness_ms,
        by_lease=receipt.by_lease,
        sloppy=receipt.sloppy,
        siblings=receipt.siblings,
        repaired=receipt.repaired,
    )


def receipt_of(receipt: pb.Receipt) -> Receipt:
    return Receipt(
        mode=receipt.mode,
        group=receipt.group,
        partition=receipt.partition,
        term=receipt.term,
        node=receipt.node,
        acknowledged=receipt.acknowledged,
        on_disk=receipt.on_disk,
        index=receipt.index,
        stamp=receipt.stamp,
        staleness_ms=receipt.staleness_ms,
        by_lease=receipt.by_lease,
        sloppy=receipt.sloppy,
        siblings=receipt.siblings,
        repaired=receipt.repaired,
    )


def failure_to(failure: Failure) -> pb.Failure:
    return pb.Failure(
        code=failure.code,
        message=failure.message,
        definite=failure.definite,
        retryable=failure.retryable,
        facts=failure.facts,
    )


def failure_of(failure: pb.Failure) -> Failure:
    return Failure(failure.code, failure.message, failure.definite, failure.retryable, failure.facts)


def reply_of(number: int, answer: Answer) -> pb.Reply:
    """An answer as the reply to call `number`."""
    match answer:
        case Written(results=results, receipt=receipt):
            return pb.Reply(id=number, results=results, receipt=receipt_to(receipt))
        case Found(versions=versions, receipt=receipt):
            return pb.Reply(id=number, versions=versions, receipt=receipt_to(receipt))
        case PageFound(rows=rows, more=more, receipt=receipt):
            return pb.Reply(id=number, page=pb.PageReply(rows=rows, more=more), receipt=receipt_to(receipt))
        case OutcomeFound(outcome=outcome, receipt=receipt):
            return pb.Reply(id=number, outcome=outcome, receipt=receipt_to(receipt))
        case Failure():
            return pb.Reply(id=number, failure=failure_to(answer))
        case Told():
            raise MalformedFrame("an answer about the cluster has no place in a session")


def answer_of(reply: pb.Reply) -> Answer:
    """The inverse of `reply_of`. Raises MalformedFrame if it answers nothing."""
    match reply.WhichOneof("body"):
        case "results":
            return Written(reply.results, receipt_of(reply.receipt))
        case "versions":
            return Found(reply.versions, receipt_of(reply.receipt))
        case "page":
            return PageFound(reply.page.rows, reply.page.more, receipt_of(reply.receipt))
        case "outcome":
            return OutcomeFound(reply.outcome, receipt_of(reply.receipt))
        case "failure":
            return failure_of(reply.failure)
    raise MalformedFrame(f"reply {reply.id} answers nothing")
