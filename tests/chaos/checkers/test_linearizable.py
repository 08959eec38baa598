"""The checker against its slow twin, against atomic objects, and on the small cases everybody should get right."""

from collections.abc import Hashable, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.checkers.linearizable import check, order_of
from chaos.checkers.model import Model
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome
from chaos.workloads.kv import KvModel
from chaos.workloads.multi_register import MultiRegisterModel
from chaos.workloads.mutex import MutexModel
from chaos.workloads.register import RegisterModel
from tests.chaos import naive
from tests.chaos.made_histories import Recipe, atomic_history, on_a_coarse_clock, with_a_wrong_answer


def ok(kind: str, asked: Hashable, answer: Hashable, invoked_at: int, returned_at: int, key: str = "k") -> Operation:
    return Operation("c", kind, key, asked, answer, invoked_at, returned_at, Outcome.OK)


def lost(kind: str, asked: Hashable, invoked_at: int) -> Operation:
    return Operation("c", kind, "k", asked, None, invoked_at, None, Outcome.UNKNOWN)


def answer(*operations: Operation, model: Model | None = None) -> Answer:
    return check(operations, model or RegisterModel()).answer


def test_no_operations_are_valid() -> None:
    assert answer() is Answer.VALID


def test_a_read_after_a_write_sees_it() -> None:
    assert answer(ok("put", 1, None, 1, 2), ok("get", None, 1, 3, 4)) is Answer.VALID
    assert answer(ok("put", 1, None, 1, 2), ok("get", None, None, 3, 4)) is Answer.INVALID


def test_a_read_during_a_write_sees_either() -> None:
    for seen in (None, 1):
        assert answer(ok("put", 1, None, 1, 4), ok("get", None, seen, 2, 3)) is Answer.VALID


def test_nobody_reads_backwards() -> None:
    write = ok("put", 1, None, 1, 9)
    assert answer(write, ok("get", None, 1, 2, 3), ok("get", None, None, 4, 5)) is Answer.INVALID
    assert answer(write, ok("get", None, None, 2, 3), ok("get", None, 1, 4, 5)) is Answer.VALID


def test_intervals_are_closed() -> None:
    """What returns in the instant in which the other is invoked may come after it."""
    assert answer(ok("put", 1, None, 1, 2), ok("get", None, None, 2, 3)) is Answer.VALID


def test_an_unknown_write_may_happen_late_or_never_but_only_once() -> None:
    write = lost("put", 1, 1)
    before, after = ok("get", None, None, 2, 3), ok("get", None, 1, 4, 5)
    assert answer(write, before) is Answer.VALID
    assert answer(write, before, after) is Answer.VALID
    assert answer(write, after, ok("put", 2, None, 6, 7), ok("get", None, 1, 8, 9)) is Answer.INVALID


def test_a_failed_write_never_happens() -> None:
    failed = Operation("c", "put", "k", 1, None, 1, 2, Outcome.FAILED)
    assert answer(failed, ok("get", None, 1, 3, 4)) is Answer.INVALID


def test_a_swap_that_found_another_value_is_an_observation() -> None:
    write = ok("put", 1, None, 1, 2)
    assert answer(write, ok("cas", (1, 2), False, 3, 4)) is Answer.INVALID
    assert answer(write, ok("cas", (0, 2), False, 3, 4)) is Answer.VALID


def test_only_one_of_two_swaps_succeeds() -> None:
    write = ok("put", 1, None, 1, 2)
    assert answer(write, ok("cas", (1, 2), True, 3, 8), ok("cas", (1, 3), True, 4, 7)) is Answer.INVALID
    assert answer(write, ok("cas", (1, 2), True, 3, 8), ok("cas", (2, 3), True, 4, 7)) is Answer.VALID


def test_an_unknown_write_of_the_same_value_may_cover_up_another_write() -> None:
    """Here "b" was put, and nobody saw it because "a" was put once more before anyone looked."""
    history = (
        ok("append", "a", None, 1, 1),
        lost("put", "a", 0),
        ok("put", "b", None, 4, 8),
        ok("append", "b", None, 3, 5),
        ok("get", None, "ab", 9, 14),
    )
    assert answer(*history, model=KvModel()) is Answer.VALID


def test_keys_are_judged_each_alone_and_the_guilty_one_is_named() -> None:
    verdict = check(
        [ok("put", 1, None, 1, 2, key="a"), ok("get", None, 1, 3, 4, key="a"), ok("get", None, 1, 3, 4, key="b")],
        RegisterModel(),
    )
    assert verdict.answer is Answer.INVALID
    assert verdict.story is not None and verdict.story.key == "b"
    assert "key 'b'" in verdict.findings[0]


def test_a_budget_spent_is_unknown_with_the_reason() -> None:
    history = atomic_history(Random(1), Recipe(operations=300, clients=10, values=5))
    few_steps = check(history, RegisterModel(), steps_max=256)
    assert few_steps.answer is Answer.UNKNOWN and "256 steps" in few_steps.findings[0]
    no_time = check(history, RegisterModel(), out_of_time=lambda: True)
    assert no_time.answer is Answer.UNKNOWN and "time limit" in no_time.findings[0]
    assert check(history, RegisterModel()).answer is Answer.VALID


def test_an_unknown_key_does_not_hide_an_invalid_one() -> None:
    history = atomic_history(Random(1), Recipe(operations=300, clients=10, values=5))
    stale = [ok("put", 1, None, 1, 2, key="a"), ok("get", None, 7, 3, 4, key="a")]
    assert check([*history, *stale], RegisterModel(), steps_max=256).answer is Answer.INVALID


def test_an_operation_the_model_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="no operation 'append'"):
        answer(ok("append", "a", None, 1, 2))


outcomes = st.sampled_from((Outcome.OK, Outcome.OK, Outcome.OK, Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.FAILED))
small = st.integers(0, 2)


@st.composite
def one_operation(draw: st.DrawFn, kind: str, asked: Hashable, output: Hashable, key: Hashable = "k") -> Operation:
    invoked_at = draw(st.integers(0, 12))
    outcome = draw(outcomes)
    returned_at = None if outcome is Outcome.UNKNOWN else invoked_at + draw(st.integers(0, 6))
    return Operation("c", kind, key, asked, output if outcome is Outcome.OK else None, invoked_at, returned_at, outcome)


@st.composite
def register_operation(draw: st.DrawFn) -> Operation:
    kind = draw(st.sampled_from(("get", "get", "put", "cas", "delete")))
    seen = draw(st.none() | small)
    asked = {"put": draw(small), "cas": (draw(st.none() | small), draw(small))}.get(kind)
    return draw(one_operation(kind, asked, draw(st.booleans()) if kind == "cas" else seen))


@st.composite
def string_operation(draw: st.DrawFn) -> Operation:
    kind = draw(st.sampled_from(("get", "get", "put", "append", "append")))
    asked = None if kind == "get" else draw(st.sampled_from(("a", "b")))
    return draw(one_operation(kind, asked, draw(st.text("ab", max_size=3)) if kind == "get" else None))


@st.composite
def mutex_operation(draw: st.DrawFn) -> Operation:
    return draw(one_operation(draw(st.sampled_from(("acquire", "release"))), None, None))


@st.composite
def registers_operation(draw: st.DrawFn) -> Operation:
    part = st.tuples(st.sampled_from(("read", "write")), st.sampled_from("xy"), st.integers(0, 1))
    parts = tuple(draw(st.lists(part, min_size=1, max_size=2)))
    asked = tuple((how, name, None if how == "read" else value) for how, name, value in parts)
    return draw(one_operation("txn", asked, parts, key=None))


def agrees_with_twin(operations: Sequence[Operation], model: Model, twin: naive.Apply, start: Hashable) -> None:
    verdict = check(operations, model)
    if naive.has_order(operations, twin, start):
        assert verdict.answer is Answer.VALID, verdict
        order = order_of(operations, model)
        assert order is not None
        naive.assert_is_order(order, twin, start)
        assert {id(one) for one in operations if one.outcome is Outcome.OK and _says_something(one)} <= set(
            map(id, order)
        )
    else:
        assert verdict.answer is Answer.INVALID, verdict
        assert verdict.story is not None
        naive.assert_is_order(verdict.story.placed, twin, start)


def _says_something(operation: Operation) -> bool:
    return operation.kind != "txn"  # a transaction of reads that saw None is left out


@settings(max_examples=600, deadline=None)
@given(st.lists(register_operation(), max_size=9))
def test_registers_agree_with_the_slow_twin(operations: list[Operation]) -> None:
    agrees_with_twin(operations, RegisterModel(), naive.register, None)


@settings(max_examples=400, deadline=None)
@given(st.lists(string_operation(), max_size=8))
def test_strings_agree_with_the_slow_twin(operations: list[Operation]) -> None:
    agrees_with_twin(operations, KvModel(), naive.string, "")


@settings(max_examples=200, deadline=None)
@given(st.lists(mutex_operation(), max_size=9))
def test_mutexes_agree_with_the_slow_twin(operations: list[Operation]) -> None:
    agrees_with_twin(operations, MutexModel(), naive.mutex, "free")


@settings(max_examples=200, deadline=None)
@given(st.lists(registers_operation(), max_size=7))
def test_many_registers_agree_with_the_slow_twin(operations: list[Operation]) -> None:
    agrees_with_twin(operations, MultiRegisterModel(start_of_others=0), naive.registers, frozenset())


MIXES = (("get", "put"), ("get", "put", "cas"), ("get", "get", "put", "cas", "delete"))


@pytest.mark.parametrize("seed", range(4))
def test_nearly_right_histories_agree_with_the_slow_twin(seed: int) -> None:
    """Random operations are mostly nonsense; these come from an atomic register, some with one answer changed."""
    rng = Random(seed)
    invalid = 0
    for _ in range(300):
        recipe = Recipe(
            operations=rng.randrange(4, 13),
            clients=rng.randrange(1, 7),
            kinds=rng.choice(MIXES),
            values=rng.choice((None, 3)),
            unknown=rng.choice((0.0, 0.3)),
        )
        history = with_a_wrong_answer(rng, atomic_history(rng, recipe))
        agrees_with_twin(history, RegisterModel(), naive.register, None)
        invalid += not naive.has_order(history, naive.register, None)
    assert 30 < invalid < 270, "both kinds must come up, or this test tests nothing"


@pytest.mark.parametrize("start", (None, ""))
@pytest.mark.parametrize("seed", range(3))
def test_dense_histories_of_an_atomic_object_are_valid(start: Hashable, seed: int) -> None:
    """Few values, many coincidences, clocks with few ticks: where a search that leaves something out goes wrong."""
    rng = Random(seed)
    model: Model = RegisterModel() if start is None else KvModel()
    kinds = ("get", "put", "cas", "delete") if start is None else ("get", "put", "append")
    for _ in range(200):
        recipe = Recipe(
            operations=rng.randrange(4, 24),
            clients=rng.randrange(1, 10),
            kinds=tuple(rng.choices(kinds, k=4)),
            values=rng.choice((None, 1, 2, 3)),
            unknown=rng.choice((0.0, 0.1, 0.3, 0.6)),
            latency=rng.choice((0.3, 1.0, 3.0)),
        )
        history = on_a_coarse_clock(atomic_history(rng, recipe, start), rng.choice((0.01, 0.5, 2.0)))
        assert check(history, model).answer is Answer.VALID, "\n".join(map(str, history))


LARGE = (
    Recipe(operations=1500, clients=10, unknown=0.1),
    Recipe(operations=1500, clients=30, unknown=0.1),
    Recipe(operations=1500, clients=50, unknown=0.2, kinds=("get", "put")),
    Recipe(operations=1500, clients=10, unknown=0.5, kinds=("get", "put", "cas")),
    Recipe(operations=800, clients=10, unknown=0.1, values=5),
    Recipe(operations=800, clients=20, unknown=0.2, values=5),
)


@pytest.mark.parametrize("recipe", LARGE)
@pytest.mark.parametrize("seed", range(2))
def test_large_histories_of_an_atomic_register_are_valid(recipe: Recipe, seed: int) -> None:
    assert check(atomic_history(Random(seed), recipe), RegisterModel()).answer is Answer.VALID


@pytest.mark.parametrize("clients", (5, 10, 20))
def test_large_histories_of_an_atomic_string_are_valid(clients: int) -> None:
    recipe = Recipe(operations=300, clients=clients, unknown=0.05, kinds=("get", "append", "append", "put"))
    assert check(atomic_history(Random(clients), recipe, start=""), KvModel()).answer is Answer.VALID


@pytest.mark.parametrize("kinds", MIXES)
def test_a_value_read_long_after_it_was_replaced_is_found(kinds: tuple[str, ...]) -> None:
    """Among unique values, a get that answers what was overwritten hundreds of operations ago."""
    history = atomic_history(Random(3), Recipe(operations=600, clients=10, unknown=0.1, kinds=kinds))
    gets = [index for index, one in enumerate(history) if one.kind == "get" and one.outcome is Outcome.OK]
    early = next(index for index in gets if history[index].output is not None)
    late = gets[-5]
    stale = Operation("late", "get", "k", None, history[early].output, *_interval(history[late]), Outcome.OK)
    history[late] = stale
    verdict = check(history, RegisterModel())
    assert verdict.answer is Answer.INVALID
    assert verdict.story is not None and verdict.story.stuck == stale


def _interval(operation: Operation) -> tuple[float, float | None]:
    return operation.invoked_at, operation.returned_at
