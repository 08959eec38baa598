"""AsyncKeys: what can be done with one key, for asyncio. `put` and `get` are the hottest path of the client."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, overload

from kvstore.client.bulk import take_room, wait_for_room
from kvstore.client.keys import Key, Terms, Token, terms_of
from kvstore.client.options import Options, Resolver
from kvstore.client.parcels import OPERATION_BYTES
from kvstore.client.records import Receipt, Record, Sibling, Written
from kvstore.client.siblings import is_present
from kvstore.client.views import View, limit_of
from kvstore.core.causality import Versions, encode_context
from kvstore.core.commands import Kind
from kvstore.core.errors import KvError, PreconditionFailed, ValueTooLarge
from kvstore.core.ids import OperationId
from kvstore.core.versions import CausalVersion, Version

V = TypeVar("V")
D = TypeVar("D")


def found_instead(error: PreconditionFailed) -> Record[V] | None:
    """The record that was there instead, if all of it is known."""
    current: Record[V] | None = error.current
    return current if current is not None and current.exists == (current.value is not None) else None


_PUT, _DELETE = int(Kind.PUT), int(Kind.DELETE)


class AsyncKeys(View[V]):
    """Reading and writing single keys of a view."""

    async def put(
        self,
        key: Key,
        value: V,
        *,
        if_absent: bool = False,
        if_version: Token | None = None,
        context: Token | None = None,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Version:
        """Write a value and return its version.

            version = await db.put("user:1", b"Ada")
            await db.put("lock", b"me", if_absent=True)            # only if there is nothing
            await db.put("user:1", b"Ada L.", if_version=version)  # compare-and-set
            await carts.put("42", b"tea", context=record)          # leaderless: replaces what was read

        `if_version` and `context` take a Version, a Record, or a version's text. `acks` is `majority`, `all` or
        `leader`; without it the keyspace decides. A retry carries the same operation id, so the write happens at most
        once.

        In a leaderless keyspace a put replaces what `context` has seen and is a sibling of everything else, without it
        of all that is there; the version it returns is a context for the next one. `write` is how many replicas must
        have it on disk (`one`, `quorum`, `all`, a number), `sloppy` whether hints for replicas that are down count.

        Raises PreconditionFailed (its `.current` is the Record that is there), DeadlineExceeded and QuorumNotMet (the
        write may have happened: `outcome(error)` tells), SiblingsExceeded, KeyTooLarge, ValueTooLarge, WrongMode,
        Unavailable and others.
        """
        data = self._stored(key)
        deadline = self._until(timeout)
        lane, options = self._writes, self._options
        if acks is not None or write is not None or sloppy is not None:
            options, lane = options.changed(acks=acks, write=write, sloppy=sloppy), None
        if lane is None or not lane.route.live:
            lane = await self._write_lane(deadline, options)
        encoded = self._encode(value)
        if len(encoded) > lane.value_bytes_max:
            raise ValueTooLarge(key=data, size=len(encoded), limit=lane.value_bytes_max)
        condition, stamp, seen = 0, 0, b""
        if if_absent or if_version is not None or context is not None:
            condition, stamp, seen = terms_of(lane.route, data, if_absent, if_version, context)
        weight = len(data) + len(encoded) + OPERATION_BYTES
        if not self._room.take(1, weight):
            await wait_for_room(self._dispatch, lane.route, 1, weight, deadline)
        try:
            version = await lane.add(_PUT, data, encoded, condition, stamp, deadline, seen)
        except PreconditionFailed as error:
            raise await self._with_current(error, key, deadline) from None
        assert version is not None, "a put that succeeds has a version"
        return version

    async def write(
        self,
        key: Key,
        value: V,
        *,
        if_absent: bool = False,
        if_version: Token | None = None,
        context: Token | None = None,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Written:
        """The full form of `put`: version, operation id and receipt.

        written = await db.write("user:1", b"Ada", acks="all")
        written.version, written.operation, written.receipt.on_disk
        """
        options = self._options.changed(acks=acks, write=write, sloppy=sloppy)
        deadline = self._until(timeout)
        data, route = self._stored(key), await self._route(deadline)
        encoded = self._encoded(value, data, route)
        terms = terms_of(route, data, if_absent, if_version, context)
        return await self._in_full(_PUT, key, encoded, terms, deadline, options)

    async def delete(
        self,
        key: Key,
        *,
        if_version: Token | None = None,
        context: Token | None = None,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> bool:
        """Delete a key. Returns whether there was anything to delete.

            await db.delete("user:1")
            await db.delete("user:1", if_version=record)  # only if it is still as it was read
            await carts.delete("42", context=record)      # leaderless: only what was read

        In a leaderless keyspace, without a context, the key is read first and what is found is deleted; a value that
        is written meanwhile stays. Raises as `put` does.
        """
        data = self._stored(key)
        deadline = self._until(timeout)
        lane, options = self._writes, self._options
        if acks is not None or write is not None or sloppy is not None:
            options, lane = options.changed(acks=acks, write=write, sloppy=sloppy), None
        if lane is None or not lane.route.live:
            lane = await self._write_lane(deadline, options)
        terms = terms_of(lane.route, data, False, if_version, context)
        if lane.route.is_leaderless and context is None:
            known, _ = await self._known(data, deadline)
            if known.is_deleted:
                return False
            terms = Terms(context=encode_context(known.context))
        await take_room(self._dispatch, lane.route, 1, len(data) + OPERATION_BYTES, deadline)
        try:
            return await lane.add(_DELETE, data, b"", terms.condition, terms.stamp, deadline, terms.context) is not None
        except PreconditionFailed as error:
            raise await self._with_current(error, key, deadline) from None

    async def _known(self, stored: bytes, deadline: float) -> tuple[Versions, Receipt]:
        """Leaderless: all that is known of a key."""
        _, row, receipt = await self._full_row(stored, deadline, self._options)
        assert isinstance(row, Versions), "a leaderless keyspace has no other rows"
        return row, receipt

    async def resolve(
        self,
        record: Record[V],
        value: V | Sibling[V],
        *,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Version:
        """Leaderless: replace all siblings of a record by one value, or by one of them.

            record = await carts.read("42")
            await carts.resolve(record, record.siblings[-1])  # the newest

        What was written since the record was read stays as a sibling. Raises as `put` does.
        """
        chosen: V = value.value if isinstance(value, Sibling) else value
        return await self.put(record.key, chosen, context=record, write=write, sloppy=sloppy, timeout=timeout)

    async def update(
        self,
        key: Key,
        change: Callable[[V | None], V],
        *,
        acks: str | None = None,
        read: int | str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        resolver: Resolver | str | None = None,
        timeout: float | str | None = None,
    ) -> V:
        """Read, change, write if it is still what was read; again if somebody was faster. Returns what was written.

            count = await db.space(codec=codecs.json).update("visits", lambda n: (n or 0) + 1)

        `change` gets None if there is no such key. It may be called several times, so it should do nothing else. Raises
        what it raises, and as `put` does: DeadlineExceeded if others were faster all the time.

        In a leaderless keyspace `change` gets what `get` gives, resolved if there are siblings, and the result replaces
        all of them; what somebody wrote meanwhile stays beside it as a sibling, for the resolver of the next reader.
        """
        with limit_of(self, timeout):
            record, value = await self.read_to_change(key, read=read, resolver=resolver)
            if isinstance(record.version, CausalVersion):
                value = change(value)
                await self.put(key, value, context=record, acks=acks, write=write, sloppy=sloppy)
                return value
            while True:
                value = change(record.value)
                try:
                    await self.put(
                        key, value, if_absent=not record.exists, if_version=record.version, acks=acks, write=write,
                        sloppy=sloppy,
                    )  # fmt: skip
                    return value
                except PreconditionFailed as error:
                    record = found_instead(error) or await self.read(key)

    async def read_to_change(
        self, key: Key, *, read: int | str | None = None, resolver: Resolver | str | None = None
    ) -> tuple[Record[V], V | None]:
        """The record of a key and what `get` would give of it: the first half of `update`."""
        options = self._options.changed(read=read, resolver=resolver)
        data = self._stored(key)
        route, row, receipt = await self._full_row(data, self._until(None), options)
        values = self._values(route, data, row, options)
        return self._record(route, data, row, receipt), values[0] if values else None

    async def erase(
        self,
        key: Key,
        *,
        if_version: Token | None = None,
        context: Token | None = None,
        acks: str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        timeout: float | str | None = None,
    ) -> Written:
        """The full form of `delete`: `.found`, operation id and receipt.

        Where a leaderless keyspace is found to have nothing to delete nothing is sent; the receipt is that of the read.
        """
        options = self._options.changed(acks=acks, write=write, sloppy=sloppy)
        data = self._stored(key)
        deadline = self._until(timeout)
        route = await self._route(deadline)
        terms = terms_of(route, data, False, if_version, context)
        if route.is_leaderless and context is None:
            options.write_way(route.info)
            known, receipt = await self._known(data, deadline)
            if known.is_deleted:
                operation = OperationId(self._dispatch.names.client, self._dispatch.names.take(1))
                return Written(data[len(self._prefix) :], None, operation, receipt)
            terms = Terms(context=encode_context(known.context))
        return await self._in_full(_DELETE, key, b"", terms, deadline, options)

    async def _in_full(
        self, kind: int, key: Key, encoded: bytes, terms: Terms, deadline: float, options: Options
    ) -> Written:
        data = self._stored(key)
        lane = await self._write_lane(deadline, options, full=True)
        await take_room(self._dispatch, lane.route, 1, len(data) + len(encoded) + OPERATION_BYTES, deadline)
        try:
            written = await lane.add_in_full(kind, data, encoded, terms.condition, terms.stamp, deadline, terms.context)
        except PreconditionFailed as error:
            raise await self._with_current(error, key, deadline) from None
        return replace(written, key=data[len(self._prefix) :])

    async def _with_current(self, error: PreconditionFailed, key: Key, deadline: float) -> KvError:
        """The refusal with the record that is there now. The node told its version; the value takes a read."""
        left_s = deadline - self._clock()
        try:
            if left_s > 0:
                error.facts["current"] = await self.read(key, consistency="linearizable", timeout=left_s)
                return error
        except KvError as failed:
            error.add_note(f"what is there now could not be read: {failed}")
        return self._told(error)

    @overload
    async def get(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> V | None: ...

    @overload
    async def get(
        self,
        key: Key,
        default: D,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> V | D: ...

    async def get(
        self,
        key: Key,
        default: D | None = None,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        resolver: Resolver | str | None = None,
    ) -> V | D | None:
        """The value of a key, or `default` if there is none.

            value = await db.get("user:1")
            await db.get("user:1", b"?", consistency="follower", max_staleness=2.0)

        `consistency` is `linearizable` (default), `leader` or `follower`; `max_staleness` (seconds) bounds how old a
        follower's answer may be.

        In a leaderless keyspace `read` is how many replicas must answer (`one`, `quorum`, `all`, a number). If the key
        has siblings, ConflictError is raised, with all of them in `.record`, unless there is a `resolver`: a function
        of the key and the list of values, oldest first, or `lww`, the newest write. What it says is what you get; it
        is not written back (`update` does that).
        """
        data = self._stored(key)
        deadline = self._until(timeout)
        lane, options = self._reads, self._options
        if consistency is not None or read is not None or max_staleness is not None or resolver is not None:
            options = options.changed(
                consistency=consistency, read=read, max_staleness=max_staleness, resolver=resolver
            )
            lane = None
        if lane is None or not lane.route.live:
            lane = await self._read_lane(deadline, options)
        weight = len(data) + OPERATION_BYTES + lane.route.value_bytes
        if not self._room.take(1, weight):
            await wait_for_room(self._dispatch, lane.route, 1, weight, deadline)
        row = await lane.add(data, deadline, weight)
        if row is None:
            return default
        if isinstance(row, Versions):
            values = self._values(lane.route, data, row, options)
            return values[0] if values else default
        return self._decode(row[1])

    async def read(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Record[V]:
        """The full form of `get`: whether it exists, value, version, when it was written, and the receipt.

            record = await db.read("user:1")
            await db.put("user:1", b"Ada L.", if_version=record)

        In a leaderless keyspace: all siblings, whatever the resolver, and a version also for keys that do not exist;
        `put(…, context=record)` replaces exactly what was read.
        """
        options = self._options.changed(consistency=consistency, read=read, max_staleness=max_staleness)
        data = self._stored(key)
        route, row, receipt = await self._full_row(data, self._until(timeout), options)
        return self._record(route, data, row, receipt)

    async def exists(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        read: int | str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> bool:
        """Whether a key exists. (The value travels too; nothing cheaper is on offer.)"""
        options = self._options.changed(consistency=consistency, read=read, max_staleness=max_staleness)
        _, row, _ = await self._full_row(self._stored(key), self._until(timeout), options)
        return is_present(row, options.resolver) if isinstance(row, Versions) else row is not None
