"""Batch: writes gathered in a block and sent together at its end; nothing is sent if the block raises."""

from types import TracebackType
from typing import Generic, Self, TypeVar

from kvstore.client.async_batch import AsyncBatch
from kvstore.client.documented import like, without_await
from kvstore.client.keys import Key, Token
from kvstore.client.loop_thread import LoopThread
from kvstore.core.errors import KvError
from kvstore.core.versions import Version

V = TypeVar("V")


class Batch(Generic[V]):
    __doc__ = without_await(AsyncBatch.__doc__ or "")

    def __init__(self, inner: AsyncBatch[V], thread: LoopThread) -> None:
        self._inner, self._thread = inner, thread

    @like(AsyncBatch.put)
    def put(
        self,
        key: Key,
        value: V,
        *,
        if_absent: bool = False,
        if_version: Token | None = None,
        context: Token | None = None,
    ) -> None:
        self._inner.put(key, value, if_absent=if_absent, if_version=if_version, context=context)

    @like(AsyncBatch.delete)
    def delete(self, key: Key, *, if_version: Token | None = None, context: Token | None = None) -> None:
        self._inner.delete(key, if_version=if_version, context=context)

    @like(AsyncBatch.send)
    def send(self) -> None:
        self._thread.run(self._inner.send())

    @property
    def applied(self) -> int:
        """How many of the writes succeeded."""
        return self._inner.applied

    @property
    def versions(self) -> dict[Key, Version | None]:
        """What was written, by key as it was given; None for a delete of a key that was not there."""
        return self._inner.versions

    @property
    def failed(self) -> dict[Key, KvError]:
        """What was not, and why."""
        return self._inner.failed

    def __len__(self) -> int:
        """How many writes are gathered."""
        return len(self._inner)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.run(self._inner.__aexit__(kind, error, traceback))

    def __repr__(self) -> str:
        return repr(self._inner).replace("Async", "", 1)
