"""AsyncBatch: writes gathered in a block and sent together at its end; nothing is sent if the block raises."""

from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from kvstore.client.bulk import Bulk, Write
from kvstore.client.keys import Key, Token
from kvstore.client.views import View, check_size, failures_error
from kvstore.core.commands import Kind
from kvstore.core.errors import ClientClosed, InvalidRequest, KvError
from kvstore.core.versions import Version

V = TypeVar("V")


class _Wish(NamedTuple):
    """A write as it was asked for."""

    given: Key
    write: Write
    if_absent: bool
    if_version: Token | None

    @property
    def is_conditional(self) -> bool:
        return self.if_absent or self.if_version is not None


class AsyncBatch(View[V]):
    """Buffered writes. Made by `batch()`, used as a context manager.

        async with db.batch() as b:
            for number in range(10_000):
                b.put(f"row:{number}", b"x")
        print(b.applied)

    Keys are written in parallel, partition by partition; a later write to the same key replaces an earlier one. Should
    some fail, the block ends with the first error, whose `.failed` has all of them by key; `b.failed` has them too.
    With `atomic=True` all keys must lie in one partition, and either all writes happen or none.
    """

    def __init__(self, view: View[V], atomic: bool, acks: str | None, timeout: float | str | None) -> None:
        super().__init__(view._dispatch, view._keyspace, view._prefix, view._codec, view._options)
        self._atomic, self._acks, self._timeout = atomic, acks, timeout
        self._wire_acks(acks)  # a wrong word is told at once
        self._wishes: dict[bytes, _Wish] = {}
        self._sent = False
        self.versions: dict[Key, Version | None] = {}
        """What was written, by key as it was given; None for a delete of a key that was not there."""
        self.failed: dict[Key, KvError] = {}
        """What was not, and why."""

    @property
    def applied(self) -> int:
        """How many of the writes succeeded."""
        return len(self.versions)

    def __len__(self) -> int:
        """How many writes are gathered."""
        return len(self._wishes)

    def put(self, key: Key, value: V, *, if_absent: bool = False, if_version: Token | None = None) -> None:
        """Gather a put. Keys and values are checked now, conditions and sizes when the batch is sent."""
        stored = self._stored(key)
        self._gather(_Wish(key, Write(Kind.PUT, stored, self._encode(value)), if_absent, if_version))

    def delete(self, key: Key, *, if_version: Token | None = None) -> None:
        """Gather a delete."""
        self._gather(_Wish(key, Write(Kind.DELETE, self._stored(key)), False, if_version))

    def _gather(self, wish: _Wish) -> None:
        if self._sent:
            raise InvalidRequest("this batch was sent already; make a new one")
        earlier = self._wishes.get(wish.write.key)
        if earlier is not None and (earlier.is_conditional or wish.is_conditional):
            raise InvalidRequest(f"{wish.given!r} is in this batch already, and one of the two is conditional")
        self._wishes[wish.write.key] = wish

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self.send()
        else:
            self._sent, self._wishes = True, {}

    async def send(self) -> None:
        """Write what was gathered; called at the end of the block. Raises as the class says."""
        if self._sent:
            raise InvalidRequest("this batch was sent already; make a new one")
        self._sent = True
        if self._dispatch.closed:
            raise ClientClosed()
        if not self._wishes:
            return
        deadline = self._until(self._timeout)
        route = await self._route(deadline)
        writes = []
        for wish in self._wishes.values():
            check_size(route, wish.write.key, wish.write.value)
            condition, stamp = self._condition(route, wish.write.key, wish.if_absent, wish.if_version)
            writes.append(wish.write._replace(condition=condition, stamp=stamp))
        ended = await Bulk(self._dispatch, route, deadline).write(
            writes, self._wire_acks(self._acks), atomic=self._atomic
        )
        for wish, end in zip(self._wishes.values(), ended, strict=True):
            if isinstance(end, KvError):
                self.failed[wish.given] = self._told(end)
            else:
                self.versions[wish.given] = end
        if self.failed:
            raise failures_error(self.failed, self.versions)

    def __repr__(self) -> str:
        state = f"{self.applied} applied, {len(self.failed)} failed" if self._sent else f"{len(self)} gathered"
        return f"<{type(self).__name__} {state}>"
