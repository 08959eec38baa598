"""The load generator for kvstore: `python -m bench.kvstore_load PLAN`, where PLAN is a `LoadPlan` in JSON.

The public client as a user has it, one of it, on uvloop: `outstanding` coroutines, each with one call under way. What
it costs is part of what kvstore costs, and is printed as such.

A call counts only if it did what was asked: a get must find the 100 bytes that were loaded. Before the window
opens, a value written is read back.
"""

import asyncio
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, Protocol

from bench.processes import ProcessGone
from bench.workload import VALUE_BYTES, LoadPlan, LoadResult, Tally, Window, Workload
from kvstore.core.errors import KvError

KEYSPACE = "bench"
SIBLINGS, LAST_WRITER_WINS = "siblings", "lww"
"""What a leaderless keyspace does with concurrent writes."""
PRELOAD_OUTSTANDING = 16
TICK_S = 0.02
FAILED_CALL_PAUSE_S = 0.005
"""After an error, so that a store that refuses everything is not asked in a tight loop."""
DRAIN_S_MAX = 30.0


class LoadFailed(Exception):
    """The load cannot go on, or what it measured is not true."""


class Database(Protocol):
    """What the load asks of a client."""

    async def put(self, key: bytes, value: bytes, /) -> object: ...

    async def get(self, key: bytes, /) -> bytes | None: ...

    async def put_many(self, items: Mapping[bytes, bytes], /) -> object: ...


class Leaderless(Database, Protocol):
    """What `Replacing` asks of one: versions of what was put, and puts that replace one."""

    async def put(self, key: bytes, value: bytes, /, *, context: Any = None) -> object: ...

    async def put_many(self, items: Mapping[bytes, bytes], /) -> Mapping[bytes, object]: ...


class Replacing:
    """Puts to a leaderless keyspace that keeps siblings, by one who knows what it wrote there last.

    A put without a context would add a sibling each time. Two at the same time for one key are siblings still, and a
    get finds the newest of them.
    """

    def __init__(self, db: Leaderless) -> None:
        self._db, self._seen = db, dict[bytes, object]()
        self.get = db.get

    async def put(self, key: bytes, value: bytes, /) -> object:
        self._seen[key] = version = await self._db.put(key, value, context=self._seen.get(key))
        return version

    async def put_many(self, items: Mapping[bytes, bytes], /) -> object:
        versions = await self._db.put_many(items)
        self._seen.update(versions)
        return versions


Call = Coroutine[Any, Any, None]


async def put_or_get(db: Database, key: bytes, value: bytes | None) -> None:
    """One operation. Raises LoadFailed if a get does not find what was loaded."""
    if value is not None:
        await db.put(key, value)
        return
    found = await db.get(key)
    if found is None or len(found) != VALUE_BYTES:
        raise LoadFailed(f"{key!r} was loaded with {VALUE_BYTES} bytes, a get found {found!r}")


async def put_all(db: Database, puts: Mapping[bytes, bytes]) -> None:
    """One batch: `put_many` raises if a key of it could not be written."""
    await db.put_many(puts)


async def keep_calling(calls: Iterator[Call], tally: Tally) -> None:
    """One of the `outstanding`: the next call starts when the last one ended."""
    for call in calls:
        started = time.perf_counter_ns()
        try:
            await call
        except (KvError, LoadFailed) as error:
            tally.failed(f"{type(error).__name__}: {error}")
            await asyncio.sleep(FAILED_CALL_PAUSE_S)
        else:
            tally.ended(time.perf_counter_ns() - started)


async def drive(calls: Iterator[Call], outstanding: int, tally: Tally) -> None:
    """Share `calls` out among `outstanding` coroutines until there are no more, and each has its answer."""
    async with asyncio.TaskGroup() as group:
        for _ in range(outstanding):
            group.create_task(keep_calling(calls, tally))


async def preload(db: Database, workload: Workload) -> None:
    """Every key once. Raises LoadFailed unless all of them were acknowledged."""
    tally = Tally()
    await drive((put_all(db, puts) for puts in workload.every_key()), PRELOAD_OUTSTANDING, tally)
    if tally.errors:
        raise LoadFailed(f"loading the keys failed: {tally.first_error}")


async def prove_it_stores(db: Database, workload: Workload) -> None:
    """Write a value and read it back."""
    for _ in range(3):
        key, value = workload.key(), workload.value()
        await db.put(key, value)
        found = await db.get(key)
        if found != value:
            raise LoadFailed(f"wrote {value!r} to {key!r}, read back {found!r}")


async def measure(db: Database, workload: Workload, plan: LoadPlan) -> LoadResult:
    """Warm up, measure, drain."""
    window = Window(plan)
    window.begin(time.perf_counter_ns())
    ticking = asyncio.create_task(keep_time(window))
    try:
        async with asyncio.timeout(plan.warmup_s + plan.seconds + DRAIN_S_MAX):
            await drive(calls_of(db, workload, plan.op, window), plan.outstanding, window)
            await ticking
    except TimeoutError as error:
        raise LoadFailed(f"calls were still unanswered {DRAIN_S_MAX:.0f} s after the window") from error
    finally:
        ticking.cancel()
    return window.result()


async def keep_time(window: Window) -> None:
    """Open and close the window, also while no call returns. A node that is gone ends the load."""
    try:
        while not window.over:
            await asyncio.sleep(TICK_S)
            window.advance(time.perf_counter_ns())
    except ProcessGone:
        window.over = True
        raise


def calls_of(db: Database, workload: Workload, op: str, window: Window) -> Iterator[Call]:
    """Calls to make until the window is over. Each is created when it is due, so none is left unawaited."""
    if op == "batch":
        batches = workload.batches()
        while not window.over:
            yield put_all(db, next(batches))
        return
    operations = workload.operations()
    while not window.over:
        yield put_or_get(db, *next(operations))


async def run(plan: LoadPlan) -> LoadResult | None:
    """The whole load with the public client. None if there is nothing to measure."""
    from kvstore.client import AsyncClient

    workload = Workload(plan.op, plan.key_count, plan.seed)
    async with AsyncClient("kv://" + ",".join(plan.endpoints)) as client:
        settings: dict[str, Any] = plan.settings
        made = await client.create_keyspace(KEYSPACE, partitions=plan.partitions, if_absent=True, **settings)
        db: Database = client.keyspace(KEYSPACE)
        if made.is_leaderless and made.conflicts == SIBLINGS:
            db = Replacing(client.keyspace(KEYSPACE).with_options(resolver=LAST_WRITER_WINS))
        if plan.preload:
            await preload(db, workload)
        if plan.seconds <= 0:
            return None
        await prove_it_stores(db, workload)
        return await measure(db, workload, plan)


def main() -> int:
    import uvloop

    plan = LoadPlan.from_json(sys.argv[1])
    try:
        result = uvloop.run(run(plan))
    except (LoadFailed, KvError, ProcessGone, OSError) as error:
        print(f"load on kvstore failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if result is not None:
        print(result.to_json())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
