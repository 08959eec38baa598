"""Days: every seed draws one that can be, the same every time, and all kinds come up."""

from collections import Counter

from chaos.simulating.day import KINDS, draw_day
from kvstore.sim.clock import EVEN

DAYS = [draw_day(seed) for seed in range(400)]


def test_a_seed_is_a_day() -> None:
    assert draw_day(17) == DAYS[17] != DAYS[18]
    assert str(draw_day(17)) == str(DAYS[17])


def test_all_kinds_come_up_and_none_is_in_every_day() -> None:
    kinds = Counter(kind for day in DAYS for kind in day.kinds)
    assert set(kinds) == set(KINDS)
    assert max(kinds.values()) < 0.75 * len(DAYS)


def test_clusters_of_all_sizes_come_up() -> None:
    assert {day.cluster.nodes for day in DAYS} == {1, 3, 5}
    assert {(day.cluster.nodes, day.keyspace.replicas) for day in DAYS} == {(1, 1), (3, 3), (5, 3), (5, 5)}


def test_a_lone_node_never_loses_its_disk() -> None:
    assert not [day for day in DAYS if day.cluster.nodes == 1 and "wipe" in day.kinds]


def test_clocks_drift_apart_as_much_as_is_allowed_and_no_more() -> None:
    used = []
    for day in DAYS:
        rates = day.cluster.clock_rates or (EVEN,)
        allowed = 1 - day.cluster.raft.clock_drift_percent / 100
        assert min(rates) / max(rates) >= allowed - 1e-9
        used.append(min(rates) / max(rates) < allowed + 1e-4)
    assert sum(used) > len(DAYS) // 5
