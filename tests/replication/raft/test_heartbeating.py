"""The leader's tick, and what heartbeats mend."""

from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Received, TimePassed
from kvstore.replication.raft.messages import AppendReply, AppendRequest, Heartbeat, HeartbeatReply
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab, Watch
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def led_by_n1(**settings: int) -> Lab:
    lab = Lab(settings=RaftSettings(**settings), watch=Laws())  # type: ignore[arg-type]
    lab.elect("n1")
    return lab


def beat_reply(received: int, persisted: int, sent_at: int, *, missing: bool = False) -> Received:
    return Received(
        N2, HeartbeatReply(Term(1), Millis(sent_at), Millis(1), 0, Index(received), Index(persisted), Index(1), missing)
    )


def test_all_groups_of_a_node_tick_at_once() -> None:
    """Elected at any time, a leader ticks at multiples of the interval."""
    lab = led_by_n1()
    for _ in range(5):
        wake = lab["n1"].wake_at
        assert wake is not None and wake % lab.settings.heartbeat_ms == 0
        lab.run(37)


def test_time_that_comes_early_changes_nothing() -> None:
    lab = led_by_n1()
    effects = lab.step("n1", TimePassed())
    assert not effects.send and effects.wake_at == lab["n1"].wake_at


def test_a_late_tick_is_one_tick() -> None:
    lab = led_by_n1()
    lab.now += 450
    effects = lab.step("n1", TimePassed())
    assert [type(message) for _, message in effects.send] == [Heartbeat, Heartbeat]


def test_heartbeats_answer_even_if_the_disk_stands_still() -> None:
    lab = led_by_n1()
    lab.nodes[N2].holds_disk = True
    lab.propose("n1", "a")
    lab.settle()
    lab.run(150)
    assert lab["n1"].followers()[0].match == 1
    assert lab["n1"].has_lease(lab.clock(lab.nodes[N1]))


def test_lost_appends_are_sent_again_after_the_next_heartbeat() -> None:
    lab = led_by_n1()
    lab.propose("n1", "a", "b")
    lab.mail.clear()
    lab.run(120)
    assert lab["n2"].last.index == lab["n3"].last.index == 3


def test_a_lost_acknowledgement_is_made_good() -> None:
    lab = led_by_n1()
    lab.propose("n1", "a")
    for letter in list(lab.mail):
        lab.deliver(letter)
    lab.mail.clear()  # both acknowledgements
    assert lab["n1"].commit == 1
    lab.run(120)
    assert lab["n1"].commit == 2


def test_a_lost_probe_is_repeated() -> None:
    lab = led_by_n1()
    lab.crash("n2")
    lab.start("n2")
    lab.propose("n1", "a")
    lab.mail.clear()
    lab.step("n1", Received(N2, AppendReply(Term(1), Index(1), Millis(1), Millis(1), Index(3))))
    lab.mail.clear()  # the probe
    assert lab["n1"].followers()[0].pace == "probe"
    lab.run(250)
    assert lab["n1"].followers()[0].pace == "stream" and lab["n2"].last.index == 2


def test_a_restarted_follower_is_asked_where_it_is() -> None:
    """It has everything on disk, but does not know that this equals the log of its leader."""
    lab = led_by_n1()
    lab.propose("n1", "a")
    lab.run(150)
    lab.crash("n2")
    lab.start("n2")
    lab.run(150)
    assert lab["n2"].commit == 2 and lab.nodes[N2].applied == lab.nodes[N1].applied


def test_old_answers_do_not_make_the_leader_start_over() -> None:
    lab = led_by_n1()
    lab.watch = Watch()  # the answers are made up
    lab.propose("n1", "a", "b")
    lab.mail.clear()
    now = lab.clock(lab.nodes[N1])
    first = lab.step("n1", beat_reply(1, 1, now, missing=True))
    assert len([m for _, m in first.send if isinstance(m, AppendRequest)]) == 1
    lab.step("n1", Received(N2, AppendReply(Term(1), Index(2), Millis(now), Millis(1))))
    again = lab.step("n1", beat_reply(1, 1, now - 1, missing=True))
    assert not again.send


def test_a_follower_that_acknowledges_nothing_for_long_is_probed() -> None:
    """Its answers to heartbeats say that it has everything in memory, and nothing about its disk."""
    lab = led_by_n1()
    lab.propose("n1", "a")
    lab.mail.clear()
    start = lab.clock(lab.nodes[N1])
    lab.now += lab.settings.append_retry_ms - 1
    assert not lab.step("n1", beat_reply(2, 1, start)).send
    lab.now += 1
    effects = lab.step("n1", beat_reply(2, 1, start + 1))
    assert [m.previous.index for _, m in effects.send if isinstance(m, AppendRequest)] == [2]


def test_a_leader_hears_of_a_later_term() -> None:
    lab = led_by_n1()
    reply = HeartbeatReply(Term(3), Millis(1), Millis(1), 0, Index(1), Index(1), Index(1))
    effects = lab.step("n1", Received(N2, reply))
    assert effects.role_changed and not lab["n1"].is_leader and lab["n1"].term == 3
