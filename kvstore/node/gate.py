"""The gate: which requests a node takes on at all, and who waits for what until when."""

from kvstore.core.commands import WriteBatch, check_key, decode_batch
from kvstore.core.errors import (
    ClockTooFarAhead,
    DeadlineExceeded,
    InvalidRequest,
    KeyTooLarge,
    NotReady,
    Overloaded,
    RequestTooLarge,
    StorageFull,
    WrongPartition,
)
from kvstore.core.ids import Millis
from kvstore.core.limits import KEY_BYTES_MAX
from kvstore.node.config import LimitsConfig
from kvstore.node.requests import (
    Acks,
    Failure,
    OutcomeRequest,
    PageRequest,
    ReadLevel,
    ReadRequest,
    Request,
    WriteRequest,
)
from kvstore.node.tick import Tick
from kvstore.placement.hashing import partition_of
from kvstore.placement.ring import Place

OPERATIONS_PER_BATCH_MAX = 10_000


class Gate:
    """Counts what is under way, and refuses what a node must not take on. Every open request is answered once."""

    def __init__(self, limits: LimitsConfig) -> None:
        self._limits = limits
        self._open: dict[int, tuple[Millis, int]] = {}
        self.bytes_open = 0
        self.stopping = False
        self.full = False
        """The disk's limit is reached: only what frees space is let in."""
        self.clock_ahead_ms = 0
        self.unflushed_too_much = False

    @property
    def requests_open(self) -> int:
        return len(self._open)

    def admit(self, handle: int, request: Request, deadline: Millis, now: Millis) -> None:
        """Take a request on. Raises NotReady, Overloaded, DeadlineExceeded or RequestTooLarge: then it is refused."""
        if self.stopping:
            raise NotReady("the node is stopping")
        if deadline <= now:
            raise DeadlineExceeded("the deadline had passed when the request arrived; nothing was written")
        size = _size(request)
        if size > self._limits.request_bytes_max:
            raise RequestTooLarge(f"the request has {size} bytes, at most {self._limits.request_bytes_max} are allowed")
        if len(self._open) >= self._limits.queue_requests_max or self.bytes_open + size > self._limits.queue_bytes_max:
            raise Overloaded(f"{len(self._open)} requests are waiting", retry_after_ms=50)
        self._open[handle] = (deadline, size)
        self.bytes_open += size

    def check_write(self, request: WriteRequest, place: Place) -> WriteBatch:
        """Decode a batch for the log and check all of it.

        Raises MalformedFrame, EmptyKey, KeyTooLarge, ValueTooLarge, WrongPartition, InvalidRequest, StorageFull,
        ClockTooFarAhead or Overloaded.
        """
        batch = decode_batch(request.commands)
        if not 1 <= len(batch) <= OPERATIONS_PER_BATCH_MAX:
            raise InvalidRequest(f"a batch has 1 to {OPERATIONS_PER_BATCH_MAX} commands, this has {len(batch)}")
        if not 0 < batch.client < 1 << 63:
            raise InvalidRequest(f"client id {batch.client}: expected a positive number of at most 63 bits")
        if not 0 <= request.acks <= Acks.ALL:
            raise InvalidRequest(f"acks {request.acks}: there is no such level")
        if self.clock_ahead_ms > self._limits.clock_ahead_ms_max:
            raise ClockTooFarAhead(ahead_ms=self.clock_ahead_ms, ahead_ms_max=self._limits.clock_ahead_ms_max)
        batch.check(place.keyspace.settings.value_bytes_max)
        check_partition(batch.keys, place)
        if not batch.frees:
            self._check_space()
        return batch

    def _check_space(self) -> None:
        if self.full:
            raise StorageFull(
                "the node's storage limit (storage.map_bytes_max) is reached: delete something or raise it"
            )
        if self.unflushed_too_much:
            raise Overloaded("applied writes wait for the disk", retry_after_ms=50)

    def check_read(self, request: ReadRequest | PageRequest | OutcomeRequest, place: Place) -> None:
        """Raises EmptyKey, KeyTooLarge, WrongPartition or InvalidRequest."""
        if isinstance(request, OutcomeRequest):
            return
        if not 0 <= request.level <= ReadLevel.FOLLOWER:
            raise InvalidRequest(f"read level {request.level}: there is no such level")
        if isinstance(request, PageRequest):
            for bound in filter(None, (request.start, request.end)):
                check_bound(bound)
            return
        for key in request.keys:
            check_key(key)
        check_partition(request.keys, place)

    def close(self, handle: int) -> bool:
        """The request is answered; False if it was already."""
        opened = self._open.pop(handle, None)
        if opened is None:
            return False
        self.bytes_open -= opened[1]
        return True

    def is_open(self, handle: int) -> bool:
        return handle in self._open

    def deadline_of(self, handle: int) -> Millis:
        """Of an open request, on the monotonic clock."""
        return self._open[handle][0]

    def left_ms(self, handle: int, now: Millis) -> int:
        """What is left of an open request's deadline."""
        return self._open[handle][0] - now if handle in self._open else 0

    def expire(self, tick: Tick) -> None:
        """Answer those whose deadline has passed."""
        now = tick.now.monotonic
        late = [handle for handle, (deadline, _) in self._open.items() if deadline <= now]
        error = DeadlineExceeded("no answer within the deadline; a write may have happened: ask for its outcome")
        for handle in late:
            tick.reply(handle, Failure.of(error))


def check_partition(keys: list[bytes], place: Place) -> None:
    """Raises WrongPartition."""
    count, number = len(place.keyspace.partitions), place.number
    if count == 1:
        return
    for key in keys:
        if partition_of(key, count) != number:
            raise WrongPartition(f"key {key!r} does not belong to partition {number}", key=key)


def check_bound(bound: bytes) -> None:
    """The start or end of a range: a key, or the first that follows the longest key. Raises KeyTooLarge."""
    if len(bound) > KEY_BYTES_MAX + 1:
        raise KeyTooLarge(key=bound, size=len(bound), limit=KEY_BYTES_MAX)


def _size(request: Request) -> int:
    match request:
        case WriteRequest(commands=commands):
            return len(commands)
        case ReadRequest(keys=keys):
            return sum(map(len, keys))
    return 64
