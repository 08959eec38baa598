"""Mercy: one bad disk at a time, and bits flip on one machine only."""

from chaos.mercy import Mercy, is_whole
from kvstore.sim.cluster import SimCluster, SimSettings
from kvstore.sim.faults import BitRot, Restart, WipeDisk
from kvstore.sim.scheduler import SECOND


def formed() -> SimCluster:
    cluster = SimCluster(SimSettings(seed="mercy"))
    cluster.start()
    ready = lambda: all(m.node is not None and m.node.is_ready for m in cluster.machines.values())  # noqa: E731
    assert cluster.run_for(30 * SECOND, ready)
    return cluster


def test_no_second_disk_is_lost_before_the_first_is_whole_again() -> None:
    cluster = formed()
    mercy = Mercy(cluster)
    first, second, _ = cluster.names
    assert is_whole(cluster, cluster.machines[first])
    assert mercy.lets_wipe(first)
    cluster.inject(WipeDisk(first))
    assert not is_whole(cluster, cluster.machines[first])
    assert not mercy.lets_wipe(second) and not mercy.lets_rot(second)
    assert mercy.lets_wipe(first), "it may be lost again: it counts for nothing"
    cluster.inject(Restart((first,)))
    assert not mercy.lets_wipe(second)
    assert cluster.run_for(30 * SECOND, lambda: is_whole(cluster, cluster.machines[first]))
    assert mercy.lets_wipe(second)


def test_bits_flip_on_one_machine_whose_disk_alone_may_then_be_lost() -> None:
    cluster = formed()
    mercy = Mercy(cluster)
    first, second, _ = cluster.names
    assert mercy.rotten is None
    assert mercy.lets_rot(second) and mercy.rotten == second
    assert not mercy.lets_rot(first) and not mercy.lets_wipe(first)
    assert mercy.lets_rot(second) and mercy.lets_wipe(second)


def test_a_machine_whose_place_row_is_flipped_is_not_whole() -> None:
    cluster = formed()
    name = cluster.names[0]
    cluster.run_for(SECOND)
    assert is_whole(cluster, cluster.machines[name])
    cluster.inject(BitRot(name, b"g"))
    assert not is_whole(cluster, cluster.machines[name])
