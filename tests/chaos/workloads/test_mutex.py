"""A lock: acquired when free, released when held."""

import pytest

from chaos.checkers.linearizable import check
from chaos.checkers.model import REFUSED
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome
from chaos.workloads.mutex import FREE, HELD, MutexModel


def test_step() -> None:
    model = MutexModel()
    assert model.step(FREE, "acquire") == HELD and model.step(HELD, "acquire") is REFUSED
    assert model.step(HELD, "release") == FREE and model.step(FREE, "release") is REFUSED


@pytest.mark.parametrize(("outcome", "answer"), ((Outcome.UNKNOWN, Answer.VALID), (Outcome.FAILED, Answer.INVALID)))
def test_a_second_holder_needs_a_release_that_may_have_happened(outcome: Outcome, answer: Answer) -> None:
    returned_at = None if outcome is Outcome.UNKNOWN else 4
    history = [
        Operation("a", "acquire", "k", None, None, 1, 2, Outcome.OK),
        Operation("a", "release", "k", None, None, 3, returned_at, outcome),
        Operation("b", "acquire", "k", None, None, 5, 6, Outcome.OK),
    ]
    assert check(history, MutexModel()).answer is answer


def test_other_operations_are_refused() -> None:
    with pytest.raises(ValueError, match="not 'steal'"):
        list(MutexModel().calls([Operation("a", "steal", "k", None, None, 1, 2, Outcome.OK)]))
