"""One alarm clock for all deadlines of a client: no timer for each operation."""

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from math import inf
from typing import Final

SWEEP_S_MAX: Final = 0.25
SWEEP_S_MIN: Final = 0.01
"""It goes off at most so soon and at most so late: a deadline is noticed within MIN, a silence within MAX."""
LATE_S: Final = 0.5
LATE_GRACE_S: Final = 0.05
"""If it goes off so late, because the process was stopped or starved, it is put off a little."""


class Alarm:
    """Goes off in time for the nearest deadline it was told of; `sweep(now)` looks and tells the next nearest."""

    __slots__ = ("_clock", "_handle", "_loop", "_sweep", "at")

    def __init__(
        self, loop: AbstractEventLoop, clock: Callable[[], float], sweep: Callable[[float], float | None]
    ) -> None:
        self._loop, self._clock, self._sweep = loop, clock, sweep
        self._handle: TimerHandle | None = None
        self.at = inf
        """When it goes off; whatever is due later need not tell it."""

    def wake_by(self, deadline: float) -> None:
        """Go off at that instant at the latest."""
        now = self._clock()
        at = min(max(deadline, now + SWEEP_S_MIN), now + SWEEP_S_MAX)
        if at < self.at:
            self.stop()
            self.at = at
            self._handle = self._loop.call_later(at - now, self.go_off)

    def go_off(self) -> None:
        now = self._clock()
        late_s = now - self.at
        self.stop()
        if late_s > LATE_S:  # we were stopped; what was answered meanwhile is yet to be heard
            self.wake_by(now + LATE_GRACE_S)
            return
        nearest = self._sweep(now)
        if nearest is not None:
            self.wake_by(nearest)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self.at = None, inf
