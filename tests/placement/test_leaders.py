"""Preferred leaders are spread as fairly as the rows allow, and stay where they can."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kvstore.placement.leaders import spread_leaders
from kvstore.placement.shares import spread_over
from kvstore.placement.table import Table


def table(rows: list[list[int]], nodes: int) -> Table:
    built = Table([0] * nodes, spread_over([nodes], len(rows[0])), len(rows))
    for partition, row in enumerate(rows):
        for node in row:
            built.join(partition, node)
    return built


def tie(partition: int, node: int) -> tuple[int, ...]:
    return (node,)


def led_by(leaders: list[int], nodes: int) -> list[int]:
    return [leaders.count(node) for node in range(nodes)]


@st.composite
def small_tables(draw: st.DrawFn) -> tuple[list[list[int]], int, list[int]]:
    nodes = draw(st.integers(1, 5))
    replicas = draw(st.integers(1, nodes))
    row = st.permutations(range(nodes)).map(lambda order: list(order[:replicas]))
    rows = draw(st.lists(row, min_size=1, max_size=6))
    weights = draw(st.lists(st.integers(1, 5), min_size=nodes, max_size=nodes))
    return rows, nodes, weights


def cost(led: list[int], weights: list[int]) -> float:
    """What a fair distribution makes small: the squares of what is led, each by its weight."""
    return sum(count**2 / weight for count, weight in zip(led, weights, strict=True))


@given(small_tables(), st.data())
def test_no_other_choice_is_fairer(drawn: tuple[list[list[int]], int, list[int]], data: st.DataObject) -> None:
    rows, nodes, weights = drawn
    old = [data.draw(st.sampled_from([None, *range(nodes)])) for _ in rows]
    leaders = spread_leaders(table(rows, nodes), weights, old, tie)
    assert all(leader in row for leader, row in zip(leaders, rows, strict=True))
    best = min(cost(led_by(list(choice), nodes), weights) for choice in itertools.product(*rows))
    assert cost(led_by(leaders, nodes), weights) <= best + 1e-9


def test_fair_leaders_stay() -> None:
    rows = [[0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert spread_leaders(table(rows, 3), [1, 1, 1], [2, 0, 1], tie) == [2, 0, 1]


def test_only_as_many_leaders_change_as_must() -> None:
    rows = [[0, 1, 2]] * 6
    leaders = spread_leaders(table(rows, 3), [1, 1, 1], [0] * 6, tie)
    assert led_by(leaders, 3) == [2, 2, 2]


def test_leadership_goes_through_a_third_node_where_there_is_no_direct_way() -> None:
    """Nodes 0 and 2 share no partition: 0 hands one to 1, and 1 hands one to 2."""
    rows = [[0, 1], [0, 1], [1, 2]]
    assert led_by(spread_leaders(table(rows, 3), [1, 1, 1], [0, 0, 1], tie), 3) == [1, 1, 1]


def test_a_node_twice_as_strong_leads_twice_as_much() -> None:
    rows = [[0, 1]] * 9
    assert led_by(spread_leaders(table(rows, 2), [2, 1], [None] * 9, tie), 2) == [6, 3]
