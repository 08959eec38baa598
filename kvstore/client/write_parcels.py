"""Parcels of writes: commands of this client for one group, encoded once."""

from typing import Final

from kvstore.client.parcels import OPERATION_BYTES, Parcel, retold
from kvstore.client.records import Receipt, Record, Written
from kvstore.client.routing import Route
from kvstore.client.sequencer import Sequencer
from kvstore.core.commands import Command, CommandBatch, Result, Status, decode_results, encode
from kvstore.core.errors import InvalidRequest, KvError, MalformedFrame, OutcomeUnknown, PreconditionFailed
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.ids import GroupId, OperationId
from kvstore.core.versions import Version
from kvstore.v1 import kv_pb2 as pb

_WRITTEN: Final = int(Status.WRITTEN)
_NOT_FOUND: Final = int(Status.NOT_FOUND)


class WriteParcel(Parcel):
    """What parcels of writes share."""

    __slots__ = ("_encoded", "acks", "atomic", "commands", "first", "names")

    is_write = proves_leader = True

    def __init__(self, route: Route, group: GroupId, deadline: float, acks: int, names: Sequencer, first: int) -> None:
        super().__init__(route, group, deadline)
        self.acks, self.names, self.first = acks, names, first
        self.atomic = False
        self.commands: list[Command] = []
        self._encoded: bytes | None = None
        names.opened(self)

    def fill(self, call: pb.Call) -> None:
        if self._encoded is None:
            names = self.names
            batch = CommandBatch(names.client, names.answered_below(), self.atomic, self.commands)
            self._encoded = encode(batch)
        write = call.write
        write.commands = self._encoded
        write.acks = self.acks  # type: ignore[assignment]  # the number of an enum; the stub wants the enum

    def keep(self, positions: list[int]) -> None:
        super().keep(positions)
        self.commands = [self.commands[position] for position in positions]
        self._encoded = None

    def results(self, reply: pb.Reply) -> list[Result]:
        results = decode_results(reply.results)
        if len(results) != len(self.commands):
            raise MalformedFrame(f"{len(results)} results for {len(self.commands)} commands")
        return results

    def operation(self, position: int) -> OperationId:
        return OperationId(self.names.client, self.commands[position].sequence)

    def version(self, stamp: int) -> Version:
        return Version(self.route.timeline, self.group, Stamp(stamp))

    @staticmethod
    def wrote(result: Result) -> bool:
        return result.status == _WRITTEN

    def error_at(self, position: int, error: KvError) -> KvError:
        return retold(error, key=self.commands[position].key, operation=str(self.operation(position)))

    def refusal(self, position: int, result: Result) -> KvError | None:
        """Why a command wrote nothing; None if it did, or had nothing to delete."""
        if result.status in (_WRITTEN, _NOT_FOUND):
            return None
        key = self.commands[position].key
        if result.status == Status.FAILED_CONDITION:
            version = self.version(result.stamp) if result.stamp else None
            current: Record[bytes] = Record(key, version is not None, None, version)
            found = f"its version is {version}" if version is not None else "it does not exist"
            error: KvError = PreconditionFailed(f"{key!r} is not as the condition demands: {found}", current=current)
        elif result.status == Status.NOT_EXECUTED:
            error = InvalidRequest(
                "not executed, because another operation of its atomic batch was refused", reason=False
            )
        else:
            error = OutcomeUnknown(f"the node answered with status {result.status}, which is unknown here")
        return self.error_at(position, error)


class Writes(WriteParcel):
    """Single writes, gathered: each future gets the Version, None for nothing to delete, or in full a Written."""

    __slots__ = ("full",)

    def __init__(
        self, route: Route, group: GroupId, deadline: float, acks: int, names: Sequencer, first: int, full: bool
    ) -> None:
        super().__init__(route, group, deadline, acks, names, first)
        self.full = full

    def settle(self, reply: pb.Reply) -> None:
        results = self.results(reply)
        if self.full:
            self._settle_in_full(results, Receipt.of(reply.receipt))
            return
        timeline, group, position = self.route.timeline, self.group, -1
        for future, result in zip(self.futures, results, strict=True):
            position += 1
            if future.done():
                continue
            if result.status == _WRITTEN:
                future.set_result(Version(timeline, group, result.stamp))  # type: ignore[arg-type]  # it is a Stamp
            else:
                self._settle_refused(position, result)

    def _settle_refused(self, position: int, result: Result) -> None:
        error = self.refusal(position, result)
        if error is None:
            self.futures[position].set_result(None)
        else:
            self.futures[position].set_exception(error)

    def _settle_in_full(self, results: list[Result], receipt: Receipt) -> None:
        for position, result in enumerate(results):
            future = self.futures[position]
            if future.done():
                continue
            error = self.refusal(position, result)
            if error is not None:
                future.set_exception(error)
                continue
            version = self.version(result.stamp) if result.status == _WRITTEN else None
            future.set_result(Written(self.commands[position].key, version, self.operation(position), receipt))


class WholeWrites(WriteParcel):
    """Writes that one caller wants together, atomic or not: the future gets all results."""

    __slots__ = ()

    def __init__(
        self,
        route: Route,
        group: GroupId,
        deadline: float,
        acks: int,
        names: Sequencer,
        commands: list[Command],
        atomic: bool,
    ) -> None:
        super().__init__(route, group, deadline, acks, names, commands[0].sequence)
        self.commands, self.atomic = commands, atomic
        self.size = sum(len(command.key) + len(command.value) + OPERATION_BYTES for command in commands)

    @property
    def count(self) -> int:
        return len(self.commands)

    def keep(self, positions: list[int]) -> None:
        """All or nothing: the one caller waits for all of them, or for none."""
        assert not positions, "there is one future"
        self.futures, self.deadlines = [], []

    def settle(self, reply: pb.Reply) -> None:
        results = self.results(reply)
        if self.futures and not self.futures[0].done():
            self.futures[0].set_result(results)
