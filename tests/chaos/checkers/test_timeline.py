"""How a history is cut: moments, interchangeable calls, and what is left out because nobody could notice."""

from collections.abc import Hashable

from chaos.checkers.timeline import Timeline
from chaos.history import Operation, Outcome
from chaos.workloads.register import RegisterModel


def ok(kind: str, asked: Hashable, answer: Hashable, invoked_at: int, returned_at: int) -> Operation:
    return Operation("c", kind, "k", asked, answer, invoked_at, returned_at, Outcome.OK)


def lost(value: Hashable, invoked_at: int = 0) -> Operation:
    return Operation("c", "put", "k", value, None, invoked_at, None, Outcome.UNKNOWN)


def timeline(*operations: Operation) -> Timeline:
    model = RegisterModel()
    return Timeline(model, tuple(model.calls(operations)))


def test_one_moment_for_each_return() -> None:
    cut = timeline(ok("put", 1, None, 1, 4), ok("get", None, 1, 2, 3))
    assert [moment.returning for moment in cut.moments] == [1, 0]
    assert cut.moments[0].open_calls == (0, 1)


def test_bits_are_used_again() -> None:
    many = [ok("put", value, None, 10 * value, 10 * value + 5) for value in range(100)]
    reads = [ok("get", None, value, 10 * value + 6, 10 * value + 7) for value in range(100)]
    cut = timeline(*many, *reads)
    assert {moment.bit for moment in cut.moments} == {1}


def test_equal_unknown_writes_form_one_pool() -> None:
    cut = timeline(lost(1), lost(1), lost(2), ok("get", None, 1, 1, 2), ok("get", None, 2, 3, 4))
    assert sorted(len(pool.members) for pool in cut.pools) == [1, 2]


def test_unknown_writes_that_nobody_saw_are_left_out() -> None:
    assert timeline(*(lost(value) for value in range(9)), ok("get", None, None, 1, 2)).pools == ()


def test_they_are_not_if_their_mere_presence_can_be_noticed() -> None:
    """A compare-and-set found that the register did not hold 5: any other value explains that."""
    cut = timeline(lost(1), lost(2), ok("put", 5, None, 1, 2), ok("cas", (5, 6), False, 3, 4))
    assert [len(pool.members) for pool in cut.pools] == [2]


def test_overwrites_that_nobody_saw_are_idle() -> None:
    cut = timeline(ok("put", 1, None, 1, 2), ok("put", 2, None, 3, 4), ok("get", None, 2, 5, 6))
    assert [moment.idle for moment in cut.moments] == [1, 0, 0]
