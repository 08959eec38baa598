"""Bounds what is outstanding: whoever would exceed it waits in line, so that memory stays bounded under overload."""

from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable

from kvstore.core.errors import KvError

OPERATIONS_MAX = 10_000
BYTES_MAX = 64 << 20


class Room:
    """So many operations and bytes may be on their way; further ones wait, first come first served."""

    __slots__ = ("_bytes_max", "_line", "_operations_max", "bytes_free", "operations_free")

    def __init__(self, operations_max: int = OPERATIONS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._operations_max, self._bytes_max = operations_max, bytes_max
        self.operations_free, self.bytes_free = operations_max, bytes_max
        self._line: deque[tuple[int, int, float, Future[None]]] = deque()

    def take(self, operations: int, size: int) -> bool:
        """Whether there is room now; if so it is taken."""
        if self._line or not self._fits(operations, size):
            return False
        self.claim(operations, size)
        return True

    def claim(self, operations: int, size: int) -> None:
        """Take it without asking: for what is on its way already and only changes its form."""
        self.operations_free -= operations
        self.bytes_free -= size

    def _fits(self, operations: int, size: int) -> bool:
        """What is larger than all the room there is fits when nothing else is on its way."""
        if self.operations_free == self._operations_max:
            return True
        return self.operations_free >= operations and self.bytes_free >= size

    async def wait(self, operations: int, size: int, deadline: float, loop: AbstractEventLoop) -> None:
        """Wait in line and take the room. Raises what `expire` or `close` say."""
        turn: Future[None] = loop.create_future()
        self._line.append((operations, size, deadline, turn))
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give(operations, size)  # it was our turn already when we were cancelled
            else:
                self._admit()
            raise

    def give(self, operations: int, size: int) -> None:
        """What was taken is free again."""
        self.operations_free += operations
        self.bytes_free += size
        assert self.operations_free <= self._operations_max, "more room was given back than there is"
        if self._line:
            self._admit()

    def _admit(self) -> None:
        while self._line:
            operations, size, _, turn = self._line[0]
            if not turn.done():
                if not self._fits(operations, size):
                    return
                self.claim(operations, size)
                turn.set_result(None)
            self._line.popleft()

    @property
    def waiting(self) -> int:
        return len(self._line)

    def expire(self, now: float, error: Callable[[], KvError]) -> None:
        """Turn away those whose deadline has passed."""
        for _, _, deadline, turn in self._line:
            if deadline <= now and not turn.done():
                turn.set_exception(error())

    def nearest(self, otherwise: float) -> float:
        """The nearest deadline in the line."""
        return min((deadline for _, _, deadline, turn in self._line if not turn.done()), default=otherwise)

    def close(self, error: Callable[[], KvError]) -> None:
        """Turn everybody away."""
        for _, _, _, turn in self._line:
            if not turn.done():
                turn.set_exception(error())
        self._line.clear()

    def __repr__(self) -> str:
        return f"<Room {self.operations_free} operations, {self.bytes_free} bytes free, {self.waiting} waiting>"
