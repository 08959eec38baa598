"""KvService: gRPC from clients about data: the Session stream, and unary calls for other languages."""

import logging
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
import msgspec

from kvstore.core.causality import Versions, encode_context
from kvstore.core.commands import Command, Kind, Result, Status, batch_of, decode_results, encode
from kvstore.core.errors import InvalidRequest, KvError, NotReady
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.ids import GroupId, OperationId
from kvstore.core.versions import Version
from kvstore.node.metadata import DEFAULT_KEYSPACE
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
    WriteRequest,
    Written,
)
from kvstore.placement.keyspaces import Keyspace
from kvstore.placement.ring import Ring
from kvstore.server.deadlines import left_ms
from kvstore.server.failures import answering
from kvstore.server.patience import patiently
from kvstore.server.runtime import NodeRuntime
from kvstore.server.session import Session
from kvstore.server.telling import Known, Teller
from kvstore.v1 import kv_pb2 as pb
from kvstore.v1 import kv_pb2_grpc
from kvstore.wire.calls import failure_to, receipt_to

log = logging.getLogger("kvstore.server.kv")

Context = grpc.aio.ServicerContext[Any, Any]
Row = tuple[bytes, Known]
Kept = TypeVar("Kept", Written, Found, PageFound, OutcomeFound)
_KINDS: dict[type[DataRequest], str] = {
    WriteRequest: "write",
    ReadRequest: "read",
    PageRequest: "page",
    OutcomeRequest: "outcome",
}
_OUTCOME: msgspec.msgpack.Decoder[Result | None] = msgspec.msgpack.Decoder(Result | None)
_PUT, _DELETE = int(Kind.PUT), int(Kind.DELETE)


class KvService(kv_pb2_grpc.KvServicer):
    """See proto/kvstore/v1/kv.proto for what each call means."""

    def __init__(self, runtime: NodeRuntime) -> None:
        self._runtime = runtime
        self._client = secrets.randbits(62) | 1
        self._sequence = 0

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────

    async def Session(self, request_iterator: Any, context: Context) -> None:
        await Session(self._runtime, context).run()

    # ── unary calls ──────────────────────────────────────────────────────────────────────────────────────────────

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetReply:
        async with answering(context):
            found = await self._read(context, [request.key], request)
            known, receipt = found[0]
            record = self._teller(request.keyspace).record(request.key, known)
            return pb.GetReply(record=record, receipt=receipt_to(receipt))

    async def GetMany(self, request: pb.GetManyRequest, context: Context) -> pb.GetManyReply:
        async with answering(context):
            keys, teller = list(request.keys), self._teller(request.keyspace)
            found = await self._read(context, keys, request)
            records = [teller.record(key, known) for key, (known, _) in zip(keys, found, strict=True)]
            return pb.GetManyReply(records=records)

    async def Put(self, request: pb.PutRequest, context: Context) -> pb.WriteReply:
        async with answering(context):
            terms = self._teller(request.keyspace).terms(
                request.key, request.if_absent, request.if_version, request.context
            )
            return await self._write(context, request, Command(0, _PUT, request.key, request.value, *terms))

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> pb.WriteReply:
        async with answering(context):
            teller = self._teller(request.keyspace)
            terms = teller.terms(request.key, False, request.if_version, request.context)
            if teller.is_leaderless and not (request.context or request.if_version):
                known, receipt = (await self._read(context, [request.key], pb.GetRequest(keyspace=request.keyspace)))[0]
                assert isinstance(known, Versions), "a leaderless keyspace has no other rows"
                if known.is_deleted:
                    return pb.WriteReply(receipt=receipt_to(receipt))
                terms = (*terms[:2], encode_context(known.context))
            return await self._write(context, request, Command(0, _DELETE, request.key, b"", *terms))

    async def PutMany(self, request: pb.PutManyRequest, context: Context) -> pb.PutManyReply:
        async with answering(context):
            return await self._put_many(request, context)

    async def Scan(self, request: pb.ScanRequest, context: Context) -> AsyncIterator[pb.ScanReply]:
        async with answering(context):
            async for reply in self._scan(request, context):
                yield reply

    async def Outcome(self, request: pb.OutcomeRequest, context: Context) -> pb.OutcomeReply:
        async with answering(context):
            teller = self._teller(request.keyspace)
            keyspace = teller.keyspace
            partitions = keyspace.partitions
            if request.key:
                partitions = (partitions[keyspace.partition_of(request.key)],)
            operation = request.operation
            for partition in partitions:
                asked = OutcomeRequest(partition.group, operation.client, operation.sequence)
                found = _checked(await self._ask(context, asked), OutcomeFound)
                outcome = _OUTCOME.decode(found.outcome)
                if outcome is not None:
                    return self._outcome(teller, request.key, partition.group, outcome)
            return pb.OutcomeReply(outcome=pb.OutcomeReply.OUTCOME_NOT_SEEN)

    async def _ask(self, context: Context, request: DataRequest) -> Answer:
        """The node's answer, after several tries if leaders move; measured as those of sessions are."""
        arrived, metrics, kind = time.perf_counter(), self._runtime.metrics, _KINDS[type(request)]
        runtime = self._runtime
        answer = await patiently(
            lambda left: runtime.answer(request, left), left_ms(context), lambda: runtime.node.gate.stopping
        )
        metrics.request_seconds.labels(kind).observe(time.perf_counter() - arrived)
        if isinstance(answer, Failure):
            metrics.errors.labels(kind, answer.code).inc()
        return answer

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ring(self) -> Ring:
        ring = self._runtime.node.ring
        if ring is None:
            raise NotReady("the node does not know the ring yet")
        return ring

    def _keyspace(self, name: str) -> Keyspace:
        return self._ring().keyspace(name or DEFAULT_KEYSPACE)

    def _teller(self, name: str) -> Teller:
        return Teller(self._keyspace(name), self._ring().timeline)

    def _operation(self, operation: pb.OperationId) -> OperationId:
        """The client's operation id; a drawn one if it sent none."""
        if operation.client:
            return OperationId(operation.client, operation.sequence)  # type: ignore[arg-type]
        self._sequence += 1
        return OperationId(self._client, self._sequence)  # type: ignore[arg-type]

    async def _read(
        self, context: Context, keys: list[bytes], asked: pb.GetRequest | pb.GetManyRequest
    ) -> list[tuple[Known, Receipt]]:
        teller = self._teller(asked.keyspace)
        groups: dict[GroupId, list[int]] = {}
        for position, key in enumerate(keys):
            groups.setdefault(teller.group_of(key), []).append(position)
        rows: dict[int, tuple[Known, Receipt]] = {}
        for group, positions in groups.items():
            some = [keys[position] for position in positions]
            request = ReadRequest(group, some, asked.level, asked.max_staleness_ms, asked.read_quorum)
            found = _checked(await self._ask(context, request), Found)
            for position, known in zip(positions, teller.rows(found.versions), strict=True):
                rows[position] = (known, found.receipt)
        return [rows[position] for position in range(len(keys))]

    async def _write(
        self, context: Context, request: pb.PutRequest | pb.DeleteRequest, command: Command
    ) -> pb.WriteReply:
        teller = self._teller(request.keyspace)
        client, sequence = self._operation(request.operation)
        command = msgspec.structs.replace(command, sequence=sequence)
        data = encode(batch_of(client, 0, [command]))
        group = teller.group_of(command.key)
        asked = WriteRequest(group, data, request.acks, request.write_quorum, request.sloppy)
        written = _checked(await self._ask(context, asked), Written)
        version = teller.written(command.key, decode_results(written.results)[0])
        return pb.WriteReply(version=version, found=bool(version), receipt=receipt_to(written.receipt))

    async def _put_many(self, request: pb.PutManyRequest, context: Context) -> pb.PutManyReply:
        teller = self._teller(request.keyspace)
        groups: dict[GroupId, list[int]] = {}
        for position, pair in enumerate(request.pairs):
            groups.setdefault(teller.group_of(pair.key), []).append(position)
        if request.atomic and len(groups) > 1:
            raise InvalidRequest(f"an atomic batch stays in one partition; these keys are in {len(groups)}")
        terms = [teller.terms(pair.key, False, "", pair.context) for pair in request.pairs]
        reply = pb.PutManyReply(versions=[""] * len(request.pairs))
        for group, positions in groups.items():
            commands = []
            for position in positions:
                pair, number = request.pairs[position], self._operation(pb.OperationId())[1]
                commands.append(Command(number, _PUT, pair.key, pair.value, *terms[position]))
            data = encode(batch_of(self._client, 0, commands, atomic=request.atomic))
            asked = WriteRequest(group, data, request.acks, request.write_quorum, request.sloppy)
            self._tell_many(teller, request, positions, await self._ask(context, asked), reply)
        return reply

    @staticmethod
    def _tell_many(
        teller: Teller, request: pb.PutManyRequest, positions: list[int], answer: Answer, reply: pb.PutManyReply
    ) -> None:
        """What became of the pairs of one partition."""
        if not isinstance(answer, Written):
            failed = _checked_failure(answer)
            reply.failures.extend(_with_key(failed, request.pairs[position].key) for position in positions)
            return
        for position, result in zip(positions, decode_results(answer.results), strict=True):
            try:
                reply.versions[position] = teller.written(request.pairs[position].key, result)
            except KvError as error:
                reply.failures.append(failure_to(Failure.of(error)))

    async def _scan(self, request: pb.ScanRequest, context: Context) -> AsyncIterator[pb.ScanReply]:
        """Pages in key order over all partitions: of each the next rows, as far as every partition has been read."""
        teller = self._teller(request.keyspace)
        groups = [partition.group for partition in teller.keyspace.partitions]
        cursors: dict[GroupId, bytes | None] = dict.fromkeys(groups, request.start)
        waiting: dict[GroupId, list[Row]] = {group: [] for group in groups}
        left = request.limit or None
        while True:
            for group, cursor in cursors.items():
                if not waiting[group] and cursor is not None:
                    page = await self._page(context, group, cursor, request, left)
                    waiting[group], cursors[group] = teller.page(page.rows), None
                    if page.more:
                        cursors[group] = waiting[group][-1][0] + b"\0"
            known = [waiting[group][-1][0] for group, cursor in cursors.items() if cursor is not None]
            bound = min(known) if known else None
            rows: list[Row] = []
            for group, held in waiting.items():
                ready = [row for row in held if bound is None or row[0] <= bound]
                waiting[group] = held[len(ready) :]
                rows += [row for row in ready if not (isinstance(row[1], Versions) and row[1].is_deleted)]
            rows.sort(key=lambda row: row[0])
            if left is not None:
                rows = rows[:left]
                left -= len(rows)
            if rows:
                yield pb.ScanReply(records=_shown(request, [teller.record(*row) for row in rows]))
            if left == 0 or bound is None:
                return

    async def _page(
        self, context: Context, group: GroupId, start: bytes, request: pb.ScanRequest, left: int | None
    ) -> PageFound:
        asked = PageRequest(
            group,
            start,
            request.end,
            left or 0,
            keys_only=request.keys_only,
            level=request.level,
            read_quorum=request.read_quorum,
        )
        return _checked(await self._ask(context, asked), PageFound)

    @staticmethod
    def _outcome(teller: Teller, key: bytes, group: GroupId, result: Result) -> pb.OutcomeReply:
        """The version of a leaderless write is known only with its key."""
        if result.status != Status.WRITTEN:
            return pb.OutcomeReply(outcome=pb.OutcomeReply.OUTCOME_REFUSED)
        version = ""
        if not teller.is_leaderless:
            version = str(Version(teller.timeline, group, Stamp(result.stamp)))
        elif key and result.context:
            version = teller.version(key, result.stamp, result.context)
        return pb.OutcomeReply(outcome=pb.OutcomeReply.OUTCOME_WRITTEN, version=version)


def _shown(request: pb.ScanRequest, records: list[pb.Record]) -> list[pb.Record]:
    """The records, without values if only keys are wanted."""
    for record in records if request.keys_only else ():
        record.ClearField("value")
        record.ClearField("siblings")
    return records


def _checked(answer: Answer, kind: type[Kept]) -> Kept:
    if isinstance(answer, kind):
        return answer
    raise _checked_failure(answer).error()


def _checked_failure(answer: Answer) -> Failure:
    assert isinstance(answer, Failure), f"an answer of another kind than asked: {type(answer).__name__}"
    return answer


def _with_key(failure: Failure, key: bytes) -> pb.Failure:
    error = failure.error()
    error.facts["key"] = key
    return failure_to(Failure.of(error))
