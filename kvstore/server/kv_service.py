"""KvService: gRPC from clients about data: the Session stream, and unary calls for other languages."""

import logging
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
import msgspec

from kvstore.core.commands import Command, Condition, Kind, Status, batch_of, decode_results, encode
from kvstore.core.errors import InvalidRequest, KvError, NotReady, PreconditionFailed
from kvstore.core.hybrid_clock import Stamp, wall_of
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
from kvstore.v1 import kv_pb2 as pb
from kvstore.v1 import kv_pb2_grpc
from kvstore.wire.calls import failure_to, receipt_to

log = logging.getLogger("kvstore.server.kv")

Context = grpc.aio.ServicerContext[Any, Any]
Row = tuple[bytes, int, bytes]
Kept = TypeVar("Kept", Written, Found, PageFound, OutcomeFound)
_KINDS: dict[type[DataRequest], str] = {
    WriteRequest: "write",
    ReadRequest: "read",
    PageRequest: "page",
    OutcomeRequest: "outcome",
}
_VERSIONS = msgspec.msgpack.Decoder(list[tuple[int, bytes] | None])
_ROWS = msgspec.msgpack.Decoder(list[Row])
_OUTCOME = msgspec.msgpack.Decoder(tuple[int, ...] | None)


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
            found = await self._read(context, request.keyspace, [request.key], request.level, request.max_staleness_ms)
            record, receipt = found[0]
            return pb.GetReply(record=record, receipt=receipt_to(receipt))

    async def GetMany(self, request: pb.GetManyRequest, context: Context) -> pb.GetManyReply:
        async with answering(context):
            keys = list(request.keys)
            found = await self._read(context, request.keyspace, keys, request.level, request.max_staleness_ms)
            return pb.GetManyReply(records=[record for record, _ in found])

    async def Put(self, request: pb.PutRequest, context: Context) -> pb.WriteReply:
        async with answering(context):
            condition, stamp = self._condition(request, request.if_absent)
            command = Command(0, Kind.PUT.value, request.key, request.value, condition, stamp)
            return await self._write(context, request.keyspace, command, request.operation, request.acks)

    async def Delete(self, request: pb.DeleteRequest, context: Context) -> pb.WriteReply:
        async with answering(context):
            condition, stamp = self._condition(request)
            command = Command(0, Kind.DELETE.value, request.key, b"", condition, stamp)
            return await self._write(context, request.keyspace, command, request.operation, request.acks)

    async def PutMany(self, request: pb.PutManyRequest, context: Context) -> pb.PutManyReply:
        async with answering(context):
            return await self._put_many(request, context)

    async def Scan(self, request: pb.ScanRequest, context: Context) -> AsyncIterator[pb.ScanReply]:
        async with answering(context):
            async for reply in self._scan(request, context):
                yield reply

    async def Outcome(self, request: pb.OutcomeRequest, context: Context) -> pb.OutcomeReply:
        async with answering(context):
            keyspace = self._keyspace(request.keyspace)
            partitions = keyspace.partitions
            if request.key:
                partitions = (partitions[keyspace.partition_of(request.key)],)
            operation = request.operation
            for partition in partitions:
                asked = OutcomeRequest(partition.group, operation.client, operation.sequence)
                found = _checked(await self._ask(context, asked), OutcomeFound)
                outcome = _OUTCOME.decode(found.outcome)
                if outcome is not None:
                    return self._outcome(partition.group, outcome)
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

    def _version(self, group: GroupId, stamp: int) -> str:
        return str(Version(self._ring().timeline, group, Stamp(stamp)))

    def _condition(self, write: pb.PutRequest | pb.DeleteRequest, if_absent: bool = False) -> tuple[int, int]:
        if if_absent and write.if_version:
            raise InvalidRequest("if_absent and if_version exclude each other")
        if write.if_version:
            version = Version.parse(write.if_version)
            version.check(self._ring().timeline)
            keyspace = self._keyspace(write.keyspace)
            version.check_group(keyspace.partitions[keyspace.partition_of(write.key)].group, write.key)
            return Condition.STAMP.value, version.stamp
        return (Condition.ABSENT if if_absent else Condition.NONE).value, 0

    def _operation(self, operation: pb.OperationId) -> OperationId:
        """The client's operation id; a drawn one if it sent none."""
        if operation.client:
            return OperationId(operation.client, operation.sequence)  # type: ignore[arg-type]
        self._sequence += 1
        return OperationId(self._client, self._sequence)  # type: ignore[arg-type]

    async def _read(
        self, context: Context, name: str, keys: list[bytes], level: int, max_staleness_ms: int
    ) -> list[tuple[pb.Record, Receipt]]:
        keyspace = self._keyspace(name)
        groups: dict[GroupId, list[int]] = {}
        for position, key in enumerate(keys):
            groups.setdefault(keyspace.partitions[keyspace.partition_of(key)].group, []).append(position)
        records: list[tuple[pb.Record, Receipt] | None] = [None] * len(keys)
        for group, positions in groups.items():
            request = ReadRequest(group, [keys[position] for position in positions], level, max_staleness_ms)
            found = _checked(await self._ask(context, request), Found)
            versions = _VERSIONS.decode(found.versions)
            for position, version in zip(positions, versions, strict=True):
                records[position] = (self._record(group, keys[position], version), found.receipt)
        return [record for record in records if record is not None]

    def _record(self, group: GroupId, key: bytes, version: tuple[int, bytes] | None) -> pb.Record:
        if version is None:
            return pb.Record(key=key)
        stamp, value = version
        written_ms = wall_of(Stamp(stamp))
        return pb.Record(key=key, exists=True, value=value, version=self._version(group, stamp), written_ms=written_ms)

    async def _write(
        self, context: Context, name: str, command: Command, operation: pb.OperationId, acks: int
    ) -> pb.WriteReply:
        keyspace = self._keyspace(name)
        group = keyspace.partitions[keyspace.partition_of(command.key)].group
        client, sequence = self._operation(operation)
        command = msgspec.structs.replace(command, sequence=sequence)
        data = encode(batch_of(client, 0, [command]))
        answer = await self._ask(context, WriteRequest(group, data, acks))
        written = _checked(answer, Written)
        result = decode_results(written.results)[0]
        if result.status == Status.FAILED_CONDITION:
            raise _precondition_failed(command.key, self._version(group, result.stamp) if result.stamp else None)
        found = result.status == Status.WRITTEN
        version = self._version(group, result.stamp) if found else ""
        return pb.WriteReply(version=version, found=found, receipt=receipt_to(written.receipt))

    async def _put_many(self, request: pb.PutManyRequest, context: Context) -> pb.PutManyReply:
        keyspace = self._keyspace(request.keyspace)
        groups: dict[GroupId, list[int]] = {}
        for position, pair in enumerate(request.pairs):
            groups.setdefault(keyspace.partitions[keyspace.partition_of(pair.key)].group, []).append(position)
        if request.atomic and len(groups) > 1:
            raise InvalidRequest(f"an atomic batch stays in one partition; these keys are in {len(groups)}")
        versions = [""] * len(request.pairs)
        failures: list[pb.Failure] = []
        for group, positions in groups.items():
            commands = []
            for position in positions:
                pair = request.pairs[position]
                commands.append(Command(self._operation(pb.OperationId())[1], Kind.PUT.value, pair.key, pair.value))
            data = encode(batch_of(self._client, 0, commands, atomic=request.atomic))
            answer = await self._ask(context, WriteRequest(group, data, request.acks))
            if isinstance(answer, Written):
                for position, result in zip(positions, decode_results(answer.results), strict=True):
                    versions[position] = self._version(group, result.stamp)
            else:
                failed = _checked_failure(answer)
                failures += [_with_key(failed, request.pairs[position].key) for position in positions]
        return pb.PutManyReply(versions=versions, failures=failures)

    async def _scan(self, request: pb.ScanRequest, context: Context) -> AsyncIterator[pb.ScanReply]:
        """Pages in key order over all partitions: of each the next rows, as far as every partition has been read."""
        keyspace = self._keyspace(request.keyspace)
        cursors: dict[GroupId, bytes | None] = {part.group: request.start for part in keyspace.partitions}
        waiting: dict[GroupId, list[Row]] = {part.group: [] for part in keyspace.partitions}
        left = request.limit or None
        while True:
            for group, cursor in cursors.items():
                if not waiting[group] and cursor is not None:
                    waiting[group], cursors[group] = await self._page(context, group, cursor, request, left)
            known = [waiting[group][-1][0] for group, cursor in cursors.items() if cursor is not None]
            bound = min(known) if known else None
            rows: list[tuple[Row, GroupId]] = []
            for group, held in waiting.items():
                ready = [row for row in held if bound is None or row[0] <= bound]
                waiting[group] = held[len(ready) :]
                rows += [(row, group) for row in ready]
            rows.sort()
            if left is not None:
                rows = rows[:left]
                left -= len(rows)
            if rows:
                yield pb.ScanReply(
                    records=[self._record(group, key, (stamp, value)) for (key, stamp, value), group in rows]
                )
            if left == 0 or bound is None:
                return

    async def _page(
        self, context: Context, group: GroupId, start: bytes, request: pb.ScanRequest, left: int | None
    ) -> tuple[list[Row], bytes | None]:
        asked = PageRequest(group, start, request.end, left or 0, keys_only=request.keys_only, level=request.level)
        page = _checked(await self._ask(context, asked), PageFound)
        rows = _ROWS.decode(page.rows)
        return rows, rows[-1][0] + b"\0" if page.more else None

    def _outcome(self, group: GroupId, outcome: tuple[int, ...]) -> pb.OutcomeReply:
        if outcome[0] == Status.WRITTEN:
            return pb.OutcomeReply(outcome=pb.OutcomeReply.OUTCOME_WRITTEN, version=self._version(group, outcome[1]))
        return pb.OutcomeReply(outcome=pb.OutcomeReply.OUTCOME_REFUSED)


def _checked(answer: Answer, kind: type[Kept]) -> Kept:
    if isinstance(answer, kind):
        return answer
    raise _checked_failure(answer).error()


def _checked_failure(answer: Answer) -> Failure:
    assert isinstance(answer, Failure), f"an answer of another kind than asked: {type(answer).__name__}"
    return answer


def _precondition_failed(key: bytes, version: str | None) -> KvError:
    there = f"its version is {version}" if version else "it does not exist"
    return PreconditionFailed(f"the condition does not hold: {there}; nothing was written", key=key, version=version)


def _with_key(failure: Failure, key: bytes) -> pb.Failure:
    error = failure.error()
    error.facts["key"] = key
    return failure_to(Failure.of(error))
