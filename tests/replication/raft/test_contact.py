"""Whom the leader trusts: leases, check-quorum, and replicas that lost their disks."""

from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Received, TimePassed
from kvstore.replication.raft.messages import AppendReply, HeartbeatReply
from tests.lab import Lab, Watch
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def led_by_n1(count: int = 3) -> Lab:
    lab = Lab([f"n{i + 1}" for i in range(count)], watch=Laws())
    lab.elect("n1")
    return lab


def acknowledge(lab: Lab, sender: str, match: int, sent_at: int, *, recovering: bool = False) -> None:
    reply = AppendReply(Term(1), Index(match), Millis(sent_at), Millis(1), recovering=recovering)
    lab.step("n1", Received(NodeId(sender), reply))


def beat(lab: Lab, sender: str, sent_at: int, *, recovering: bool = False) -> None:
    nothing = Index(0)
    reply = HeartbeatReply(Term(1), Millis(sent_at), Millis(1), 0, nothing, nothing, nothing, recovering=recovering)
    lab.step("n1", Received(NodeId(sender), reply))


def cut_off_with_an_entry() -> tuple[Lab, Millis]:
    """n1 leads with 2@1 that nobody else has; from here on its mail is made up."""
    lab = led_by_n1()
    lab.watch = Watch()
    lab.propose("n1", "a")
    lab.mail.clear()
    return lab, lab.clock(lab.nodes[N1])


def test_a_recovering_replica_does_not_count_for_commits() -> None:
    lab, now = cut_off_with_an_entry()
    acknowledge(lab, "n2", 2, now, recovering=True)
    assert lab["n1"].commit == 1
    assert lab["n1"].replicas_with(Index(2)) == 1 and lab["n1"].stored_on_all == 0
    acknowledge(lab, "n3", 2, now)
    assert lab["n1"].commit == 2


def test_nor_when_somebody_else_makes_the_leader_count() -> None:
    lab = led_by_n1()
    lab.watch = Watch()
    lab.nodes[N1].holds_disk = True
    lab.propose("n1", "a")
    acknowledge(lab, "n2", 2, lab.clock(lab.nodes[N1]), recovering=True)
    lab.sync("n1")
    assert lab["n1"].persisted == 2 and lab["n1"].commit == 1


def test_what_was_said_before_the_loss_does_not_count_afterwards() -> None:
    lab, now = cut_off_with_an_entry()
    lab.now += 10
    acknowledge(lab, "n2", 0, now + 10, recovering=True)
    acknowledge(lab, "n2", 2, now)  # from before the loss, late
    assert lab["n1"].commit == 1
    acknowledge(lab, "n2", 2, now + 10)  # the same instant: cannot be told apart, so no
    assert lab["n1"].commit == 1
    acknowledge(lab, "n2", 2, now + 11)
    assert lab["n1"].commit == 2


def test_nor_when_it_has_recovered_meanwhile() -> None:
    lab, now = cut_off_with_an_entry()
    lab.now += 10
    acknowledge(lab, "n2", 0, now + 10, recovering=True)
    acknowledge(lab, "n2", 1, now + 11)
    assert lab["n1"].followers()[0].match == 1 and not lab["n1"].followers()[0].recovering
    acknowledge(lab, "n2", 2, now)  # from before the loss, very late
    assert lab["n1"].followers()[0].match == 1 and lab["n1"].commit == 1


def test_its_match_begins_anew_when_it_is_a_voter_again() -> None:
    """What a recovering replica said of its log may come from yet another life."""
    lab, now = cut_off_with_an_entry()
    acknowledge(lab, "n2", 2, now, recovering=True)
    acknowledge(lab, "n2", 1, now + 1)
    assert lab["n1"].commit == 1 and lab["n1"].followers()[0].match == 1


def test_its_match_may_go_back() -> None:
    lab, now = cut_off_with_an_entry()
    acknowledge(lab, "n2", 1, now)
    acknowledge(lab, "n2", 0, now, recovering=True)
    assert lab["n1"].followers()[0].match == 0 and lab["n1"].followers()[0].recovering


def test_recovering_replicas_do_not_keep_a_leader_in_office() -> None:
    lab, _ = cut_off_with_an_entry()
    for _ in range(15):
        lab.now += 100
        beat(lab, "n2", lab.clock(lab.nodes[N1]), recovering=True)
        lab.step("n1", TimePassed())
    assert not lab["n1"].is_leader


def test_one_voter_of_two_keeps_a_leader_in_office() -> None:
    lab, _ = cut_off_with_an_entry()
    for _ in range(15):
        lab.now += 100
        beat(lab, "n2", lab.clock(lab.nodes[N1]))
        lab.step("n1", TimePassed())
    assert lab["n1"].is_leader


def test_a_lease_outlives_nobody() -> None:
    """It is over before the most impatient voter, whose clock runs a tenth faster, would vote for another."""
    lab = led_by_n1()
    lab.run(200)
    spoke = lab["n1"].lease_until
    assert spoke is not None
    voter_ms = lab.settings.election_timeout_ms_min / 1.1
    assert spoke - lab.settings.lease_ms + voter_ms > spoke


def test_a_pause_ends_the_lease() -> None:
    lab = led_by_n1()
    lab.run(200)
    lab.now += 10_000  # nobody ran, and the next thing it hears is a read
    lab.read("n1", 1)
    assert lab.nodes[N1].answered == []
