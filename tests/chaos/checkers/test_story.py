"""The story blames the first operation that has no place, not an earlier one the search gave up at."""

from random import Random

from chaos.checkers.linearizable import check
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome
from chaos.workloads.register import RegisterModel
from tests.chaos import naive
from tests.chaos.made_histories import Recipe, atomic_history, with_a_wrong_answer


def test_the_beginning_before_the_stuck_operation_works_and_with_it_does_not() -> None:
    rng = Random(11)
    told = 0
    while told < 60:
        recipe = Recipe(operations=rng.randrange(4, 12), clients=rng.randrange(2, 6), unknown=0.2)
        history = with_a_wrong_answer(rng, atomic_history(rng, recipe))
        verdict = check(history, RegisterModel())
        if verdict.answer is Answer.VALID:
            continue
        told += 1
        assert verdict.story is not None
        stuck = verdict.story.stuck
        assert stuck.returned_at is not None
        assert naive.has_order(naive.beginning(history, stuck.returned_at), naive.register, None)
        assert not naive.has_order(naive.beginning(history, stuck.returned_at, stuck), naive.register, None)
        naive.assert_is_order(verdict.story.placed, naive.register, None)


def test_a_stale_read_is_told_with_its_surroundings() -> None:
    writes = [Operation("w", "put", "k", value, None, 10 * value, 10 * value + 5, Outcome.OK) for value in (1, 2)]
    lost = Operation("x", "put", "k", 3, None, 21, None, Outcome.UNKNOWN)
    beside = Operation("y", "get", "k", None, 3, 26, 40, Outcome.OK)
    stale = Operation("z", "get", "k", None, 1, 27, 30, Outcome.OK)
    verdict = check([*writes, lost, beside, stale], RegisterModel())
    assert verdict.story is not None
    assert verdict.story.stuck == stale
    assert verdict.story.placed == tuple(writes)
    assert verdict.story.states == (2,)
    assert set(verdict.story.concurrent) == {lost, beside}


def test_the_story_may_be_that_nothing_comes_before() -> None:
    verdict = check([Operation("c", "get", "k", None, 1, 1, 2, Outcome.OK)], RegisterModel())
    assert verdict.story is not None
    assert (verdict.story.placed, verdict.story.states, verdict.story.concurrent) == ((), (None,), ())
