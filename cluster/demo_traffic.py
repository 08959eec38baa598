"""Clients that go on while things break: what they ask, what they are told, and when.

Two kinds. A *filler* puts keys of its own, each once, with a value nobody else writes: none of them may ever be missing
once it was acknowledged. A *fighter* gets, puts, deletes and compares-and-sets on a few keys that all fighters share:
what they see must fit one order. Everything goes into one history; the checkers of chaos judge it afterwards.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from chaos.history import HistoryRecorder
from chaos.workloads.register import Mix, RegisterWorkload, Request
from kvstore.core.errors import KvError, PreconditionFailed

FILLERS = 8
FIGHTERS = 6
FIGHTER_PAUSE_S = 0.01
"""A history of a few keys must stay small enough to be searched for an order."""
FILLER_PAUSE_S = 0.002
AFTER_ERROR_S = 0.05
READ_BACK_TRIES = 20


class Seen(Protocol):
    """A value with its version."""

    @property
    def exists(self) -> bool: ...
    @property
    def value(self) -> Any: ...
    @property
    def version(self) -> Any: ...


class Store(Protocol):
    """The part of kvstore.AsyncClient that the traffic uses."""

    async def get(self, key: str) -> Any: ...
    async def read(self, key: str) -> Seen: ...
    async def put(self, key: str, value: bytes, *, if_absent: bool = False, if_version: Any = None) -> Any: ...
    async def delete(self, key: str) -> Any: ...


@dataclass(slots=True)
class Traffic:
    """All clients of one run, what they did, and when their writes were acknowledged."""

    store: Store
    fighting_keys: tuple[str, ...]
    seed: int = 1
    history: HistoryRecorder = field(default_factory=HistoryRecorder)
    acknowledged_at: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of the monotonic clock, by key: every acknowledged write."""
    errors: dict[str, int] = field(default_factory=dict)
    """How often each error was seen, by its name."""
    _stopping: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, fillers: int = FILLERS, fighters: int = FIGHTERS) -> None:
        """Begin; the calling task's loop carries it."""
        workload = RegisterWorkload(self.fighting_keys, Mix(get=5, put=4, cas=3, delete=1))
        clients: list[Coroutine[Any, Any, None]] = [self._fill(f"filler{i}") for i in range(1, fillers + 1)]
        clients += [self._fight(f"fighter{i}", workload, Random(self.seed * 1000 + i)) for i in range(1, fighters + 1)]
        self._tasks = [asyncio.create_task(client) for client in clients]

    async def stop(self) -> None:
        """Every client finishes what it is doing. Raises what a client raised that is no answer of the store."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    @property
    def acknowledged(self) -> int:
        """How many writes were."""
        return sum(map(len, self.acknowledged_at.values()))

    async def read_back(self, keys: Iterable[str], readers: int = 64) -> None:
        """Get every key once more and note it in the history: what is missing then has no place in any order.

        The cluster is whole by now: a read that fails is tried again, some times.
        """
        left = iter(list(keys))

        async def reader(name: str) -> None:
            for key in left:
                for _ in range(READ_BACK_TRIES):
                    done, _ = await self._call(name, Request("get", key, None))
                    if done:
                        break
                    await asyncio.sleep(AFTER_ERROR_S)

        await asyncio.gather(*(reader(f"reader{i}") for i in range(1, readers + 1)))

    @property
    def keys(self) -> list[str]:
        """Every key that a client wrote or tried to write."""
        return list(dict.fromkeys(str(operation.key) for operation in self.history.operations()))

    async def _fill(self, name: str) -> None:
        number = 0
        while not self._stopping:
            number += 1
            done, _ = await self._call(name, Request("put", f"{name}:{number:06}", f"{name}.{number}"))
            await asyncio.sleep(FILLER_PAUSE_S if done else AFTER_ERROR_S)

    async def _fight(self, name: str, workload: RegisterWorkload, rng: Random) -> None:
        while not self._stopping:
            request = workload.next_request(name, rng)
            done, value = await self._call(name, request)
            if done and request.kind == "get":
                workload.saw(name, request.key, value)
            elif done and request.kind == "put":
                workload.saw(name, request.key, request.input)
            await asyncio.sleep(FIGHTER_PAUSE_S if done else AFTER_ERROR_S)

    async def _call(self, process: str, request: Request) -> tuple[bool, Any]:
        """One call, recorded. Whether it succeeded, and its answer."""
        handle = self.history.invoke(process, request.kind, request.key, request.input, time.monotonic_ns())
        try:
            answer = await self._ask(request)
        except KvError as error:
            self.errors[type(error).__name__] = self.errors.get(type(error).__name__, 0) + 1
            (self.history.unknown if error.maybe_applied else self.history.failed)(handle, time.monotonic_ns())
            return False, None
        self.history.ok(handle, time.monotonic_ns(), answer)
        if request.kind != "get" and answer is not False:
            self.acknowledged_at.setdefault(request.key, []).append(time.monotonic())
        return True, answer

    async def _ask(self, request: Request) -> Any:
        match request:
            case Request("get", key, _):
                value = await self.store.get(key)
                return None if value is None else value.decode()
            case Request("put", key, str(value)):
                await self.store.put(key, value.encode())
            case Request("delete", key, _):
                await self.store.delete(key)
            case Request("cas", key, (expected, str(value))):
                return await self._compare_and_set(key, expected, value)
            case _:
                raise AssertionError(f"not a request of this workload: {request}")
        return None

    async def _compare_and_set(self, key: str, expected: Any, value: str) -> bool:
        """By version: read, compare, put on condition. Values are unique, so an equal value is the same write."""
        record = await self.store.read(key)
        if (record.value.decode() if record.exists else None) != expected:
            return False
        try:
            if record.exists:
                await self.store.put(key, value.encode(), if_version=record.version)
            else:
                await self.store.put(key, value.encode(), if_absent=True)
        except PreconditionFailed:
            return False
        return True


def longest_gap(moments: Iterable[float], since: float, until: float) -> float:
    """The longest time without any of these moments, in seconds, as far as it lies between two instants."""
    inside = sorted(moment for moment in moments if since <= moment <= until)
    steps = zip([since, *inside], [*inside, until], strict=True)
    return max(later - earlier for earlier, later in steps)
