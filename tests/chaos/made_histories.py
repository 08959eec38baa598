"""Histories made from a seed: by an atomic object whose every operation happens at one instant inside its interval."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from random import Random

from chaos.history import Operation, Outcome


@dataclass(frozen=True, kw_only=True)
class Recipe:
    operations: int
    clients: int
    kinds: tuple[str, ...] = ("get", "get", "put", "cas", "delete")
    values: int | None = None  # how many different ones; None: every write its own
    unknown: float = 0.0  # the share of operations whose outcome nobody learns
    latency: float = 1.0  # against a pause of 0.1 between a client's operations


@dataclass
class _Plan:
    client: int
    kind: str
    invoked_at: float
    happens_at: float | None
    returned_at: float | None


def atomic_history(rng: Random, recipe: Recipe, start: Hashable = None) -> list[Operation]:
    """A linearizable history of one key, with operations in order of invocation."""
    plans = _plans(rng, recipe)
    state = start
    seen: list[Hashable] = [start]
    made: dict[int, Operation] = {}
    in_time = sorted(range(len(plans)), key=lambda index: (plans[index].happens_at is None, plans[index].happens_at))
    for number, index in enumerate(in_time):
        plan = plans[index]
        asked = _asked(rng, plan.kind, state, seen, _value(rng, recipe, number, start))
        answer, after = _happen(plan.kind, state, asked)
        if plan.happens_at is not None:
            state = after
            seen.append(state)
        outcome = Outcome.UNKNOWN if plan.returned_at is None else Outcome.OK
        output = answer if outcome is Outcome.OK else None
        made[index] = Operation(plan.client, plan.kind, "k", asked, output, plan.invoked_at, plan.returned_at, outcome)
    return [made[index] for index in range(len(plans))]


def on_a_coarse_clock(operations: Sequence[Operation], tick: float) -> list[Operation]:
    """The same as a clock with few ticks records it: intervals grow and touch, so what was linearizable still is."""
    return [
        replace(
            operation,
            invoked_at=floor(operation.invoked_at / tick),
            returned_at=None if operation.returned_at is None else ceil(operation.returned_at / tick),
        )
        for operation in operations
    ]


def with_a_wrong_answer(rng: Random, operations: Sequence[Operation]) -> list[Operation]:
    """One get of the second half answers what another get saw. Often, not always, that is not linearizable."""
    gets = [index for index, operation in enumerate(operations) if operation.kind == "get"]
    gets = [index for index in gets if operations[index].outcome is Outcome.OK]
    if len(gets) < 2:
        return list(operations)
    victim = rng.choice(gets[len(gets) // 2 :])
    others = [operations[index].output for index in gets if operations[index].output != operations[victim].output]
    changed = list(operations)
    if others:
        changed[victim] = replace(operations[victim], output=rng.choice(others))
    return changed


def _plans(rng: Random, recipe: Recipe) -> list[_Plan]:
    ready = [rng.random() for _ in range(recipe.clients)]
    names = list(range(recipe.clients))
    plans = []
    for _ in range(recipe.operations):
        client = min(range(recipe.clients), key=lambda one: ready[one])
        invoked_at = ready[client]
        lost = rng.random() < recipe.unknown
        happens_at = invoked_at + rng.expovariate(1 / recipe.latency) * (5 if lost else 1)
        returned_at = happens_at + rng.expovariate(1 / recipe.latency)
        ready[client] = returned_at + rng.expovariate(10)
        happens = not lost or rng.random() < 0.5
        kind = rng.choice(recipe.kinds)
        plans.append(
            _Plan(names[client], kind, invoked_at, happens_at if happens else None, None if lost else returned_at)
        )
        if lost:
            names[client] = max(names) + 1  # a client that gave up is another client afterwards
    return plans


def _value(rng: Random, recipe: Recipe, number: int, start: Hashable) -> Hashable:
    drawn = number if recipe.values is None else rng.randrange(recipe.values)
    return f"{drawn}." if isinstance(start, str) else drawn


def _asked(rng: Random, kind: str, state: Hashable, seen: Sequence[Hashable], value: Hashable) -> Hashable:
    if kind == "cas":
        return rng.choice((state, state, *seen[-3:])), value
    return value if kind in ("put", "append") else None


def _happen(kind: str, state: Hashable, asked: Hashable) -> tuple[Hashable, Hashable]:
    """The answer and the state after."""
    match kind, asked:
        case "get", _:
            return state, state
        case "delete", _:
            return None, None
        case "append", str(text) if isinstance(state, str):
            return None, state + text
        case "cas", (expected, new):
            return state == expected, new if state == expected else state
    return None, asked
