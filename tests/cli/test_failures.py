"""What is said when something went wrong."""

import io

import pytest

from kvstore.cli.commands import make_registry
from kvstore.cli.failures import REMEDIES, lines_for, remedy_for, tell
from kvstore.cli.terminal import Terminal
from kvstore.core.errors import (
    BY_CODE,
    ConfigError,
    ConflictError,
    DeadlineExceeded,
    EmptyKey,
    InvalidRequest,
    KvError,
    NotFound,
    NotReady,
    Unavailable,
)
from tests.cli.fake_client import CommandLine

REGISTRY = make_registry()
PUT, GET = REGISTRY.get("put"), REGISTRY.get("get")


def test_remedies_are_for_errors_that_exist() -> None:
    assert set(REMEDIES) <= set(BY_CODE)
    for command in REGISTRY.commands:
        assert set(command.advice) <= set(BY_CODE)


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


def test_a_command_may_know_better() -> None:
    verify, where = REGISTRY.get("node", "verify"), REGISTRY.get("where")
    assert "check-config" in remedy_for(ConfigError("x"), verify)
    assert remedy_for(NotReady("x"), verify) == REMEDIES["NotReady"]
    assert remedy_for(Unavailable("x"), verify) == ""
    assert remedy_for(EmptyKey("x"), where) == REMEDIES["EmptyKey"]
    assert remedy_for(InvalidRequest("x"), where) == "see: kvstore help where"
    assert remedy_for(InvalidRequest("x")) == "see: kvstore help"


def test_a_sentence_that_says_it_already_is_not_repeated() -> None:
    said = "the node starts; nothing was written"
    assert lines_for(NotReady(said), PUT)[0] == said


def test_doubt_is_said_with_the_question_that_settles_it() -> None:
    error = DeadlineExceeded("no answer within 5 s", operation="c-9")
    assert lines_for(error, PUT)[:2] == [
        "no answer within 5 s. The write may have happened.",
        "  ask with: kvstore outcome c-9",
    ]
    assert lines_for(error, PUT, keyspace="carts")[1] == "  ask with: kvstore outcome c-9 -k carts"
    assert lines_for(error, GET)[0] == lines_for(error)[0] == "no answer within 5 s"


def test_verbose_names_the_error_and_its_facts() -> None:
    kvstore = CommandLine()
    kvstore.client.store.error = ConflictError("x", key=b"k", node=None)
    assert kvstore("get", "k", "-v").err.endswith("\n  ConflictError key=b'k'\n")


def test_errors_are_red_only_where_somebody_sees_it() -> None:
    for is_terminal in (True, False):
        err = io.BytesIO()
        terminal = Terminal(io.BytesIO(), io.BytesIO(), err, stderr_is_terminal=is_terminal, color=True)
        assert tell(terminal, ["no", "  do"], 4) == 4
        assert (err.getvalue() == b"\x1b[31;1merror:\x1b[0m no\n  do\n") == is_terminal


def test_an_error_without_words_has_its_name() -> None:
    assert lines_for(KvError(" "))[0] == "KvError"
