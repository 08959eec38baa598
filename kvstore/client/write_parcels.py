"""Parcels of writes: commands of this client for one group, encoded once.

They are kept by columns and get their operation numbers when the parcel is closed. So those of a parcel are consecutive
whatever else is going on, and the batch is nearly always a PutBatch.
"""

from collections.abc import Sequence
from typing import Final

from kvstore.client.options import WriteWay
from kvstore.client.parcels import Parcel, retold
from kvstore.client.records import Receipt, Record, Written
from kvstore.client.routing import Route
from kvstore.client.sequencer import Sequencer
from kvstore.core.commands import (
    Command,
    CommandBatch,
    PutBatch,
    Result,
    Run,
    Status,
    WriteBatch,
    decode_answers,
    encode,
    one_by_one,
)
from kvstore.core.errors import (
    InvalidRequest,
    KvError,
    MalformedFrame,
    OutcomeUnknown,
    PreconditionFailed,
    SiblingsExceeded,
)
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.ids import GroupId, OperationId
from kvstore.core.versions import NOTHING_SEEN, CausalVersion, Version
from kvstore.placement.hashing import key_hash
from kvstore.v1 import kv_pb2 as pb

_WRITTEN: Final = int(Status.WRITTEN)
_NOT_FOUND: Final = int(Status.NOT_FOUND)
_PLAIN: Final = (0, 0, 0, b"")
Oddity = tuple[int, int, int, bytes]
"""What makes a write no unconditional put: kind, condition, stamp and context."""


class WriteParcel(Parcel):
    """What parcels of writes share."""

    __slots__ = ("_encoded", "_numbers", "atomic", "first", "keys", "names", "odd", "proves_leader", "values", "way")

    is_write = True

    def __init__(self, route: Route, group: GroupId, deadline: float, way: WriteWay, names: Sequencer) -> None:
        super().__init__(route, group, deadline)
        self.way, self.names = way, names
        self.proves_leader = not route.is_leaderless
        self.atomic = False
        self.keys: list[bytes] = []
        self.values: list[bytes] = []
        self.odd: dict[int, Oddity] = {}
        """By position."""
        self.first = 0
        """The smallest operation number; 0 before they are given."""
        self._numbers: Sequence[int] = ()
        self._encoded: bytes | None = None

    def close(self) -> None:
        """Nothing joins any more: the operations get their numbers."""
        if self.first:
            return
        if self.home is not None:
            self.home.leave(self)
        count = len(self.keys)
        self.first = self.names.take(count)
        self._numbers = range(self.first, self.first + count)
        self.names.opened(self)

    def fill(self, call: pb.Call) -> None:
        if self._encoded is None:
            self.close()
            self._encoded = encode(self._batch())
        write = call.write
        write.commands = self._encoded
        acks, quorum, sloppy = self.way
        write.acks = acks  # type: ignore[assignment]  # the number of an enum; the stub wants the enum
        if quorum:
            write.write_quorum = quorum
        if sloppy:
            write.sloppy = sloppy  # type: ignore[assignment]

    def _batch(self) -> WriteBatch:
        client, answered_below = self.names.client, self.names.answered_below()
        if not self.odd and not self.atomic and isinstance(self._numbers, range):
            return PutBatch(client, answered_below, self.first, self.keys, self.values)
        commands = []
        for position, (number, key, value) in enumerate(zip(self._numbers, self.keys, self.values, strict=True)):
            kind, condition, stamp, context = self.odd.get(position, _PLAIN)
            commands.append(Command(number, kind, key, value, condition, stamp, context))
        return CommandBatch(client, answered_below, self.atomic, commands)

    def keep(self, positions: list[int]) -> None:
        super().keep(positions)
        self.keys = [self.keys[position] for position in positions]
        self.values = [self.values[position] for position in positions]
        self.odd = {new: self.odd[old] for new, old in enumerate(positions) if old in self.odd}
        if self.first:
            self._numbers = [self._numbers[position] for position in positions]
        self._encoded = None

    def answers(self, reply: pb.Reply) -> list[Result] | Run:
        answers = decode_answers(reply.results)
        if len(answers) != len(self.keys):
            raise MalformedFrame(f"{len(answers)} results for {len(self.keys)} commands")
        return answers

    def operation(self, position: int) -> OperationId:
        self.close()
        return OperationId(self.names.client, self._numbers[position])

    def version(self, position: int, stamp: int, context: bytes) -> Version:
        """What is there after an answer that tells this stamp; and this context, in a leaderless keyspace."""
        route = self.route
        if not route.is_leaderless:
            return Version(route.timeline, self.group, Stamp(stamp))
        hashed = key_hash(self.keys[position])
        return CausalVersion(route.timeline, self.group, Stamp(stamp), hashed, context or NOTHING_SEEN)

    def error_at(self, position: int, error: KvError) -> KvError:
        return retold(error, key=self.keys[position], operation=str(self.operation(position)))

    def refusal(self, position: int, result: Result) -> KvError | None:
        """Why a command wrote nothing; None if it did, or had nothing to delete."""
        if result.status in (_WRITTEN, _NOT_FOUND):
            return None
        key = self.keys[position]
        if result.status == Status.FAILED_CONDITION:
            version = self.version(position, result.stamp, result.context) if result.stamp else None
            current: Record[bytes] = Record(key, version is not None, None, version)
            found = f"its version is {version}" if version is not None else "it does not exist"
            error: KvError = PreconditionFailed(f"{key!r} is not as the condition demands: {found}", current=current)
        elif result.status == Status.TOO_MANY_SIBLINGS:
            error = SiblingsExceeded(
                f"{key!r} has {result.stamp} unresolved siblings and takes no more; nothing was written: read it, and "
                "put one value with context=record"
            )
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
        self, route: Route, group: GroupId, deadline: float, way: WriteWay, names: Sequencer, full: bool
    ) -> None:
        super().__init__(route, group, deadline, way, names)
        self.full = full

    def settle(self, reply: pb.Reply) -> None:
        answers = self.answers(reply)
        if self.full:
            self._settle_in_full(one_by_one(answers), Receipt.of(reply.receipt))
            return
        if not isinstance(answers, Run):
            self._settle_one_by_one(answers)
            return
        timeline, group = self.route.timeline, self.group
        for future, stamp in zip(self.futures, answers.stamps, strict=True):
            if not future.done():
                future.set_result(Version(timeline, group, stamp))  # type: ignore[arg-type]  # it is a Stamp

    def _settle_one_by_one(self, results: list[Result]) -> None:
        for position, result in enumerate(results):
            future = self.futures[position]
            if future.done():
                continue
            if result.status == _WRITTEN:
                future.set_result(self.version(position, result.stamp, result.context))
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
            wrote = result.status == _WRITTEN
            version = self.version(position, result.stamp, result.context) if wrote else None
            future.set_result(Written(self.keys[position], version, self.operation(position), receipt))


class WholeWrites(WriteParcel):
    """Writes that one caller wants together, atomic or not: the future gets all results."""

    __slots__ = ()

    def __init__(
        self,
        route: Route,
        group: GroupId,
        deadline: float,
        way: WriteWay,
        names: Sequencer,
        keys: list[bytes],
        values: list[bytes],
        odd: dict[int, Oddity],
        atomic: bool,
    ) -> None:
        super().__init__(route, group, deadline, way, names)
        self.keys, self.values, self.odd, self.atomic = keys, values, odd, atomic
        self.close()

    @property
    def count(self) -> int:
        return len(self.keys)

    def keep(self, positions: list[int]) -> None:
        """All or nothing: the one caller waits for all of them, or for none."""
        assert not positions, "there is one future"
        self.futures, self.deadlines = [], []

    def settle(self, reply: pb.Reply) -> None:
        answers = self.answers(reply)
        if self.futures and not self.futures[0].done():
            self.futures[0].set_result(answers)

    def endings(self, answers: list[Result] | Run) -> list[Version | KvError | None]:
        """How each of the writes ended, by what `settle` brought."""
        if isinstance(answers, Run):
            timeline, group = self.route.timeline, self.group
            return [Version(timeline, group, stamp) for stamp in answers.stamps]  # type: ignore[arg-type]
        endings: list[Version | KvError | None] = []
        for position, result in enumerate(answers):
            wrote = result.status == _WRITTEN
            written = self.version(position, result.stamp, result.context) if wrote else None
            endings.append(self.refusal(position, result) or written)
        return endings
