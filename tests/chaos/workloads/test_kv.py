"""Strings: put, append, get."""

from collections.abc import Hashable

import pytest

from chaos.checkers.model import REFUSED
from chaos.history import Operation, Outcome
from chaos.workloads.kv import KvModel


def operation(kind: str, asked: Hashable, answer: Hashable = None, outcome: Outcome = Outcome.OK) -> Operation:
    return Operation("c", kind, "k", asked, answer, 1, None if outcome is Outcome.UNKNOWN else 2, outcome)


def test_step() -> None:
    model = KvModel()
    assert model.step("ab", ("append", "c")) == "abc"
    assert model.step("ab", ("put", "c")) == "c"
    assert model.step("ab", ("is", "ab")) == "ab" and model.step("ab", ("is", "")) is REFUSED


def test_a_get_of_nothing_saw_the_empty_string() -> None:
    (call,) = KvModel().calls([operation("get", None, None)])
    assert call.demands == ""


def test_unseen_appends_of_unknown_outcome_are_left_out() -> None:
    history = [
        operation("append", "seen", outcome=Outcome.UNKNOWN),
        operation("append", "other", outcome=Outcome.UNKNOWN),
        operation("append", "", outcome=Outcome.OK),
        operation("get", None, "is seen."),
    ]
    assert [call.operation for call in KvModel().calls(history)] == [history[0], history[3]]


@pytest.mark.parametrize("bad", (operation("put", 3), operation("cas", "x"), operation("get", None, 3)))
def test_what_is_no_string_is_refused(bad: Operation) -> None:
    with pytest.raises(ValueError, match="a string"):
        list(KvModel().calls([bad]))
