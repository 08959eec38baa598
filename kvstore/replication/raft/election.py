"""Campaigning, granting, counting (thesis §3.4, §3.6.1, §4.2.3, §9.6).

A follower that loses patience first asks whether it would win (pre-vote, §9.6): nobody records that question, so a
node that was cut off cannot raise terms while nobody hears it. Only then it votes for itself and asks in earnest.
"""

from typing import TYPE_CHECKING

from kvstore.core.entries import Ballot
from kvstore.core.ids import Millis, NodeId, Term
from kvstore.replication.quorum import Verdict, verdict
from kvstore.replication.raft import following, quiescing
from kvstore.replication.raft.effects import Effects, Standing
from kvstore.replication.raft.messages import VoteReply, VoteRequest

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica


class Campaign:
    """One attempt to be elected: the votes heard so far, ours included."""

    __slots__ = ("pre", "term", "transfer", "votes")

    def __init__(self, me: NodeId, term: Term, pre: bool, transfer: bool) -> None:
        self.term = term
        self.pre = pre
        self.transfer = transfer
        self.votes: dict[NodeId, bool] = {me: True}

    def verdict(self, voters: int) -> Verdict:
        yes = sum(self.votes.values())
        return verdict(yes, len(self.votes) - yes, voters)


def lose_patience(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """No leader was heard for too long: ask whether we would win."""
    campaign(replica, now, out, pre=bool(replica.peers))


def campaign(replica: "RaftReplica", now: Millis, out: Effects, *, pre: bool, transfer: bool = False) -> None:
    """Ask everyone for a vote; in earnest only after voting for ourselves.

    The requests are promises: persist before promise. Whoever answers one may rely on our ballot being on disk, and
    so may we, when we count the answers and our own vote with them.
    """
    term = Term(replica.ballot.term + 1)
    attempt = Campaign(replica.me, term, pre, transfer)
    if not pre:
        replica.ballot = out.ballot = Ballot(term, replica.me)
    replica.become_candidate(now, out, attempt)
    request = VoteRequest(term, replica.log.last, pre, transfer)
    (out.send if pre else out.promise).extend((peer, request) for peer in replica.peers)
    count(replica, now, out)


def count(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """Act on the votes heard so far."""
    attempt = replica.campaign
    assert attempt is not None, "only a candidate counts votes"
    match attempt.verdict(len(replica.voters)):
        case Verdict.WON if attempt.pre:
            campaign(replica, now, out, pre=False)
        case Verdict.WON:
            replica.become_leader(now, out)
        case Verdict.LOST:
            replica.become_follower(now, out, replica.ballot.term, None)
        case Verdict.PENDING:
            pass


def on_vote_reply(replica: "RaftReplica", now: Millis, sender: NodeId, reply: VoteReply, out: Effects) -> None:
    """Count it if it answers the campaign we are in. A refusal from a later term ends the campaign."""
    attempt = replica.campaign
    if reply.term > replica.ballot.term and not (reply.pre and reply.granted):
        replica.become_follower(now, out, reply.term, None)
        return
    if attempt is None or attempt.pre != reply.pre:
        return
    if reply.term != (attempt.term if reply.granted else replica.ballot.term):
        return  # stale terms are rejected: an answer to an earlier campaign
    attempt.votes.setdefault(sender, reply.granted)
    count(replica, now, out)


def on_vote_request(replica: "RaftReplica", now: Millis, sender: NodeId, request: VoteRequest, out: Effects) -> None:
    """Grant at most one vote a term, to a candidate that has everything that can have been committed."""
    loyal = following.in_touch(replica, now) and not request.transfer
    if replica.quiesced:
        quiescing.wake(replica, now, out)  # somebody is without a leader: see whether ours still speaks
    if request.pre:
        granted = not loyal and request.term > replica.ballot.term and may_vote_for(replica, request)
        term = request.term if granted else replica.ballot.term
        out.send.append((sender, VoteReply(term, granted, pre=True)))
        return
    if request.term < replica.ballot.term:
        out.send.append((sender, VoteReply(replica.ballot.term, granted=False)))
        return
    if loyal and request.term > replica.ballot.term:
        return  # not even its term is taken over, or a lease would end with it
    if request.term > replica.ballot.term:
        replica.become_follower(now, out, request.term, None)
    # The term may have reached us another way, say with a refusal: that does not end our loyalty, nor a lease.
    may_vote = replica.ballot.voted_for == sender or (replica.ballot.voted_for is None and not loyal)
    granted = may_vote and may_vote_for(replica, request)
    if granted and replica.ballot.voted_for is None:
        # One vote a term, and it is on disk before the promise leaves.
        replica.ballot = out.ballot = Ballot(request.term, sender)
        following.be_patient(replica, now)
    out.promise.append((sender, VoteReply(request.term, granted)))


def may_vote_for(replica: "RaftReplica", request: VoteRequest) -> bool:
    """§5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the candidate"."""
    return replica.standing is Standing.VOTER and request.log_end >= replica.log.last


def on_timeout_now(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """The leader hands over to us (§3.10): campaign without waiting and without asking first."""
    if replica.is_leader:
        return
    if replica.standing is Standing.VOTER and not replica.damaged:
        campaign(replica, now, out, pre=False, transfer=True)
