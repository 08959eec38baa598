"""Shapes of partitions: who hears whom."""

from random import Random

import pytest

from kvstore.core.ids import NodeId
from kvstore.sim import faults
from kvstore.sim.faults import Link, Partition

NODES = [NodeId(f"n{number}") for number in range(1, 6)]


def heard_by(partition: Partition, node: NodeId, nodes: list[NodeId] = NODES) -> set[NodeId]:
    cut: set[Link] = set(partition.links)
    return {other for other in nodes if other == node or (other, node) not in cut}


@pytest.mark.parametrize("seed", range(20))
def test_halves_are_two_sides(seed: int) -> None:
    partition = faults.halves(NODES, Random(seed))
    sides = {frozenset(heard_by(partition, node)) for node in NODES}
    assert len(sides) == 2
    assert set.union(*map(set, sides)) == set(NODES)
    assert set(partition.links) == {(b, a) for a, b in partition.links}


@pytest.mark.parametrize("seed", range(20))
def test_one_way_is_one_way(seed: int) -> None:
    links = set(faults.one_way(NODES, Random(seed)).links)
    assert len(links) == 4
    assert not links & {(b, a) for a, b in links}


@pytest.mark.parametrize("seed", range(20))
def test_a_bridge_hears_both_sides_and_they_do_not_hear_each_other(seed: int) -> None:
    partition = faults.bridge(NODES, Random(seed))
    hears = {node: heard_by(partition, node) for node in NODES}
    (bridge,) = [node for node in NODES if hears[node] == set(NODES)]
    sides = {frozenset(hears[node] - {bridge}) for node in NODES if node != bridge}
    assert len(sides) == 2


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [3, 5, 7])
def test_on_a_majority_ring_everybody_hears_a_majority_and_no_two_the_same(seed: int, count: int) -> None:
    nodes = [NodeId(f"n{number}") for number in range(count)]
    hears = [frozenset(heard_by(faults.majority_ring(nodes, Random(seed)), node, nodes)) for node in nodes]
    assert all(len(heard) > count // 2 for heard in hears)
    assert count == 3 or len(set(hears)) == count


def test_an_isolated_node_hears_only_itself() -> None:
    partition = faults.isolated(NODES[2], NODES)
    assert heard_by(partition, NODES[2]) == {NODES[2]}
    assert heard_by(partition, NODES[0]) == set(NODES) - {NODES[2]}


@pytest.mark.parametrize("seed", range(20))
def test_a_chain_is_connected_by_neighbours_only(seed: int) -> None:
    counts = sorted(len(heard_by(faults.chain(NODES, Random(seed)), node)) for node in NODES)
    assert counts == [2, 2, 3, 3, 3]
