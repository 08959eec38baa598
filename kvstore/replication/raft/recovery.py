"""A replica that lost its disk, or a part of its log, becomes a voter again without breaking a promise it forgot.

It may have promised two things: to hold entries, and not to vote twice in a term. While it is RECOVERING it does
neither: it never votes or campaigns, its answers say so, and the leader replicates to it but counts it for nothing
(commit, lease, reads, check-quorum). To come back it must

(a) hear the current term of every other voter, take over the largest and regard its vote of that term as used;
(b) then ask the leader up to where it must be. The leader confirms its leadership by a round of heartbeats that
    begins after the question, without counting us, and answers with its commit index. When our log is on disk up to
    that index, under that same leader, we are a voter again; that is on disk before any promise we make as one.

Why this is safe, with 2f + 1 voters of which we are one, and at most f of them recovering at any time:

*Votes.* Every vote we may have given to another voter was asked for, and a candidate persists its term before asking.
So it was given in a term at most the largest heard in (a), and of that one our vote counts as used: we give none
twice. (A vote for ourselves counted only in the campaign we have forgotten.) The nonce keeps answers to an earlier
loss out.

*Entries.* Let e be an entry that a leader of term t committed with our help before our loss: it is on the disks of us
and f of the 2f others. Let T be the term of the leader that answers in (b).
  T < t cannot be: f others were in term t before our loss, so they refuse the heartbeats of T after our question, and
  the f that remain are no majority.
  T = t: that leader committed e before we asked, so its commit index covers it.
  T > t: its f + 1 voters include one that held e when it voted: one of the f others, or ourselves, before the loss or
  after an earlier recovery. That voter asked for a log at least as up-to-date as its own (§5.4.1), so by the usual
  induction e is in the leader's log, before the first entry of its term, which is committed before it answers.
Either way e is at or below the index it gives us, and e is on our disk again before we count.

*Late messages.* What we said before the loss may be heard after it. The leader that answers in (b) distrusts every
answer to what it sent before it heard of our loss, by its own clock (`Progress.distrusted_at`): only it could commit
something new with such an answer and not have told us. A leader of an earlier term could too, but only what is in the
log of T below T's first entry by the argument above, which does not depend on when the answer is heard.

With two voters nobody can confirm without us, and a single voter has nobody to ask: they stay RECOVERING.
"""

from typing import TYPE_CHECKING

from kvstore.core.entries import Ballot, LogEnd
from kvstore.core.ids import Millis, NodeId, Term
from kvstore.replication.raft import contact, following, quiescing, reading
from kvstore.replication.raft.effects import Effects, Standing
from kvstore.replication.raft.leadership import Asker
from kvstore.replication.raft.messages import RecoveryQuery, RecoveryReply, TermQuery, TermReply

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica

USED_UP = NodeId("-")
"""In a ballot: the vote of that term is taken, nobody remembers by whom. No node has this name."""


class Recovery:
    """How far we have got on the way back."""

    __slots__ = ("nonce", "retry_at", "settled", "target", "terms")

    def __init__(self, nonce: int, now: Millis) -> None:
        self.nonce = nonce
        self.terms: dict[NodeId, Term] = {}  # (a) by voter
        self.settled = False  # (a) is done
        self.target: LogEnd | None = None  # (b) the leader's term, and up to where we must be
        self.retry_at = now


# --- the one that lost its disk ---------------------------------------------------------------------------------------


def tick(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """Ask, and ask again."""
    recovery = replica.recovery
    assert recovery is not None, "only a recovering replica asks"
    recovery.retry_at = replica.wake_at = Millis(now + replica.settings.recovery_retry_ms)
    if not recovery.settled:
        missing = [peer for peer in replica.peers if peer not in recovery.terms]
        out.send.extend((peer, TermQuery(recovery.nonce)) for peer in missing)
    elif replica.leader is not None and (recovery.target is None or recovery.target.term != replica.ballot.term):
        out.promise.append((replica.leader, RecoveryQuery(replica.ballot.term, recovery.nonce)))


def on_term_reply(replica: "RaftReplica", now: Millis, sender: NodeId, reply: TermReply, out: Effects) -> None:
    """(a) When all others have told their term: take over the largest, its vote used up."""
    recovery = replica.recovery
    if recovery is None or recovery.settled or reply.nonce != recovery.nonce:
        return
    recovery.terms[sender] = reply.term
    if len(recovery.terms) < len(replica.peers):
        return
    term = Term(max(replica.ballot.term, *recovery.terms.values()))
    if term > replica.ballot.term:
        replica.become_follower(now, out, term, None)
    replica.ballot = out.ballot = Ballot(term, USED_UP)
    recovery.settled = True
    tick(replica, now, out)


def on_recovery_reply(replica: "RaftReplica", now: Millis, reply: RecoveryReply, out: Effects) -> None:
    """(b) The leader of our term says up to where we must be."""
    recovery = replica.recovery
    if recovery is None or not recovery.settled or reply.nonce != recovery.nonce:
        return
    recovery.target = LogEnd(reply.term, reply.commit)
    consider(replica, now, out)


def consider(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """Become a voter if everything the leader told us of is on our disk, and it is still the same leader."""
    recovery = replica.recovery
    if recovery is None or recovery.target is None or recovery.target.term != replica.ballot.term:
        return
    if min(replica.log.persisted, replica.following.verified) < recovery.target.index:
        return
    replica.recovery = None
    replica.standing = out.standing = Standing.VOTER
    replica.following.heard_at = now  # as after a restart: loyal for an election timeout
    following.be_patient(replica, now)


# --- the others -------------------------------------------------------------------------------------------------------


def on_term_query(replica: "RaftReplica", now: Millis, sender: NodeId, query: TermQuery, out: Effects) -> None:
    """Our term is on disk before it leaves: a promise that we asked for votes in no later one."""
    if replica.quiesced:
        quiescing.wake(replica, now, out)
    out.promise.append((sender, TermReply(replica.ballot.term, query.nonce)))


def on_recovery_query(replica: "RaftReplica", now: Millis, sender: NodeId, query: RecoveryQuery, out: Effects) -> None:
    """Distrust the asker first, then find out whether we still lead without it."""
    leadership = replica.leadership
    if leadership is None:
        return
    contact.distrust(replica, now, leadership, leadership.progress[sender])
    reading.enquire(replica, now, leadership, Asker(query.nonce, sender), out)
