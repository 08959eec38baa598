"""Idle groups stop their clocks, whoever has news wakes them, and nobody is left behind in silence."""

import pytest

from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import PeerDown, PeerUp, ReadRequested, Received, TimePassed, TransferLeadership
from kvstore.replication.raft.messages import Heartbeat, HeartbeatReply, TermQuery
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab, Watch
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def silent(count: int = 3) -> Lab:
    lab = Lab([f"n{i + 1}" for i in range(count)], watch=Laws())
    lab.elect("n1")
    lab.run(4_000)
    assert quiet(lab) == list(lab.names), lab.describe()
    return lab


def quiet(lab: Lab) -> list[str]:
    return [node.name for node in lab.nodes.values() if node.replica is not None and node.replica.quiesced]


def test_a_silent_group_waits_for_nothing_and_says_nothing() -> None:
    lab = silent()
    assert [node.alive.wake_at for node in lab.nodes.values()] == [None, None, None]
    lab.run(100_000, step_ms=10_000)
    assert not lab.mail and lab["n1"].is_leader


def test_a_silent_leader_has_no_lease_and_asks() -> None:
    lab = silent()
    assert not lab["n1"].has_lease(lab.clock(lab.nodes[N1]))
    lab.read("n1", 1)
    assert lab.nodes[N1].answered == [] and lab["n1"].wake_at is not None
    lab.settle()
    assert lab.nodes[N1].answered == [(1, 1)] and quiet(lab) == []


def test_the_lease_ends_the_moment_the_leader_falls_silent() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    while not lab["n1"].quiesced:
        lab.run(5)
    assert not lab["n1"].has_lease(lab.clock(lab.nodes[N1]))


def test_a_proposal_wakes_everybody() -> None:
    lab = silent()
    lab.propose("n1", "a")
    lab.run(300)
    assert quiet(lab) == []
    assert [len(node.applied) for node in lab.nodes.values()] == [2, 2, 2]
    lab.run(4_000)
    assert quiet(lab) == ["n1", "n2", "n3"]


def test_a_handover_wakes_it() -> None:
    lab = silent()
    lab.step("n1", TransferLeadership(N2))
    lab.settle()
    assert lab["n2"].is_leader


def test_a_replica_that_lost_its_disk_wakes_it() -> None:
    lab = silent()
    lab.step("n1", Received(N3, TermQuery(7)))
    assert quiet(lab) == ["n2", "n3"] and len(lab.mail) == 3, "heartbeats, and the answer"


def test_somebody_who_asks_for_a_vote_wakes_it_and_gets_none() -> None:
    """n3 alone thinks that n1 is gone. n2 is loyal to its silent leader, and n1 speaks up."""
    lab = silent()
    lab.cut(["n1"], ["n3"])
    lab.step("n3", PeerDown(N1))
    lab.run(5_000)
    assert lab["n1"].is_leader and lab["n1"].term == 1
    lab.heal()
    lab.run(6_000)
    assert quiet(lab) == ["n1", "n2", "n3"]


def test_if_the_silent_leader_is_gone_for_one_it_is_soon_gone_for_all() -> None:
    """Only n3 is told, and n2 hears of it from n3: refused at first, elected in the end."""
    lab = silent()
    lab.crash("n1")
    lab.step("n3", PeerDown(N1))
    lab.run(5_000)
    assert lab["n2"].is_leader or lab["n3"].is_leader


def test_a_leader_that_is_another_process_leads_no_more() -> None:
    lab = silent()
    lab.crash("n1")
    lab.start("n1")
    for name in ("n2", "n3"):
        lab.step(name, PeerUp(N1, restarted=True))
    assert quiet(lab) == []
    lab.run(2_000)
    assert sum(node.alive.is_leader for node in lab.nodes.values()) == 1


def test_the_same_process_again_is_no_news_to_a_follower() -> None:
    lab = silent()
    lab.step("n2", PeerUp(N1))
    assert quiet(lab) == ["n1", "n2", "n3"]


def test_a_follower_that_comes_back_wakes_the_leader() -> None:
    lab = silent()
    lab.crash("n3")
    lab.start("n3")
    lab.step("n1", PeerUp(N3, restarted=True))
    assert "n1" not in quiet(lab)
    lab.run(5_000)
    assert quiet(lab) == ["n1", "n2", "n3"] and lab["n1"].is_leader


def test_a_follower_that_is_down_keeps_nobody_awake() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    lab.crash("n3")
    lab.step("n1", PeerDown(N3))
    lab.propose("n1", "a")
    lab.run(4_500)
    assert quiet(lab) == ["n1", "n2"]


def test_without_a_majority_that_is_up_nobody_falls_silent() -> None:
    lab = Lab(settings=RaftSettings(quiesce_after_ms=Millis(100)), watch=Laws())
    lab.elect("n1")
    for name in ("n2", "n3"):
        lab.crash(name)
        lab.step("n1", PeerDown(NodeId(name)))
    lab.run(300)
    assert quiet(lab) == []


def test_a_group_that_is_not_where_it_belongs_stays_awake_until_it_is() -> None:
    """Idle groups too: their preferred leader gets them first."""
    lab = Lab(preferred="n2", watch=Laws())
    lab.elect("n1")
    lab.run(9_000)
    assert quiet(lab) == []
    lab.run(6_000)
    assert lab["n2"].is_leader and quiet(lab) == ["n1", "n2", "n3"]


def offer(lab: Lab, commit: int = 1) -> HeartbeatReply:
    """What n2 answers to an offer of silence."""
    sent_at = lab.clock(lab.nodes[N1])
    beat = Heartbeat(Term(1), Index(commit), Index(commit), Millis(sent_at), quiesce=True)
    effects = lab.step("n2", Received(N1, beat))
    ((_, reply),) = effects.send
    assert isinstance(reply, HeartbeatReply)
    assert (effects.wake_at is None) == reply.quiesced
    return reply


def led_by_n1() -> Lab:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    lab.run(200)
    return lab


def test_a_follower_with_everything_agrees() -> None:
    assert offer(led_by_n1()).quiesced


def test_a_follower_agrees_to_nothing_it_does_not_have() -> None:
    assert not offer(led_by_n1(), commit=2).quiesced


def test_a_follower_whose_disk_lags_refuses() -> None:
    lab = led_by_n1()
    lab.nodes[N2].holds_disk = True
    lab.propose("n1", "a")
    lab.settle()
    lab.run(150)
    assert not offer(lab, commit=2).quiesced


def test_a_follower_refuses_if_nobody_would_tell_it_that_the_leader_is_gone() -> None:
    lab = led_by_n1()
    lab.step("n2", PeerDown(N1))
    assert not offer(lab).quiesced


def falling_silent() -> tuple[Lab, Millis]:
    """n1 has offered silence; the answers are made up from here on."""
    lab = led_by_n1()
    lab.watch = Watch()
    lab.run(2_600)
    while not any(isinstance(m.message, Heartbeat) and m.message.quiesce for m in lab.mail):
        lab.mail.clear()
        lab.now += 100
        for name in ("n2", "n3"):
            answer(lab, name, lab.clock(lab.nodes[N1]), agreed=False)
        lab.step("n1", TimePassed())
    lab.mail.clear()
    return lab, lab.clock(lab.nodes[N1])


def answer(lab: Lab, sender: str, sent_at: int, *, agreed: bool) -> None:
    one = Index(1)
    reply = HeartbeatReply(Term(1), Millis(sent_at), Millis(1), 0, one, one, one, quiesced=agreed)
    lab.step("n1", Received(NodeId(sender), reply))


def test_a_leader_falls_silent_only_when_all_have_agreed() -> None:
    lab, now = falling_silent()
    answer(lab, "n2", now, agreed=True)
    assert not lab["n1"].quiesced
    answer(lab, "n3", now - 1, agreed=True)
    assert not lab["n1"].quiesced, "that agreed to an earlier offer, and may have been woken since"
    answer(lab, "n3", now, agreed=True)
    assert lab["n1"].quiesced


def test_a_refusal_that_comes_late_wakes_it() -> None:
    lab, now = falling_silent()
    for name in ("n2", "n3"):
        answer(lab, name, now, agreed=True)
    answer(lab, "n2", now + 1, agreed=False)
    assert not lab["n1"].quiesced


@pytest.mark.parametrize("count", [1, 3])
def test_reads_keep_it_awake(count: int) -> None:
    lab = Lab([f"n{i + 1}" for i in range(count)], watch=Laws())
    if count > 1:
        lab.elect("n1")
    for context in range(50):
        lab.run(100)
        lab.step("n1", ReadRequested(context))
    assert quiet(lab) == [] and len(lab.nodes[N1].answered) == 50


def test_a_single_node_falls_silent_and_reads_on() -> None:
    lab = Lab(["n1"], watch=Laws())
    lab.run(4_000)
    assert quiet(lab) == ["n1"]
    lab.read("n1", 1)
    lab.propose("n1", "a")
    lab.read("n1", 2)
    assert lab.nodes[N1].answered == [(1, 1), (2, 2)]
