"""Space: the operations on keys, each call returning when it is done. `AsyncSpace` is where they are made."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeVar, overload

from kvstore.client.async_space import AsyncSpace
from kvstore.client.batch import Batch
from kvstore.client.codecs import Codec
from kvstore.client.documented import like
from kvstore.client.keys import Key
from kvstore.client.mapping import SpaceMapping
from kvstore.client.options import Resolver
from kvstore.client.outcomes import Named
from kvstore.client.read_parcels import PageRow
from kvstore.client.records import KeyspaceInfo, Outcome, Partition, Record
from kvstore.client.scanning import Scan
from kvstore.client.sync_keys import SyncKeys
from kvstore.core.versions import Version
from kvstore.placement.ring import Whereabouts

V = TypeVar("V")
W = TypeVar("W")
K = TypeVar("K", str, bytes)


class Space(SyncKeys[V]):
    """The keys of a keyspace, or those of them with a prefix, with values through a codec.

    Keys are str (stored as UTF-8) or bytes, 1 to 480 bytes long, and come back as bytes. Every call ends within its
    timeout (in seconds, 5 if not given) or raises DeadlineExceeded; all errors inherit `kvstore.errors.KvError`. May be
    used from many threads at once: their operations travel together.
    """

    # Many keys.

    @like(AsyncSpace.get_many)
    def get_many(
        self,
        keys: Iterable[K],
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> dict[K, V]:
        return self._thread.run(
            self._inner.get_many(
                list(keys),
                consistency=consistency,
                read=read,
                timeout=timeout,
                max_staleness=max_staleness,
                resolver=resolver,
            )
        )

    @like(AsyncSpace.read_many)
    def read_many(
        self,
        keys: Iterable[K],
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> dict[K, Record[V]]:
        return self._thread.run(
            self._inner.read_many(
                list(keys), consistency=consistency, read=read, timeout=timeout, max_staleness=max_staleness
            )
        )

    @like(AsyncSpace.put_many)
    def put_many(
        self,
        items: Mapping[K, V] | Iterable[tuple[K, V]],
        *,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> dict[K, Version]:
        return self._thread.run(
            self._inner.put_many(dict(items), acks=acks, write=write, sloppy=sloppy, timeout=timeout)
        )

    @like(AsyncSpace.batch)
    def batch(
        self,
        *,
        atomic: bool = False,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Batch[V]:
        inner = self._inner.batch(atomic=atomic, acks=acks, write=write, sloppy=sloppy, timeout=timeout)
        return Batch(inner, self._thread)

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
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
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
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
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
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> Iterator[tuple[bytes, V]] | Iterator[bytes]:
        inner = self._inner
        what = inner.range_of(prefix, start, end, limit, keys_only)
        pages = inner.begin_scan(
            what,
            consistency=consistency,
            read=read,
            timeout=timeout,
            max_staleness=max_staleness,
            resolver=resolver,
        )
        rows = self._rows(pages)
        if keys_only:
            return (inner.key_of(row) for row in rows)
        return (inner.pair_of(pages, row) for row in rows)

    @like(AsyncSpace.scan_records)
    def scan_records(
        self,
        prefix: str | bytes = "",
        *,
        start: str | bytes = "",
        end: str | bytes = "",
        limit: int | None = None,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Iterator[Record[V]]:
        inner = self._inner
        what = inner.range_of(prefix, start, end, limit, False)
        pages = inner.begin_scan(
            what, consistency=consistency, read=read, timeout=timeout, max_staleness=max_staleness, resolver="raise"
        )
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
    def space(self, prefix: str | bytes = "", *, resolver: Resolver | str | None = None) -> "Space[V]": ...

    @overload
    def space(
        self, prefix: str | bytes = "", *, codec: Codec[W], resolver: Resolver | str | None = None
    ) -> "Space[W]": ...

    @like(AsyncSpace.space)
    def space(
        self, prefix: str | bytes = "", *, codec: Codec[W] | None = None, resolver: Resolver | str | None = None
    ) -> "Space[V] | Space[W]":
        if codec is None:
            return Space(self._inner.space(prefix, resolver=resolver), self._thread)
        return Space(self._inner.space(prefix, codec=codec, resolver=resolver), self._thread)

    @like(AsyncSpace.with_options)
    def with_options(
        self,
        *,
        consistency: str | None = None,
        acks: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        read: int | str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        resolver: Resolver | str | None = None,
    ) -> "Space[V]":
        inner = self._inner.with_options(
            consistency=consistency,
            acks=acks,
            timeout=timeout,
            max_staleness=max_staleness,
            read=read,
            write=write,
            sloppy=sloppy,
            resolver=resolver,
        )
        return Space(inner, self._thread)

    @like(AsyncSpace.info)
    def info(self, *, timeout: float | str | None = None) -> KeyspaceInfo:
        return self._thread.run(self._inner.info(timeout=timeout))

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
