"""Many keys at once: split by partition into calls of bounded size, all under way together, nothing lost silently."""

from asyncio import Future, gather
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kvstore.client.dispatch import Dispatch
from kvstore.client.options import ReadWay, WriteWay
from kvstore.client.parcels import CALL_BYTES_MAX, CALL_OPERATIONS_MAX, OPERATION_BYTES, READ_BYTES_MAX, retold
from kvstore.client.read_parcels import Row, WholeReads
from kvstore.client.routing import Route
from kvstore.client.write_parcels import WholeWrites
from kvstore.core.commands import Result, Run
from kvstore.core.errors import ClientClosed, InvalidRequest, KvError, RequestTooLarge, UnknownKeyspace
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.core.versions import Version


class Write(NamedTuple):
    """One write of a bulk, checked and encoded, without a number yet."""

    kind: int
    key: bytes
    value: bytes = b""
    condition: int = 0
    stamp: int = 0
    context: bytes = b""

    @property
    def weight(self) -> int:
        return len(self.key) + len(self.value) + OPERATION_BYTES


Ended = Version | None | KvError
"""How one write of a bulk ended: its version, nothing to delete, or why not."""


async def take_room(dispatch: Dispatch, route: Route, operations: int, size: int, deadline: float) -> None:
    """Take room for so much more, waiting for it if need be. Raises as `wait_for_room` does."""
    if not route.live:
        raise gone(dispatch, route)
    if not dispatch.room.take(operations, size):
        await wait_for_room(dispatch, route, operations, size, deadline)


async def wait_for_room(dispatch: Dispatch, route: Route, operations: int, size: int, deadline: float) -> None:
    """Stand in line for room and take it. Raises DeadlineExceeded, ClientClosed or UnknownKeyspace."""
    await dispatch.room.wait(operations, size, deadline, dispatch.loop)
    if not route.live:
        dispatch.room.give(operations, size)
        raise gone(dispatch, route)


def gone(dispatch: Dispatch, route: Route) -> KvError:
    """Why a route leads nowhere any more."""
    if dispatch.closed:
        return ClientClosed()
    return UnknownKeyspace(f"keyspace {route.info.name!r} was dropped", name=route.info.name)


class Bulk:
    """Many operations of one caller on one keyspace, with one deadline."""

    def __init__(self, dispatch: Dispatch, route: Route, deadline: float) -> None:
        self._dispatch, self._route, self._deadline = dispatch, route, deadline

    async def write(self, writes: Sequence[Write], way: WriteWay, *, atomic: bool = False) -> list[Ended]:
        """How each of the writes ended, in order. Atomic: all of them are one call, and happen or not together."""
        if atomic:
            self._check_atomic(writes)
        calls = [list(range(len(writes)))] if atomic else self._in_calls(writes)
        ended: list[Ended] = [None] * len(writes)
        under_way: list[tuple[list[int], WholeWrites, Future[Any]]] = []
        try:
            for positions in calls:
                some = [writes[position] for position in positions]
                try:
                    size = _weight(some)
                    await take_room(self._dispatch, self._route, len(some), size, self._deadline)
                except KvError as error:  # these were not sent; what became of the others is still to be told
                    for position in positions:
                        ended[position] = retold(error, key=writes[position].key)
                    continue
                under_way.append((positions, *self._send_writes(some, way, atomic, size)))
            answers = await gather(*(future for _, _, future in under_way), return_exceptions=True)
        except BaseException:
            _abandon(future for _, _, future in under_way)
            raise
        for (positions, parcel, _), answer in zip(under_way, answers, strict=True):
            for position, ending in zip(positions, _endings(parcel, answer), strict=True):
                ended[position] = ending
        return ended

    def _in_calls(self, writes: Sequence[Write]) -> list[list[int]]:
        """The positions of the writes by partition, in calls of bounded size, in the order in which they fill up."""
        calls: list[list[int]] = []
        if len(self._route.groups) == 1 and len(writes) <= CALL_OPERATIONS_MAX and _weight(writes) < CALL_BYTES_MAX:
            return [list(range(len(writes)))]
        filling: dict[int, list[int]] = {}
        sizes: dict[int, int] = {}
        for position, write in enumerate(writes):
            partition = self._route.partition_of(write.key)
            call = filling.setdefault(partition, [])
            call.append(position)
            size = sizes[partition] = sizes.get(partition, 0) + write.weight
            if size >= CALL_BYTES_MAX or len(call) >= CALL_OPERATIONS_MAX:
                calls.append(filling.pop(partition))
                sizes[partition] = 0
        return calls + list(filling.values())

    def _check_atomic(self, writes: Sequence[Write]) -> None:
        """Raises InvalidRequest unless all keys lie in one partition, RequestTooLarge if it is too much for a call."""
        name, first = self._route.info.name, self._route.partition_of(writes[0].key)
        for write in writes:
            partition = self._route.partition_of(write.key)
            if partition != first:
                raise InvalidRequest(
                    f"an atomic batch needs all its keys in one partition, but {writes[0].key!r} lies in p{first:02d} "
                    f"and {write.key!r} in p{partition:02d} of keyspace {name!r}; `where(key)` tells the partition"
                )
        size = _weight(writes)
        if size > REQUEST_BYTES_MAX:
            raise RequestTooLarge(f"an atomic batch of {size} bytes: at most {REQUEST_BYTES_MAX} fit into one request")

    def _send_writes(
        self, writes: list[Write], way: WriteWay, atomic: bool, size: int
    ) -> tuple[WholeWrites, "Future[Any]"]:
        dispatch, route = self._dispatch, self._route
        keys, values = [write.key for write in writes], [write.value for write in writes]
        odd = {
            position: (write.kind, write.condition, write.stamp, write.context)
            for position, write in enumerate(writes)
            if write.kind or write.condition or write.context
        }
        group = route.group_of(keys[0])
        parcel = WholeWrites(route, group, self._deadline, way, dispatch.names, keys, values, odd, atomic)
        parcel.size = size
        future = parcel.awaited(dispatch.loop)
        dispatch.enqueue(parcel)
        return parcel, future

    async def read(self, keys: Sequence[bytes], way: ReadWay) -> list[Row | None]:
        """The rows of the keys, in order. Raises the first error there is."""
        rows: list[Row | None] = [None] * len(keys)
        partitions: dict[int, list[int]] = {}
        for position, key in enumerate(keys):
            partitions.setdefault(self._route.partition_of(key), []).append(position)
        left = list(partitions.values())
        while left:
            weight = self._route.value_bytes + OPERATION_BYTES
            at_once = max(1, min(CALL_OPERATIONS_MAX, READ_BYTES_MAX // weight))
            calls = [part[start : start + at_once] for part in left for start in range(0, len(part), at_once)]
            answers = await self._ask([[keys[position] for position in call] for call in calls], weight, way)
            left = []
            for call, answer in zip(calls, answers, strict=True):
                if isinstance(answer, RequestTooLarge) and len(call) > 1:
                    left += [call[: len(call) // 2], call[len(call) // 2 :]]
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    for position, row in zip(call, answer, strict=True):
                        rows[position] = row
        return rows

    async def _ask(self, calls: list[list[bytes]], weight: int, way: ReadWay) -> list[list[Row | None] | BaseException]:
        """Read the keys of each call, all calls together."""
        under_way: list[Future[Any]] = []
        try:
            for keys in calls:
                group = self._route.group_of(keys[0])
                parcel = WholeReads(self._route, group, self._deadline, way)
                parcel.keys, parcel.size = keys, len(keys) * weight
                await take_room(self._dispatch, self._route, parcel.count, parcel.size, self._deadline)
                under_way.append(parcel.awaited(self._dispatch.loop))
                self._dispatch.enqueue(parcel)
            answers: list[list[Row | None] | BaseException] = await gather(*under_way, return_exceptions=True)
            return answers
        except BaseException:
            _abandon(under_way)
            raise


def _abandon(futures: Iterable["Future[Any]"]) -> None:
    """Nobody will look at what they bring."""
    for future in futures:
        if not future.cancel() and not future.cancelled():
            future.exception()  # looked at, so that the loop does not complain


def _weight(writes: Sequence[Write]) -> int:
    """What they take of the room."""
    bodies = sum([len(write.value) for write in writes])
    return sum([len(write.key) for write in writes]) + bodies + len(writes) * OPERATION_BYTES


def _endings(parcel: WholeWrites, answer: list[Result] | Run | BaseException) -> Sequence[Ended]:
    if isinstance(answer, KvError):
        return [parcel.error_at(place, answer) for place in range(parcel.count)]
    if isinstance(answer, BaseException):
        raise answer
    return parcel.endings(answer)
