"""Linearizable reads: by the lease, by a round, and not at all."""

from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Received
from kvstore.replication.raft.messages import HeartbeatReply
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab, Watch
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def led_by_n1(count: int = 3, settings: RaftSettings | None = None) -> Lab:
    lab = Lab([f"n{i + 1}" for i in range(count)], settings=settings, watch=Laws())
    lab.elect("n1")
    return lab


def answer(lab: Lab, sender: str, context: int, *, recovering: bool = False, sent_at: int = 1) -> None:
    reply = HeartbeatReply(
        Term(1), Millis(sent_at), Millis(1), context, Index(1), Index(1), Index(1), recovering=recovering
    )
    lab.step("n1", Received(NodeId(sender), reply))


def test_followers_answer_none() -> None:
    lab = led_by_n1()
    lab.read("n2", 5)
    assert lab.nodes[N2].failed == [5]


def test_a_read_waits_for_a_majority() -> None:
    lab = led_by_n1(5)
    lab.read("n1", 5)
    answer(lab, "n2", 1)
    answer(lab, "n2", 1)
    assert lab.nodes[N1].answered == []
    answer(lab, "n4", 1)
    assert lab.nodes[N1].answered == [(5, 1)]


def test_an_earlier_round_confirms_nothing() -> None:
    lab = led_by_n1()
    lab.read("n1", 5)
    answer(lab, "n2", 0)
    assert lab.nodes[N1].answered == []


def test_a_recovering_replica_confirms_nothing() -> None:
    """Its promise not to vote for another may be one of those it forgot."""
    lab = led_by_n1()
    lab.read("n1", 5)
    answer(lab, "n2", 1, recovering=True)
    assert lab.nodes[N1].answered == []
    answer(lab, "n3", 1)
    assert lab.nodes[N1].answered == [(5, 1)]


def test_what_a_replica_confirmed_before_it_lost_its_disk_does_not_count_later() -> None:
    lab = led_by_n1(5)
    lab.read("n1", 5)
    answer(lab, "n2", 1)
    answer(lab, "n2", 0, recovering=True)
    answer(lab, "n3", 1)
    assert lab.nodes[N1].answered == []


def test_reads_of_one_round_are_answered_together() -> None:
    lab = led_by_n1()
    for context in (1, 2, 3):
        lab.read("n1", context)
    heartbeats = len(lab.mail)
    lab.settle()
    assert sorted(context for context, _ in lab.nodes[N1].answered) == [1, 2, 3]
    assert heartbeats == 2, "one round for the first; the others wait for the next"


def test_the_lease_can_be_switched_off() -> None:
    lab = led_by_n1(settings=RaftSettings(lease_reads=False))
    lab.run(200)
    assert lab["n1"].has_lease(lab.clock(lab.nodes[N1]))
    lab.read("n1", 1)
    assert lab.nodes[N1].answered == [] and len(lab.mail) == 2


def test_a_lease_is_not_renewed_by_recovering_replicas() -> None:
    lab = led_by_n1()
    lab.cut(["n1"], ["n2", "n3"])
    lab.run(400)
    now = lab.clock(lab.nodes[N1])
    answer(lab, "n2", 0, recovering=True, sent_at=now)
    assert not lab["n1"].has_lease(Millis(now + 100))
    answer(lab, "n3", 0, sent_at=now)
    assert lab["n1"].has_lease(Millis(now + 100))


def test_a_lease_needs_a_majority() -> None:
    lab = led_by_n1(5)
    lab.cut(["n1"], ["n2", "n3", "n4", "n5"])
    lab.run(600)
    lab.watch = Watch()  # the others have elected somebody else meanwhile: what they answer from here on is made up
    now = lab.clock(lab.nodes[N1])
    answer(lab, "n2", 0, sent_at=now)
    assert not lab["n1"].has_lease(now)
    answer(lab, "n3", 0, sent_at=now)
    assert lab["n1"].has_lease(now)


def test_a_lease_counts_from_when_the_heartbeat_left() -> None:
    """The follower may have heard it long before we hear of that."""
    lab = led_by_n1()
    lab.cut(["n1"], ["n2", "n3"])
    lab.run(600)
    lab.watch = Watch()
    now = lab.clock(lab.nodes[N1])
    answer(lab, "n2", 0, sent_at=now - 300)
    assert lab["n1"].lease_until == now - 300 + lab.settings.lease_ms


def test_a_lease_ends_with_the_disk_it_rests_on() -> None:
    lab = led_by_n1()
    lab.cut(["n1"], ["n2", "n3"])
    lab.run(400)
    now = lab.clock(lab.nodes[N1])
    answer(lab, "n2", 0, sent_at=now)
    assert lab["n1"].has_lease(Millis(now + 100))
    answer(lab, "n2", 0, recovering=True, sent_at=now)
    assert not lab["n1"].has_lease(Millis(now + 100))
