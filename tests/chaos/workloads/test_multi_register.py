"""Several registers in one operation."""

from collections.abc import Hashable

import pytest

from chaos.checkers.linearizable import check
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome
from chaos.workloads.multi_register import MultiRegisterModel


def txn(asked: Hashable, answer: Hashable, invoked_at: int, outcome: Outcome = Outcome.OK) -> Operation:
    returned_at = None if outcome is Outcome.UNKNOWN else invoked_at + 1
    return Operation("c", "txn", None, asked, answer, invoked_at, returned_at, outcome)


BOTH = (("write", "x", 1), ("write", "y", 1))


def answer(*operations: Operation) -> Answer:
    return check(operations, MultiRegisterModel({"x": 0}, start_of_others=0)).answer


def test_both_writes_happen_at_one_instant() -> None:
    write = txn(BOTH, BOTH, 1)
    assert answer(write, txn(None, (("read", "x", 1), ("read", "y", 1)), 5)) is Answer.VALID
    assert answer(write, txn(None, (("read", "x", 1), ("read", "y", 0)), 5)) is Answer.INVALID
    half = txn(BOTH, None, 1, Outcome.UNKNOWN)
    assert answer(half, txn(None, (("read", "x", 1), ("read", "y", 0)), 5)) is Answer.INVALID
    assert answer(half, txn(None, (("read", "x", 0), ("read", "y", 0)), 5)) is Answer.VALID


def test_a_read_of_none_saw_anything_and_a_transaction_reads_its_own_writes() -> None:
    assert answer(txn(BOTH, BOTH, 1), txn(None, (("read", "x", None),), 5)) is Answer.VALID
    assert (
        answer(txn(None, (("write", "x", 3), ("read", "x", 3), ("write", "x", 0), ("read", "x", 0)), 1)) is Answer.VALID
    )


@pytest.mark.parametrize("parts", (None, 7, (("increment", "x", 1),), (("read", "x"),)))
def test_what_is_no_list_of_reads_and_writes_is_refused(parts: Hashable) -> None:
    with pytest.raises(ValueError, match=r"txn with a list of parts|not a read or write"):
        answer(txn(parts, parts, 1))
