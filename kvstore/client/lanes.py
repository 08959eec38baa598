"""Lanes: where single operations gather, by partition, until their node can take them (the hottest path).

One lane for each keyspace and way of asking (`options.ReadWay`, `WriteWay`), found once and kept by whoever asks.
Adding an operation costs a hash, a future and four list entries; the rest is paid once for each parcel.
"""

from asyncio import AbstractEventLoop, Future
from typing import Protocol

from mmh3 import mmh3_x64_128_utupledigest

from kvstore.client.options import ReadWay, WriteWay
from kvstore.client.parcels import CALL_BYTES_MAX, CALL_OPERATIONS_MAX, OPERATION_BYTES, READ_BYTES_MAX, Parcel
from kvstore.client.read_parcels import FullRow, Reads, Row
from kvstore.client.records import Written
from kvstore.client.routing import Route
from kvstore.client.sequencer import Sequencer
from kvstore.client.write_parcels import Writes
from kvstore.core.versions import Version


class Dispatcher(Protocol):
    """Who takes parcels on their way."""

    def enqueue(self, parcel: Parcel) -> None:
        """A new parcel; it may still be filled until it leaves its home."""
        ...

    def wake_by(self, deadline: float) -> None:
        """Somebody's deadline is nearer than its parcel's was."""
        ...


class WriteLane:
    """Single writes to one keyspace in the same way."""

    __slots__ = ("_dispatcher", "_full", "_loop", "_names", "_open", "_shift", "_way", "route", "value_bytes_max")

    def __init__(
        self, route: Route, way: WriteWay, full: bool, names: Sequencer, dispatcher: Dispatcher, loop: AbstractEventLoop
    ) -> None:
        self.route, self.value_bytes_max = route, route.info.value_bytes_max
        self._way, self._full, self._names = way, full, names
        self._dispatcher, self._loop = dispatcher, loop
        self._shift = route.shift
        self._open: list[Writes | None] = [None] * len(route.groups)

    def add(
        self, kind: int, key: bytes, value: bytes, condition: int, stamp: int, deadline: float, context: bytes = b""
    ) -> "Future[Version | None]":
        """One write, for which `weight_of` was taken from the room.

        Its future gets a Version, or None if there was nothing to delete. A full lane's gets Written.
        """
        partition = mmh3_x64_128_utupledigest(key)[0] >> self._shift
        parcel = self._open[partition]
        if parcel is None:
            parcel = self._begin(partition, deadline)
        if kind or condition or context:
            parcel.odd[len(parcel.keys)] = (kind, condition, stamp, context)
        parcel.keys.append(key)
        parcel.values.append(value)
        future: Future[Version | None] = self._loop.create_future()
        parcel.futures.append(future)
        parcel.deadlines.append(deadline)
        if deadline < parcel.deadline:
            parcel.deadline = deadline
            self._dispatcher.wake_by(deadline)
        parcel.size = size = parcel.size + len(key) + len(value) + OPERATION_BYTES
        if size >= CALL_BYTES_MAX or len(parcel.keys) >= CALL_OPERATIONS_MAX:
            self.leave(parcel)
        return future

    def add_in_full(
        self, kind: int, key: bytes, value: bytes, condition: int, stamp: int, deadline: float, context: bytes = b""
    ) -> "Future[Written]":
        """The same in a full lane."""
        assert self._full, "only full lanes have full answers"
        answer = self.add(kind, key, value, condition, stamp, deadline, context)
        return answer  # type: ignore[return-value]  # see Writes.full

    def _begin(self, partition: int, deadline: float) -> Writes:
        route = self.route
        parcel = Writes(route, route.groups[partition], deadline, self._way, self._names, self._full)
        parcel.home, parcel.partition = self, partition
        self._open[partition] = parcel
        self._dispatcher.enqueue(parcel)
        return parcel

    def leave(self, parcel: Parcel) -> None:
        """The parcel takes nothing more."""
        parcel.home = None
        if self._open[parcel.partition] is parcel:
            self._open[parcel.partition] = None


class ReadLane:
    """Single reads of one keyspace in the same way."""

    __slots__ = ("_dispatcher", "_full", "_loop", "_open", "_shift", "_way", "route")

    def __init__(self, route: Route, way: ReadWay, full: bool, dispatcher: Dispatcher, loop: AbstractEventLoop) -> None:
        self.route = route
        self._way, self._full = way, full
        self._dispatcher, self._loop = dispatcher, loop
        self._shift = route.shift
        self._open: list[Reads | None] = [None] * len(route.groups)

    def add(self, key: bytes, deadline: float, weight: int) -> "Future[Row | None]":
        """One read, for which `weight` bytes were taken from the room.

        Its future gets a row, or None if the key does not exist. A full lane's gets a FullRow.
        """
        partition = mmh3_x64_128_utupledigest(key)[0] >> self._shift
        parcel = self._open[partition]
        if parcel is None:
            parcel = self._begin(partition, deadline)
        parcel.keys.append(key)
        future: Future[Row | None] = self._loop.create_future()
        parcel.futures.append(future)
        parcel.deadlines.append(deadline)
        if deadline < parcel.deadline:
            parcel.deadline = deadline
            self._dispatcher.wake_by(deadline)
        parcel.size = size = parcel.size + weight
        if size >= READ_BYTES_MAX or len(parcel.keys) >= CALL_OPERATIONS_MAX:
            self.leave(parcel)
        return future

    def add_in_full(self, key: bytes, deadline: float, weight: int) -> "Future[FullRow]":
        """The same in a full lane."""
        assert self._full, "only full lanes have full answers"
        return self.add(key, deadline, weight)  # type: ignore[return-value]  # see Reads.full

    def _begin(self, partition: int, deadline: float) -> Reads:
        route = self.route
        parcel = Reads(route, route.groups[partition], deadline, self._way, self._full)
        parcel.home, parcel.partition = self, partition
        self._open[partition] = parcel
        self._dispatcher.enqueue(parcel)
        return parcel

    def leave(self, parcel: Parcel) -> None:
        """The parcel takes nothing more."""
        parcel.home = None
        if self._open[parcel.partition] is parcel:
            self._open[parcel.partition] = None


class Lanes:
    """All lanes of a client, made when they are first needed."""

    def __init__(self, names: Sequencer, dispatcher: Dispatcher, loop: AbstractEventLoop) -> None:
        self._names, self._dispatcher, self._loop = names, dispatcher, loop
        self._writes: dict[tuple[Route, WriteWay, bool], WriteLane] = {}
        self._reads: dict[tuple[Route, ReadWay, bool], ReadLane] = {}

    def writes(self, route: Route, way: WriteWay, full: bool = False) -> WriteLane:
        lane = self._writes.get((route, way, full))
        if lane is None:
            self._writes = {key: lane for key, lane in self._writes.items() if key[0].live}
            lane = WriteLane(route, way, full, self._names, self._dispatcher, self._loop)
            self._writes[route, way, full] = lane
        return lane

    def reads(self, route: Route, way: ReadWay, full: bool = False) -> ReadLane:
        lane = self._reads.get((route, way, full))
        if lane is None:
            self._reads = {key: lane for key, lane in self._reads.items() if key[0].live}
            lane = ReadLane(route, way, full, self._dispatcher, self._loop)
            self._reads[route, way, full] = lane
        return lane
