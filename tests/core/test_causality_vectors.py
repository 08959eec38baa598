"""The test vectors of another implementation of dotted version vector sets, where they lie beside this checkout.

A clock there is [[id, counter, [values, newest first]] …] and values without a dot, which a client has not written
yet. Here a value without a dot is only ever in the hands of a client, so it is kept beside the versions.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kvstore.core.causality import UNKNOWN, Sibling, Versions, after_write, descends, merged, newest_only

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "causality" / "dvvset_vectors.json"
PRESENT = VECTORS.exists()
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text()) if PRESENT else []
CHECKS = {"join", "clock", "less", "equal_history", "sync_commutes", "size", "ids", "values_sorted"}
CHECKS |= {"last_max", "lww_max", "reconcile"}


class Clock(NamedTuple):
    """Versions whose values are JSON, and what is in a client's hands."""

    versions: Versions
    new: list[Any]

    @property
    def values(self) -> list[Any]:
        return [json.loads(value) for value in self.versions.values] + self.new

    def told(self) -> list[Any]:
        """In the form of the vectors."""
        entries = []
        for node, counter in sorted(self.versions.context.items()):
            mine = [each for each in reversed(self.versions.siblings) if each.actor == node]
            entries.append([chr(node), counter, [json.loads(each.value or b"") for each in mine]])
        return [entries, self.new]


def sibling(node: str, counter: int, value: Any) -> Sibling:
    stamp = value if isinstance(value, int) else 0
    return Sibling(ord(node), counter, stamp, json.dumps(value).encode())


def literal(clock: list[Any]) -> Clock:
    entries, new = clock
    siblings = [
        sibling(node, counter - age, value) for node, counter, values in entries for age, value in enumerate(values)
    ]
    context = {ord(node): counter for node, counter, _ in entries}
    return Clock(Versions(context, tuple(sorted(siblings, key=lambda each: each.dot))), new)


def played(case: dict[str, Any]) -> dict[str, Clock]:
    clocks: dict[str, Clock] = {}
    for step in case["steps"]:
        match step["op"]:
            case "new":
                read = clocks[step["context_of"]].versions if step["context_of"] else UNKNOWN
                made = Clock(Versions(read.context), step["values"])
            case "update":
                made = updated(clocks[step["client"]], clocks[step["server"]] if step["server"] else None, step["node"])
            case "literal":
                made = literal(step["clock"])
            case "sync":
                one, other = (clocks[name] for name in step["of"])
                made = Clock(merged(one.versions, other.versions), [])
            case other_op:
                raise AssertionError(f"no such step: {other_op}")
        clocks[step["var"]] = made
    return clocks


def updated(client: Clock, server: Clock | None, node: str) -> Clock:
    """The client's value is written on that node."""
    known, context = server.versions if server is not None else UNKNOWN, client.versions.context
    counter = max(known.context.get(ord(node), 0), context.get(ord(node), 0)) + 1
    (value,) = client.new
    return Clock(after_write(known, sibling(node, counter, value), context), [])


def resolved(clock: Clock, value: Any) -> Clock:
    """A client read everything and writes one value in its place."""
    context = clock.versions.context
    return Clock(after_write(clock.versions, sibling("~", 1, value), context), [])


def holds(check: str, expected: dict[str, Any], clocks: dict[str, Clock]) -> bool:
    named, wanted = expected[check], expected.get("is")
    if check == "sync_commutes":
        one, other = (clocks[name].versions for name in named)
        return merged(one, other) == merged(other, one)
    if check in ("less", "equal_history"):
        one, other = (clocks[name].versions.context for name in named)
        before, after = descends(other, one), descends(one, other)
        return wanted is ((before and after) if check == "equal_history" else (before and not after))
    if check == "reconcile":
        clock = clocks[expected["of"]]
        return resolved(clock, {"sum": sum, "min": min}[named](clock.values)).values == wanted[1]
    clock = clocks[named]
    context = clock.versions.context
    match check:
        case "join":
            return [[chr(node), counter] for node, counter in sorted(context.items())] == wanted
        case "clock":
            return clock.told() == wanted
        case "size":
            return len(clock.values) == wanted
        case "ids":
            return [chr(node) for node in sorted(context)] == wanted
        case "values_sorted":
            return sorted(clock.values) == wanted
        case "last_max":
            return bool(max(clock.values) == wanted)
    # Values in a client's hands take no part in the server's choice; where one would, it is the smaller one.
    assert check == "lww_max" and not any(new > max(clock.values) for new in clock.new)
    return Clock(newest_only(clock.versions), []).told() == wanted


@pytest.mark.skipif(not PRESENT, reason="the shared test vectors are not beside this checkout")
def test_the_vectors_are_there_and_all_their_checks_are_known() -> None:
    assert CASES
    assert {next(iter(expected)) for case in CASES for expected in case["expect"]} <= CHECKS


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_vector(case: dict[str, Any]) -> None:
    clocks = played(case)
    for expected in case["expect"]:
        check = next(iter(expected))
        assert holds(check, expected, clocks), f"{expected} of {clocks}"
