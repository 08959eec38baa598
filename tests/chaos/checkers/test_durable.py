"""Acknowledged writes and what is there at the end."""

from collections.abc import Hashable

import pytest

from chaos.checkers.durable import check
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome


def write(value: Hashable, invoked_at: int, returned_at: int | None, outcome: Outcome = Outcome.OK) -> Operation:
    return Operation("c", "put", "k", value, None, invoked_at, returned_at, outcome)


FIRST, SECOND = write("a", 1, 2), write("b", 3, 4)
LOST = write("u", 0, None, Outcome.UNKNOWN)
FAILED = write("f", 1, 2, Outcome.FAILED)
DELETE = Operation("c", "delete", "k", None, None, 5, 6, Outcome.OK)
SWAP = Operation("c", "cas", "k", ("b", "c"), True, 5, 6, Outcome.OK)
NO_SWAP = Operation("c", "cas", "k", ("x", "d"), False, 5, 6, Outcome.OK)
OVERLAPPING = write("o", 2, 9)


@pytest.mark.parametrize(
    ("operations", "held"),
    (
        ((), None),
        ((FIRST, SECOND), "b"),
        ((FIRST, SECOND, LOST), "u"),  # it may have happened last of all
        ((FIRST, SECOND, DELETE), None),
        ((FIRST, SECOND, SWAP), "c"),
        ((FIRST, SECOND, NO_SWAP), "b"),
        ((FIRST, SECOND, OVERLAPPING), "b"),
        ((FIRST, SECOND, OVERLAPPING), "o"),
        ((LOST, FAILED), None),
    ),
)
def test_the_last_write_or_a_later_one_is_there(operations: tuple[Operation, ...], held: Hashable) -> None:
    assert check(operations, {"k": held}).answer is Answer.VALID


@pytest.mark.parametrize(
    ("operations", "held", "because"),
    (
        ((FIRST, SECOND), "a", "older than"),
        ((FIRST, SECOND), None, "older than"),
        ((FIRST, SECOND, DELETE), "b", "older than"),
        ((FIRST, SECOND, SWAP), "b", "older than"),
        ((FIRST, FAILED), "f", "a write that failed"),
        ((FIRST, NO_SWAP), "d", "nobody wrote"),
        ((), "z", "nobody wrote"),
    ),
)
def test_anything_else_is_a_lost_write(operations: tuple[Operation, ...], held: Hashable, because: str) -> None:
    verdict = check(operations, {"k": held})
    assert verdict.answer is Answer.INVALID
    assert because in verdict.findings[0]


def test_a_key_missing_at_the_end_is_absent() -> None:
    verdict = check([FIRST], {})
    assert verdict.answer is Answer.INVALID and "holds None" in verdict.findings[0]


def test_what_was_there_before_counts_until_it_is_overwritten() -> None:
    assert check([LOST], {"k": "old"}, initial=lambda key: "old").answer is Answer.VALID
    assert check([FIRST], {"k": "old"}, initial=lambda key: "old").answer is Answer.INVALID


def test_every_lost_key_is_named() -> None:
    history = [Operation("c", "put", key, 1, None, 1, 2, Outcome.OK) for key in ("x", "y", "z")]
    verdict = check(history, {"y": 1})
    assert [finding[:7] for finding in verdict.findings] == ["key 'x'", "key 'z'"]
