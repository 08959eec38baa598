"""Machines: processes that die, stop in the middle of a step, and come back; clocks that run on meanwhile."""

from collections.abc import Callable

import pytest

from kvstore.core.ids import METADATA_GROUP
from kvstore.node.effects import Effects
from kvstore.node.requests import Answer, Failure, StatusRequest, Told
from kvstore.sim.cluster import SimCluster, SimSettings
from kvstore.sim.faults import Crash, Heal, Pause, Restart, Resume, Stop, WipeDisk
from kvstore.sim.machine import Machine, Unwatched
from kvstore.sim.scheduler import SECOND, Trace


class Steps(Unwatched):
    """Remembers when each node stepped, and can act in the middle of it."""

    def __init__(self) -> None:
        self.at: list[tuple[int, str]] = []
        self.act: Callable[[Machine, Effects], None] | None = None

    def stepped(self, machine: Machine, effects: Effects) -> None:
        self.at.append((machine.now, machine.name))
        if self.act is not None:
            self.act(machine, effects)


def formed(watcher: Steps | None = None, nodes: int = 3) -> SimCluster:
    cluster = SimCluster(SimSettings(seed="machines", nodes=nodes), watcher)
    cluster.start()
    ready = lambda: all(m.node is not None and m.node.is_ready for m in cluster.machines.values())  # noqa: E731
    assert cluster.run_for(30 * SECOND, ready)
    return cluster


def test_three_machines_form_a_cluster() -> None:
    cluster = formed()
    ring = cluster.ring
    assert ring is not None and [keyspace.name for keyspace in ring.keyspaces] == ["default"]
    assert cluster.leader_of(METADATA_GROUP) in cluster.names


def test_a_stopped_process_does_nothing_and_hears_everything_afterwards() -> None:
    steps = Steps()
    cluster = formed(steps)
    cluster.inject(Pause(cluster.names[0]))
    begin = cluster.now
    cluster.run_for(2 * SECOND)
    assert not [at for at, name in steps.at if name == "n1" and at > begin]
    monotonic = cluster.machines[cluster.names[0]].clock.monotonic(cluster.now)
    assert monotonic - cluster.machines[cluster.names[0]].clock.monotonic(begin) == 2_000, "clocks run on"
    cluster.inject(Resume(cluster.names[0]))
    cluster.run_for(SECOND)
    assert [at for at, name in steps.at if name == "n1" and at > begin + 2 * SECOND]


def test_a_process_stopped_in_a_step_finishes_it_when_it_goes_on() -> None:
    """Its frames leave late, with what they said at the time."""
    steps = Steps()
    cluster = formed(steps)
    machine = cluster.machines[cluster.names[0]]
    sent_before = cluster.network.counts["sent"]
    for other in cluster.names[1:]:
        cluster.inject(Crash((other,)))
    owed: list[int] = []
    steps.act = lambda machine, effects: owed.append(sum(map(len, effects.send.values())))
    cluster.run_for(SECOND, lambda: bool(owed) and owed[-1] > 0)
    del owed[:]
    cluster.inject(Pause(machine.name, in_step=True))
    cluster.run_for(SECOND, lambda: machine.paused)
    assert machine.paused and len(owed) == 1
    cluster.run_for(3 * SECOND)
    assert len(owed) == 1
    cluster.inject(Resume(machine.name))
    cluster.run_for(SECOND)
    assert len(owed) > 1 and cluster.network.counts["sent"] > sent_before


def test_a_crash_forgets_the_process_and_keeps_the_disk() -> None:
    cluster = formed()
    machine = cluster.machines[cluster.names[1]]
    incarnation, boot = machine.incarnation, machine.node.identity.boot if machine.node else 0
    cluster.inject(Crash((machine.name,)))
    assert machine.node is None
    cluster.run_for(SECOND)
    cluster.inject(Restart((machine.name,)))
    cluster.run_for(SECOND)
    node = machine.node
    assert node is not None and node.identity.founded and not node.identity.wiped
    assert machine.incarnation == incarnation and node.identity.boot != boot
    assert cluster.ring is not None and cluster.ring.epoch == 2


def test_a_process_that_is_asked_to_end_hands_over_and_ends() -> None:
    cluster = formed()
    leader = cluster.leader_of(METADATA_GROUP)
    assert leader is not None
    machine = cluster.machines[leader]
    cluster.inject(Stop(leader))
    assert machine.is_stopping and machine.is_up
    assert cluster.run_for(2 * SECOND, lambda: not machine.is_up)
    assert not machine.is_stopping and machine.disk.engine.unsynced == 0
    assert cluster.run_for(SECOND, lambda: cluster.leader_of(METADATA_GROUP) not in (None, leader))
    cluster.inject(Restart((leader,)))
    assert cluster.run_for(5 * SECOND, lambda: machine.node is not None and machine.node.is_ready)


def test_a_process_that_nobody_takes_over_from_ends_after_a_while() -> None:
    cluster = formed()
    leader = cluster.leader_of(METADATA_GROUP)
    assert leader is not None
    cluster.inject(Crash(tuple(name for name in cluster.names if name != leader)))
    cluster.inject(Stop(leader))
    cluster.run_for(4 * SECOND)
    assert not cluster.machines[leader].is_up


def test_who_was_about_to_end_when_all_is_healed_starts_again() -> None:
    cluster = formed()
    machine = cluster.machines[cluster.names[0]]
    life = machine.lives
    cluster.inject(Pause(machine.name))
    cluster.inject(Stop(machine.name))
    cluster.run_for(SECOND)
    cluster.inject(Heal())
    assert machine.is_up and not machine.is_stopping and machine.lives == life + 1
    ready = lambda: all(m.node is not None and m.node.is_ready for m in cluster.machines.values())  # noqa: E731
    assert cluster.run_for(5 * SECOND, ready)


def test_a_wiped_machine_comes_back_as_another_incarnation_and_recovers() -> None:
    cluster = formed()
    machine = cluster.machines[cluster.names[1]]
    incarnation = machine.incarnation
    cluster.inject(WipeDisk(machine.name))
    cluster.inject(Restart((machine.name,)))
    cluster.run_for(SECOND)
    node = machine.node
    assert machine.incarnation != incarnation
    assert node is not None and node.identity.wiped
    assert cluster.run_for(
        20 * SECOND, lambda: bool(node.groups.ring) and all(not h.place.standing for h in node.groups.all())
    )


def test_a_request_is_answered_once_refused_or_cut_off() -> None:
    cluster = formed()
    machine = cluster.machines[cluster.names[0]]
    answers: list[Answer | None] = []
    machine.ask(cluster.new_handle(), StatusRequest("n1"), 1_000, answers.append)
    cluster.run_for(SECOND)
    assert len(answers) == 1 and isinstance(answers[0], Told)
    machine.ask(cluster.new_handle(), StatusRequest("n1"), 1_000, answers.append)
    cluster.inject(Crash((machine.name,)))
    assert answers[1:] == [None], "the connection broke"
    machine.ask(cluster.new_handle(), StatusRequest("n1"), 1_000, answers.append)
    assert isinstance(answers[2], Failure) and answers[2].code == "NotConnected"


@pytest.mark.parametrize("torn", [True, False])
def test_all_nodes_may_lose_power_at_once(torn: bool) -> None:
    cluster = formed()
    cluster.inject(Crash(tuple(cluster.names), torn=torn))
    cluster.run_for(SECOND)
    assert cluster.ring is None
    cluster.inject(Restart(tuple(cluster.names)))
    ready = lambda: all(m.node is not None and m.node.is_ready for m in cluster.machines.values())  # noqa: E731
    assert cluster.run_for(30 * SECOND, ready)


def test_one_seed_is_one_story() -> None:
    def digest(seed: str) -> str:
        trace = Trace()
        cluster = SimCluster(SimSettings(seed=seed), trace=trace)
        cluster.start()
        cluster.run_for(3 * SECOND)
        return trace.digest()

    assert digest("a") == digest("a") != digest("b")
