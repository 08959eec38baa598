"""What is said when something went wrong."""

import io

import pytest

from kvstore.cli.context import Refused
from kvstore.cli.failures import REMEDIES, lines_for, remedy_for, report
from kvstore.cli.terminal import Terminal
from kvstore.core.errors import BY_CODE, ConflictError, DeadlineExceeded, KvError, NotFound


def test_remedies_are_for_errors_that_exist() -> None:
    assert set(REMEDIES) <= set(BY_CODE)


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_error_has_a_remedy(code: str) -> None:
    """Only a key that is not there needs no advice."""
    assert bool(remedy_for(BY_CODE[code]("x"))) == (BY_CODE[code] is not NotFound)


def test_a_class_without_a_line_has_its_parents() -> None:
    class Busier(BY_CODE["Overloaded"], definite=True):  # type: ignore[misc,name-defined]
        """Even busier."""

    try:
        assert remedy_for(Busier("x")) == REMEDIES["Overloaded"]
    finally:
        del BY_CODE["Busier"]


def test_a_sentence_that_says_it_already_is_not_repeated() -> None:
    assert lines_for(BY_CODE["NotReady"]("the node starts; nothing was written"), wrote=True)[0] == (
        "the node starts; nothing was written"
    )


def test_doubt_is_said_with_the_question_that_settles_it() -> None:
    lines = lines_for(DeadlineExceeded("no answer within 5 s", operation="c-9"), wrote=True)
    assert lines[:2] == ["no answer within 5 s. The write may have happened.", "  ask with: kvstore outcome c-9"]
    assert lines_for(DeadlineExceeded("no answer within 5 s"), wrote=False)[0] == "no answer within 5 s"


def test_verbose_names_the_error_and_its_facts() -> None:
    assert (
        lines_for(ConflictError("x", key=b"k", node=None), wrote=False, verbose=True)[-1] == "  ConflictError key=b'k'"
    )


def test_errors_are_red_only_where_somebody_sees_it() -> None:
    for is_terminal in (True, False):
        err = io.BytesIO()
        terminal = Terminal(io.BytesIO(), io.BytesIO(), err, stderr_is_terminal=is_terminal, color=True)
        assert report(terminal, Refused("no", "do", 4)) == 4
        assert (err.getvalue() == b"\x1b[31;1merror:\x1b[0m no\n  do\n") == is_terminal


def test_an_error_without_words_has_its_name() -> None:
    assert lines_for(KvError(" "), wrote=False)[0] == "KvError"
