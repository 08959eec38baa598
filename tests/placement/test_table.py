"""The planner's workbench keeps rows legal, and chains find a way whenever there is one."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.placement.shares import spread_over
from kvstore.placement.table import Step, Table, shortest_chain


def table(zones: list[int], replicas: int, rows: list[list[int]]) -> Table:
    sizes = [zones.count(zone) for zone in range(max(zones) + 1)]
    built = Table(zones, spread_over(sizes, replicas), len(rows))
    for partition, row in enumerate(rows):
        for node in row:
            assert built.may_join(partition, node), f"row {row} is not legal"
            built.join(partition, node)
    return built


def legal_rows(zones: list[int], replicas: int) -> set[frozenset[int]]:
    """Every legal row, said naively: among all choices of n nodes those whose zones are levelled best."""
    size = {zone: zones.count(zone) for zone in zones}
    level = next(top for top in itertools.count(1) if sum(min(top, s) for s in size.values()) >= replicas)
    rows = set()
    for row in itertools.combinations(range(len(zones)), replicas):
        counts = {zone: sum(zones[node] == zone for node in row) for zone in size}
        if all(min(level - 1, size[zone]) <= counts[zone] <= level for zone in size):
            rows.add(frozenset(row))
    return rows


@st.composite
def zones_and_replicas(draw: st.DrawFn) -> tuple[list[int], int]:
    drawn = draw(st.lists(st.integers(0, 3), min_size=1, max_size=7))
    zones = [sorted(set(drawn)).index(zone) for zone in drawn]
    return zones, draw(st.integers(1, len(zones)))


@given(zones_and_replicas(), st.randoms(use_true_random=False))
def test_joining_ends_in_a_legal_row_whatever_is_chosen(drawn: tuple[list[int], int], random: Random) -> None:
    zones, replicas = drawn
    built = table(zones, replicas, [[]])
    while len(built.rows[0]) < replicas:
        choices = [node for node in range(len(zones)) if built.may_join(0, node)]
        assert choices, f"stuck at {built.rows[0]}"
        built.join(0, random.choice(choices))
    assert not any(built.may_join(0, node) for node in range(len(zones)))
    assert frozenset(built.rows[0]) in legal_rows(zones, replicas)


@given(zones_and_replicas(), st.data())
def test_a_swap_is_allowed_exactly_if_the_row_stays_legal(drawn: tuple[list[int], int], data: st.DataObject) -> None:
    zones, replicas = drawn
    legal = legal_rows(zones, replicas)
    row = data.draw(st.sampled_from(sorted(map(sorted, legal))))
    built = table(zones, replicas, [sorted(row, key=lambda node: data.draw(st.integers()))])
    allowed = {
        (leaving, arriving)
        for leaving in row
        for arriving in range(len(zones))
        if built.may_replace(0, leaving, arriving)
    }
    assert allowed == {
        (leaving, arriving)
        for leaving in row
        for arriving in set(range(len(zones))) - set(row)
        if frozenset(row) - {leaving} | {arriving} in legal
    }
    if allowed:
        leaving, arriving = data.draw(st.sampled_from(sorted(allowed)))
        built.replace(0, leaving, arriving)
        assert frozenset(built.rows[0]) in legal
        assert 0 in built.held[arriving]
        assert 0 not in built.held[leaving]


def test_an_illegal_swap_is_a_mistake_of_ours() -> None:
    built = table([0, 0, 1], 2, [[0, 2]])
    with pytest.raises(AssertionError, match="may not swap"):
        built.replace(0, 2, 1)


@given(st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 7)), max_size=8), st.integers(0, 7), st.integers(0, 7))
def test_the_chain_is_a_shortest_way(edges: dict[int, set[int]], start: int, goal: int) -> None:
    def steps(node: int) -> list[Step]:
        return [(10 * node + there, there) for there in sorted(edges.get(node, ()))]

    chain = shortest_chain(start, lambda node: node == goal, steps)
    reached, distance = {start}, 0
    while goal not in reached or distance == 0:
        wider = reached | {there for node in reached for there in edges.get(node, ())}
        if wider == reached:
            break
        reached, distance = wider, distance + 1
    if start == goal or goal not in reached:
        assert chain == []
        return
    assert len(chain) == distance
    here = start
    for partition, there in chain:
        assert there in edges[here]
        assert partition == 10 * here + there
        here = there
    assert here == goal


def test_following_a_chain_moves_one_row_from_end_to_end() -> None:
    built = table([0, 0, 0], 1, [[0], [0], [1]])
    built.follow(0, [(0, 1), (2, 2)])
    assert built.rows == [[1], [0], [2]]
    assert [built.load(node) for node in range(3)] == [1, 1, 1]
