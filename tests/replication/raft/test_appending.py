"""Flow control, lost and late messages, and where two logs meet."""

import pytest

from kvstore.core.entries import NOTHING, Entry, LogEnd
from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Propose, Received, TransferLeadership
from kvstore.replication.raft.messages import AppendReply, AppendRequest
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def led_by_n1(count: int = 3, **settings: int) -> Lab:
    names = [f"n{number}" for number in range(1, count + 1)]
    lab = Lab(names, settings=RaftSettings(**settings), watch=Laws())  # type: ignore[arg-type]
    lab.elect("n1")
    return lab


def appends(lab: Lab, to: str) -> list[AppendRequest]:
    return [m.message for m in lab.mail if m.to == to and isinstance(m.message, AppendRequest)]


def rejection(rejected: int, hint: LogEnd, match: int = 0) -> Received:
    return Received(N2, AppendReply(Term(1), Index(match), Millis(1), Millis(1), Index(rejected), hint))


def test_messages_are_limited_in_bytes() -> None:
    lab = led_by_n1(append_bytes_max=10)
    lab.propose("n1", "a" * 4, "b" * 4, "c" * 4, "d" * 40)
    assert [len(request.entries) for request in appends(lab, "n2")] == [2, 1, 1]


def test_bytes_under_way_are_limited() -> None:
    lab = led_by_n1(append_bytes_max=1, inflight_bytes_max=8)
    lab.propose("n1", *["aaaa"] * 5)
    assert len(appends(lab, "n2")) == 2
    lab.settle()
    assert lab["n2"].last.index == 6


def test_messages_under_way_are_limited() -> None:
    lab = led_by_n1(inflight_appends_max=3)
    for _ in range(5):
        lab.propose("n1", "a")
    assert len(appends(lab, "n2")) == 3
    lab.settle()
    assert lab["n2"].last.index == 6


def test_entries_that_waited_travel_together() -> None:
    lab = led_by_n1(inflight_appends_max=1)
    for _ in range(5):
        lab.propose("n1", "a")
    lab.mail.sort(key=lambda letter: letter.to)
    for _ in range(3):
        lab.deliver(lab.mail[0])
    assert max(len(request.entries) for request in appends(lab, "n2") + appends(lab, "n3")) == 4


def test_uncommitted_bytes_are_limited_and_freed_by_commits() -> None:
    lab = led_by_n1(uncommitted_bytes_max=10)
    assert lab.propose("n1", "a" * 10).accepted == (1, 2)
    effects = lab.propose("n1", "b")
    assert effects.refused and effects.overloaded
    for _ in range(5):
        lab.settle()
        assert not lab.propose("n1", "a" * 10).refused


def test_what_an_earlier_leader_left_uncommitted_is_freed_as_well() -> None:
    lab = led_by_n1(uncommitted_bytes_max=10)
    lab.cut(["n1", "n2"], ["n3"])
    lab.nodes[N1].holds_disk = True
    lab.propose("n1", "a" * 10)
    lab.settle()
    lab.crash("n1")
    lab.heal()
    lab.elect("n2")
    for _ in range(5):
        assert not lab.propose("n2", "a" * 9).refused
        lab.settle()


def test_a_rejection_in_stream_makes_the_leader_probe_at_the_hint() -> None:
    lab = led_by_n1()
    for _ in range(4):
        lab.propose("n1", "a")
    lab.mail.clear()
    effects = lab.step("n1", rejection(4, LogEnd(Term(1), Index(2)), match=1))
    ((to, request),) = effects.send
    assert to == N2 and isinstance(request, AppendRequest) and request.previous == (1, 2)
    assert lab["n1"].followers()[0].pace == "probe"


@pytest.mark.parametrize(
    ("late", "why"),
    [
        (rejection(1, NOTHING), "that is on its disk by now"),
        (rejection(4, NOTHING, match=0), "it has had more since"),
    ],
)
def test_late_rejections_in_stream_change_nothing(late: Received, why: str) -> None:
    lab = led_by_n1()
    for _ in range(4):
        lab.propose("n1", "a")
    effects = lab.step("n1", late)
    assert not effects.send and lab["n1"].followers()[0].pace == "stream", why


def test_late_rejections_of_another_probe_change_nothing() -> None:
    lab = led_by_n1()
    for _ in range(4):
        lab.propose("n1", "a")
    lab.step("n1", rejection(4, LogEnd(Term(1), Index(2)), match=1))
    effects = lab.step("n1", rejection(5, LogEnd(Term(1), Index(1)), match=1))
    assert not effects.send and lab["n1"].followers()[0].next == 3


def test_every_message_after_a_lost_one_is_rejected_and_only_the_first_rejection_counts() -> None:
    """Otherwise each of them would make the leader send the whole window again."""
    lab = led_by_n1(inflight_appends_max=64, append_bytes_max=1)
    lab.cut(["n1", "n2"], ["n3"])
    for _ in range(30):
        lab.propose("n1", "a")
    lab.mail.pop(0)  # the first one to n2
    sent = 0
    while lab.mail:
        sent += lab.mail[0].to == "n2"
        lab.deliver(lab.mail[0])
    assert lab["n2"].last.index == 31
    assert sent <= 29 + 30 + 3, f"{sent} messages for 30 entries"


def test_a_long_divergence_is_found_with_few_questions() -> None:
    lab = led_by_n1()
    lab.cut(["n1"], ["n2", "n3"])
    for _ in range(200):
        lab.propose("n1", "lost")
    lab.mail.clear()
    lab.elect("n2")
    for _ in range(100):
        lab.propose("n2", "kept")
    lab.settle()
    lab.step("n2", TransferLeadership(N3))
    lab.settle()  # its first question is about the end of what n2 wrote
    lab.heal()
    asked = 0
    for _ in range(400):
        lab.pass_time(5)
        while lab.mail:
            letter = lab.mail[0]
            asked += isinstance(letter.message, AppendReply) and letter.message.rejected > 1
            lab.deliver(letter)
    assert lab["n1"].last == lab["n2"].last and lab["n3"].is_leader
    assert 1 <= asked <= 2


def test_a_gap_is_rejected_at_once() -> None:
    lab = Lab(watch=Laws())
    entry = Entry(Term(1), Index(5), b"x")
    request = AppendRequest(Term(1), LogEnd(Term(1), Index(4)), (entry,), Index(0), Millis(7))
    effects = lab.step("n1", Received(N2, request))
    assert not effects.append and not effects.promise
    ((_, reply),) = effects.send
    assert isinstance(reply, AppendReply) and (reply.rejected, reply.hint, reply.sent_at) == (4, NOTHING, 7)


def test_one_reply_speaks_for_everything_before_it() -> None:
    """Several appends on disk with one sync: the last answer says it all, and old ones come to nothing."""
    lab = led_by_n1()
    lab.nodes[N2].holds_disk = True
    lab.crash("n3")
    for _ in range(3):
        lab.propose("n1", "a")
    lab.settle()
    lab.sync("n2")
    replies = [letter for letter in lab.mail if isinstance(letter.message, AppendReply)]
    lab.deliver(replies[-1])
    assert lab["n1"].commit == 4
    lab.settle()
    assert lab["n1"].followers()[0].match == 4


def test_an_empty_proposal_is_accepted_and_does_nothing() -> None:
    lab = led_by_n1()
    effects = lab.step("n1", Propose(()))
    assert effects.accepted == (1, 2) and not effects.append and not effects.send


def test_a_follower_that_went_away_is_not_flooded() -> None:
    """Nothing but heartbeats goes to one that does not answer a probe."""
    lab = led_by_n1()
    lab.cut(["n1", "n2"], ["n3"])
    for letter in list(lab.mail):
        lab.deliver(letter)
    lab.step("n1", Received(N3, AppendReply(Term(1), Index(1), Millis(1), Millis(1), Index(9), NOTHING)))
    for _ in range(200):
        lab.propose("n1", "a")
        lab.settle()
    sent = lab["n1"].followers()[1]
    assert sent.inflight <= lab.settings.inflight_appends_max
