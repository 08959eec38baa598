"""Patience, loyalty, and how fresh a follower knows its data to be."""

from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Damaged, Received
from kvstore.replication.raft.messages import Heartbeat
from tests.lab import Lab
from tests.replication.raft.laws import Laws

N1, N2 = NodeId("n1"), NodeId("n2")


def led_by_n1() -> Lab:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    return lab


def test_a_follower_knows_how_fresh_it_is_by_its_own_clock() -> None:
    lab = led_by_n1()
    lab.nodes[N2].clock_offset += 1_000_000  # its clock says nothing to anybody else
    lab.run(400)
    fresh = lab["n2"].fresh
    assert fresh is not None
    instant, index = fresh
    assert 0 < lab.clock(lab.nodes[N2]) - instant <= 200, "two heartbeats at most"
    assert index == lab["n1"].commit


def test_without_news_its_freshness_stands_still() -> None:
    lab = led_by_n1()
    lab.run(300)
    before = lab["n2"].fresh
    lab.cut(["n1"], ["n2", "n3"])
    lab.propose("n1", "a")
    lab.run(300)
    assert lab["n2"].fresh == before is not None


def test_a_leader_without_a_lease_vouches_for_nobody() -> None:
    """Cut off from n3 and n1's own clock standing, n2 still hears n1 …, whose commit index may be old by then."""
    lab = led_by_n1()
    lab.run(300)
    lab.cuts |= {(N2, N1), (NodeId("n3"), N1)}  # it is heard, and hears nobody
    lab.run(500)
    assert not lab["n1"].has_lease(lab.clock(lab.nodes[N1]))
    before = lab["n2"].fresh
    lab.run(300)
    assert lab["n2"].fresh == before


def test_an_echo_of_an_earlier_life_is_not_believed() -> None:
    """A machine that restarts counts its clock from zero again; an old echo would seem to come from the future."""
    lab = led_by_n1()
    lab.run(300)
    echo = next(p.at for p in lab["n1"].leadership.followers if p.peer == N2)  # type: ignore[union-attr]
    lab.crash("n2")
    lab.start("n2")
    beat = Heartbeat(Term(1), Index(1), Index(1), Millis(1), echo=echo)
    lab.step("n2", Received(N1, beat))
    assert lab["n2"].fresh is None


def test_the_preferred_leader_loses_its_patience_first() -> None:
    """Not always: its interval is the first eighth of everybody's."""
    won = 0
    for seed in range(20):
        lab = Lab(seed=seed, preferred="n2", watch=Laws())
        lab.run(1_500)
        won += lab["n2"].is_leader
    assert won >= 16


def test_a_damaged_replica_is_the_last_to_campaign() -> None:
    lab = led_by_n1()
    effects = lab.step("n2", Damaged())
    assert effects.wake_at is not None
    assert effects.wake_at - lab.clock(lab.nodes[N2]) > 2 * lab.settings.election_timeout_ms_max
    lab.run(1_000)
    assert not lab["n2"].damaged
    assert (lab["n2"].wake_at or 0) - lab.clock(lab.nodes[N2]) <= lab.settings.election_timeout_ms_max


def test_a_damaged_replica_leads_if_nobody_else_can() -> None:
    """Its log is ahead of n3's and n1 is gone: it leads to bring n3 up to date, and hands over."""
    lab = led_by_n1()
    lab.cut(["n1", "n2"], ["n3"])
    lab.propose("n1", "a")
    lab.settle()
    lab.crash("n1")
    lab.step("n2", Damaged())
    lab.heal()
    lab.run(8_000)
    assert lab["n3"].is_leader and not lab["n2"].damaged, lab.describe()
    assert lab.nodes[N2].applied == lab.nodes[NodeId("n3")].applied
