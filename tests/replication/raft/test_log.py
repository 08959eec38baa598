"""The log in memory: its invariants, where two logs meet, and what the disk's word is worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.entries import NOTHING, Entry, LogEnd
from kvstore.core.ids import Index, Term
from kvstore.replication.raft.log import Log


def entries(first: int, *terms: int) -> list[Entry]:
    return [Entry(Term(term), Index(index), b"x") for index, term in enumerate(terms, first)]


def end(index: int, term: int) -> LogEnd:
    return LogEnd(Term(term), Index(index))


def log(*terms: int, start: LogEnd = NOTHING) -> Log:
    return Log(start, entries(start.index + 1, *terms))


def test_it_begins_with_what_is_on_disk() -> None:
    fresh = log(1, 1, 2)
    assert (fresh.last, fresh.persisted, fresh.term_at(Index(2)), fresh.term_at(Index(4))) == (end(3, 2), 3, 1, None)


def test_gaps_and_falling_terms_are_mistakes() -> None:
    with pytest.raises(AssertionError, match="gap"):
        log(1).extend(entries(3, 1))
    with pytest.raises(AssertionError, match="never fall"):
        log(2).extend(entries(2, 1))
    with pytest.raises(AssertionError, match="not consecutive"):
        log(1).extend([*entries(2, 1), *entries(4, 1)])


def test_batches_are_limited_in_bytes_but_never_empty() -> None:
    batch = log(1, 1, 1, 1).batch_after(Index(1), 2)
    assert batch == (tuple(entries(2, 1, 1)), 2)
    assert log(1, 1, 1).batch_after(Index(0), 0) == (tuple(entries(1, 1)), 1)
    assert log(1).batch_after(Index(1), 9) == ((), 0)


def test_compacting_keeps_the_rest() -> None:
    some = log(1, 1, 2, 2)
    some.compact(Index(3))
    assert (some.start, some.last, some.term_at(Index(3)), some.term_at(Index(2))) == (end(3, 2), end(4, 2), 2, None)
    some.compact(Index(1))
    assert some.start == end(3, 2)


def test_the_disk_is_heard_in_its_order() -> None:
    some = log(1)
    some.extend(entries(2, 1))
    some.extend(entries(3, 1))
    assert some.persisted == 1
    assert some.settle(end(2, 1)) and some.persisted == 2
    assert not some.settle(end(2, 1)), "that write was heard of already"
    assert some.settle(end(3, 1)) and some.persisted == 3


def test_the_last_of_several_writes_stands_for_all() -> None:
    some = log(1)
    some.extend(entries(2, 1))
    some.extend(entries(3, 1))
    assert some.settle(end(3, 1)) and some.persisted == 3


def test_a_write_that_another_will_undo_does_not_count() -> None:
    some = log(1)
    some.extend(entries(2, 1, 1))
    some.truncate(Index(2))
    some.extend(entries(2, 2))
    some.settle(end(3, 1))
    assert some.persisted == 1
    assert some.settle(end(2, 2)) and some.persisted == 2


def test_an_entry_that_left_and_came_back_counts_from_its_second_write() -> None:
    some = log(1)
    some.extend(entries(2, 1))  # 2@1 …
    some.truncate(Index(2))
    some.extend(entries(2, 2))  # … is replaced by 2@2 …
    some.truncate(Index(2))
    some.extend(entries(2, 1, 3))  # … and comes back
    assert not some.settle(end(2, 1)), "the disk has 2@1, and is about to delete it"
    assert not some.settle(end(2, 2))
    assert some.settle(end(3, 3)) and some.persisted == 3


def test_after_an_image_nothing_is_on_disk_until_the_disk_says_so() -> None:
    some = log(1, 1)
    some.install(end(5, 2))
    assert (some.start, some.last, some.persisted) == (end(5, 2), end(5, 2), 0)
    assert some.awaits(end(5, 2))
    assert some.settle(end(5, 2)) and some.persisted == 5
    assert not some.awaits(end(5, 2))


def test_after_an_image_an_equal_log_stays() -> None:
    some = log(1, 1, 2)
    some.install(end(2, 1))
    assert (some.start, some.last, some.persisted) == (end(2, 1), end(3, 2), 3)


def test_an_image_behind_our_log_speaks_for_what_was_written_before_it() -> None:
    """Both in one transaction: the disk names the last write, which is the image, and has the entries as well."""
    some = log(1, 1)
    some.extend(entries(3, 1, 1))
    some.install(end(2, 1))
    assert some.persisted == 2
    assert some.settle(end(2, 1)) and some.persisted == 4


terms = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(
    lambda steps: [1 + sum(steps[: position + 1]) for position in range(len(steps))]
)


@given(terms, st.integers(0, 14), st.integers(0, 25))
def test_the_meeting_point_like_the_slow_twin(mine: list[int], index: int, term: int) -> None:
    """The last of ours that is not above that index and not of a later term."""
    some = log(*mine)
    fits = [(i, t) for i, t in enumerate([0, *mine]) if i <= index and t <= term]
    assert some.meeting_point(end(index, term)) == end(*fits[-1])


@given(terms, terms)
def test_two_logs_meet_within_one_question_per_term(mine: list[int], yours: list[int]) -> None:
    """The leader asks at its end; each rejection's hint is turned into the next question, as `appending` does it."""
    leader, follower = log(*mine), log(*yours)
    questions, asked = 0, leader.last
    while not follower.has(asked):
        questions += 1
        hint = follower.meeting_point(asked)
        asked = leader.meeting_point(hint)
    assert leader.has(asked)
    assert questions <= len(set(mine)) + len(set(yours))


def test_a_meeting_point_before_the_start_is_not_the_start() -> None:
    """Our start is of a later term than theirs there: what we have forgotten cannot be compared, so ask for less."""
    assert log(5, start=end(4, 5)).meeting_point(end(4, 1)).index == 3
    assert log(5, start=end(4, 1)).meeting_point(end(6, 1)) == end(4, 1)
