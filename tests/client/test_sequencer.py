"""Names for writes."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from kvstore.client.sequencer import Sequencer
from kvstore.core.ids import ClientId


@dataclass(eq=False)
class Waiting:
    first: int
    finished: bool = False


def test_clients_differ_and_fit_into_63_bits() -> None:
    clients = {Sequencer().client for _ in range(100)}
    assert len(clients) == 100 and max(clients) < 1 << 63


def test_numbers_begin_with_one() -> None:
    names = Sequencer(ClientId(1))
    assert names.answered_below() == 1
    assert names.take(1) == 1


@given(st.lists(st.one_of(st.integers(1, 5), st.none()), max_size=60), st.randoms(use_true_random=False))
def test_answered_below_is_the_smallest_open_number(steps: list[int | None], dice: object) -> None:
    names, waiting = Sequencer(ClientId(1)), []
    for step in steps:
        if step is None and waiting:
            dice.choice(waiting).finished = True  # type: ignore[attr-defined]
        elif step is not None:
            first = names.last + 1
            one = Waiting(first)
            names.opened(one)
            names.take(step)
            waiting.append(one)
        waiting = [one for one in waiting if not one.finished]
        assert names.answered_below() == min((one.first for one in waiting), default=names.last + 1)
