"""Fresh reads, and reads that never go back."""

import pytest

from chaos.checkers.regular import Debts, check, check_monotonic
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome
from tests.chaos.leaderless_histories import delete, read, seen, told, unknown, write

N = 3
A, B, C = write("a", 1), write("b", 3, read=("a",)), write("c", 3)
D = delete("d", 3, read=("a",))


@pytest.mark.parametrize(
    "operations",
    (
        (A, read(3, seen("a", 1))),
        (A, read(2)),  # it began when the write returned
        (A, B, read(5, seen("b", 3))),
        (A, B, read(3, seen("a", 1), end=9)),  # concurrent with b
        (A, B, read(3, seen("b", 3), end=9)),
        (A, B, C, read(5, seen("b", 3), seen("c", 3))),
        (A, D, read(5, seen("d", 3, True))),
        (A, unknown("u", 2, read=("a",)), read(5, seen("u", 2))),
        (unknown("u", 1), read(5)),
        (write("f", 1, outcome=Outcome.FAILED), read(5)),
        (A, read(3, quorum=1)),  # its quorum need not meet the write's
        (write("w1", 1, quorum=1), read(5)),
        (write("w1", 1, quorum=1), read(5, seen("w1", 1), quorum=3)),
        (write("s", 1, sloppy=True), read(5)),
        (A, read(9, seen("a", 1)), read(1, end=3)),
    ),
)
def test_a_fresh_read_finds_the_latest_or_what_is_concurrent(operations: tuple[Operation, ...]) -> None:
    assert check(told(*operations), N).answer is Answer.VALID


@pytest.mark.parametrize(
    "operations",
    (
        (A, read(3)),
        (A, B, read(5, seen("a", 1))),
        (A, B, C, read(5, seen("b", 3))),
        (A, D, read(5, seen("a", 1))),
        (A, D, read(5)),
        (A, unknown("u", 2), read(5, seen("u", 2))),  # u had not seen a
        (write("w1", 1, quorum=1), read(5, quorum=3)),
        (write("w3", 1, quorum=3), read(5, quorum=1)),
    ),
)
def test_a_stale_read_is_noticed(operations: tuple[Operation, ...]) -> None:
    verdict = check(told(*operations), N)
    assert verdict.answer is Answer.INVALID
    assert "misses what had been acknowledged before" in verdict.findings[0]


@pytest.mark.parametrize(("quorum", "answer"), ((1, Answer.VALID), (2, Answer.INVALID)))
def test_the_context_of_an_answer_may_hide_what_others_replaced_if_its_write_is_hidden_too(
    quorum: int, answer: Answer
) -> None:
    """u replaced a where x was written; x's context covers a. A read that need not meet x need not find u either."""
    x = write("x", 5, quorum=quorum)
    y = write("y", 7, after="x")
    assert check(told(A, unknown("u", 3, read=("a",)), x, y, read(9, seen("y", 7))), N).answer is answer


def test_with_lww_a_larger_stamp_is_fresh_enough() -> None:
    assert check(told(A, C, read(5, seen("c", 3))), N, lww=True).answer is Answer.VALID
    assert check(told(A, C, read(5, seen("a", 1))), N, lww=True).answer is Answer.INVALID


@pytest.mark.parametrize(
    "operations",
    (
        (unknown("u", 1), read(2, seen("u", 1)), read(5, seen("u", 1))),
        (unknown("u", 1), read(2, seen("u", 1), end=6), read(5)),  # they overlap
        (unknown("u", 1), write("x", 4, read=("u",)), read(2, seen("u", 1)), read(6, seen("x", 4))),
        (unknown("u", 1), read(2, seen("u", 1)), read(5, quorum=1)),  # the smaller quorum may miss it
        (unknown("u", 1), read(2, seen("u", 1), quorum=1), read(5, quorum=1)),
    ),
)
def test_reads_that_never_go_back(operations: tuple[Operation, ...]) -> None:
    assert check_monotonic(told(*operations), N, 2).answer is Answer.VALID


@pytest.mark.parametrize(
    "operations",
    (
        (unknown("u", 1), read(2, seen("u", 1)), read(5)),
        (unknown("u", 1), read(2, seen("u", 1)), read(5, quorum=3)),
        (unknown("u", 1), read(2, seen("u", 1), quorum=3), read(5, quorum=1)),
        (unknown("u", 1), read(2, seen("u", 1), process="x"), read(5, process="y")),
        (A, unknown("u", 2, read=("a",)), read(3, seen("u", 2)), read(5, seen("a", 1))),
        (unknown("u", 1), unknown("v", 1), read(2, seen("u", 1), seen("v", 1)), read(5, seen("v", 1))),
    ),
)
def test_reads_that_go_back_are_noticed(operations: tuple[Operation, ...]) -> None:
    verdict = check_monotonic(told(*operations), N, 2)
    assert verdict.answer is Answer.INVALID
    assert "misses what had been read before" in verdict.findings[0]


def test_with_lww_reads_go_forward_in_stamps() -> None:
    forward = (A, C, read(2, seen("a", 1)), read(5, seen("c", 3)))
    back = (A, C, read(4, seen("c", 3)), read(6, seen("a", 1)))
    assert check_monotonic(told(*forward), N, 2, lww=True).answer is Answer.VALID
    assert check_monotonic(told(*back), N, 2, lww=True).answer is Answer.INVALID


def test_debts_add_up_and_are_owed_to_larger_quorums_only() -> None:
    debts = Debts([(5, 2, 0b10), (3, 1, 0b1)], 3)
    assert [debts.owed(at, 2) for at in (3, 4, 5, 6)] == [0, 0b1, 0b1, 0b11]
    assert [debts.owed(9, quorum) for quorum in (0, 1, 2, 3)] == [0, 0b1, 0b11, 0b11]
