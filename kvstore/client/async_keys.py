"""AsyncKeys: what can be done with one key, for asyncio. `put` and `get` are the hottest path of the client."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, overload

from kvstore.client.bulk import take_room, wait_for_room
from kvstore.client.keys import Key, Token
from kvstore.client.parcels import OPERATION_BYTES
from kvstore.client.records import Record, Written
from kvstore.client.views import View, limit_of
from kvstore.core.commands import Kind
from kvstore.core.errors import KvError, PreconditionFailed, ValueTooLarge
from kvstore.core.versions import Version

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
        acks: str | None = None,
        timeout: float | str | None = None,
    ) -> Version:
        """Write a value and return its version.

            version = await db.put("user:1", b"Ada")
            await db.put("lock", b"me", if_absent=True)            # only if there is nothing
            await db.put("user:1", b"Ada L.", if_version=version)  # compare-and-set

        `if_version` takes a Version, a Record, or a version's text. `acks` is `majority`, `all` or `leader`; without it
        the keyspace decides. A retry carries the same operation id, so the write happens at most once.

        Raises PreconditionFailed (its `.current` is the Record that is there), DeadlineExceeded (the write may have
        happened: `outcome(error)` tells), KeyTooLarge, ValueTooLarge, Unavailable and others.
        """
        data = self._stored(key)
        deadline = self._until(timeout)
        lane = self._writes
        if lane is None or acks is not None or not lane.route.live:
            lane = await self._write_lane(deadline, acks)
        encoded = self._encode(value)
        if len(encoded) > lane.value_bytes_max:
            raise ValueTooLarge(key=data, size=len(encoded), limit=lane.value_bytes_max)
        condition, stamp = 0, 0
        if if_absent or if_version is not None:
            condition, stamp = self._condition(lane.route, data, if_absent, if_version)
        weight = len(data) + len(encoded) + OPERATION_BYTES
        if not self._room.take(1, weight):
            await wait_for_room(self._dispatch, lane.route, 1, weight, deadline)
        try:
            version = await lane.add(_PUT, data, encoded, condition, stamp, deadline)
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
        acks: str | None = None,
        timeout: float | str | None = None,
    ) -> Written:
        """The full form of `put`: version, operation id and receipt.

        written = await db.write("user:1", b"Ada", acks="all")
        written.version, written.operation, written.receipt.on_disk
        """
        return await self._in_full(_PUT, key, value, if_absent, if_version, acks, timeout)

    async def delete(
        self, key: Key, *, if_version: Token | None = None, acks: str | None = None, timeout: float | str | None = None
    ) -> bool:
        """Delete a key. Returns whether there was anything to delete.

            await db.delete("user:1")
            await db.delete("user:1", if_version=record)  # only if it is still as it was read

        Raises as `put` does.
        """
        data = self._stored(key)
        deadline = self._until(timeout)
        lane = self._writes
        if lane is None or acks is not None or not lane.route.live:
            lane = await self._write_lane(deadline, acks)
        condition, stamp = self._condition(lane.route, data, False, if_version)
        await take_room(self._dispatch, lane.route, 1, len(data) + OPERATION_BYTES, deadline)
        try:
            return await lane.add(_DELETE, data, b"", condition, stamp, deadline) is not None
        except PreconditionFailed as error:
            raise await self._with_current(error, key, deadline) from None

    async def update(
        self,
        key: Key,
        change: Callable[[V | None], V],
        *,
        acks: str | None = None,
        timeout: float | str | None = None,
    ) -> V:
        """Read, change, write if it is still what was read; again if somebody was faster. Returns what was written.

            count = await db.space(codec=codecs.json).update("visits", lambda n: (n or 0) + 1)

        `change` gets None if there is no such key. It may be called several times, so it should do nothing else. Raises
        what it raises, and as `put` does: DeadlineExceeded if others were faster all the time.
        """
        with limit_of(self, timeout):
            record = await self.read(key)
            while True:
                value = change(record.value)
                try:
                    await self.put(key, value, if_absent=not record.exists, if_version=record.version, acks=acks)
                    return value
                except PreconditionFailed as error:
                    record = found_instead(error) or await self.read(key)

    async def erase(
        self, key: Key, *, if_version: Token | None = None, acks: str | None = None, timeout: float | str | None = None
    ) -> Written:
        """The full form of `delete`: `.found`, operation id and receipt."""
        return await self._in_full(_DELETE, key, None, False, if_version, acks, timeout)

    async def _in_full(
        self,
        kind: int,
        key: Key,
        value: V | None,
        if_absent: bool,
        if_version: Token | None,
        acks: str | None,
        timeout: float | str | None,
    ) -> Written:
        data = self._stored(key)
        deadline = self._until(timeout)
        lane = await self._write_lane(deadline, acks, full=True)
        encoded = b"" if value is None and kind == _DELETE else self._encoded(value, data, lane.route)  # type: ignore[arg-type]  # a V: kind is PUT
        condition, stamp = self._condition(lane.route, data, if_absent, if_version)
        await take_room(self._dispatch, lane.route, 1, len(data) + len(encoded) + OPERATION_BYTES, deadline)
        try:
            written = await lane.add_in_full(kind, data, encoded, condition, stamp, deadline)
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
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> V | None: ...

    @overload
    async def get(
        self,
        key: Key,
        default: D,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> V | D: ...

    async def get(
        self,
        key: Key,
        default: D | None = None,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> V | D | None:
        """The value of a key, or `default` if there is none.

            value = await db.get("user:1")
            await db.get("user:1", b"?", consistency="follower", max_staleness=2.0)

        `consistency` is `linearizable` (default), `leader` or `follower`; `max_staleness` (seconds) bounds how old a
        follower's answer may be.
        """
        data = self._stored(key)
        deadline = self._until(timeout)
        lane = self._reads
        if lane is None or consistency is not None or max_staleness is not None or not lane.route.live:
            lane = await self._read_lane(deadline, consistency, max_staleness)
        weight = len(data) + OPERATION_BYTES + lane.route.value_bytes
        if not self._room.take(1, weight):
            await wait_for_room(self._dispatch, lane.route, 1, weight, deadline)
        row = await lane.add(data, deadline, weight)
        return default if row is None else self._decode(row[1])

    async def read(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> Record[V]:
        """The full form of `get`: whether it exists, value, version, when it was written, and the receipt.

        record = await db.read("user:1")
        await db.put("user:1", b"Ada L.", if_version=record)
        """
        data = self._stored(key)
        deadline = self._until(timeout)
        lane = await self._read_lane(deadline, consistency, max_staleness, full=True)
        weight = len(data) + OPERATION_BYTES + lane.route.value_bytes
        await take_room(self._dispatch, lane.route, 1, weight, deadline)
        row, receipt = await lane.add_in_full(data, deadline, weight)
        return self._record(lane.route, data, row, receipt)

    async def exists(
        self,
        key: Key,
        *,
        consistency: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> bool:
        """Whether a key exists. (The value travels too; nothing cheaper is on offer.)"""
        found = await self.read(key, consistency=consistency, timeout=timeout, max_staleness=max_staleness)
        return found.exists
