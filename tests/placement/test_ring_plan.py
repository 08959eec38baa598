"""Plans keep their promises: distinct nodes, even zones, bounded load, little movement, the same on every machine."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.errors import InvalidRequest
from kvstore.core.ids import GroupId, KeyspaceId, NodeId
from kvstore.placement.keyspaces import Keyspace, Partition, Settings
from kvstore.placement.members import NodeInfo, Standing
from kvstore.placement.ring_plan import Burden, Move, Plan, plan_rows, replan

ROOT = Path(__file__).parents[2]
POWERS = st.sampled_from([1, 2, 4, 8, 16, 32, 64])


def cluster(size: int, zones: int = 1, first: int = 1) -> list[NodeInfo]:
    """Nodes n1, n2, … dealt to zones a, b, … in turn."""
    return [NodeInfo(NodeId(f"n{i}"), zone="abcdefgh"[i % zones]) for i in range(first, first + size)]


def loads(plan: Plan, nodes: Sequence[NodeInfo]) -> tuple[list[int], list[int]]:
    """Replicas and leaderships per node, in the order of the nodes."""
    replicas = Counter(node for row in plan.rows for node in row)
    leaders = Counter(row[0] for row in plan.rows)
    return [replicas[node.id] for node in nodes], [leaders[node.id] for node in nodes]


def ceiling(total: int, among: int) -> int:
    return -(-total // among)


@st.composite
def clusters(draw: st.DrawFn, weighted: bool = True) -> tuple[list[NodeInfo], int]:
    """Up to 12 nodes in up to 4 zones of any size, and a number of replicas they can hold."""
    size = draw(st.integers(1, 12))
    weights = st.integers(1, 400) if weighted else st.just(100)
    nodes = [NodeInfo(NodeId(f"n{i}"), zone=draw(st.sampled_from("abcd")), weight=draw(weights)) for i in range(size)]
    return nodes, draw(st.integers(1, min(5, size)))


def check_rows(plan: Plan, nodes: list[NodeInfo], partitions: int, replicas: int) -> None:
    """The promises that hold for every plan, whatever came before."""
    zone = {node.id: node.zone for node in nodes}
    sizes = Counter(zone.values())
    assert len(plan.rows) == partitions
    for row in plan.rows:
        assert len(row) == len(set(row)) == replicas, "distinct nodes"
        assert set(row) <= set(zone)
        counts = Counter(zone[node] for node in row)
        assert len(counts) == min(replicas, len(sizes)), "as many zones as possible"
        for name, size in sizes.items():
            others = (count for other, count in counts.items() if other != name)
            assert counts[name] == size or counts[name] >= max(others, default=0) - 1, "zones as even as their sizes"


@given(clusters(), POWERS)
def test_a_first_plan_keeps_the_promises(drawn: tuple[list[NodeInfo], int], partitions: int) -> None:
    nodes, replicas = drawn
    plan = plan_rows(nodes, partitions=partitions, replicas=replicas)
    check_rows(plan, nodes, partitions, replicas)
    assert plan.moves == ()
    assert plan.new_leaders == ()


@given(st.integers(1, 4), st.integers(1, 4), POWERS, st.data())
def test_load_is_the_average_rounded(zones: int, each: int, partitions: int, data: st.DataObject) -> None:
    """Equal weights in zones of equal size: nobody has more than the average rounded up, nor less than rounded down."""
    nodes = cluster(zones * each, zones)
    replicas = data.draw(st.integers(1, min(5, len(nodes))))
    held, led = loads(plan_rows(nodes, partitions=partitions, replicas=replicas), nodes)
    assert max(held) == ceiling(partitions * replicas, len(nodes))
    assert min(held) == partitions * replicas // len(nodes)
    assert max(led) == ceiling(partitions, len(nodes))
    assert min(led) == partitions // len(nodes)


@given(clusters(), clusters(), POWERS, st.data())
def test_any_change_of_nodes_keeps_the_promises(
    drawn: tuple[list[NodeInfo], int], other: tuple[list[NodeInfo], int], partitions: int, data: st.DataObject
) -> None:
    """From any cluster to any other, with other zones, weights and numbers of replicas."""
    (nodes, replicas), (later, fewer_or_more) = drawn, other
    before = plan_rows(nodes, partitions=partitions, replicas=replicas).rows
    plan = plan_rows(later, partitions=partitions, replicas=fewer_or_more, before=before)
    check_rows(plan, later, partitions, fewer_or_more)
    check_moves(plan, before)


@given(st.integers(1, 3), st.integers(1, 3), POWERS, st.data())
def test_load_is_bounded_whatever_was_before(zones: int, each: int, partitions: int, data: st.DataObject) -> None:
    """Rows nobody would plan, on nodes that are partly gone: afterwards everything is level again."""
    nodes = cluster(zones * each, zones)
    replicas = data.draw(st.integers(1, min(4, len(nodes))))
    seen = [node.id for node in cluster(zones * each + 2)]
    row = st.permutations(seen).map(lambda order: tuple(order[: min(replicas, len(order))]))
    before = data.draw(st.lists(row, min_size=partitions, max_size=partitions))
    plan = plan_rows(nodes, partitions=partitions, replicas=replicas, before=before)
    check_rows(plan, nodes, partitions, replicas)
    held, led = loads(plan, nodes)
    assert max(held) == ceiling(partitions * replicas, len(nodes))
    assert min(held) == partitions * replicas // len(nodes)
    assert max(led) == ceiling(partitions, len(nodes))


def test_load_is_passed_through_third_nodes_where_there_is_no_direct_way() -> None:
    """n2 has one too few and nobody who has too many shares a row that could take it: a third node hands it on."""
    nodes = [NodeInfo(NodeId(f"n{i}"), zone=zone) for i, zone in enumerate("babaa", 1)]
    rows = ("n1 n3 n4", "n5 gone n4", "n5 n4 n3", "n1 n5 n4")
    before = [tuple(map(NodeId, row.split())) for row in rows]
    plan = plan_rows(nodes, partitions=4, replicas=3, before=before)
    assert loads(plan, nodes)[0] == [2, 2, 2, 3, 3]
    assert len(plan.moves) == 3


def check_moves(plan: Plan, before: tuple[tuple[NodeId, ...], ...]) -> None:
    """What is said to move is exactly the difference between the tables."""
    rows = [set(row) for row in before]
    for move in plan.moves:
        assert move.leaving != move.arriving
        if move.leaving is not None:
            rows[move.partition].remove(move.leaving)
        if move.arriving is not None:
            assert move.arriving not in rows[move.partition]
            rows[move.partition].add(move.arriving)
    assert rows == [set(row) for row in plan.rows]
    changed = [p for p, (old, new) in enumerate(zip(before, plan.rows, strict=True)) if old[0] != new[0]]
    assert list(plan.new_leaders) == changed


@given(clusters(), POWERS)
def test_nothing_moves_without_a_reason(drawn: tuple[list[NodeInfo], int], partitions: int) -> None:
    nodes, replicas = drawn
    first = plan_rows(nodes, partitions=partitions, replicas=replicas)
    again = plan_rows(reversed(nodes), partitions=partitions, replicas=replicas, before=first.rows)
    assert again == first


@given(st.integers(3, 12), st.sampled_from([1, 3]), POWERS)
def test_a_new_node_takes_its_share_and_nothing_else_moves(size: int, zones: int, partitions: int) -> None:
    """Where zones force nothing new, exactly what the new node gets has moved, and it came from the others' surplus."""
    nodes = cluster(size, zones)
    before = plan_rows(nodes, partitions=partitions, replicas=3)
    plan = plan_rows(cluster(size + 1, zones), partitions=partitions, replicas=3, before=before.rows)
    newcomer = NodeId(f"n{size + 1}")
    arrived = sum(newcomer in row for row in plan.rows)
    assert arrived <= ceiling(3 * partitions, size + 1) if zones == 1 else arrived <= partitions
    slack = 0 if zones == 1 else 2
    assert len(plan.moves) <= arrived + slack


@given(st.integers(4, 12), st.sampled_from([1, 3]), POWERS, st.data())
def test_a_node_that_leaves_moves_only_what_it_held(
    size: int, zones: int, partitions: int, data: st.DataObject
) -> None:
    nodes = cluster(size, zones)
    before = plan_rows(nodes, partitions=partitions, replicas=3)
    gone = data.draw(st.sampled_from(nodes))
    stay = [node for node in nodes if node != gone]
    plan = plan_rows(stay, partitions=partitions, replicas=3, before=before.rows)
    held = sum(gone.id in row for row in before.rows)
    uneven = zones == 3 and size % 3 != 1  # losing a node of a small zone shifts other zones' shares too
    assert len(plan.moves) <= (3 * partitions if uneven else held + 2)
    assert all(gone.id not in row for row in plan.rows)


def test_moves_where_zones_are_uneven() -> None:
    """What the property above leaves open, as a number: nothing but what the dead node held moves here."""
    nodes = cluster(6, 3)
    before = plan_rows(nodes, partitions=1024, replicas=3)
    plan = plan_rows(nodes[1:], partitions=1024, replicas=3, before=before.rows)
    assert len(plan.moves) == sum(nodes[0].id in row for row in before.rows) == 512


def test_leaders_stay_when_a_node_joins() -> None:
    """Only the newcomer's share of leaderships changes hands."""
    before = plan_rows(cluster(5), partitions=1024, replicas=3)
    plan = plan_rows(cluster(6), partitions=1024, replicas=3, before=before.rows)
    assert len(plan.new_leaders) <= ceiling(1024, 6) + 6
    assert max(loads(plan, cluster(6))[1]) == ceiling(1024, 6)


def test_replicas_that_stay_keep_their_order() -> None:
    before = plan_rows(cluster(5), partitions=64, replicas=3).rows
    plan = plan_rows(cluster(6), partitions=64, replicas=3, before=before)
    for old, new in zip(before, plan.rows, strict=True):
        followers = [node for node in new[1:] if node in old]
        assert followers == [node for node in old if node in followers]
        assert new[1 : 1 + len(followers)] == tuple(followers), "a newcomer stands behind them, unless it leads"


def test_a_first_plan_for_three_nodes() -> None:
    """The everyday case: everybody holds everything and leads a third."""
    held, led = loads(plan_rows(cluster(3), partitions=8, replicas=3), cluster(3))
    assert held == [8, 8, 8]
    assert sorted(led) == [2, 3, 3]


def test_a_small_zone_holds_every_partition_and_leads_no_more_than_others() -> None:
    nodes = [NodeInfo(NodeId(f"n{i}"), zone=zone) for i, zone in enumerate("abbcc")]
    held, led = loads(plan_rows(nodes, partitions=64, replicas=3), nodes)
    assert held == [64, 32, 32, 32, 32]
    assert sorted(led) == [12, 13, 13, 13, 13]


def test_a_strong_node_holds_and_leads_more() -> None:
    nodes = [NodeInfo(NodeId(f"n{i}"), weight=200 if i == 0 else 100) for i in range(5)]
    held, led = loads(plan_rows(nodes, partitions=64, replicas=2), nodes)
    assert sum(held) == 128
    assert held[0] in (42, 43), "two sixths of all"
    assert set(held[1:]) <= {21, 22}
    assert led[0] in (21, 22)
    assert max(led[1:]) - min(led[1:]) <= 1


def test_equal_nodes_do_not_always_meet_in_the_same_rows() -> None:
    """So that the loss of one node is made up for by many."""
    plan = plan_rows(cluster(10), partitions=256, replicas=3)
    neighbours = {other for row in plan.rows if "n1" in row for other in row} - {"n1"}
    assert len(neighbours) == 9


def test_other_keyspaces_decide_who_gets_the_odd_one() -> None:
    nodes = cluster(3)
    burden = Burden([(NodeId("n1"),)] * 4)
    plan = plan_rows(nodes, partitions=2, replicas=1, burden=burden)
    assert sorted(plan.rows) == [("n2",), ("n3",)], "n1 holds four elsewhere"
    burden.remove([(NodeId("n1"),)] * 4)
    assert not +burden.replicas
    assert not +burden.leaders


def keyspaces(nodes: list[NodeInfo], count: int, partitions: int = 8) -> list[Keyspace]:
    """Keyspaces as they come to be, one after the other, each seeing the load of those before."""
    made: list[Keyspace] = []
    burden = Burden()
    for number in range(count):
        rows = plan_rows(nodes, partitions=partitions, replicas=3, burden=burden).rows
        burden.add(rows)
        made.append(keyspace(number, rows))
    return made


def keyspace(number: int, rows: tuple[tuple[NodeId, ...], ...]) -> Keyspace:
    partitions = tuple(Partition(GroupId(1 + number * len(rows) + i), row) for i, row in enumerate(rows))
    return Keyspace(KeyspaceId(number), Settings(f"k{number}", partitions=len(rows)), partitions)


def test_many_small_keyspaces_are_balanced_together() -> None:
    """8 x 3 replicas on 5 nodes leave an odd one each time; it must not always be the same node's."""
    burden = Burden([row for space in keyspaces(cluster(5), 25) for row in space.rows()])
    assert sorted(burden.replicas.values()) == [120] * 5
    assert sorted(burden.leaders.values()) == [40] * 5


def test_replanning_everything_balances_over_all_keyspaces() -> None:
    spaces = keyspaces(cluster(4), 25)
    plans = replan(spaces, cluster(5))
    burden = Burden([row for plan in plans.values() for row in plan.rows])
    assert max(burden.replicas.values()) - min(burden.replicas.values()) <= 10
    assert sum(len(plan.moves) for plan in plans.values()) <= 25 * 24 / 5 + 10
    for plan in plans.values():
        check_rows(plan, cluster(5), 8, 3)


def test_a_keyspace_is_no_burden_to_itself() -> None:
    (space,) = keyspaces(cluster(4), 1)
    alone = plan_rows(cluster(5), partitions=8, replicas=3, before=space.rows())
    assert replan([space], cluster(5)) == {space.id: alone}


def test_replanning_without_a_change_moves_nothing() -> None:
    spaces = keyspaces(cluster(5, 3), 10)
    assert all(not plan.moves and not plan.new_leaders for plan in replan(spaces, cluster(5, 3)).values())


@pytest.mark.parametrize("replicas", [0, 4])
def test_too_few_nodes_are_named(replicas: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{replicas} replicas need as many nodes that are up.* 3: n1, n2, n3"):
        plan_rows(cluster(3), partitions=8, replicas=replicas)


def test_nodes_that_are_not_up_get_nothing() -> None:
    nodes = [*cluster(3), NodeInfo(NodeId("n4"), standing=Standing.JOINING)]
    before = plan_rows(cluster(4), partitions=8, replicas=3).rows
    assert all("n4" not in row for row in plan_rows(nodes, partitions=8, replicas=3, before=before).rows)
    with pytest.raises(InvalidRequest, match="there are 0: none"):
        plan_rows(nodes[3:], partitions=8, replicas=1)


def test_partitions_are_a_power_of_two() -> None:
    with pytest.raises(InvalidRequest, match="6 partitions"):
        plan_rows(cluster(3), partitions=6, replicas=3)


def test_a_plan_says_itself_in_one_line() -> None:
    before = plan_rows(cluster(3), partitions=2, replicas=3).rows
    plan = plan_rows(cluster(4)[1:], partitions=2, replicas=3, before=before)
    assert plan.moves == (Move(plan.moves[0].partition, NodeId("n1"), NodeId("n4")), plan.moves[1])
    assert str(plan.moves[0]) == "p00 n1 → n4"
    assert str(plan) == f"2 partitions: 2 replicas move, {len(plan.new_leaders)} leaders change"


def test_the_same_plan_on_every_machine() -> None:
    """Two interpreters whose sets and dicts of strings are ordered differently agree to the last row."""
    script = (
        "from kvstore.placement.members import NodeInfo as N\n"
        "from kvstore.placement.ring_plan import plan_rows\n"
        "nodes = [N(f'node-{i}', zone=f'z{i % 4}', weight=50 + i) for i in range(9)]\n"
        "first = plan_rows(nodes, partitions=64, replicas=3)\n"
        "print(first, plan_rows(nodes[2:], partitions=64, replicas=3, before=first.rows), first.rows)\n"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1] != ""


def test_the_largest_keyspace_is_planned_and_replanned() -> None:
    """4,096 partitions on 24 nodes take some 0.2 s; the test's time limit would notice anything quadratic."""
    nodes = cluster(24, 4)
    first = plan_rows(nodes, partitions=4096, replicas=3)
    second = plan_rows(nodes[1:], partitions=4096, replicas=3, before=first.rows)
    check_rows(second, nodes[1:], 4096, 3)
    assert len(second.moves) <= sum("n1" in row for row in first.rows) + 24
