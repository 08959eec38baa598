"""Contradictions seen without a search, each in its smallest form."""

from collections.abc import Hashable

import pytest

from chaos.checkers.timeline import Timeline
from chaos.checkers.zones import doomed_by_zones
from chaos.history import Operation, Outcome
from chaos.workloads.kv import KvModel
from chaos.workloads.register import RegisterModel


def ok(kind: str, asked: Hashable, answer: Hashable, invoked_at: int, returned_at: int) -> Operation:
    return Operation("c", kind, "k", asked, answer, invoked_at, returned_at, Outcome.OK)


def doomed(*operations: Operation) -> int | None:
    model = RegisterModel()
    return doomed_by_zones(Timeline(model, tuple(model.calls(operations))))


LASTS = (ok("put", 1, None, 1, 2), ok("get", None, 1, 20, 21))  # 1 is there from 2 to 20 at least


def test_alone_a_zone_is_fine() -> None:
    assert doomed(*LASTS) is None


@pytest.mark.parametrize(
    "intruder",
    (
        ok("put", 7, None, 5, 6),
        ok("delete", None, None, 5, 6),
        ok("cas", (1, 2), True, 5, 6),
        ok("cas", (1, 2), False, 5, 6),
        ok("get", None, None, 5, 6),
    ),
)
def test_nothing_within_a_zone_may_deny_it(intruder: Operation) -> None:
    assert doomed(*LASTS, intruder) is not None


@pytest.mark.parametrize(
    "neighbour",
    (
        ok("put", 7, None, 0, 6),
        ok("put", 7, None, 5, 20),
        ok("get", None, 1, 5, 6),
        ok("cas", (3, 2), False, 5, 6),
    ),
)
def test_what_reaches_out_of_a_zone_or_agrees_with_it_may(neighbour: Operation) -> None:
    assert doomed(*LASTS, neighbour) is None


def test_two_zones_do_not_overlap() -> None:
    other = ok("put", 2, None, 0, 10), ok("get", None, 2, 11, 30), ok("get", None, 2, 25, 26)
    assert doomed(*LASTS, *other) is not None


def test_a_cluster_does_not_lie_within_a_zone() -> None:
    """Each of these two reaches out of the zone, but not their common time."""
    inside = ok("put", 2, None, 0, 8), ok("get", None, 2, 5, 30)
    assert doomed(*LASTS, *inside) is not None


def test_a_state_is_left_once() -> None:
    assert doomed(LASTS[0], ok("cas", (1, 2), True, 3, 9), ok("cas", (1, 3), True, 4, 8)) is not None


def test_a_state_with_two_producers_has_no_zone() -> None:
    assert doomed(*LASTS, ok("put", 1, None, 9, 10), ok("put", 7, None, 5, 6)) is None


def test_appends_have_no_zones() -> None:
    model = KvModel()
    calls = tuple(model.calls([ok("append", "a", None, 1, 2), ok("get", None, "b", 3, 4)]))
    assert doomed_by_zones(Timeline(model, calls)) is None
