"""What may be seen together, and what may not."""

import pytest

from chaos.checkers.siblings import check
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome
from tests.chaos.leaderless_histories import delete, read, seen, told, unknown, write

A, B, C = write("a", 1), write("b", 3, read=("a",)), write("c", 3)
REFUSED = write("f", 1, outcome=Outcome.FAILED)
CHAINED = write("x", 3, after="a")


@pytest.mark.parametrize(
    "operations",
    (
        (A, read(2)),
        (A, B, C, read(5, seen("b", 3), seen("c", 3))),
        (A, B, C, read(5, seen("a", 1))),  # old, which only some reads may not be
        (A, B, C, read(5, seen("a", 1), seen("c", 3))),
        (unknown("u", 1), read(5, seen("u", 9))),
        (A, read(5, seen("a", 7))),  # its retry
        (write("a", 1, repeated=True), B, read(5, seen("a", 1), seen("b", 3))),  # B replaced one of two tries
        (unknown("u", 1), write("x", 3, read=("u",)), read(5, seen("u", 1), seen("x", 3))),
        (write("late", 4), read(2, seen("late", 4), end=5)),
        (A, delete("d", 3, read=("a",)), C, read(5, seen("c", 3), seen("d", 3, True))),
        (A, CHAINED, read(5, seen("a", 1), seen("x", 3))),  # the context of its answer could not cover it
    ),
)
def test_concurrent_writes_are_siblings(operations: tuple[Operation, ...]) -> None:
    assert check(told(*operations)).answer is Answer.VALID


@pytest.mark.parametrize(
    ("operations", "because"),
    (
        ((A, B, read(5, seen("a", 1), seen("b", 3))), "beside what replaced it"),
        ((A, B, write("c", 5, read=("b",)), read(7, seen("a", 1), seen("c", 5))), "beside what replaced it"),
        ((A, delete("d", 3, read=("a",)), read(5, seen("a", 1), seen("d", 3, True))), "beside what replaced it"),
        ((A, CHAINED, write("y", 5, read=("x", "a")), read(7, seen("a", 1), seen("y", 5))), "beside what replaced"),
        ((A, read(2, seen("a", 1), seen("a", 1))), "one write is several siblings"),
        ((A, read(2, seen("z", 1))), "'z' was never written"),
        ((read(2, seen("a", 4)), write("a", 4)), "seen before it is written"),
        ((REFUSED, read(2, seen("f", 1))), "refused"),
        ((A, read(2, seen("a", 1, True))), "has become a tombstone"),
        ((delete("d", 1), read(2, seen("d", 1))), "has become a value"),
    ),
)
def test_anything_else_is_not(operations: tuple[Operation, ...], because: str) -> None:
    verdict = check(told(*operations))
    assert verdict.answer is Answer.INVALID
    assert because in verdict.findings[0]


def test_the_last_writer_wins_alone() -> None:
    history = (A, C, read(5, seen("a", 1), seen("c", 3)))
    assert check(told(*history)).answer is Answer.VALID
    verdict = check(told(*history), lww=True)
    assert verdict.answer is Answer.INVALID and "last writer" in verdict.findings[0]
