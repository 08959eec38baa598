"""Campaigns beyond the sentences of the thesis: late answers, recovering and damaged voters, promises."""

from kvstore.core.entries import NOTHING, Ballot, Entry, LogEnd
from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Effects, Received, TimePassed
from kvstore.replication.raft.messages import (
    AppendRequest,
    Heartbeat,
    HeartbeatReply,
    Message,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from kvstore.replication.raft.replica import Role
from tests.lab import Lab
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def hear(lab: Lab, name: str, sender: str, message: Message) -> Effects:
    return lab.step(name, Received(NodeId(sender), message))


def candidate(count: int = 3, term: int = 1) -> Lab:
    """n1 campaigns in earnest, for the `term`-th time."""
    lab = Lab([f"n{i + 1}" for i in range(count)], watch=Laws())
    node = lab.nodes[N1]
    for attempt in range(1, term + 1):
        node.clock_offset += max(0, (node.alive.wake_at or Millis(0)) - lab.clock(node))
        lab.step("n1", TimePassed())
        for peer in node.alive.peers:
            if node.alive.role is Role.PRE_CANDIDATE:
                hear(lab, "n1", peer, VoteReply(Term(attempt), granted=True, pre=True))
    assert node.alive.role is Role.CANDIDATE and node.alive.term == term
    return lab


def test_an_answer_to_an_earlier_campaign_does_not_count() -> None:
    lab = candidate(term=2)
    hear(lab, "n1", "n2", VoteReply(Term(1), granted=True))
    assert not lab["n1"].is_leader
    hear(lab, "n1", "n2", VoteReply(Term(2), granted=True))
    assert lab["n1"].is_leader


def test_an_answer_to_the_pre_vote_is_no_vote() -> None:
    lab = candidate()
    hear(lab, "n1", "n3", VoteReply(Term(1), granted=True, pre=True))
    assert not lab["n1"].is_leader


def test_a_vote_is_no_answer_to_a_pre_vote() -> None:
    """A vote of the term before, which comes when the candidate has begun to ask anew."""
    lab = candidate()
    node = lab.nodes[N1]
    node.clock_offset += 1_000
    lab.step("n1", TimePassed())
    assert node.alive.role is Role.PRE_CANDIDATE
    hear(lab, "n1", "n2", VoteReply(Term(1), granted=True))
    assert node.alive.role is Role.PRE_CANDIDATE


def test_a_lost_election_is_over_at_once() -> None:
    lab = candidate(5)
    for peer in ("n2", "n3"):
        hear(lab, "n1", peer, VoteReply(Term(1), granted=False))
        assert lab["n1"].role is Role.CANDIDATE
    hear(lab, "n1", "n4", VoteReply(Term(1), granted=False))
    assert str(lab["n1"].role.value) == "follower"


def test_a_voter_that_changes_its_mind_counts_once() -> None:
    lab = candidate(5)
    hear(lab, "n1", "n2", VoteReply(Term(1), granted=False))
    for _ in range(3):
        hear(lab, "n1", "n2", VoteReply(Term(1), granted=True))
    assert lab["n1"].role is Role.CANDIDATE


def test_a_refusal_from_a_later_term_ends_a_campaign() -> None:
    lab = candidate()
    hear(lab, "n1", "n2", VoteReply(Term(7), granted=False))
    assert lab["n1"].ballot == Ballot(Term(7), None) and str(lab["n1"].role.value) == "follower"


def test_a_denied_request_does_not_make_a_voter_more_patient() -> None:
    """Or a candidate that cannot win would keep the others from trying."""
    lab = Lab(watch=Laws())
    lab.elect("n1")
    lab.crash("n1")
    lab.run(500)
    before = lab["n2"].wake_at
    hear(lab, "n2", "n3", VoteRequest(Term(5), NOTHING))
    assert lab["n2"].wake_at == before and lab["n2"].term == 5


def test_a_granted_vote_makes_it_patient() -> None:
    lab = Lab(watch=Laws())
    lab.now += 500
    hear(lab, "n2", "n3", VoteRequest(Term(5), NOTHING))
    wake = lab["n2"].wake_at
    assert wake is not None and wake >= lab.clock(lab.nodes[N2]) + lab.settings.election_timeout_ms_min


def test_a_pre_vote_for_a_term_we_are_in_is_refused_with_our_term() -> None:
    lab = Lab(watch=Laws())
    lab.now += 500
    hear(lab, "n2", "n3", VoteRequest(Term(5), NOTHING))
    effects = hear(lab, "n2", "n1", VoteRequest(Term(5), LogEnd(Term(4), Index(9)), pre=True))
    assert effects.send == [(N1, VoteReply(Term(5), granted=False, pre=True))]


def test_a_leader_does_not_campaign() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    effects = hear(lab, "n1", "n2", TimeoutNow(Term(1)))
    assert not effects.promise and lab["n1"].is_leader


def test_a_candidate_that_lost_knows_nothing_of_the_new_leaders_log() -> None:
    """What it has from the leader before may differ, and is not committed because the new one has got that far."""
    lab = Lab()
    entries = tuple(Entry(Term(1), Index(i), b"x") for i in (1, 2, 3))
    hear(lab, "n1", "n2", AppendRequest(Term(1), NOTHING, entries, Index(0), Millis(1)))
    lab.nodes[N1].clock_offset += 1_000
    lab.step("n1", TimePassed())
    hear(lab, "n1", "n2", VoteReply(Term(2), granted=True, pre=True))
    assert lab["n1"].role is Role.CANDIDATE and lab["n1"].term == 2
    effects = hear(lab, "n1", "n3", Heartbeat(Term(2), Index(3), Index(3), Millis(1)))
    assert not effects.committed and lab["n1"].commit == 0
    ((_, reply),) = effects.send
    assert isinstance(reply, HeartbeatReply) and (reply.received, reply.persisted, reply.missing) == (0, 0, True)


def test_a_handover_of_an_earlier_term_is_over() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    lab.crash("n1")
    lab.elect("n2")
    effects = hear(lab, "n3", "n1", TimeoutNow(Term(1)))
    assert not effects.promise and lab["n3"].leader == N2


def test_a_candidates_own_vote_and_request_wait_for_the_disk() -> None:
    lab = Lab(watch=Laws())
    node = lab.nodes[N1]
    node.holds_disk = True
    node.clock_offset += 1_000
    lab.step("n1", TimePassed())
    hear(lab, "n1", "n2", VoteReply(Term(1), granted=True, pre=True))
    asked = [m.message for m in lab.mail if isinstance(m.message, VoteRequest) and not m.message.pre]
    assert lab["n1"].role is Role.CANDIDATE and not asked
    lab.sync("n1")
    assert lab.nodes[N1].disk.ballot == Ballot(Term(1), N1) and len(lab.mail) == 4


def test_a_term_that_comes_with_a_refusal_does_not_end_loyalty() -> None:
    """n1 hears its leader, and then that the term is another: an answer to a question it asked before, and late.

    Its leader may hold a lease that counts on n1, so n1 elects nobody before the election timeout is over (seed 22390).
    """
    lab = Lab(["n1", "n2", "n3"], watch=Laws())
    hear(lab, "n1", "n2", AppendRequest(Term(1), NOTHING, (), Index(0), Millis(0)))
    hear(lab, "n1", "n3", VoteReply(Term(2), granted=False, pre=True))
    assert lab["n1"].term == 2
    asked = VoteRequest(Term(2), NOTHING, pre=False, transfer=False)
    assert hear(lab, "n1", "n3", asked).promise == [(N3, VoteReply(Term(2), granted=False))]
    lab.nodes[N1].clock_offset += 1_000
    assert hear(lab, "n1", "n3", asked).promise == [(N3, VoteReply(Term(2), granted=True))]
