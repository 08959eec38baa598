"""A private event loop on a thread of its own, where a synchronous client runs its asynchronous one."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Lock, Thread, get_ident
from typing import Any, TypeVar

from kvstore.core.errors import ClientClosed

T = TypeVar("T")


def fast_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop if that is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class LoopThread:
    """Starts with the first piece of work, ends with `stop`. May be used from any thread but its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        return self._loop is not None and not self._stopped

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._stopped:
                raise ClientClosed()
            if self._loop is None:
                self._loop = fast_loop()
                self._thread = Thread(target=self._run, args=(self._loop,), name="kvstore-client", daemon=True)
                self._thread.start()
            return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine over there and return its result; Ctrl-C cancels it. Context variables go with it."""
        try:
            loop = self._started()
            if self._is_here():
                raise RuntimeError("a synchronous client cannot be used on its own event loop")
        except BaseException:
            work.close()
            raise
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def post(self, work: Callable[[], None]) -> None:
        """Do something small over there, some time; nothing if it has ended."""
        with self._lock:
            if self._loop is not None and not self._stopped:
                self._loop.call_soon_threadsafe(work)

    def _is_here(self) -> bool:
        return self._thread is not None and get_ident() == self._thread.ident

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `last`, then end the thread. Idempotent; from any thread."""
        with self._lock:
            if self._stopped or self._loop is None or self._thread is None:
                self._stopped = True
                return
            self._stopped = True
            loop, thread = self._loop, self._thread
        ending = asyncio.run_coroutine_threadsafe(_end(last), loop)
        if get_ident() != thread.ident:  # a client may be collected on its own thread; then it ends when this returns
            try:
                ending.result()
            finally:
                thread.join()


async def _end(last: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = asyncio.get_running_loop()
    try:
        await last()
    finally:
        loop.call_soon(loop.stop)
