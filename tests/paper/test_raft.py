"""One test per sentence of the thesis (Ongaro, "Consensus: Bridging Theory and Practice"), its section in the name.

Every test is a cluster in the laboratory under the eyes of the laws (tests/replication/raft/laws.py). What the
thesis does with empty AppendEntries, our heartbeats do.
"""

import pytest

from kvstore.core.entries import NOTHING, Ballot, Entry, LogEnd
from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Effects, Received, TimePassed, TransferLeadership
from kvstore.replication.raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    Message,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from kvstore.replication.raft.replica import Role
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab, Watch
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def cluster(count: int = 3, **settings: int) -> Lab:
    names = [f"n{number}" for number in range(1, count + 1)]
    return Lab(names, settings=RaftSettings(**settings), watch=Laws())  # type: ignore[arg-type]


def led_by_n1(count: int = 3, **settings: int) -> Lab:
    lab = cluster(count, **settings)
    lab.elect("n1")
    return lab


def hear(lab: Lab, name: str, sender: str, message: Message) -> Effects:
    return lab.step(name, Received(NodeId(sender), message))


def alarm(lab: Lab, name: str) -> Effects:
    """That node's alarm goes off; the others have not heard a leader for long enough either."""
    lab.now += lab.settings.election_timeout_ms_min
    node = lab.nodes[NodeId(name)]
    node.clock_offset += max(0, (node.alive.wake_at or Millis(0)) - lab.clock(node))
    return lab.step(name, TimePassed())


def end(index: int, term: int) -> LogEnd:
    return LogEnd(Term(term), Index(index))


def vote_request(term: int, log_end: LogEnd = NOTHING, *, pre: bool = False) -> VoteRequest:
    return VoteRequest(Term(term), log_end, pre)


def beat(term: int, commit: int = 0) -> Heartbeat:
    return Heartbeat(Term(term), Index(commit), Index(0), Millis(1))


def append(term: int, previous: LogEnd = NOTHING, *terms: int, commit: int = 0) -> AppendRequest:
    entries = tuple(Entry(Term(t), Index(i), b"x") for i, t in enumerate(terms, previous.index + 1))
    return AppendRequest(Term(term), previous, entries, Index(commit), Millis(1))


# --- 3.3 terms --------------------------------------------------------------------------------------------------------


def test_3_3_a_server_with_a_smaller_term_updates_it() -> None:
    """If one server's current term is smaller than the other's, then it updates its current term to the larger."""
    lab = cluster()
    hear(lab, "n1", "n2", beat(7))
    assert lab["n1"].ballot == Ballot(Term(7), None)
    assert lab.nodes[N1].disk.ballot.term == 7


@pytest.mark.parametrize("candidate", [False, True])
def test_3_3_a_leader_or_candidate_out_of_date_reverts_to_follower(candidate: bool) -> None:
    """If a candidate or leader discovers that its term is out of date, it immediately reverts to follower state."""
    lab = cluster() if candidate else led_by_n1()
    if candidate:
        alarm(lab, "n1")
    hear(lab, "n1", "n2", beat(9))
    assert lab["n1"].role is Role.FOLLOWER and lab["n1"].leader == N2


def test_3_3_a_request_with_a_stale_term_is_rejected() -> None:
    """If a server receives a request with a stale term number, it rejects the request."""
    lab = led_by_n1()
    lab.crash("n1")
    lab.elect("n2")
    before = lab["n3"].last
    effects = hear(lab, "n3", "n1", append(1, before, 1))
    assert [(to, reply.term) for to, reply in effects.send if isinstance(reply, AppendReply)] == [(N1, 2)]
    assert lab["n3"].last == before and lab["n3"].leader == N2


def test_3_3_a_stale_vote_request_is_rejected() -> None:
    lab = led_by_n1()
    lab.crash("n1")
    lab.elect("n2")
    effects = hear(lab, "n3", "n1", vote_request(1, end(9, 1)))
    assert effects.send == [(N1, VoteReply(Term(2), granted=False))]


# --- 3.4 leader election ----------------------------------------------------------------------------------------------


def test_3_4_servers_begin_as_followers() -> None:
    """When servers start up, they begin as followers."""
    lab = cluster()
    assert [node.alive.role for node in lab.nodes.values()] == [Role.FOLLOWER] * 3


def test_3_4_a_follower_that_hears_nobody_begins_an_election() -> None:
    """If a follower receives no communication over a period of time, then it begins an election."""
    lab = cluster()
    lab.pass_time(lab.settings.election_timeout_ms_max)
    assert any(isinstance(letter.message, VoteRequest) for letter in lab.mail)


def test_3_4_heartbeats_maintain_authority() -> None:
    """Leaders send periodic heartbeats to all followers in order to maintain their authority."""
    lab = led_by_n1(quiesce_after_ms=1_000_000)
    lab.run(10_000)
    assert lab["n1"].is_leader and lab["n1"].term == 1


def test_3_4_a_candidate_increments_its_term_votes_for_itself_and_asks_all() -> None:
    """To begin an election, a follower increments its current term, votes for itself and asks all others."""
    lab = cluster(5)
    alarm(lab, "n1")
    for letter in list(lab.mail):  # the pre-vote (§9.6) comes first
        lab.deliver(letter)
    for letter in list(lab.mail):
        lab.deliver(letter)
        if lab["n1"].role is Role.CANDIDATE:
            break
    assert lab["n1"].ballot == lab.nodes[N1].disk.ballot == Ballot(Term(1), N1)
    asked = [letter.to for letter in lab.mail if letter.message == vote_request(1)]
    assert asked == ["n2", "n3", "n4", "n5"]


def test_3_4_at_most_one_vote_a_term_first_come_first_served() -> None:
    """Each server will vote for at most one candidate in a given term, on a first-come-first-served basis."""
    lab = cluster()
    lab.now += 500
    hear(lab, "n1", "n2", vote_request(3))
    hear(lab, "n1", "n3", vote_request(3))
    hear(lab, "n1", "n2", vote_request(3))  # the same again: the request or the answer was repeated on the way
    answers = [(letter.to, letter.message) for letter in lab.mail]
    yes, no = VoteReply(Term(3), granted=True), VoteReply(Term(3), granted=False)
    assert answers == [(N2, yes), (N3, no), (N2, yes)]


@pytest.mark.parametrize(("voters", "needed"), [(1, 0), (2, 1), (3, 1), (5, 2)])
def test_3_4_a_majority_of_votes_wins(voters: int, needed: int) -> None:
    """A candidate wins an election if it receives votes from a majority of the servers in the full cluster."""
    lab = cluster(voters)
    alarm(lab, "n1")
    for pre in (True, False):
        for granted in range(needed):
            assert not lab["n1"].is_leader
            hear(lab, "n1", f"n{granted + 2}", VoteReply(Term(1), granted=True, pre=pre))
    assert lab["n1"].is_leader


def test_3_4_one_voter_counts_once() -> None:
    lab = cluster(5)
    alarm(lab, "n1")
    for pre in (True, True, False, False):
        hear(lab, "n1", "n2", VoteReply(Term(1), granted=True, pre=pre))
        hear(lab, "n1", "n3", VoteReply(Term(1), granted=True, pre=True))
    assert lab["n1"].role is Role.CANDIDATE


def test_3_4_a_candidate_follows_a_leader_of_its_term() -> None:
    """If the leader's term is at least as large as the candidate's, then the candidate returns to follower state."""
    lab = cluster()
    alarm(lab, "n1")
    hear(lab, "n1", "n2", VoteReply(Term(1), granted=True, pre=True))
    assert lab["n1"].role is Role.CANDIDATE
    hear(lab, "n1", "n3", beat(1))
    assert str(lab["n1"]) == "n1@1 follower log=0@0 commit=0 leader=n3"


def test_3_4_a_candidate_ignores_a_leader_of_an_earlier_term() -> None:
    """If the term in the RPC is smaller, then the candidate rejects the RPC and continues in candidate state."""
    lab = cluster()
    alarm(lab, "n1")
    hear(lab, "n1", "n2", VoteReply(Term(1), granted=True, pre=True))
    hear(lab, "n1", "n3", beat(0))
    assert lab["n1"].role is Role.CANDIDATE


def test_3_4_after_a_split_vote_a_new_election_in_a_later_term() -> None:
    """Each candidate will time out and start a new election by incrementing its term."""
    lab = cluster()
    alarm(lab, "n1")
    hear(lab, "n1", "n2", VoteReply(Term(1), granted=True, pre=True))
    lab.mail.clear()
    alarm(lab, "n1")
    hear(lab, "n1", "n2", VoteReply(Term(2), granted=True, pre=True))
    assert lab["n1"].ballot == Ballot(Term(2), N1)


def test_3_4_election_timeouts_are_drawn_from_an_interval() -> None:
    """Election timeouts are chosen randomly from a fixed interval."""
    lab = cluster(5)
    born = [lab.clock(node) for node in lab.nodes.values()]
    patience = {(node.alive.wake_at or 0) - at for node, at in zip(lab.nodes.values(), born, strict=True)}
    assert len(patience) > 1
    assert all(lab.settings.election_timeout_ms_min <= p <= lab.settings.election_timeout_ms_max for p in patience)


# --- 3.5 log replication ----------------------------------------------------------------------------------------------


def test_3_5_a_command_is_appended_and_sent_to_all_in_parallel() -> None:
    """The leader appends the command to its log, then issues AppendEntries in parallel to the other servers."""
    lab = led_by_n1()
    effects = lab.propose("n1", "a")
    assert [entry.payload for entry in effects.append] == [b"a"]
    assert [to for to, message in effects.send if isinstance(message, AppendRequest)] == ["n2", "n3"]
    assert effects.accepted == (1, 2)


def test_3_5_only_the_leader_takes_commands() -> None:
    lab = led_by_n1()
    effects = lab.propose("n2", "a")
    assert effects.refused and not effects.overloaded and effects.accepted is None


@pytest.mark.parametrize(("count", "down"), [(3, 1), (5, 2)])
def test_3_5_an_entry_is_committed_once_a_majority_has_it(count: int, down: int) -> None:
    """A log entry is committed once the leader that created the entry has replicated it on a majority."""
    lab = led_by_n1(count)
    for number in range(count - down, count):
        lab.crash(f"n{number + 1}")
    lab.propose("n1", "a")
    lab.settle()
    assert lab.nodes[N1].applied[-1].payload == b"a"


def test_3_5_a_minority_commits_nothing() -> None:
    lab = led_by_n1(5)
    for name in ("n3", "n4", "n5"):
        lab.crash(name)
    lab.propose("n1", "a")
    lab.settle()
    assert lab["n1"].commit == 1


def test_3_5_a_commit_carries_all_earlier_entries() -> None:
    """This also commits all preceding entries in the leader's log, including entries created by previous leaders."""
    lab = led_by_n1()
    lab.cut(["n1", "n2"], ["n3"])
    lab.nodes[N1].holds_disk = True
    lab.propose("n1", "a")
    lab.settle()
    assert lab["n1"].commit == 1
    lab.crash("n1")
    lab.heal()
    lab.elect("n2")
    assert [entry.payload for entry in lab.nodes[N2].applied] == [b"", b"a", b""]


def test_3_5_followers_learn_what_is_committed_and_apply_it() -> None:
    """Once a follower learns that a log entry is committed, it applies the entry to its local state machine."""
    lab = led_by_n1()
    lab.propose("n1", "a")
    lab.run(200)
    assert [node.applied for node in lab.nodes.values()] == [lab.nodes[N1].applied] * 3


def test_3_5_a_follower_commits_only_what_equals_the_leaders_log() -> None:
    """Its log may be longer than what it knows to be the leader's: that part is not committed by the leader's word."""
    lab = cluster()
    lab.watch = Watch()  # the leaders here are ghosts, and the laws would look for their disks
    hear(lab, "n1", "n2", append(1, NOTHING, 1, 1, 1))
    hear(lab, "n1", "n3", beat(2, commit=3))
    assert lab["n1"].commit == 0
    hear(lab, "n1", "n3", append(2, end(1, 1), 2, commit=2))
    assert lab["n1"].commit == 2


def test_3_5_new_entries_are_refused_without_the_one_before() -> None:
    """If the follower does not find an entry with the same index and term, then it refuses the new entries."""
    lab = cluster()
    hear(lab, "n1", "n2", append(1, NOTHING, 1))
    for previous in (end(3, 1), end(1, 0)):
        effects = hear(lab, "n1", "n2", append(1, previous, 1))
        ((_, reply),) = effects.send
        assert isinstance(reply, AppendReply) and reply.rejected == previous.index
    assert lab["n1"].last == end(1, 1)


def test_3_5_conflicting_entries_are_overwritten() -> None:
    """Conflicting entries in follower logs will be overwritten with entries from the leader's log."""
    lab = cluster()
    hear(lab, "n1", "n2", append(1, NOTHING, 1, 1, 1))
    effects = hear(lab, "n1", "n3", append(2, end(1, 1), 2))
    assert effects.truncate_from == 2
    assert [entry.term for entry in lab.nodes[N1].disk.entries] == [1, 2]


def test_3_5_a_leader_never_overwrites_its_own_log() -> None:
    """A leader never overwrites or deletes entries in its own log."""
    lab = led_by_n1()
    lab.cut(["n1"], ["n2", "n3"])
    lab.propose("n1", "a", "b")
    lab.elect("n2")
    assert lab["n1"].last == end(3, 1), "it keeps them until it follows another"
    lab.heal()
    lab.run(400)
    assert lab["n1"].last == lab["n2"].last and lab["n1"].term == 2


def test_3_5_present_entries_are_ignored() -> None:
    """If a request includes entries already present in its log, the follower ignores those in the new request."""
    lab = cluster()
    hear(lab, "n1", "n2", append(1, NOTHING, 1, 1, 1))
    effects = hear(lab, "n1", "n2", append(1, NOTHING, 1, 1))
    assert not effects.append and effects.truncate_from is None
    assert lab["n1"].last == end(3, 1), "an old message must not cut off what came after it"


# --- 3.6 safety -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "voter", "granted"),
    [
        (end(3, 1), end(3, 1), True),
        (end(2, 1), end(3, 1), False),  # shorter
        (end(1, 2), end(3, 1), True),  # a later last term beats a longer log
        (end(9, 1), end(1, 2), False),
    ],
)
def test_3_6_1_the_voter_denies_its_vote_if_its_own_log_is_more_up_to_date(
    candidate: LogEnd, voter: LogEnd, granted: bool
) -> None:
    lab = cluster()
    hear(lab, "n1", "n2", append(2, NOTHING, *[voter.term] * voter.index))
    lab.now += 500
    lab.mail.clear()
    for pre in (True, False):
        hear(lab, "n1", "n3", vote_request(3, candidate, pre=pre))
    answers = [letter.message.granted for letter in lab.mail if isinstance(letter.message, VoteReply)]
    assert answers == [granted, granted]


def test_3_6_2_only_entries_of_the_current_term_are_committed_by_counting() -> None:
    """Raft never commits log entries from previous terms by counting replicas."""
    lab = cluster()
    hear(lab, "n1", "n3", append(2, NOTHING, 1, 2))
    alarm(lab, "n1")
    for pre in (True, False):
        hear(lab, "n1", "n2", VoteReply(Term(3), granted=True, pre=pre))
    assert lab["n1"].is_leader and lab["n1"].last == end(3, 3)
    hear(lab, "n1", "n2", AppendReply(Term(3), Index(2), Millis(1), Millis(1)))
    assert lab["n1"].commit == 0, "2@2 is on a majority, and not committed"
    hear(lab, "n2", "n3", append(2, NOTHING, 1, 2))
    lab.mail.clear()
    lab.run(200)
    assert lab["n1"].commit == 3


def test_3_8_what_a_vote_and_a_reply_rest_on_is_on_disk_first() -> None:
    """Each server persists its current term and vote before responding; and new entries before they are counted."""
    lab = cluster()
    lab.now += 500
    lab.nodes[N1].holds_disk = True
    hear(lab, "n1", "n2", vote_request(1))
    hear(lab, "n1", "n2", append(1, NOTHING, 1))
    assert not lab.mail
    lab.sync("n1")
    assert [type(letter.message) for letter in lab.mail] == [VoteReply, AppendReply]


# --- 3.10 leadership transfer -----------------------------------------------------------------------------------------


def test_3_10_the_prior_leader_stops_accepting_requests() -> None:
    lab = led_by_n1()
    lab.cut(["n1", "n3"], ["n2"])
    lab.step("n1", TransferLeadership(N2))
    assert lab.propose("n1", "a").refused


def test_3_10_the_target_is_brought_up_to_date_before_it_campaigns() -> None:
    lab = led_by_n1()
    lab.propose("n1", "a")
    effects = lab.step("n1", TransferLeadership(N2))
    assert not effects.send, "n2 does not have it yet"
    lab.settle()
    assert lab["n2"].is_leader


def test_3_10_the_target_campaigns_without_waiting() -> None:
    """The target server starts a new election (incrementing its term and becoming a candidate)."""
    lab = led_by_n1()
    effects = hear(lab, "n2", "n1", TimeoutNow(Term(1)))
    assert [message.transfer for _, message in effects.promise if isinstance(message, VoteRequest)] == [True, True]
    lab.settle()
    assert lab["n2"].is_leader, "n1 and n3 have just heard n1, and vote nevertheless"


def test_3_10_it_is_aborted_after_an_election_timeout() -> None:
    """If leadership transfer does not complete after about an election timeout, the prior leader aborts it."""
    lab = led_by_n1()
    lab.cut(["n1", "n3"], ["n2"])
    lab.step("n1", TransferLeadership(N2))
    lab.run(1_100)
    assert lab["n1"].is_leader and not lab.propose("n1", "a").refused


# --- 4.2.3 disruptive servers, 6.2 check-quorum, 9.6 pre-vote ---------------------------------------------------------


def test_4_2_3_no_vote_and_no_term_within_the_minimum_election_timeout() -> None:
    """If a server receives a RequestVote request within the minimum election timeout of hearing from a current
    leader, it does not update its term or grant its vote."""
    lab = led_by_n1()
    for name in ("n1", "n2"):
        effects = hear(lab, name, "n3", vote_request(5, end(9, 4)))
        assert effects.ballot is None and not effects.promise and lab[name].term == 1


def test_6_2_a_leader_without_a_majority_steps_down() -> None:
    """A leader steps down if an election timeout elapses without a successful round of heartbeats to a majority."""
    lab = led_by_n1()
    lab.cut(["n1"], ["n2", "n3"])
    lab.run(1_200)
    assert not lab["n1"].is_leader


def test_6_2_a_leader_with_a_majority_stays() -> None:
    lab = led_by_n1()
    lab.crash("n3")
    lab.run(2_500)
    assert lab["n1"].is_leader


def test_9_6_nobody_records_a_pre_vote() -> None:
    """A candidate only increments its term if it first learns from a majority that they would grant their votes."""
    lab = cluster()
    alarm(lab, "n3")
    lab.settle()
    assert lab["n3"].is_leader
    lab.cut(["n1"], ["n2", "n3"])
    term = lab["n1"].term
    lab.run(5_000)
    assert lab["n1"].term == term
    effects = hear(lab, "n2", "n1", vote_request(2, end(9, 1), pre=True))
    assert effects.ballot is None


# --- 6.4 reads --------------------------------------------------------------------------------------------------------


def test_6_4_no_reads_before_an_entry_of_the_own_term_is_committed() -> None:
    """The leader must not serve reads until it has committed an entry from its term (a no-op entry)."""
    lab = cluster()
    alarm(lab, "n1")
    for pre in (True, False):
        hear(lab, "n1", "n2", VoteReply(Term(1), granted=True, pre=pre))
    lab.read("n1", 1)
    lab.run(20)
    assert lab.nodes[N1].answered == [(1, 1)]


def test_6_4_a_read_asks_a_majority_whether_we_still_lead() -> None:
    """The leader needs to make sure it has not been superseded by a newer leader of which it is unaware."""
    lab = led_by_n1()
    lab.cut(["n1"], ["n2", "n3"])
    lab.read("n1", 1)
    lab.elect("n2")
    lab.run(1_500)
    assert lab.nodes[N1].answered == [] and lab.nodes[N1].failed == [1]


def test_6_4_a_round_that_began_before_the_read_proves_nothing() -> None:
    lab = led_by_n1()
    lab.read("n1", 1)
    for letter in list(lab.mail):  # the heartbeats of round 1 are answered …
        lab.deliver(letter)
    lab.read("n1", 2)  # … before this read comes
    for letter in list(lab.mail):
        lab.deliver(letter)
    assert lab.nodes[N1].answered == [(1, 1)]
    lab.settle()
    assert lab.nodes[N1].answered == [(1, 1), (2, 1)]


def test_6_4_1_the_lease_lasts_for_less_than_an_election_timeout_from_when_the_heartbeat_left() -> None:
    """The lease would extend to start + election timeout / clock drift bound."""
    lab = led_by_n1()
    lab.pass_time(100)
    (left,) = {letter.message.sent_at for letter in lab.mail if isinstance(letter.message, Heartbeat)}
    lab.pass_time(20)  # the answers take their time
    lab.settle()
    assert lab["n1"].has_lease(Millis(left + 449))
    assert not lab["n1"].has_lease(Millis(left + 450))


# --- 10.2.1 writing to the leader's disk in parallel ------------------------------------------------------------------


def test_10_2_1_the_leader_writes_while_its_followers_do() -> None:
    """The leader may even commit an entry before it has been written to its own disk, if a majority of followers
    have written it to their disks."""
    lab = led_by_n1()
    lab.nodes[N1].holds_disk = True
    lab.propose("n1", "a")
    lab.settle()
    assert lab["n1"].commit == 2 and lab["n1"].persisted == 1
