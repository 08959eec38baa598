"""View: which keys of which keyspace, through which codec, asked for how: what spaces and batches stand on."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Generic, TypeVar

from kvstore.client import codecs
from kvstore.client.bulk import take_room
from kvstore.client.codecs import Codec
from kvstore.client.deadlines import block_deadline
from kvstore.client.deadlines import timeout as time_limit
from kvstore.client.dispatch import Dispatch
from kvstore.client.errands import fetch_ring
from kvstore.client.keys import Key, stored_key
from kvstore.client.lanes import ReadLane, WriteLane
from kvstore.client.options import Options, seconds_of
from kvstore.client.parcels import OPERATION_BYTES
from kvstore.client.read_parcels import Row
from kvstore.client.records import Receipt, Record
from kvstore.client.routing import Route
from kvstore.client.siblings import decided, record_of
from kvstore.core.causality import Versions
from kvstore.core.errors import DeadlineExceeded, KvError, NotYetAvailable, UnknownKeyspace, ValueTooLarge
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.versions import Version

V = TypeVar("V")
SERVED_MODES: Final = ("leader", "leaderless")


class View(Generic[V]):
    """A way of looking at a keyspace. Cheap to make; it holds no connection of its own."""

    def __init__(self, dispatch: Dispatch, keyspace: str, prefix: bytes, codec: Codec[V], options: Options) -> None:
        self._dispatch, self._keyspace, self._prefix, self._codec = dispatch, keyspace, prefix, codec
        self._options, self._timeout_s = options, options.timeout_s
        self._encode, self._decode = codec.encode, codec.decode
        self._room, self._clock = dispatch.room, dispatch.clock
        self._reads: ReadLane | None = None
        self._writes: WriteLane | None = None

    def _until(self, timeout: float | str | None) -> float:
        """The deadline of a call that begins now. Raises DeadlineExceeded if the block's has passed already."""
        now = self._clock()
        deadline = min(now + (self._timeout_s if timeout is None else seconds_of(timeout)), block_deadline.get())
        if deadline <= now:
            raise DeadlineExceeded("the deadline of the surrounding kvstore.timeout has passed; nothing was sent")
        return deadline

    async def _route(self, deadline: float) -> Route:
        """The way into the keyspace. Raises UnknownKeyspace after asking the cluster, NotConnected, ClientClosed."""
        dispatch = self._dispatch
        await dispatch.ready(deadline)
        try:
            route = dispatch.directory.route(self._keyspace)
        except UnknownKeyspace:
            await fetch_ring(dispatch, deadline)  # it may have been created a moment ago
            route = dispatch.directory.route(self._keyspace)
        if route.info.mode not in SERVED_MODES:
            raise NotYetAvailable(f"keyspace {self._keyspace!r} is in mode {route.info.mode}, unknown to this client")
        return route

    async def _read_lane(self, deadline: float, options: Options, full: bool = False) -> ReadLane:
        route = await self._route(deadline)
        lane = self._dispatch.lanes.reads(route, options.read_way(route.info), full)
        if options is self._options and not full:
            self._reads = lane
        return lane

    async def _write_lane(self, deadline: float, options: Options, full: bool = False) -> WriteLane:
        route = await self._route(deadline)
        lane = self._dispatch.lanes.writes(route, options.write_way(route.info), full)
        if options is self._options and not full:
            self._writes = lane
        return lane

    async def _full_row(self, stored: bytes, deadline: float, options: Options) -> tuple[Route, Row | None, Receipt]:
        """One key, with how it was served."""
        lane = await self._read_lane(deadline, options, full=True)
        weight = len(stored) + OPERATION_BYTES + lane.route.value_bytes
        await take_room(self._dispatch, lane.route, 1, weight, deadline)
        row, receipt = await lane.add_in_full(stored, deadline, weight)
        return lane.route, row, receipt

    def _stored(self, key: Key) -> bytes:
        return stored_key(self._prefix, key)

    def _encoded(self, value: V, key: bytes, route: Route) -> bytes:
        """The value as it is stored. Raises InvalidRequest, CodecError, ValueTooLarge."""
        data = self._encode(value)
        check_size(route, key, data)
        return data

    def _values(self, route: Route, stored: bytes, row: Row | None, options: Options) -> list[V]:
        """What a reader gets: nothing, or the one value. Raises ConflictError."""
        if row is None:
            return []
        if not isinstance(row, Versions):
            return [self._decode(row[1])]
        if len(row.siblings) > 1:
            return decided(self._record(route, stored, row), row, options.resolver)
        return [self._decode(sibling.value) for sibling in row.siblings if sibling.value is not None]

    def _record(self, route: Route, stored: bytes, row: Row | None, receipt: Receipt | None = None) -> Record[V]:
        key = stored[len(self._prefix) :]
        if row is None:
            return Record(key, False, None, None, receipt)
        if isinstance(row, Versions):
            return record_of(route, stored, key, row, self._decode, receipt)
        version = Version(route.timeline, route.group_of(stored), Stamp(row[0]))
        return Record(key, True, self._decode(row[1]), version, receipt)

    def _told(self, error: KvError) -> KvError:
        """An error in this view's terms: the record that is there, if any, under its key here."""
        current = error.facts.get("current")
        if isinstance(current, Record):
            error.facts["current"] = current.mapped(self._decode, current.key[len(self._prefix) :])
        return error

    def __repr__(self) -> str:
        prefix = f" prefix={self._prefix!r}" if self._prefix else ""
        codec = "" if self._codec is codecs.raw else f" {self._codec!r}"
        return f"<{type(self).__name__} keyspace={self._keyspace!r}{prefix}{codec} {self._dispatch!r}>"


def limit_of(view: View[Any], timeout: float | str | None) -> AbstractContextManager[None]:
    """The time that several calls of a view have together; without a `timeout` as much as one of them alone."""
    return time_limit(view._timeout_s if timeout is None else timeout)


def check_size(route: Route, key: bytes, data: bytes) -> None:
    """Raises ValueTooLarge."""
    if len(data) > route.info.value_bytes_max:
        raise ValueTooLarge(key=key, size=len(data), limit=route.info.value_bytes_max)


def failures_error(failed: Mapping[Any, KvError], versions: Mapping[Any, Version | None]) -> KvError:
    """The error to raise for many: the first that leaves doubt, else the first with a reason of its own.

    `.failed` (also `.facts["failed"]`) has every key's own error, `.facts["versions"]` what was written.
    """
    errors = list(failed.values())
    error = min(errors, key=lambda one: (one.definite, not one.facts.get("reason", True)))
    more = f" ({len(failed)} of {len(failed) + len(versions)} failed)" if len(failed) + len(versions) > 1 else ""
    facts: dict[str, Any] = {**error.facts, "failed": dict(failed), "versions": dict(versions)}
    told = type(error)(f"{error}{more}", **facts)
    vars(told)["failed"] = facts["failed"]
    return told
