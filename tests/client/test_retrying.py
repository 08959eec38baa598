"""What may be tried again, and when: pure."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client.retrying import WAIT_S_FIRST, WAIT_S_MAX, Again, GiveUp, expired, honest, interrupted, judge
from kvstore.core.errors import (
    BY_CODE,
    Corruption,
    DeadlineExceeded,
    InvalidRequest,
    KeyTooLarge,
    KvError,
    NoLeader,
    NotConnected,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    QuorumNotMet,
    StorageFull,
)

KINDS = [BY_CODE[code] for code in sorted(BY_CODE)]


def verdict(
    error: KvError, tries: int = 1, doubtful: bool = False, left_s: float = 5.0, asked: str = "n1", seed: int = 0
) -> Again | GiveUp:
    return judge(error, tries=tries, doubtful=doubtful, left_s=left_s, asked=asked, dice=Random(seed))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.retryable and kind is not DeadlineExceeded])
def test_whatever_is_retryable_is_tried_again(kind: type[KvError]) -> None:
    assert isinstance(verdict(kind()), Again)


@pytest.mark.parametrize("kind", [DeadlineExceeded, *(kind for kind in KINDS if not kind.retryable)])
def test_whatever_is_not_is_told_at_once(kind: type[KvError]) -> None:
    error = kind("words")
    assert verdict(error) == GiveUp(error)


@given(st.integers(1, 1000), st.floats(0.02, 100), st.integers(0, 2**32), st.sampled_from([NoLeader, QuorumNotMet]))
def test_waiting_is_bounded_and_leaves_time_for_a_last_try(
    tries: int, left_s: float, seed: int, kind: type[KvError]
) -> None:
    again = verdict(kind(), tries=tries, left_s=left_s, seed=seed)
    assert isinstance(again, Again)
    assert 0 <= again.wait_s <= min(WAIT_S_MAX, WAIT_S_FIRST * 2 ** (tries - 1), left_s / 2)


def test_waiting_grows() -> None:
    mean = [
        sum(again.wait_s for seed in range(300) if isinstance(again := verdict(NoLeader(), tries, seed=seed), Again))
        / 300
        for tries in (1, 4, 7, 30)
    ]
    assert mean == sorted(mean) and mean[-1] == pytest.approx(WAIT_S_MAX / 2, rel=0.2)


def test_no_time_left_is_the_end() -> None:
    error = NoLeader()
    assert verdict(error, left_s=WAIT_S_FIRST / 2) == GiveUp(error)


def test_overloaded_waits_as_long_as_it_was_told() -> None:
    for seed in range(50):
        again = verdict(Overloaded(retry_after_ms=200), seed=seed)
        assert isinstance(again, Again) and 0.2 <= again.wait_s <= 0.25


def test_overloaded_beyond_the_deadline_is_told_at_once() -> None:
    error = Overloaded(retry_after_ms=200)
    assert verdict(error, left_s=0.1) == GiveUp(error)


def test_a_redirection_is_followed_at_once_but_not_for_ever() -> None:
    moved = NotLeader(leader="n2")
    assert [verdict(moved, tries=tries) for tries in (1, 2, 3)] == [Again(0.0)] * 3
    looping = verdict(moved, tries=4)
    assert isinstance(looping, Again) and looping.wait_s > 0


def test_a_node_that_names_itself_or_nobody_is_waited_for() -> None:
    for leader in ("n1", "", None):
        again = verdict(NotLeader(leader=leader), asked="n1")
        assert isinstance(again, Again) and again.wait_s > 0


@pytest.mark.parametrize("kind", [StorageFull, Corruption])
def test_what_does_not_pass_by_itself_is_tried_three_times(kind: type[KvError]) -> None:
    error = kind()
    assert isinstance(verdict(error, tries=2), Again)
    assert verdict(error, tries=3) == GiveUp(error)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.definite])
def test_a_definite_end_says_nothing_about_an_earlier_try_that_got_lost(kind: type[KvError]) -> None:
    error = kind("words", key=b"k", operation="1-1")
    told = honest(error, doubtful=True)
    assert isinstance(told, OutcomeUnknown) and told.__cause__ is error
    assert told.facts == error.facts
    assert honest(error, doubtful=False) is error


def test_giving_up_is_honest() -> None:
    ended = verdict(KeyTooLarge(size=1, limit=1), doubtful=True)
    assert isinstance(ended, GiveUp) and ended.error.maybe_applied


def test_an_answer_that_will_not_come_leaves_doubt_about_a_write_only() -> None:
    assert interrupted(True, "words", "n1").maybe_applied and interrupted(True, "words", "n1").retryable
    assert not interrupted(False, "words", "n1").maybe_applied and interrupted(False, "words", "n1").retryable


def test_the_error_at_the_deadline() -> None:
    refused = NoLeader("no leader")
    assert isinstance(expired(sent=True, doubtful=False, reached=True, last=None), DeadlineExceeded)
    assert isinstance(expired(sent=True, doubtful=False, reached=True, last=refused), DeadlineExceeded)
    assert isinstance(expired(sent=False, doubtful=True, reached=True, last=refused), DeadlineExceeded)
    assert expired(sent=False, doubtful=False, reached=True, last=refused) is refused
    assert isinstance(expired(sent=False, doubtful=False, reached=False, last=None), NotConnected)
    assert isinstance(expired(sent=False, doubtful=False, reached=True, last=None), DeadlineExceeded)
    assert isinstance(expired(sent=False, doubtful=False, reached=True, last=InvalidRequest("odd")), InvalidRequest)
