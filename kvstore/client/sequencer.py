"""Names for writes: one random client id, one number after the other, and below which number all are answered."""

from collections import deque
from os import urandom
from typing import Protocol

from kvstore.core.ids import ClientId


class Numbered(Protocol):
    """Something that waits for answers to writes; `first` is the smallest number among them."""

    first: int
    finished: bool


class Sequencer:
    """Hands out operation ids. Two clients never share one: the client id is 63 random bits.

    >>> names = Sequencer(ClientId(7))
    >>> names.take(3), names.take(1)
    (1, 4)
    """

    __slots__ = ("_open", "client", "last")

    def __init__(self, client: ClientId | None = None) -> None:
        self.client = ClientId(int.from_bytes(urandom(8)) >> 1) if client is None else client
        self.last = 0
        """The newest number in use."""
        self._open: deque[Numbered] = deque()

    def take(self, count: int) -> int:
        """The first of `count` consecutive fresh numbers."""
        first = self.last + 1
        self.last += count
        return first

    def opened(self, waiting: Numbered) -> None:
        """From now on until `finished`, `waiting.first` and all after it count as unanswered.

        Must be called in order of `first`.
        """
        assert not self._open or self._open[-1].first < waiting.first, "writes must be opened in order of their numbers"
        self._open.append(waiting)

    def answered_below(self) -> int:
        """The smallest number that is not yet answered; we shall never retry a smaller one."""
        waiting = self._open
        while waiting and waiting[0].finished:
            waiting.popleft()
        return waiting[0].first if waiting else self.last + 1
