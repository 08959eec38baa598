"""A replica that lost its disk: what it may not do, what it asks, and when it is a voter again."""

from kvstore.core.entries import Ballot, LogEnd
from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Effects, Received, Standing, TimePassed
from kvstore.replication.raft.messages import (
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    RecoveryQuery,
    RecoveryReply,
    TermQuery,
    TermReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from kvstore.replication.raft.recovery import USED_UP
from tests.lab import Lab
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def wiped(count: int = 3) -> Lab:
    """n3 has just come back without its disk; n1 leads term 1 with two entries."""
    laws = Laws()
    lab = Lab([f"n{i + 1}" for i in range(count)], watch=laws)
    lab.elect("n1")
    lab.propose("n1", "a")
    lab.run(150)
    laws.disk_lost(N3)
    lab.wipe("n3")
    lab.start("n3")
    return lab


def hear(lab: Lab, sender: str, message: Message, to: str = "n3") -> Effects:
    return lab.step(to, Received(NodeId(sender), message))


def nonce(lab: Lab) -> int:
    recovery = lab["n3"].recovery
    assert recovery is not None
    return recovery.nonce


def know_the_terms(lab: Lab, *terms: int) -> Effects:
    effects = Effects()
    for peer, term in zip(lab["n3"].peers, terms, strict=True):
        effects = hear(lab, peer, TermReply(Term(term), nonce(lab)))
    return effects


def test_it_comes_back_by_itself() -> None:
    lab = wiped()
    lab.run(1_500)
    assert lab["n3"].standing is lab.nodes[N3].disk.standing is Standing.VOTER
    assert lab.nodes[N3].applied == lab.nodes[N1].applied
    assert not lab["n1"].followers()[1].recovering


def test_it_comes_back_with_an_image() -> None:
    lab = wiped()
    lab.compact("n1")
    lab.compact("n2")
    lab.run(1_500)
    assert lab["n3"].standing is Standing.VOTER and lab["n3"].log_start.index == 2


def test_it_comes_back_while_the_group_is_silent() -> None:
    laws = Laws()
    lab = Lab(watch=laws)
    lab.elect("n1")
    lab.run(4_000)
    assert lab["n1"].quiesced
    laws.disk_lost(N3)
    lab.wipe("n3")
    lab.start("n3")
    lab.run(2_000)
    assert lab["n3"].standing is Standing.VOTER


def test_two_of_five_come_back_together() -> None:
    lab = wiped(5)
    assert isinstance(lab.watch, Laws)
    lab.watch.disk_lost(NodeId("n4"))
    lab.wipe("n4")
    lab.start("n4")
    lab.run(2_500)
    assert lab["n3"].standing is lab["n4"].standing is Standing.VOTER


def test_it_does_not_vote() -> None:
    lab = wiped()
    lab.now += 1_000
    for pre in (True, False):
        effects = hear(lab, "n2", VoteRequest(Term(5), LogEnd(Term(9), Index(9)), pre))
        answers = [m for _, m in effects.send + effects.promise if isinstance(m, VoteReply)]
        assert [answer.granted for answer in answers] == [False]


def test_it_does_not_campaign() -> None:
    lab = wiped()
    for letter in (TimePassed(), Received(N1, TimeoutNow(Term(0)))):
        lab.now += 5_000
        effects = lab.step("n3", letter)
        assert not any(isinstance(m, VoteRequest) for _, m in effects.send + effects.promise)


def test_it_says_so_in_every_answer() -> None:
    lab = wiped()
    ((_, reply),) = hear(lab, "n1", Heartbeat(Term(1), Index(2), Index(2), Millis(9))).send
    assert isinstance(reply, HeartbeatReply) and reply.recovering
    ((_, stale),) = hear(lab, "n1", Heartbeat(Term(0), Index(2), Index(2), Millis(9))).send
    assert isinstance(stale, AppendReply) and stale.recovering


def test_it_asks_everyone_for_the_term_and_asks_again() -> None:
    lab = wiped()
    asked = [letter.to for letter in lab.mail if isinstance(letter.message, TermQuery)]
    assert asked == ["n1", "n2"]
    hear(lab, "n1", TermReply(Term(1), nonce(lab)))
    lab.mail.clear()
    lab.pass_time(250)
    assert [letter.to for letter in lab.mail if isinstance(letter.message, TermQuery)] == ["n2"]


def test_the_largest_term_is_taken_over_with_its_vote_used_up() -> None:
    lab = wiped()
    effects = know_the_terms(lab, 4, 7)
    assert effects.ballot == Ballot(Term(7), USED_UP)
    assert lab.nodes[N3].disk.ballot == Ballot(Term(7), USED_UP)


def test_its_own_term_counts_too() -> None:
    """It heard of a later one meanwhile."""
    lab = wiped()
    hear(lab, "n1", Heartbeat(Term(9), Index(0), Index(0), Millis(9)))
    assert know_the_terms(lab, 4, 7).ballot == Ballot(Term(9), USED_UP)


def test_all_others_must_have_told_theirs() -> None:
    lab = wiped(5)
    for peer in ("n1", "n2", "n4", "n4"):
        assert hear(lab, peer, TermReply(Term(4), nonce(lab))).ballot is None
    assert hear(lab, "n5", TermReply(Term(3), nonce(lab))).ballot == Ballot(Term(4), USED_UP)


def test_answers_to_an_earlier_loss_do_not_count() -> None:
    lab = wiped()
    for peer in ("n1", "n2"):
        assert hear(lab, peer, TermReply(Term(1), nonce(lab) + 1)).ballot is None


def test_every_loss_has_a_number_of_its_own() -> None:
    lab = wiped()
    before = nonce(lab)
    lab.crash("n3")
    lab.start("n3")
    assert nonce(lab) != before


def test_a_term_is_told_from_the_disk() -> None:
    """Otherwise the teller might forget it, and campaign in it again, asking for a vote that was given already."""
    lab = wiped()
    lab.nodes[N2].holds_disk = True
    hear(lab, "n1", Heartbeat(Term(5), Index(0), Index(0), Millis(9)), to="n2")
    effects = hear(lab, "n3", TermQuery(1), to="n2")
    assert not effects.send and effects.promise == [(N3, TermReply(Term(5), 1))]


def test_the_leader_answers_when_the_others_have_confirmed_it() -> None:
    """Under a lease as well: the lease rests on promises, and ours are among those."""
    lab = wiped()
    assert lab["n1"].has_lease(lab.clock(lab.nodes[N1]))
    lab.mail.clear()
    effects = hear(lab, "n3", RecoveryQuery(Term(1), 5), to="n1")
    assert not any(isinstance(m, RecoveryReply) for _, m in effects.send)
    round_of_it = max(m.context for _, m in effects.send if isinstance(m, Heartbeat))
    two = Index(2)
    late = HeartbeatReply(Term(1), Millis(1), Millis(1), round_of_it, two, two, two)
    assert not any(isinstance(m, RecoveryReply) for _, m in hear(lab, "n3", late, to="n1").send), "not by itself"
    effects = hear(lab, "n2", late, to="n1")
    assert RecoveryReply(Term(1), 5, Index(2)) in [m for _, m in effects.send]


def test_the_leader_distrusts_from_the_question_on() -> None:
    lab = wiped()
    now = lab.clock(lab.nodes[N1])
    hear(lab, "n3", RecoveryQuery(Term(1), 5), to="n1")
    hear(lab, "n3", AppendReply(Term(1), Index(2), now, Millis(1)), to="n1")
    assert lab["n1"].followers()[1].recovering and lab["n1"].replicas_with(Index(2)) == 2


def test_a_follower_does_not_answer() -> None:
    lab = wiped()
    effects = hear(lab, "n3", RecoveryQuery(Term(1), 5), to="n2")
    assert not effects.send and not effects.promise


def told(upto: int, term: int = 1, *, number: int | None = None) -> tuple[Lab, Effects]:
    """n3 has two entries of term 1 in memory and is told how far it must be."""
    lab = wiped()
    know_the_terms(lab, 1, 1)
    lab.nodes[N3].holds_disk = True
    lab.run(110)
    assert lab["n3"].last.index == 2 and lab["n3"].recovery is not None
    return lab, hear(lab, "n1", RecoveryReply(Term(term), nonce(lab) if number is None else number, Index(upto)))


def test_it_is_a_voter_when_its_disk_has_what_the_leader_said() -> None:
    lab, effects = told(2)
    assert effects.standing is None, "it has it in memory only"
    lab.sync("n3")
    assert lab["n3"].standing is Standing.VOTER


def test_it_is_no_voter_before_that() -> None:
    lab, effects = told(3)
    lab.sync("n3")
    assert effects.standing is None and lab["n3"].standing is Standing.RECOVERING


def test_another_loss_s_answer_does_not_make_it_a_voter() -> None:
    lab, _ = told(2, number=1)
    lab.sync("n3")
    assert lab["n3"].standing is Standing.RECOVERING


def test_what_another_leader_said_does_not_make_it_a_voter() -> None:
    lab, _ = told(2)
    hear(lab, "n2", Heartbeat(Term(2), Index(0), Index(0), Millis(9)))
    lab.sync("n3")
    assert lab["n3"].standing is Standing.RECOVERING
    lab.mail.clear()
    lab.pass_time(250)
    lab.sync("n3")
    assert [(m.to, m.message) for m in lab.mail if m.sender == N3] == [(N2, RecoveryQuery(Term(2), nonce(lab)))]


def test_as_a_voter_it_is_loyal_for_an_election_timeout() -> None:
    lab, _ = told(2)
    lab.sync("n3")
    lab.now += 400
    effects = hear(lab, "n2", VoteRequest(Term(5), LogEnd(Term(9), Index(9))))
    assert effects.ballot is None and not effects.promise


def test_its_promises_as_a_voter_wait_for_its_standing() -> None:
    lab, _ = told(2)
    lab.nodes[N3].disk.sync()
    lab.mail.clear()
    lab.notify("n3")
    assert lab["n3"].standing is Standing.VOTER and lab.nodes[N3].disk.standing is Standing.RECOVERING
    before = [m.message for m in lab.mail if isinstance(m.message, AppendReply)]
    assert before and all(reply.recovering for reply in before), "promised while it was recovering"
    lab.settle()
    lab.now += 1  # later than what the leader distrusts
    lab.propose("n1", "b")
    lab.settle()
    assert not lab.mail and lab["n1"].followers()[1].recovering, "the answer waits"
    lab.sync("n3")
    lab.settle()
    assert not lab["n1"].followers()[1].recovering


def test_a_single_voter_has_nobody_to_ask() -> None:
    laws = Laws()
    lab = Lab(["n1"], watch=laws)
    laws.disk_lost(N1)
    lab.wipe("n1")
    lab.start("n1")
    lab.run(3_000)
    assert lab["n1"].standing is Standing.RECOVERING and not lab["n1"].is_leader
