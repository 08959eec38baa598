"""Scans: keys in order over all partitions, fetched page by page, the next pages under way while one is looked at.

Each partition delivers its keys in order. Whatever is not above the smallest last key of all current pages can be
given out: no partition can come up with anything smaller any more. So rows are merged by the chunk, by sorting, not one
by one. A scan is not a snapshot of the cluster: each page shows its partition as it is when the page is read.
"""

from asyncio import Future
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from kvstore.client.dispatch import Dispatch
from kvstore.client.options import Options
from kvstore.client.read_parcels import PageAsk, PageRow, Row
from kvstore.client.routing import Route
from kvstore.client.siblings import is_present
from kvstore.core.causality import Versions
from kvstore.core.ids import GroupId
from kvstore.v1 import kv_pb2 as pb

PAGE_BYTES_MAX: Final = 1 << 20
PAGE_BYTES_MIN: Final = 16 << 10
SCAN_BYTES: Final = 8 << 20
"""Pages of all partitions together, roughly."""


@dataclass(frozen=True, slots=True)
class Range:
    """What to scan: from `start` to before `end` (empty: to the end), at most `limit` keys (0: all)."""

    start: bytes
    end: bytes
    limit: int = 0
    keys_only: bool = False

    @property
    def is_empty(self) -> bool:
        return bool(self.end) and self.start >= self.end


class Pages:
    """One partition's pages, one ahead."""

    def __init__(self, group: GroupId, ask: Callable[[GroupId, bytes], "Future[Any]"], start: bytes) -> None:
        self.rows: list[PageRow] = []
        self._group, self._ask = group, ask
        self._next: Future[Any] | None = ask(group, start)

    async def refill(self) -> None:
        """Wait for the next page if this one is used up, and ask for the one after it."""
        while not self.rows and self._next is not None:
            self.rows, more = await self._next
            self._next = self._ask(self._group, self.rows[-1][0] + b"\0") if more else None

    @property
    def horizon(self) -> bytes | None:
        """No key up to this is missing; None: there is nothing more."""
        return self.rows[-1][0] if self._next is not None else None

    def take(self, horizon: bytes | None) -> list[PageRow]:
        """The rows up to the horizon."""
        cut = len(self.rows) if horizon is None else bisect_right(self.rows, horizon, key=lambda row: row[0])
        taken, self.rows = self.rows[:cut], self.rows[cut:]
        return taken

    def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = None


class Scan:
    """One scan under way. `chunk` gives the next rows, in order; an empty list is the end."""

    def __init__(
        self,
        dispatch: Dispatch,
        find_route: Callable[[float], Awaitable[Route]],
        what: Range,
        options: Options,
        until: Callable[[], float],
    ) -> None:
        self._dispatch, self._find_route, self._what = dispatch, find_route, what
        self._until = until
        self.options = options
        self._left = what.limit
        self._partitions: list[Pages] | None = None

    async def _begin(self) -> list[Pages]:
        self.route = await self._find_route(self._until())
        self._way = self.options.read_way(self.route.info)
        self._page_bytes = min(PAGE_BYTES_MAX, max(PAGE_BYTES_MIN, SCAN_BYTES // (2 * len(self.route.groups))))
        return [Pages(group, self._ask, self._what.start) for group in self.route.groups]

    def _ask(self, group: GroupId, start: bytes) -> "Future[Any]":
        what = self._what
        page = pb.Page(
            start=start,
            end=what.end,
            limit=self._left,
            bytes_max=self._page_bytes,
            keys_only=what.keys_only,
            level=self._way.level,  # type: ignore[arg-type]  # the number of an enum; the stub wants the enum
            max_staleness_ms=self._way.bound_ms,
            read_quorum=self._way.quorum,
        )
        parcel = PageAsk(self.route, group, self._until(), page)
        future = parcel.awaited(self._dispatch.loop)
        future.add_done_callback(_look_at)
        self._dispatch.enqueue(parcel)
        return future

    async def chunk(self) -> list[PageRow]:
        """The next rows in order of keys; empty at the end. Raises what the partitions raise."""
        if self._what.is_empty:
            return []
        if self._partitions is None:
            self._partitions = await self._begin()
        try:
            rows = await self._merge(self._partitions)
            while self._partitions and not rows:  # nothing but deleted keys
                rows = await self._merge(self._partitions)
            return rows
        except BaseException:
            self.close()
            raise

    async def _merge(self, partitions: list[Pages]) -> list[PageRow]:
        for partition in partitions:
            await partition.refill()
        partitions[:] = [partition for partition in partitions if partition.rows]
        horizon = min((found for p in partitions if (found := p.horizon) is not None), default=None)
        rows: list[PageRow] = []
        for partition in partitions:
            rows += partition.take(horizon)
        if self.route.is_leaderless:
            rows = [row for row in rows if self._is_there(row[1])]
        rows.sort(key=lambda row: row[0])
        if self._what.limit:
            rows = rows[: self._left]
            self._left -= len(rows)
            if not self._left:
                self.close()
        return rows

    def _is_there(self, row: Row) -> bool:
        """Leaderless replicas know deleted keys, too."""
        return not isinstance(row, Versions) or is_present(row, self.options.resolver)

    def close(self) -> None:
        """Look at no further pages."""
        for partition in self._partitions or ():
            partition.close()
        self._partitions = []


def _look_at(page: "Future[Any]") -> None:
    """A page asked for ahead may fail after its scan was left, or its client closed: nothing to complain about."""
    if not page.cancelled():
        page.exception()
