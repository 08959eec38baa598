"""What must be left of a key in the end."""

import pytest

from chaos.checkers.kept import check
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome
from chaos.workloads.causal_register import Version
from tests.chaos.leaderless_histories import delete, seen, told, unknown, write

A, B, C = write("a", 1), write("b", 3, read=("a",)), write("c", 3)
D = delete("d", 5, read=("b",))
U = unknown("u", 4, read=("a",))
REFUSED = write("f", 1, outcome=Outcome.FAILED)


@pytest.mark.parametrize(
    ("operations", "final"),
    (
        ((), ()),
        ((REFUSED,), ()),
        ((A,), (seen("a", 1),)),
        ((A, B, C), (seen("b", 3), seen("c", 3))),
        ((A, B, D), (seen("d", 5, True),)),
        ((A, C, D), (seen("a", 1), seen("c", 3), seen("d", 5, True))),
        ((A, U), (seen("a", 1),)),
        ((A, U), (seen("u", 4),)),
        ((A, B, U), (seen("b", 3), seen("u", 4))),
        ((A, write("x", 3, after="a")), (seen("x", 3),)),
        ((A, write("x", 3, after="a")), (seen("a", 1), seen("x", 3))),
        ((A, U, write("x", 6, read=("u",))), (seen("x", 6),)),
    ),
)
def test_what_nobody_replaced_is_left(operations: tuple[Operation, ...], final: tuple[Version, ...]) -> None:
    assert check(told(*operations), {"k": final}).answer is Answer.VALID


@pytest.mark.parametrize(
    ("operations", "final", "because"),
    (
        ((A,), (), "lost: "),
        ((A, B, C), (seen("b", 3),), "lost: "),
        ((A, B), (seen("a", 1),), "replaced by"),
        ((A, B, D), (seen("b", 3),), "back from the dead: "),
        ((A, B, D), (seen("b", 3),), "deleted by"),
        ((A, B, D), (seen("a", 1), seen("d", 5, True)), "back from the dead: "),
        ((A, B, D), (), "lost: "),
        ((A, U), (), "lost: "),
        ((A, B), (seen("a", 1), seen("b", 3)), "beside what replaced it"),
        ((A, B, U), (seen("u", 4),), "lost: "),  # it had not seen b
        ((REFUSED,), (seen("f", 1),), "refused"),
        ((A,), (seen("a", 1), seen("z", 1)), "never written"),
    ),
)
def test_what_is_lost_or_comes_back(
    operations: tuple[Operation, ...], final: tuple[Version, ...], because: str
) -> None:
    verdict = check(told(*operations), {"k": final})
    assert verdict.answer is Answer.INVALID
    assert because in "; ".join(verdict.findings)


def test_a_write_that_was_tried_twice_may_come_back_but_not_go_missing() -> None:
    twice = write("a", 1, repeated=True)
    assert check(told(twice, B), {"k": (seen("a", 1), seen("b", 3))}).answer is Answer.VALID
    assert check(told(twice), {"k": ()}).answer is Answer.INVALID


def test_with_lww_a_larger_stamp_will_do() -> None:
    both = told(A, C)
    assert check(both, {"k": (seen("c", 3),)}, lww=True).answer is Answer.VALID
    assert check(both, {"k": (seen("c", 3),)}).answer is Answer.INVALID
    assert check(both, {"k": (seen("a", 1),)}, lww=True).answer is Answer.INVALID
    assert check(both, {"k": (seen("a", 1), seen("c", 3))}, lww=True).answer is Answer.INVALID


def test_with_lww_a_delete_is_undone_only_by_a_larger_stamp() -> None:
    ahead = (write("a", 1, stamp=90), delete("d", 3, read=("a",)))
    assert check(told(*ahead), {"k": (seen("a", 90),)}, lww=True).answer is Answer.VALID
    assert check(told(*ahead), {"k": (seen("d", 3, True),)}, lww=True).answer is Answer.VALID
    assert check(told(A, delete("d", 3, read=("a",))), {"k": (seen("a", 1),)}, lww=True).answer is Answer.INVALID


def test_a_key_that_nobody_wrote_is_not_there() -> None:
    verdict = check(told(A), {"k": (seen("a", 1),), "other": (seen("a", 1),)})
    assert verdict.answer is Answer.INVALID and "'other'" in verdict.findings[0]
