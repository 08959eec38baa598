"""Spread and quotas: whole numbers that add up, fair to the weights, and possible."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from kvstore.placement.shares import Candidate, Spread, quotas, spread_over

SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=6)


@given(SIZES, st.data())
def test_zones_fill_like_connected_vessels(sizes: list[int], data: st.DataObject) -> None:
    replicas = data.draw(st.integers(1, sum(sizes)))
    spread = spread_over(sizes, replicas)
    assert sum(spread.least) <= replicas <= sum(spread.most)
    assert spread.extras == replicas - sum(spread.least)
    level = max(spread.most)
    for size, least, most in zip(sizes, spread.least, spread.most, strict=True):
        assert most == min(level, size)
        assert least == min(level - 1, size)
    assert spread.extras <= sum(most > least for least, most in zip(spread.least, spread.most, strict=True))


def test_spread_by_example() -> None:
    assert spread_over([1, 1, 1], 3) == Spread((0, 0, 0), (1, 1, 1), 3)
    assert spread_over([2, 2, 2, 2], 3) == Spread((0, 0, 0, 0), (1, 1, 1, 1), 3)
    assert spread_over([3, 2], 3) == Spread((1, 1), (2, 2), 1)
    assert spread_over([4, 1], 3) == Spread((1, 1), (2, 1), 1)
    assert spread_over([5], 3) == Spread((2,), (3,), 1)


def equal(zones: list[int], **other: int) -> list[Candidate]:
    return [Candidate(zone, other.get("weight", 100), 0, 0) for zone in zones]


def test_equal_nodes_differ_by_at_most_one() -> None:
    assert sorted(quotas(equal([0, 0, 0, 0, 0]), spread_over([5], 3), 8)) == [4, 5, 5, 5, 5]


def test_a_small_zone_can_force_more_on_a_node() -> None:
    """Three zones and three replicas: the only node of its zone holds every partition."""
    assert quotas(equal([0, 1, 1, 2, 2]), spread_over([1, 2, 2], 3), 8) == [8, 4, 4, 4, 4]


def test_weights_are_kept_as_far_as_distinct_nodes_allow() -> None:
    light, heavy = Candidate(0, 100, 0, 0), Candidate(0, 200, 0, 0)
    assert quotas([heavy, light, light, light, light], spread_over([5], 2), 24) == [16, 8, 8, 8, 8]
    giant = Candidate(0, 10_000, 0, 0)
    assert quotas([giant, light, light], spread_over([3], 2), 16) == [16, 8, 8]


def test_the_odd_one_goes_to_who_has_it_then_to_who_carries_least() -> None:
    spread = spread_over([2], 1)
    assert quotas([Candidate(0, 1, 0, 5), Candidate(0, 1, 0, 4)], spread, 1) == [0, 1]
    assert quotas([Candidate(0, 1, 1, 5), Candidate(0, 1, 0, 4)], spread, 1) == [1, 0]
    assert quotas([Candidate(0, 1, 1, 9), Candidate(0, 1, 0, 4)], spread, 1) == [0, 1]


@st.composite
def zoned_nodes(draw: st.DrawFn) -> list[Candidate]:
    numbers = st.integers(0, 30)
    drawn = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400), numbers, numbers), min_size=1, max_size=12))
    zones = sorted({zone for zone, _, _, _ in drawn})
    return [Candidate(zones.index(zone), weight, kept, burden) for zone, weight, kept, burden in drawn]


@given(zoned_nodes(), st.integers(0, 7), st.data())
def test_quotas_add_up_and_obey_every_bound(nodes: list[Candidate], power: int, data: st.DataObject) -> None:
    partitions = 1 << power
    replicas = data.draw(st.integers(1, min(9, len(nodes))))
    zones = range(max(node.zone for node in nodes) + 1)
    spread = spread_over([sum(node.zone == zone for node in nodes) for zone in zones], replicas)
    dealt = quotas(nodes, spread, partitions)
    assert sum(dealt) == partitions * replicas
    assert all(0 <= quota <= partitions for quota in dealt)
    for zone in zones:
        in_zone = sum(quota for node, quota in zip(nodes, dealt, strict=True) if node.zone == zone)
        assert spread.least[zone] * partitions <= in_zone <= spread.most[zone] * partitions


@given(st.lists(st.integers(1, 400), min_size=2, max_size=12), st.integers(0, 7))
def test_no_swap_of_one_replica_would_be_fairer(weights: list[int], power: int) -> None:
    """In one zone: nobody's next replica is owed more than somebody's last."""
    partitions = 1 << power
    nodes = [Candidate(0, weight, 0, 0) for weight in weights]
    dealt = quotas(nodes, spread_over([len(nodes)], 2), partitions)
    last = [Fraction(2 * quota - 1, weight) for quota, weight in zip(dealt, weights, strict=True)]
    following = [
        Fraction(2 * quota + 1, weight) for quota, weight in zip(dealt, weights, strict=True) if quota < partitions
    ]
    assert not following or max(last) <= min(following)
