"""Introduction: how a client that knows only endpoints comes to know the ring."""

from asyncio import AbstractEventLoop, Future, TimerHandle, timeout
from collections.abc import Callable
from typing import Final

from kvstore.client.routing import Directory
from kvstore.client.switchboard import Switchboard

LOOK_AGAIN_S: Final = 0.25


class Introduction:
    """Knocks at the endpoints, a few at a time and again, as long as somebody waits for the ring."""

    def __init__(
        self, directory: Directory, board: Switchboard, loop: AbstractEventLoop, clock: Callable[[], float]
    ) -> None:
        self._directory, self._board, self._loop, self._clock = directory, board, loop, clock
        self._waiting: list[Future[None]] = []
        self._knocking: TimerHandle | None = None

    async def wait(self, deadline: float, patient: bool) -> None:
        """Return when the ring is known. Raises NotConnected at the deadline, or what refused us everywhere.

        Impatient: raises as soon as every endpoint has failed once.
        """
        while not self._directory.known:
            news: Future[None] = self._loop.create_future()
            self._waiting.append(news)
            if self._knocking is None:
                self._knock()
            try:
                async with timeout(min(LOOK_AGAIN_S, max(0.0, deadline - self._clock()))):
                    await news
            except TimeoutError:
                self._judge(deadline, patient)
            else:
                self._judge(deadline, patient)
            finally:
                self._waiting.remove(news)

    def _judge(self, deadline: float, patient: bool) -> None:
        if self._directory.known:
            return
        error = self._board.unreachable()
        hopeless = self._board.all_failed and not (patient and error.retryable)
        if hopeless or self._clock() >= deadline:
            raise error

    def _knock(self) -> None:
        self._knocking = None
        if self._waiting and not self._directory.known:
            self._knocking = self._loop.call_later(self._board.knock(), self._knock)

    def news(self) -> None:
        """The ring was heard, or an endpoint was lost: whoever waits looks again."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def fail(self, error: Callable[[], Exception]) -> None:
        """There will be no ring."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(error())
        if self._knocking is not None:
            self._knocking.cancel()
