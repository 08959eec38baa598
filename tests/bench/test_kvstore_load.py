"""The closed loop over a client, with a client in memory that can refuse, forget and fall silent."""

import asyncio
import itertools
from collections.abc import Mapping

import pytest

from bench import kvstore_load
from bench.kvstore_load import LoadFailed, Replacing, calls_of, drive, measure, preload, prove_it_stores
from bench.processes import ProcessGone
from bench.workload import BATCH_PUTS, LoadPlan, Tally, Window, Workload
from kvstore.core.errors import Overloaded


class Memory:
    """A database of this process: every third call refused if told so, values forgotten if told so."""

    def __init__(self, refuses: bool = False, forgets: bool = False) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.under_way = self.under_way_max = self.batches = 0
        self._refuses, self._forgets = refuses, forgets
        self._calls = itertools.count(1)

    async def put(self, key: bytes, value: bytes, /) -> object:
        await self._take_part()
        if not self._forgets:
            self.rows[key] = value
        return None

    async def get(self, key: bytes, /) -> bytes | None:
        await self._take_part()
        return self.rows.get(key)

    async def put_many(self, items: Mapping[bytes, bytes], /) -> object:
        await self._take_part()
        self.batches += 1
        self.rows.update(items)
        return None

    async def _take_part(self) -> None:
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if self._refuses and next(self._calls) % 3 == 0:
            raise Overloaded("no room", retry_after_ms=1)


class Silent(Memory):
    """Answers nothing, ever."""

    async def _take_part(self) -> None:
        await asyncio.Event().wait()


def plan(op: str = "put", **changed: object) -> LoadPlan:
    told: dict[str, object] = {
        "endpoints": ("127.0.0.1:1",),
        "op": op,
        "outstanding": 5,
        "seconds": 0.05,
        "warmup_s": 0.02,
        "key_count": 200,
    }
    return LoadPlan(**{**told, **changed})  # type: ignore[arg-type]


def workload(op: str = "put") -> Workload:
    return Workload(op, key_count=200, seed=1)


async def test_every_key_is_loaded() -> None:
    db = Memory()
    await preload(db, workload())
    assert len(db.rows) == 200
    assert db.batches == 2


async def test_loading_that_was_refused_is_an_error() -> None:
    db = Memory(refuses=True)
    with pytest.raises(LoadFailed, match="Overloaded: no room"):
        await preload(db, Workload("put", key_count=400, seed=1))


@pytest.mark.parametrize("op", ["put", "get", "mixed", "batch"])
async def test_a_measured_load(op: str) -> None:
    db = Memory()
    await preload(db, workload())
    result = await measure(db, workload(op), plan(op))
    assert (result.errors, result.first_error) == (0, "")
    assert result.ops == result.calls * (BATCH_PUTS if op == "batch" else 1)
    assert result.calls > 0
    assert db.under_way_max == 5, "as many calls under way as asked for, never more"


async def test_a_get_that_finds_nothing_is_an_error() -> None:
    result = await measure(Memory(), workload("get"), plan("get"))
    assert result.ops == 0
    assert result.errors > 0
    assert "a get found None" in result.first_error


async def test_refused_calls_are_counted_and_the_load_goes_on() -> None:
    result = await measure(Memory(refuses=True), workload(), plan())
    assert result.errors > 0
    assert result.ops > 0
    assert result.first_error == "Overloaded: no room"


async def test_a_store_that_forgets_is_not_measured() -> None:
    await prove_it_stores(Memory(), workload())
    with pytest.raises(LoadFailed, match="read back None"):
        await prove_it_stores(Memory(forgets=True), workload())


async def test_silence_ends_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvstore_load, "DRAIN_S_MAX", 0.05)
    with pytest.raises(LoadFailed, match="unanswered"):
        await measure(Silent(), workload(), plan())


async def test_a_node_that_ends_ends_the_load() -> None:
    with pytest.raises(ProcessGone):
        await measure(Memory(), workload(), plan(node_pids=(2**22 + 1,)))


async def test_other_errors_are_not_taken_for_refusals() -> None:
    class Broken(Memory):
        async def _take_part(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as told:
        await drive(calls_of(Broken(), workload(), "put", Window(plan())), 1, Tally())
    assert told.group_contains(ZeroDivisionError)


class Remembering(Memory):
    """A leaderless keyspace: each put has a version, and may come with the one that it replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced: list[object] = []

    async def put(self, key: bytes, value: bytes, /, *, context: object = None) -> object:
        await super().put(key, value)
        self.replaced.append(context)
        return len(self.replaced)

    async def put_many(self, items: Mapping[bytes, bytes], /) -> Mapping[bytes, object]:
        await super().put_many(items)
        return dict.fromkeys(items, "loaded")


async def test_a_put_replaces_what_its_client_put_last() -> None:
    db = Remembering()
    replacing = Replacing(db)
    await replacing.put(b"new", b"1")
    await replacing.put(b"new", b"2")
    await replacing.put_many({b"old": b"1"})
    await replacing.put(b"old", b"2")
    assert db.replaced == [None, 1, "loaded"]
    assert await replacing.get(b"old") == b"2"
