"""Every error says whether the write could have happened anyway, and keeps saying it on the other side of the wire."""

import inspect

import pytest

from kvstore.core import errors
from kvstore.core.errors import BY_CODE, KvError, error_from_wire

ALL = [kind for _, kind in sorted(inspect.getmembers(errors, inspect.isclass)) if issubclass(kind, KvError)]
KINDS = [kind for kind in ALL if kind is not KvError]
EXIT_CODES = {1, 2, 3, 4, 5, 6, 7, 8}  # 0 is success, 130 is Ctrl-C: no error may claim them


def test_there_are_errors_to_judge() -> None:
    assert len(KINDS) > 20
    assert all(kind.__module__ == errors.__name__ for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_answers_for_itself(kind: type[KvError]) -> None:
    """Said in its own class statement, not inherited by accident from a parent that answers otherwise."""
    assert isinstance(vars(kind).get("definite"), bool)
    assert isinstance(vars(kind).get("retryable"), bool)
    assert kind("x").maybe_applied is not kind.definite


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_sentence_and_a_way_out(kind: type[KvError]) -> None:
    assert (kind.__doc__ or "").strip(), "a user reads the first line of the docstring"
    assert str(kind()).strip()
    assert kind.exit_code in EXIT_CODES


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_the_wire(kind: type[KvError]) -> None:
    sent = kind("words", node="n1")
    received = error_from_wire(sent.code, str(sent), sent.facts)
    assert (type(received), str(received), received.facts) == (kind, "words", {"node": "n1"})


def test_every_error_stands_on_the_page() -> None:
    """The drawing in the module's docstring is how people find them."""
    page = errors.__doc__ or ""
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in page and kind.__name__ != "UnknownError"] == []


def test_codes_are_unique() -> None:
    assert sorted(BY_CODE) == sorted(kind.code for kind in KINDS)


def test_an_error_of_a_newer_node_is_indefinite() -> None:
    """When in doubt, indefinite is always safe."""
    assert error_from_wire("InventedLater", "words", {}).maybe_applied


def test_an_error_that_does_not_answer_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="definite"):
        type("Silent", (KvError,), {})
