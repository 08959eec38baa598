"""Handing over: on request, to the preferred leader, away from a slow disk, and never with a lease in hand."""

import pytest

from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import PeerDown, PeerUp, Received, TransferLeadership
from kvstore.replication.raft.messages import AppendReply, TimeoutNow
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab, Watch
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def led_by_n1(count: int = 3, preferred: str | None = None, **settings: int) -> Lab:
    names = [f"n{number}" for number in range(1, count + 1)]
    lab = Lab(names, settings=RaftSettings(**settings), preferred=preferred, watch=Laws())  # type: ignore[arg-type]
    lab.elect("n1")
    lab.run(200)
    return lab


def handed_to(lab: Lab) -> list[NodeId]:
    return [letter.to for letter in lab.mail if isinstance(letter.message, TimeoutNow)]


@pytest.mark.parametrize("to", ["n1", "n9"])
def test_nonsense_is_ignored(to: str) -> None:
    lab = led_by_n1()
    lab.step("n1", TransferLeadership(NodeId(to)))
    assert not handed_to(lab) and not lab.propose("n1", "a").refused


def test_only_the_leader_hands_over() -> None:
    lab = led_by_n1()
    lab.step("n2", TransferLeadership(N3))
    assert not lab.mail


def test_without_a_name_it_goes_to_the_one_who_has_most() -> None:
    lab = led_by_n1()
    lab.cut(["n1", "n3"], ["n2"])
    lab.propose("n1", "a")
    lab.settle()
    lab.step("n1", TransferLeadership(None))
    assert handed_to(lab) == ["n3"]


def test_without_a_name_and_nobody_better_it_goes_to_the_preferred() -> None:
    lab = led_by_n1(preferred="n3")
    lab.step("n1", TransferLeadership(None))
    assert handed_to(lab) == ["n3"]


def test_it_goes_to_nobody_who_is_down_or_recovering() -> None:
    lab = led_by_n1()
    lab.step("n1", PeerDown(N2))
    reply = AppendReply(Term(1), Index(1), Millis(1), Millis(1), recovering=True)
    lab.step("n1", Received(N3, reply))
    for to in (None, N2, N3):
        lab.step("n1", TransferLeadership(to))
        assert not handed_to(lab) and not lab.propose("n1", "a").refused
    lab.mail.clear()


def test_no_lease_while_it_is_under_way_nor_after_timeout_now_has_left() -> None:
    lab = led_by_n1()
    node = lab.nodes[N1]
    assert lab["n1"].has_lease(lab.clock(node))
    lab.cut(["n1", "n3"], ["n2"])
    lab.step("n1", TransferLeadership(N2))
    assert not lab["n1"].has_lease(lab.clock(node))
    lab.run(1_500)
    assert lab["n1"].is_leader and not lab.propose("n1", "a").refused
    assert not lab["n1"].has_lease(lab.clock(node)), "TimeoutNow may still arrive"


def test_an_election_by_a_late_timeout_now_finds_no_lease() -> None:
    """n2 gets it long after the handover was given up, and is elected while n1 still believes to lead."""
    lab = led_by_n1()
    lab.step("n1", TransferLeadership(N2))
    (letter,) = lab.mail
    lab.mail.clear()
    lab.cuts.add((N1, N2))
    lab.run(1_500)
    assert lab["n1"].is_leader and lab["n1"].term == 1
    lab.cut(["n1"], ["n2", "n3"])
    lab.mail.append(letter)
    lab.cuts.discard((N1, N2))
    lab.settle()
    assert lab["n2"].is_leader
    lab.propose("n2", "a")
    lab.settle()
    lab.read("n1", 1)
    assert lab.nodes[N1].answered == []


def test_before_timeout_now_has_left_the_lease_comes_back() -> None:
    lab = led_by_n1()
    lab.cut(["n1", "n3"], ["n2"])
    lab.propose("n1", "a")
    lab.settle()
    lab.step("n1", TransferLeadership(N2))
    lab.run(1_500)
    assert not handed_to(lab) and lab["n1"].has_lease(lab.clock(lab.nodes[N1]))


def test_timeout_now_is_repeated_at_the_next_tick() -> None:
    lab = led_by_n1()
    lab.step("n1", TransferLeadership(N2))
    lab.mail.clear()
    lab.run(120)
    assert lab["n2"].is_leader


def test_it_is_given_up_at_once_when_the_target_goes_down() -> None:
    lab = led_by_n1()
    lab.cut(["n1", "n3"], ["n2"])
    lab.step("n1", TransferLeadership(N2))
    lab.step("n1", PeerDown(N2))
    lab.run(120)
    assert not lab.propose("n1", "a").refused


def test_a_recovering_or_damaged_target_does_not_campaign() -> None:
    lab = led_by_n1()
    lab["n2"].damaged = True
    assert not lab.step("n2", Received(N1, TimeoutNow(Term(1)))).promise


def test_the_preferred_leader_must_have_kept_up_all_the_time() -> None:
    lab = led_by_n1(preferred="n2", prefer_after_ms=1_000)
    lab.run(600)
    lab.cut(["n1", "n3"], ["n2"])
    lab.propose("n1", "a")
    lab.run(220)  # it misses a heartbeat or two
    lab.heal()
    lab.run(700)
    assert lab["n1"].is_leader, "a second after the beginning, but not after the trouble"
    lab.run(800)
    assert lab["n2"].is_leader


def test_the_preferred_leader_keeps_up_under_load() -> None:
    """It never has everything, but at each tick what there was at the tick before."""
    lab = led_by_n1(preferred="n2", prefer_after_ms=1_000)
    for _ in range(300):
        lab.propose("n1", "a") if lab["n1"].is_leader else lab.propose("n2", "a")
        lab.pass_time(5)
        for letter in list(lab.mail):
            lab.deliver(letter)
    assert lab["n2"].is_leader


def test_a_preferred_leader_that_is_down_is_left_alone() -> None:
    lab = led_by_n1(preferred="n2", prefer_after_ms=1_000)
    lab.crash("n2")
    lab.step("n1", PeerDown(N2))
    lab.run(3_000)
    assert lab["n1"].is_leader and lab["n1"].term == 1
    lab.start("n2")
    for name in ("n1", "n3"):
        lab.step(name, PeerUp(N2, restarted=True))
    lab.run(2_500)
    assert lab["n2"].is_leader


def test_a_preferred_leader_that_does_not_take_over_is_asked_once_a_term() -> None:
    lab = led_by_n1(preferred="n2", prefer_after_ms=1_000, quiesce_after_ms=1_000_000)
    lab.watch = watch = Handovers()
    for _ in range(100):
        lab.run(100)
        lab.mail = [letter for letter in lab.mail if not isinstance(letter.message, TimeoutNow)]
        lab["n2"].damaged = True  # it ignores TimeoutNow
    assert len(watch.at) >= 1
    assert max(watch.at) - min(watch.at) < 1_000, "repeated within one handover, and never tried again"


class Handovers(Watch):
    """Notes when TimeoutNow leaves."""

    def __init__(self) -> None:
        self.at: list[int] = []

    def left(self, lab: Lab, sender: NodeId, to: NodeId, message: object) -> None:
        if isinstance(message, TimeoutNow):
            self.at.append(lab.now)


def test_a_slow_disk_hands_over_only_to_one_that_is_ahead() -> None:
    lab = led_by_n1(slow_disk_ms=500)
    for node in lab.nodes.values():
        node.holds_disk = True  # everybody's is slow
    lab.propose("n1", "a")
    lab.run(2_000)
    assert lab["n1"].is_leader and lab["n1"].term == 1
    lab.sync("n3")
    lab.nodes[N3].holds_disk = lab.nodes[N2].holds_disk = False
    lab.sync("n2")
    lab.run(1_500)
    assert not lab["n1"].is_leader


def test_a_disk_that_is_merely_busy_is_not_slow() -> None:
    """Each write takes 400 ms, and there is always one under way."""
    lab = led_by_n1(slow_disk_ms=500)
    lab.nodes[N1].holds_disk = True
    for _ in range(10):
        lab.propose("n1", "a")
        lab.run(400)
        lab.sync("n1")
    assert lab["n1"].is_leader and lab["n1"].term == 1
