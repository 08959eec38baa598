"""What each write had seen."""

import pytest

from chaos.history import Operation, Outcome
from chaos.workloads.causal_register import KeyHistory, key_histories, members
from tests.chaos.leaderless_histories import read, seen, unknown, write

HISTORY = KeyHistory(
    "k",
    (
        write("a", 1),
        write("b", 2, read=("a",)),
        write("c", 3),
        write("d", 4, after="b"),
        write("e", 5, read=("c", "d")),
        unknown("u", 6),
        read(7, seen("u", 6)),
    ),
)


def names(writes: int) -> set[str]:
    return {HISTORY.writes[number].name for number in members(writes)}


def test_a_write_replaces_what_its_client_read_and_what_that_replaced() -> None:
    assert names(HISTORY.must[1]) == {"a"}
    assert names(HISTORY.must[2]) == set(), "a blind write"
    assert names(HISTORY.must[4]) == {"a", "c", "d"}


def test_the_context_of_an_answer_may_leave_the_write_out() -> None:
    assert names(HISTORY.must[3]) == {"a"}
    assert names(HISTORY.may[3]) == {"a", "b"}
    assert names(HISTORY.may[4]) == {"a", "b", "c", "d"}


def test_readers_tell_the_stamps_of_unknown_writes() -> None:
    assert HISTORY.stamps[5] == 6
    twice = KeyHistory("k", (write("a", 5, repeated=True), read(7, seen("a", 3))))
    assert twice.stamps == [3], "the other try's"


def test_what_is_lacking_is_neither_there_nor_replaced_nor_older() -> None:
    owed = 0b11111
    assert HISTORY.lacking(owed, (seen("e", 5),), lww=False) == 0
    assert names(HISTORY.lacking(owed, (seen("b", 2), seen("c", 3)), lww=False)) == {"d", "e"}
    assert names(HISTORY.lacking(owed, (seen("d", 4),), lww=False)) == {"c", "e"}
    assert names(HISTORY.lacking(owed, (seen("d", 4),), lww=True)) == {"e"}


def test_what_a_delete_without_context_replaces_is_known_to_nobody() -> None:
    sweep = write("s", 3, 6, kind="sweep")
    history = KeyHistory("k", (write("a", 1), sweep, write("b", 5), write("c", 7)))
    assert history.must[1] == 0
    assert history.may[1] == 0b101, "what had begun by its end, but not itself"
    assert KeyHistory("k", (write("a", 1), unknown("u", 2))).may == [0, 0]


def test_what_a_sweep_that_was_tried_twice_replaces_may_be_gone_without_a_trace() -> None:
    for repeated in (False, True):
        sweep = write("s", 3, 6, kind="sweep", repeated=repeated)
        history = KeyHistory("k", (write("a", 1), sweep, write("b", 5), write("c", 7)))
        assert history.lacking(0b1101, (seen("c", 7),), lww=False) == (0 if repeated else 0b101)


def test_a_version_that_nobody_had_written_yet_is_seen_by_nobody() -> None:
    history = KeyHistory("k", (write("a", 1, read=("b", "z"), after="b"), write("b", 2)))
    assert history.must == [0, 0] == history.may


def test_each_key_has_its_own_history() -> None:
    other = Operation("c", "read", "other", 1, (), 1, 2, Outcome.OK)
    assert [history.key for history in key_histories([write("a", 1), other, write("b", 2)])] == ["k", "other"]


@pytest.mark.parametrize(
    "operation",
    (
        Operation("c", "put", "k", "v", None, 1, 2, Outcome.OK),
        Operation("c", "write", "k", ("a",), None, 1, 2, Outcome.OK),
        Operation("c", "read", "k", None, (), 1, 2, Outcome.OK),
    ),
)
def test_operations_of_another_workload_are_not_taken(operation: Operation) -> None:
    with pytest.raises(ValueError, match="causal register"):
        key_histories([operation])


def test_a_name_is_used_once() -> None:
    with pytest.raises(ValueError, match="two writes are named a"):
        key_histories([write("a", 1), write("a", 2)])
