"""AsyncBatch: writes gathered in a block and sent together at its end; nothing is sent if the block raises."""

from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from kvstore.client.bulk import Bulk, Ended, Write
from kvstore.client.keys import Key, Terms, Token, terms_of
from kvstore.client.options import Options
from kvstore.client.routing import Route
from kvstore.client.views import View, check_size, failures_error
from kvstore.core.causality import Versions, encode_context
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
    context: Token | None

    @property
    def is_conditional(self) -> bool:
        return self.if_absent or self.if_version is not None or self.context is not None


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

    def __init__(self, view: View[V], atomic: bool, options: Options, timeout: float | str | None) -> None:
        super().__init__(view._dispatch, view._keyspace, view._prefix, view._codec, options)
        self._atomic, self._limit = atomic, timeout
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

    def put(
        self,
        key: Key,
        value: V,
        *,
        if_absent: bool = False,
        if_version: Token | None = None,
        context: Token | None = None,
    ) -> None:
        """Gather a put. Keys and values are checked now, conditions, contexts and sizes when the batch is sent."""
        stored = self._stored(key)
        self._gather(_Wish(key, Write(Kind.PUT, stored, self._encode(value)), if_absent, if_version, context))

    def delete(self, key: Key, *, if_version: Token | None = None, context: Token | None = None) -> None:
        """Gather a delete. In a leaderless keyspace, without a context, of what is there when the batch is sent."""
        self._gather(_Wish(key, Write(Kind.DELETE, self._stored(key)), False, if_version, context))

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
        deadline = self._until(self._limit)
        route = await self._route(deadline)
        way = self._options.write_way(route.info)
        for wish in self._wishes.values():
            check_size(route, wish.write.key, wish.write.value)
        seen = await self._seen_before_deletes(route, deadline) if route.is_leaderless else {}
        wishes, writes = [], []
        for wish in self._wishes.values():
            known = seen.get(wish.write.key)
            if known is not None and known.is_deleted:
                self.versions[wish.given] = None
                continue
            terms = terms_of(route, wish.write.key, wish.if_absent, wish.if_version, wish.context)
            if known is not None:
                terms = Terms(context=encode_context(known.context))
            wishes.append(wish)
            writes.append(Write(*wish.write[:3], *terms))
        if writes:
            ended = await Bulk(self._dispatch, route, deadline).write(writes, way, atomic=self._atomic)
            self._sort(wishes, ended)

    async def _seen_before_deletes(self, route: Route, deadline: float) -> dict[bytes, Versions]:
        """What is there of the keys that are to be deleted whatever they hold."""
        wishes = self._wishes.values()
        keys = [wish.write.key for wish in wishes if wish.write.kind == Kind.DELETE and not wish.is_conditional]
        if not keys:
            return {}
        rows = await Bulk(self._dispatch, route, deadline).read(keys, self._options.read_way(route.info))
        return {key: row for key, row in zip(keys, rows, strict=True) if isinstance(row, Versions)}

    def _sort(self, wishes: Sequence[_Wish], ended: Sequence[Ended]) -> None:
        """What was written and what was not. Raises as the class says."""
        for wish, end in zip(wishes, ended, strict=True):
            if isinstance(end, KvError):
                self.failed[wish.given] = self._told(end)
            else:
                self.versions[wish.given] = end
        if self.failed:
            raise failures_error(self.failed, self.versions)

    def __repr__(self) -> str:
        state = f"{self.applied} applied, {len(self.failed)} failed" if self._sent else f"{len(self)} gathered"
        return f"<{type(self).__name__} {state}>"
