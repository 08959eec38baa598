"""Parcels of reads: values of one group, pages of a scan, outcomes of operations.

A row of a leaderless keyspace is all that is known of its key, `core.causality.Versions`; what to make of several
values is decided by whoever asked.
"""

from collections.abc import Sequence

import msgspec

from kvstore.client.options import ReadWay
from kvstore.client.parcels import Parcel, retold
from kvstore.client.records import Receipt
from kvstore.client.routing import Route
from kvstore.core.causality import UNKNOWN, Versions, decode
from kvstore.core.commands import Result
from kvstore.core.errors import Corruption, KvError, MalformedFrame
from kvstore.core.ids import GroupId, OperationId
from kvstore.v1 import kv_pb2 as pb

Row = tuple[int, bytes] | Versions
"""A value as a read finds it: stamp and bytes; in a leaderless keyspace, always, what is known of the key."""
FullRow = tuple[Row | None, Receipt]
"""The same with how it was served."""
PageRow = tuple[bytes, Row]
"""A row of a scan: the key and what is there."""

_ROWS = msgspec.msgpack.Decoder(list[tuple[int, bytes] | None])
_KNOWN = msgspec.msgpack.Decoder(list[bytes | None])
_PAGE = msgspec.msgpack.Decoder(list[tuple[bytes, int, bytes]])
_KNOWN_PAGE = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])
_OUTCOME: msgspec.msgpack.Decoder[Result | None] = msgspec.msgpack.Decoder(Result | None)


def versions_in(known: bytes | None) -> Versions:
    """What a reply says of one key. Raises MalformedFrame."""
    try:
        return decode(known) if known else UNKNOWN
    except Corruption as error:
        raise MalformedFrame(f"not the answer to a read: {error}") from error


class ReadParcel(Parcel):
    """What parcels of keys to read share."""

    __slots__ = ("any_replica", "keys", "proves_leader", "way")

    def __init__(self, route: Route, group: GroupId, deadline: float, way: ReadWay) -> None:
        super().__init__(route, group, deadline)
        self.way = way
        self.any_replica = way.level == pb.READ_LEVEL_FOLLOWER
        self.proves_leader = way.level == pb.READ_LEVEL_LINEARIZABLE
        self.keys: list[bytes] = []

    def fill(self, call: pb.Call) -> None:
        read = call.read
        read.keys.extend(self.keys)
        level, bound_ms, quorum = self.way
        read.level = level  # type: ignore[assignment]  # the number of an enum; the stub wants the enum
        if bound_ms:
            read.max_staleness_ms = bound_ms
        if quorum:
            read.read_quorum = quorum

    def rows(self, reply: pb.Reply) -> Sequence[Row | None]:
        rows: Sequence[Row | None]
        try:
            if self.route.is_leaderless:
                rows = [versions_in(known) for known in _KNOWN.decode(reply.versions)]
            else:
                rows = _ROWS.decode(reply.versions)
        except msgspec.DecodeError as error:
            raise MalformedFrame(f"not the answer to a read: {error}") from error
        if len(rows) != len(self.keys):
            raise MalformedFrame(f"{len(rows)} values for {len(self.keys)} keys")
        self.route.learn_size(len(reply.versions) // len(rows))
        return rows


class Reads(ReadParcel):
    """Single reads at one level, gathered: each future gets a row or None, in full with the receipt beside it."""

    __slots__ = ("full",)

    def __init__(self, route: Route, group: GroupId, deadline: float, way: ReadWay, full: bool) -> None:
        super().__init__(route, group, deadline, way)
        self.full = full

    def keep(self, positions: list[int]) -> None:
        super().keep(positions)
        self.keys = [self.keys[position] for position in positions]

    def settle(self, reply: pb.Reply) -> None:
        rows = self.rows(reply)
        receipt = Receipt.of(reply.receipt) if self.full else None
        for future, row in zip(self.futures, rows, strict=True):
            if not future.done():
                future.set_result(row if receipt is None else (row, receipt))

    def halves(self) -> Sequence[Parcel]:
        if len(self.keys) < 2:
            return ()
        middle = len(self.keys) // 2
        first, second = (Reads(self.route, self.group, self.deadline, self.way, self.full) for _ in range(2))
        first.keys, second.keys = self.keys[:middle], self.keys[middle:]
        first.futures, second.futures = self.futures[:middle], self.futures[middle:]
        first.deadlines, second.deadlines = self.deadlines[:middle], self.deadlines[middle:]
        first.pruned, first.size = self.pruned, self.size // 2
        second.size = self.size - first.size
        return first, second

    def error_at(self, position: int, error: KvError) -> KvError:
        return retold(error, key=self.keys[position])


class WholeReads(ReadParcel):
    """Reads that one caller wants together: the future gets the rows, in the order of the keys."""

    __slots__ = ()

    @property
    def count(self) -> int:
        return len(self.keys)

    def settle(self, reply: pb.Reply) -> None:
        rows = self.rows(reply)
        if self.futures and not self.futures[0].done():
            self.futures[0].set_result(rows)


class PageAsk(Parcel):
    """The next rows of a partition: the future gets the rows, and whether there are more."""

    __slots__ = ("any_replica", "page")

    counted = False

    def __init__(self, route: Route, group: GroupId, deadline: float, page: pb.Page) -> None:
        super().__init__(route, group, deadline)
        self.page = page
        self.any_replica = page.level == pb.READ_LEVEL_FOLLOWER

    def fill(self, call: pb.Call) -> None:
        call.page.CopyFrom(self.page)

    def settle(self, reply: pb.Reply) -> None:
        rows: list[PageRow]
        try:
            if self.route.is_leaderless:
                rows = [(key, versions_in(known)) for key, known in _KNOWN_PAGE.decode(reply.page.rows)]
            else:
                rows = [(key, (stamp, value)) for key, stamp, value in _PAGE.decode(reply.page.rows)]
        except msgspec.DecodeError as error:
            raise MalformedFrame(f"not a page of a scan: {error}") from error
        if reply.page.more and not rows:
            raise MalformedFrame("an empty page that promises more")
        if self.futures and not self.futures[0].done():
            self.futures[0].set_result((rows, reply.page.more))


class OutcomeAsk(Parcel):
    """What became of an operation, as far as one partition knows: the future gets a Result or None."""

    __slots__ = ("only", "operation")

    counted = False

    def __init__(self, route: Route, group: GroupId, deadline: float, operation: OperationId, only: str = "") -> None:
        super().__init__(route, group, deadline)
        self.operation, self.only = operation, only

    def fill(self, call: pb.Call) -> None:
        call.outcome.client, call.outcome.sequence = self.operation

    def settle(self, reply: pb.Reply) -> None:
        try:
            found = _OUTCOME.decode(reply.outcome)
        except msgspec.DecodeError as error:
            raise MalformedFrame(f"not an outcome: {error}") from error
        if self.futures and not self.futures[0].done():
            self.futures[0].set_result(found)
