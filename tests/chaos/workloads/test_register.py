"""The register's calls and its generator; the model as a whole is tried in checkers/test_linearizable.py."""

from collections.abc import Hashable
from random import Random

import pytest

from chaos.checkers.model import REFUSED, Effect
from chaos.history import Operation, Outcome
from chaos.workloads.register import Mix, RegisterModel, RegisterWorkload, Request, is_write, written_value


def operation(kind: str, asked: Hashable, answer: Hashable = None, outcome: Outcome = Outcome.OK) -> Operation:
    return Operation("c", kind, "k", asked, answer, 1, None if outcome is Outcome.UNKNOWN else 2, outcome)


def test_step() -> None:
    model = RegisterModel()
    assert model.step(1, ("is", 1)) == 1 and model.step(2, ("is", 1)) is REFUSED
    assert model.step(2, ("is not", 1)) == 2 and model.step(1, ("is not", 1)) is REFUSED
    assert model.step(1, ("put", 5)) == 5
    assert model.step(1, ("swap", 1, 2)) == 2 and model.step(3, ("swap", 1, 2)) is REFUSED


@pytest.mark.parametrize(
    "silent",
    (
        operation("get", None, outcome=Outcome.UNKNOWN),
        operation("get", None, outcome=Outcome.FAILED),
        operation("put", 1, outcome=Outcome.FAILED),
        operation("cas", (1, 1), outcome=Outcome.UNKNOWN),
    ),
)
def test_operations_that_say_nothing(silent: Operation) -> None:
    assert list(RegisterModel().calls([silent])) == []


def test_a_swap_for_the_same_value_only_looks() -> None:
    (call,) = RegisterModel().calls([operation("cas", (1, 1), True)])
    assert (call.effect, call.demands) == (Effect.NOTHING, 1)


@pytest.mark.parametrize("asked", (None, 3, (1, 2, 3)))
def test_a_swap_needs_two_values(asked: Hashable) -> None:
    with pytest.raises(ValueError, match="needs two values"):
        list(RegisterModel().calls([operation("cas", asked, True)]))


def test_writes() -> None:
    assert [is_write(operation(kind, (1, 2))) for kind in ("get", "put", "delete", "cas")] == [False, True, True, True]
    assert not is_write(operation("cas", (1, 2), False))
    written = [written_value(operation(*asked)) for asked in (("put", 7), ("delete", None), ("cas", (1, 2)))]
    assert written == [7, None, 2]


def test_the_same_dice_draw_the_same_requests_with_unique_values() -> None:
    def drawn() -> list[Request]:
        workload = RegisterWorkload(("a", "b"))
        rng = Random(5)
        requests = []
        for number in range(500):
            request = workload.next_request(number % 3, rng)
            if request.kind == "put":
                workload.saw(number % 3, request.key, request.input)
            requests.append(request)
        return requests

    requests = drawn()
    assert requests == drawn()
    written = [one.input[1] if isinstance(one.input, tuple) else one.input for one in requests if one.input is not None]
    assert len(set(written)) == len(written)
    assert {one.kind for one in requests} == {"get", "put", "cas", "delete"}


def test_a_swap_expects_what_its_process_saw_last() -> None:
    workload = RegisterWorkload(("a",), Mix(get=0, put=0, delete=0))
    assert workload.next_request(1, Random(0)).input == (None, "1.1")
    workload.saw(1, "a", "x")
    assert workload.next_request(1, Random(0)).input == ("x", "1.2")
    assert workload.next_request(2, Random(0)).input == (None, "2.1")
