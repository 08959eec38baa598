"""Errors keep class, sentence, facts and promise wherever they travel. What every error must have is house law."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core import errors
from kvstore.core.errors import BY_CODE, KvError, UnknownError, error_from_wire
from kvstore.node.requests import Failure

KINDS = sorted(BY_CODE.values(), key=lambda kind: kind.__name__)
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda name: name not in ("self", "message"))
PLAIN = st.none() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=8) | st.binary(max_size=8)


@given(st.sampled_from(KINDS), st.text(min_size=1), st.dictionaries(NAMES, PLAIN, max_size=3))
def test_an_error_comes_back_as_itself(kind: type[KvError], words: str, facts: dict[str, object]) -> None:
    received = Failure.of(kind(words, **facts)).error()
    assert type(received) is kind
    assert (str(received), received.facts) == (words, facts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_says_what_the_class_promises(kind: type[KvError]) -> None:
    failure = Failure.of(kind())
    assert (failure.code, failure.definite, failure.retryable) == (kind.__name__, kind.definite, kind.retryable)
    assert failure.message == str(kind()) != ""


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_copying_between_threads_and_processes(kind: type[KvError]) -> None:
    original = kind("words", node="n1", key=b"k")
    for twin in (copy.copy(original), pickle.loads(pickle.dumps(original))):
        assert type(twin) is kind and str(twin) == "words"
        assert (twin.node, twin.key) == ("n1", b"k")


def test_facts_that_are_not_plain_stay_at_home() -> None:
    failure = Failure.of(errors.PreconditionFailed("words", current=object(), key=b"k"))
    assert failure.error().facts == {"key": b"k"}


def test_an_error_of_a_newer_node_keeps_its_words_and_is_indefinite() -> None:
    error = error_from_wire("InventedLater", "words", {"node": "n9"})
    assert type(error) is UnknownError and (str(error), error.node, error.maybe_applied) == ("words", "n9", True)


PYTHON_TWINS = [
    (errors.NotFound, KeyError),
    (errors.Unavailable, ConnectionError),
    (errors.NoLeader, ConnectionError),
    (errors.DeadlineExceeded, TimeoutError),
    (errors.InvalidRequest, ValueError),
    (errors.KeyTooLarge, ValueError),
    (errors.CodecError, ValueError),
    (errors.ConfigError, ValueError),
]


@pytest.mark.parametrize(("kind", "twin"), PYTHON_TWINS)
def test_errors_are_caught_by_pythons_own_names(kind: type[KvError], twin: type[Exception]) -> None:
    with pytest.raises(twin) as caught:
        raise kind("plain words")
    assert str(caught.value) == "plain words", "KeyError would show its repr, OSError its errno"


EXIT_CODES = {
    errors.InvalidRequest: 2,
    errors.ConfigError: 2,
    errors.NotFound: 3,
    errors.PreconditionFailed: 4,
    errors.ConflictError: 4,
    errors.Unavailable: 5,
    errors.Overloaded: 5,
    errors.DeadlineExceeded: 6,
    errors.OutcomeUnknown: 6,
    errors.NotConnected: 8,
    errors.Corruption: 1,
}


@pytest.mark.parametrize(("kind", "code"), EXIT_CODES.items())
def test_what_the_command_line_ends_with(kind: type[KvError], code: int) -> None:
    assert kind.exit_code == code


@pytest.mark.parametrize(
    "kind",
    [errors.DeadlineExceeded, errors.OutcomeUnknown, errors.QuorumNotMet, errors.OperationExpired, UnknownError],
)
def test_after_these_nobody_can_say_whether_it_was_written(kind: type[KvError]) -> None:
    assert kind().maybe_applied


def test_those_are_all() -> None:
    assert {kind.__name__ for kind in KINDS if not kind.definite} == {
        "DeadlineExceeded", "OutcomeUnknown", "QuorumNotMet", "OperationExpired", "UnknownError",
    }  # fmt: skip


def test_sentences_with_figures() -> None:
    assert "481 bytes, at most 480" in str(errors.KeyTooLarge(size=481, limit=480))
    assert "5 bytes, this keyspace allows 4" in str(errors.ValueTooLarge(size=5, limit=4))
    assert errors.Overloaded(retry_after_ms=50).retry_after_ms == 50
    assert errors.Overloaded().retry_after_ms == 100
    assert errors.NotLeader(leader="n2").leader == "n2" and errors.NotLeader().leader is None
