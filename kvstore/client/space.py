"""Space: the operations on keys, each call returning when it is done. `AsyncSpace` is where they are made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Literal, TypeVar, overload

from kvstore.client.async_keys import found_instead
from kvstore.client.async_space import AsyncSpace
from kvstore.client.batch import Batch
from kvstore.client.codecs import Codec
from kvstore.client.documented import like
from kvstore.client.keys import Key, Token
from kvstore.client.loop_thread import LoopThread
from kvstore.client.mapping import SpaceMapping
from kvstore.client.outcomes import Named
from kvstore.client.read_parcels import PageRow
from kvstore.client.records import Outcome, Partition, Record, Written
from kvstore.client.scanning import Scan
from kvstore.client.views import limit_of
from kvstore.core.errors import PreconditionFailed
from kvstore.core.versions import Version
from kvstore.placement.ring import Whereabouts

V = TypeVar("V")
W = TypeVar("W")
D = TypeVar("D")
K = TypeVar("K", str, bytes)


class Space(Generic[V]):
    """The keys of a keyspace, or those of them with a prefix, with values through a codec.

    Keys are str (stored as UTF-8) or bytes, 1 to 480 bytes long, and come back as bytes. Every call ends within its
    timeout (in seconds, 5 if not given) or raises DeadlineExceeded; all errors inherit `kvstore.errors.KvError`. May be
    used from many threads at once: their operations travel together.
    """

    def __init__(self, inner: AsyncSpace[V], thread: LoopThread) -> None:
        self._inner, self._thread = inner, thread

    # One key.

    @like(AsyncSpace.put)
    def put(
        self,
        key: Key,
        value: V,
        *,
        if_absent: bool = False,
        if_version: Token | None = None,
        acks: str | None = None,
        timeout: float | str | None = None,
    ) -> Version:
        return self._thread.run(
            self._inner.put(key, value, if_absent=if_absent, if_version=if_version, acks=acks, timeout=timeout)
        )

    @like(AsyncSpace.write)
    def write(
        self,
        key: Key,
        value: V,
        *,
        if_absent: bool = False,
        if_version: Token | None = None,
        acks: str | None = None,
        timeout: float | str | None = None,
    ) -> Written:
        return self._thread.run(
            self._inner.write(key, value, if_absent=if_absent, if_version=if_version, acks=acks, timeout=timeout)
        )

    @like(AsyncSpace.delete)
    def delete(
        self, key: Key, *, if_version: Token | None = None, acks: str | None = None, timeout: float | str | None = None
    ) -> bool:
        return self._thread.run(self._inner.delete(key, if_version=if_version, acks=acks, timeout=timeout))

    @like(AsyncSpace.update)
    def update(
        self,
        key: Key,
        change: Callable[[V | None], V],
        *,
        acks: str | None = None,
        timeout: float | str | None = None,
    ) -> V:
        with limit_of(self._inner, timeout):
            record = self.read(key)
            while True:
                value = change(record.value)
                try:
                    self.put(key, value, if_absent=not record.exists, if_version=record.version, acks=acks)
                    return value
                except PreconditionFailed as error:
                    record = found_instead(error) or self.read(key)

    @like(AsyncSpace.erase)
    def erase(
        self, key: Key, *, if_version: Token | None = None, acks: str | None = None, timeout: float | str | None = None
    ) -> Written:
        return self._thread.run(self._inner.erase(key, if_version=if_version, acks=acks, timeout=timeout))

    @overload
    def get(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> V | None: ...

    @overload
    def get(
        self,
        key: Key,
        default: D,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> V | D: ...

    @like(AsyncSpace.get)
    def get(
        self,
        key: Key,
        default: D | None = None,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> V | D | None:
        return self._thread.run(
            self._inner.get(key, default, consistency=consistency, timeout=timeout, max_staleness=max_staleness)
        )

    @like(AsyncSpace.read)
    def read(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Record[V]:
        return self._thread.run(
            self._inner.read(key, consistency=consistency, timeout=timeout, max_staleness=max_staleness)
        )

    @like(AsyncSpace.exists)
    def exists(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> bool:
        return self._thread.run(
            self._inner.exists(key, consistency=consistency, timeout=timeout, max_staleness=max_staleness)
        )

    # Many keys.

    @like(AsyncSpace.get_many)
    def get_many(
        self,
        keys: Iterable[K],
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> dict[K, V]:
        return self._thread.run(
            self._inner.get_many(list(keys), consistency=consistency, timeout=timeout, max_staleness=max_staleness)
        )

    @like(AsyncSpace.put_many)
    def put_many(
        self,
        items: Mapping[K, V] | Iterable[tuple[K, V]],
        *,
        acks: str | None = None,
        timeout: float | str | None = None,
    ) -> dict[K, Version]:
        return self._thread.run(self._inner.put_many(dict(items), acks=acks, timeout=timeout))

    @like(AsyncSpace.batch)
    def batch(self, *, atomic: bool = False, acks: str | None = None, timeout: float | str | None = None) -> Batch[V]:
        return Batch(self._inner.batch(atomic=atomic, acks=acks, timeout=timeout), self._thread)

    # In order.

    @overload
    def scan(
        self,
        prefix: str | bytes = "",
        *,
        start: str | bytes = "",
        end: str | bytes = "",
        limit: int | None = None,
        keys_only: Literal[False] = False,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Iterator[tuple[bytes, V]]: ...

    @overload
    def scan(
        self,
        prefix: str | bytes = "",
        *,
        start: str | bytes = "",
        end: str | bytes = "",
        limit: int | None = None,
        keys_only: Literal[True],
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Iterator[bytes]: ...

    @like(AsyncSpace.scan)
    def scan(
        self,
        prefix: str | bytes = "",
        *,
        start: str | bytes = "",
        end: str | bytes = "",
        limit: int | None = None,
        keys_only: bool = False,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Iterator[tuple[bytes, V]] | Iterator[bytes]:
        inner = self._inner
        what = inner.range_of(prefix, start, end, limit, keys_only)
        pages = inner.begin_scan(what, consistency=consistency, timeout=timeout, max_staleness=max_staleness)
        rows = self._rows(pages)
        if keys_only:
            return (inner.key_of(row) for row in rows)
        return (inner.pair_of(row) for row in rows)

    @like(AsyncSpace.scan_records)
    def scan_records(
        self,
        prefix: str | bytes = "",
        *,
        start: str | bytes = "",
        end: str | bytes = "",
        limit: int | None = None,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Iterator[Record[V]]:
        inner = self._inner
        what = inner.range_of(prefix, start, end, limit, False)
        pages = inner.begin_scan(what, consistency=consistency, timeout=timeout, max_staleness=max_staleness)
        return (inner.record_of(pages, row) for row in self._rows(pages))

    def _rows(self, scan: Scan) -> Iterator[PageRow]:
        try:
            while rows := self._thread.run(scan.chunk()):
                yield from rows
        finally:
            self._thread.post(scan.close)

    # Other views.

    def mapping(self) -> SpaceMapping[V]:
        """The same keys as a dict-like object: `m["a"] = b"1"`, `"a" in m`, `del m["a"]`, `for key in m`.

        Missing keys raise NotFound, which is a KeyError. `len(m)` counts by scanning. Keys come back as bytes.
        """
        return SpaceMapping(self)

    @overload
    def space(self, prefix: str | bytes = "") -> "Space[V]": ...

    @overload
    def space(self, prefix: str | bytes = "", *, codec: Codec[W]) -> "Space[W]": ...

    @like(AsyncSpace.space)
    def space(self, prefix: str | bytes = "", *, codec: Codec[W] | None = None) -> "Space[V] | Space[W]":
        if codec is None:
            return Space(self._inner.space(prefix), self._thread)
        return Space(self._inner.space(prefix, codec=codec), self._thread)

    @like(AsyncSpace.with_options)
    def with_options(
        self,
        *,
        consistency: str | None = None,
        acks: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> "Space[V]":
        inner = self._inner.with_options(
            consistency=consistency, acks=acks, timeout=timeout, max_staleness=max_staleness
        )
        return Space(inner, self._thread)

    # Looking.

    @like(AsyncSpace.where)
    def where(self, key: Key, *, timeout: float | str | None = None) -> Whereabouts:
        return self._thread.run(self._inner.where(key, timeout=timeout))

    @like(AsyncSpace.partitions)
    def partitions(self, *, timeout: float | str | None = None) -> list[Partition]:
        return self._thread.run(self._inner.partitions(timeout=timeout))

    @like(AsyncSpace.outcome)
    def outcome(self, operation: Named, *, key: Key | None = None, timeout: float | str | None = None) -> Outcome:
        return self._thread.run(self._inner.outcome(operation, key=key, timeout=timeout))

    def __repr__(self) -> str:
        return repr(self._inner).replace("Async", "", 1)
