"""The demo's clients tell the truth about what they were told, so that a store that lies is found out."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from chaos.checkers.linearizable import check
from chaos.checkers.verdict import Answer
from chaos.history import Outcome
from chaos.workloads.register import RegisterModel, Request
from cluster.demo_traffic import Traffic, longest_gap
from kvstore.core.errors import NoLeader, OutcomeUnknown, PreconditionFailed

Trouble = Callable[[int, str], Exception | None]


@dataclass(frozen=True)
class Held:
    exists: bool
    value: bytes
    version: int


@dataclass
class OneCopy:
    """A store that is one dictionary; `trouble` says which calls, by number and kind, end in an error instead."""

    trouble: Trouble = lambda number, kind: None
    forgets: frozenset[int] = frozenset()
    """Writes that are acknowledged and not made."""
    held: dict[str, Held] = field(default_factory=dict)
    calls: int = 0
    enough_at: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def _arrive(self, kind: str) -> None:
        await asyncio.sleep(0)
        self.calls += 1
        if self.calls == self.enough_at:
            self.enough.set()
        error = self.trouble(self.calls, kind)
        if error is not None:
            raise error

    async def get(self, key: str) -> bytes | None:
        await self._arrive("get")
        return self.held[key].value if key in self.held else None

    async def read(self, key: str) -> Held:
        await self._arrive("get")
        return self.held.get(key, Held(False, b"", 0))

    async def put(self, key: str, value: bytes, *, if_absent: bool = False, if_version: object = None) -> int:
        await self._arrive("put")
        current = self.held.get(key)
        if (if_absent and current) or (if_version is not None and (not current or current.version != if_version)):
            raise PreconditionFailed
        if self.calls not in self.forgets:
            self.held[key] = Held(True, value, self.calls)
        return self.calls

    async def delete(self, key: str) -> bool:
        await self._arrive("delete")
        return self.held.pop(key, None) is not None


async def run(store: OneCopy, calls: int, monkeypatch: pytest.MonkeyPatch) -> Traffic:
    """All clients until the store was called so often, then everything read back."""
    for pause in ("FIGHTER_PAUSE_S", "FILLER_PAUSE_S", "AFTER_ERROR_S"):
        monkeypatch.setattr(f"cluster.demo_traffic.{pause}", 0)
    traffic = Traffic(store, ("a", "b"))
    traffic.start(fillers=2, fighters=4)
    store.enough_at = calls
    await store.enough.wait()
    await traffic.stop()
    store.trouble = lambda number, kind: None
    await traffic.read_back(traffic.keys)
    return traffic


def verdict(traffic: Traffic) -> Answer:
    return check(traffic.history.operations(), RegisterModel()).answer


async def test_an_honest_store_is_found_honest(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = await run(OneCopy(), 2000, monkeypatch)
    kinds = {(operation.kind, operation.output is False) for operation in traffic.history.operations()}
    assert {("cas", True), ("cas", False), ("put", False), ("get", False), ("delete", False)} <= kinds
    assert verdict(traffic) is Answer.VALID
    assert traffic.errors == {}
    done = [o for o in traffic.history.operations() if o.kind != "get" and o.output is not False]
    assert traffic.acknowledged == len(done)


async def test_errors_are_failed_or_unknown_and_no_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = {3: NoLeader(), 4: OutcomeUnknown()}
    traffic = await run(OneCopy(lambda number, kind: errors.get(number % 10)), 2000, monkeypatch)
    outcomes = [operation.outcome for operation in traffic.history.operations()]
    assert outcomes.count(Outcome.FAILED) == traffic.errors["NoLeader"] > 0
    assert outcomes.count(Outcome.UNKNOWN) == traffic.errors["OutcomeUnknown"] > 0
    assert verdict(traffic) is Answer.VALID


async def test_a_store_that_forgets_an_acknowledged_write_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The write of a filler, say: nobody else writes that key, and it is not there when read back."""
    store = OneCopy()
    traffic = Traffic(store, ("a",))
    store.forgets = frozenset({1})
    await traffic._call("filler1", Request("put", "filler1:000001", "filler1.1"))
    assert traffic.acknowledged == 1
    await traffic.read_back(traffic.keys)
    assert verdict(traffic) is Answer.INVALID


async def test_what_no_store_should_raise_is_not_taken_for_an_answer() -> None:
    store = OneCopy(lambda number, kind: ZeroDivisionError(), enough_at=1)
    traffic = Traffic(store, ("a",))
    traffic.start(fillers=1, fighters=0)
    await store.enough.wait()
    with pytest.raises(ZeroDivisionError):
        await traffic.stop()


def test_the_longest_gap() -> None:
    assert longest_gap([1.0, 2.0, 4.5, 5.0], 0.5, 6.0) == 2.5
    assert longest_gap([1.0, 9.0], 2.0, 6.0) == 4.0
    assert longest_gap([], 2.0, 6.0) == 4.0
    assert longest_gap([3.0], 2.0, 6.0) == 3.0
