"""An event loop whose clock jumps to the next timer instead of sleeping: tests of hours take milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
IDLE_TURNS_MAX = 100_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when there is nothing to do, and then at once."""

    def __init__(self) -> None:
        self._ahead = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return 1_000.0 + self._ahead

    def jump(self, seconds: float) -> None:
        self._ahead += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if timeout is None and not ready:
            raise AssertionError("everybody waits and nothing will ever happen")
        if timeout and not ready:
            self._loop.jump(timeout)
        return ready


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def now() -> float:
    return asyncio.get_running_loop().time()


async def turns(count: int = 20) -> None:
    """Let the loop turn a few times, without time passing."""
    for _ in range(count):
        await asyncio.sleep(0)
