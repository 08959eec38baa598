"""Worker: one thread that does jobs one by one and tells the event loop of each."""

import logging
import threading
from asyncio import get_running_loop
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

log = logging.getLogger("kvstore.server")

J = TypeVar("J")
R = TypeVar("R")


class Worker(Generic[J, R]):
    """Make it on the event loop. `work` must not raise; `on_done` is called on the loop with a job and its result.

    `begin` runs on the thread at first and after each job, before that is told of; `end` runs last, on the thread.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[J], R],
        on_done: Callable[[J, R], None],
        begin: Callable[[], None] | None = None,
        end: Callable[[], None] | None = None,
    ) -> None:
        self._work, self._on_done, self._begin, self._end = work, on_done, begin, end
        self._loop = get_running_loop()
        self._jobs: SimpleQueue[J | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def give(self, job: J) -> None:
        """One at a time: the next when this was told of."""
        self._jobs.put(job)

    def close(self) -> None:
        """Finish the job under way and end the thread. May be called on any thread, more than once."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        if self._begin is not None:
            self._begin()
        while (job := self._jobs.get()) is not None:
            result = self._work(job)
            if self._begin is not None:
                self._begin()
            try:
                self._loop.call_soon_threadsafe(self._on_done, job, result)
            except RuntimeError:
                log.warning("the event loop was closed before %s: a job is unanswered", self._thread.name)
        if self._end is not None:
            self._end()
