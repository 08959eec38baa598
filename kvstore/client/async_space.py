"""AsyncSpace: the keys of a keyspace, or those of them with a prefix, for asyncio."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Literal, TypeVar, overload

from kvstore.client.async_batch import AsyncBatch
from kvstore.client.async_keys import AsyncKeys
from kvstore.client.bulk import Bulk, Ended, Write
from kvstore.client.codecs import Codec
from kvstore.client.keys import Key, part_bytes, range_after
from kvstore.client.options import Options, Resolver
from kvstore.client.outcomes import Named, find_outcome
from kvstore.client.read_parcels import PageRow, Row
from kvstore.client.records import KeyspaceInfo, Outcome, Partition, Record
from kvstore.client.routing import Route
from kvstore.client.scanning import Range, Scan
from kvstore.client.views import failures_error
from kvstore.core.commands import Kind
from kvstore.core.errors import InvalidRequest, KvError
from kvstore.core.versions import Version
from kvstore.placement.ring import Whereabouts

V = TypeVar("V")
W = TypeVar("W")
T = TypeVar("T")
K = TypeVar("K", str, bytes)
_PUT = int(Kind.PUT)


class AsyncSpace(AsyncKeys[V]):
    """The keys of a keyspace, or those of them with a prefix, with values through a codec.

    Keys are str (stored as UTF-8) or bytes, 1 to 480 bytes long, and come back as bytes. Every call ends within its
    timeout (in seconds, 5 if not given) or raises DeadlineExceeded; all errors inherit `kvstore.errors.KvError`.
    """

    # Many keys.

    async def get_many(
        self,
        keys: Iterable[K],
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> dict[K, V]:
        """The values of those keys that exist, by key as it was given, in the order given.

            found = await db.get_many(["user:1", "user:2"])

        One request for each partition, all at once; each key is as fresh as `consistency` or `read` say, but the keys
        are not read at one instant. Raises as `get` does, for the first key with siblings, say.
        """
        given = list(dict.fromkeys(keys))
        options = self._options.changed(
            consistency=consistency, read=read, max_staleness=max_staleness, resolver=resolver
        )
        route, stored, rows = await self._rows_of(given, options, timeout)
        if not route.is_leaderless:
            decode = self._decode
            return {key: decode(row[1]) for key, row in zip(given, rows, strict=True) if isinstance(row, tuple)}
        found: dict[K, V] = {}
        for key, inner, row in zip(given, stored, rows, strict=True):
            for value in self._values(route, inner, row, options):
                found[key] = value
        return found

    async def read_many(
        self,
        keys: Iterable[K],
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> dict[K, Record[V]]:
        """The full form of `get_many`: a record for each key, existing or not (but no receipts).

        records = await carts.read_many(["41", "42"])
        """
        given = list(dict.fromkeys(keys))
        options = self._options.changed(consistency=consistency, read=read, max_staleness=max_staleness)
        route, stored, rows = await self._rows_of(given, options, timeout)
        found = zip(given, stored, rows, strict=True)
        return {key: self._record(route, inner, row) for key, inner, row in found}

    async def _rows_of(
        self, keys: list[K], options: Options, timeout: float | str | None
    ) -> tuple[Route, list[bytes], list[Row | None]]:
        """The keys as they are stored, and their rows."""
        stored = [self._stored(key) for key in keys]
        deadline = self._until(timeout)
        route = await self._route(deadline)
        rows = await Bulk(self._dispatch, route, deadline).read(stored, options.read_way(route.info)) if keys else []
        return route, stored, rows

    async def put_many(
        self,
        items: Mapping[K, V] | Iterable[tuple[K, V]],
        *,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> dict[K, Version]:
        """Write many keys and return their versions, by key as it was given.

            await db.put_many({"user:1": b"Ada", "user:2": b"Bob"})

        Bad keys and values are found before anything is sent. The writes are independent; should some fail, the first
        error is raised, whose `.failed` maps every failed key to its own error. In a leaderless keyspace these are
        puts without a context: what is there already stays as a sibling (a batch takes contexts).
        """
        wanted = dict(items)
        deadline = self._until(timeout)
        options = self._options.changed(acks=acks, write=write, sloppy=sloppy)
        if not wanted:
            return {}
        route = await self._route(deadline)
        writes = []
        for key, value in wanted.items():
            stored = self._stored(key)
            writes.append(Write(_PUT, stored, self._encoded(value, stored, route)))
        ended = await Bulk(self._dispatch, route, deadline).write(writes, options.write_way(route.info))
        return self._versions(list(wanted), ended)

    def _versions(self, keys: list[K], ended: list[Ended]) -> dict[K, Version]:
        versions = {key: end for key, end in zip(keys, ended, strict=True) if isinstance(end, Version)}
        if len(versions) < len(keys):
            failed = {key: end for key, end in zip(keys, ended, strict=True) if isinstance(end, KvError)}
            raise failures_error(failed, versions)
        return versions

    def batch(
        self,
        *,
        atomic: bool = False,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> AsyncBatch[V]:
        """Gather writes in a block and send them together at its end; nothing is sent if the block raises.

            async with db.batch() as b:
                b.put("a", b"1")
                b.delete("b")
            print(b.applied)

        With `atomic=True` all keys must lie in one partition, and all writes happen or none. See `AsyncBatch`.
        """
        return AsyncBatch(self, atomic, self._options.changed(acks=acks, write=write, sloppy=sloppy), timeout)

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
    ) -> AsyncIterator[tuple[bytes, V]]: ...

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
    ) -> AsyncIterator[bytes]: ...

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
    ) -> AsyncIterator[tuple[bytes, V]] | AsyncIterator[bytes]:
        """Keys and values in order of keys: those with a prefix, or from `start` to before `end`.

            async for key, value in db.scan("user:"): ...
            async for key in db.scan(start="a", end="b", limit=100, keys_only=True): ...

        All partitions are merged; further pages are fetched while you look at the first. `timeout` is for each page,
        not for the whole. A scan is not a snapshot: what is written meanwhile may or may not be seen.

        In a leaderless keyspace a key with siblings ends it with a ConflictError, unless there is a `resolver`;
        `scan_records` goes on and gives them all.
        """
        what = self.range_of(prefix, start, end, limit, keys_only)
        pages = self.begin_scan(
            what,
            consistency=consistency,
            read=read,
            timeout=timeout,
            max_staleness=max_staleness,
            resolver=resolver,
        )
        return self._rows(pages, self.key_of) if keys_only else self._rows(pages, lambda row: self.pair_of(pages, row))

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
    ) -> AsyncIterator[Record[V]]:
        """Like `scan`, giving records: key, value, version, siblings, when it was written (but no receipts)."""
        what = self.range_of(prefix, start, end, limit, False)
        pages = self.begin_scan(
            what, consistency=consistency, read=read, timeout=timeout, max_staleness=max_staleness, resolver="raise"
        )
        return self._rows(pages, lambda row: self.record_of(pages, row))

    def begin_scan(
        self,
        what: Range,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> Scan:
        """A scan to be read by the chunk; `scan` is what you want."""
        options = self._options.changed(
            consistency=consistency, read=read, timeout=timeout, max_staleness=max_staleness, resolver=resolver
        )
        return Scan(self._dispatch, self._route, what, options, lambda: self._until(options.timeout_s))

    def range_of(
        self, prefix: str | bytes, start: str | bytes, end: str | bytes, limit: int | None, keys_only: bool
    ) -> Range:
        """The range of stored keys that a scan of this view covers. Raises InvalidRequest."""
        if prefix and (start or end):
            raise InvalidRequest("a scan takes either a prefix, or start and end")
        if limit is not None and limit < 0:
            raise InvalidRequest(f"limit must not be negative, got {limit}")
        if prefix:
            first = self._prefix + part_bytes(prefix)
            return Range(first, range_after(first), limit or 0, keys_only)
        last = self._prefix + part_bytes(end) if end else range_after(self._prefix)
        return Range(self._prefix + part_bytes(start), last, limit or 0, keys_only)

    def key_of(self, row: PageRow) -> bytes:
        return row[0][len(self._prefix) :]

    def pair_of(self, scan: Scan, row: PageRow) -> tuple[bytes, V]:
        (value,) = self._values(scan.route, *row, scan.options)  # a scan passes over what is deleted
        return row[0][len(self._prefix) :], value

    def record_of(self, scan: Scan, row: PageRow) -> Record[V]:
        return self._record(scan.route, *row)

    async def _rows(self, scan: Scan, shape: Callable[[PageRow], T]) -> AsyncIterator[T]:
        try:
            while rows := await scan.chunk():
                for row in rows:
                    yield shape(row)
        finally:
            scan.close()

    # Other views.

    @overload
    def space(self, prefix: str | bytes = "", *, resolver: Resolver | str | None = None) -> "AsyncSpace[V]": ...

    @overload
    def space(
        self, prefix: str | bytes = "", *, codec: Codec[W], resolver: Resolver | str | None = None
    ) -> "AsyncSpace[W]": ...

    def space(
        self, prefix: str | bytes = "", *, codec: Codec[W] | None = None, resolver: Resolver | str | None = None
    ) -> "AsyncSpace[V] | AsyncSpace[W]":
        """The keys below a prefix, which is put before every key and taken off again; values go through the codec.

            users = db.space("user:", codec=codecs.msgpack(User))
            await users.put("1", User("Ada", 36))           # the key is user:1

        `resolver` says what concurrent values in a leaderless keyspace come to, see `get`.
        """
        below, options = self._prefix + part_bytes(prefix), self._options.changed(resolver=resolver)
        if codec is None:
            return AsyncSpace(self._dispatch, self._keyspace, below, self._codec, options)
        return AsyncSpace(self._dispatch, self._keyspace, below, codec, options)

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
    ) -> "AsyncSpace[V]":
        """The same keys, asked for otherwise.

        fast = db.with_options(consistency="follower", max_staleness=5.0, timeout=0.5)
        carts = db.keyspace("carts").with_options(read="one", write="quorum", resolver="lww")  # leaderless
        """
        options = self._options.changed(
            consistency=consistency,
            acks=acks,
            timeout=timeout,
            max_staleness=max_staleness,
            read=read,
            write=write,
            sloppy=sloppy,
            resolver=resolver,
        )
        return AsyncSpace(self._dispatch, self._keyspace, self._prefix, self._codec, options)

    async def info(self, *, timeout: float | str | None = None) -> KeyspaceInfo:
        """How this keyspace was created: mode, replicas, limits, levels."""
        return (await self._route(self._until(timeout))).info

    # Looking.

    async def where(self, key: Key, *, timeout: float | str | None = None) -> Whereabouts:
        """Every step from a key to its nodes: hash, partition, group, replicas, leader as far as known.

        print(await db.where("user:1"))
        """
        stored = self._stored(key)
        await self._route(self._until(timeout))
        return self._dispatch.directory.where(self._keyspace, stored)

    async def partitions(self, *, timeout: float | str | None = None) -> list[Partition]:
        """The partitions of this keyspace, with their replicas and, as far as known, leaders."""
        await self._route(self._until(timeout))
        return self._dispatch.directory.partitions(self._keyspace)

    async def outcome(self, operation: Named, *, key: Key | None = None, timeout: float | str | None = None) -> Outcome:
        """What became of a write: known for at least 10 minutes.

            try:
                await db.put("user:1", b"Ada")
            except kvstore.errors.KvError as error:
                if error.maybe_applied:
                    print(await db.outcome(error))

        `operation` is the error, an OperationId or its text, or what `write` returned. If it is a bare id and the key
        is not given, every partition of the keyspace is asked.
        """
        deadline = self._until(timeout)
        stored = None if key is None else self._stored(key)
        return await find_outcome(self._dispatch, await self._route(deadline), operation, stored, deadline)
