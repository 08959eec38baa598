"""What a replica remembers of the leader it follows, its patience, and how fresh it knows its data to be."""

from typing import TYPE_CHECKING

from kvstore.core.ids import Index, Millis, NodeId
from kvstore.replication.raft.effects import Effects

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica


class Following:
    """Kept in every role: a candidate must still know when it last heard a leader."""

    __slots__ = ("born", "clock_offset", "deadline", "fresh_at", "fresh_index", "heard_at", "patience_ms", "verified")

    def __init__(self, now: Millis, clock_offset: int, verified: Index) -> None:
        self.heard_at = now
        self.deadline = now  # when patience ends; see `be_patient`
        self.patience_ms = Millis(0)
        self.verified = verified  # up to here our log equals that of the leader of this term
        self.born = now
        self.clock_offset = clock_offset
        self.fresh_at: Millis | None = None
        self.fresh_index = Index(0)


def be_patient(replica: "RaftReplica", now: Millis) -> None:
    """Draw a new patience (§5.2: randomised timeouts split votes rarely) and wait for that long from now.

    The preferred leader loses it first, and last a replica whose state is damaged: it could lead only to bring the
    others up to date and hand over, which is better than no leader if its log is ahead of theirs. Alone in the group
    there is nobody to wait for.
    """
    settings, following = replica.settings, replica.following
    low, high = settings.election_timeout_ms_min, settings.election_timeout_ms_max
    if replica.preferred_leader == replica.me:
        high = Millis(low + (high - low) // 8)
    if replica.damaged:
        low, high = Millis(3 * high), Millis(4 * high)
    following.patience_ms = Millis(replica.rng.randint(low, high)) if replica.peers else Millis(0)
    following.deadline = Millis(now + following.patience_ms)
    if replica.recovery is None:
        replica.wake_at = following.deadline


def hear_leader(replica: "RaftReplica", now: Millis, leader: NodeId, out: Effects) -> None:
    """A message of our term's leader arrived: follow it, and be patient again."""
    following = replica.following
    if replica.leader != leader:
        assert not replica.is_leader, f"{leader} and {replica.me} both lead term {replica.term}"
        replica.become_follower(now, out, replica.ballot.term, leader)
    following.heard_at = now
    following.deadline = deadline = Millis(now + following.patience_ms)
    replica.quiesced = False
    if replica.recovery is None:
        replica.wake_at = deadline


def in_touch(replica: "RaftReplica", now: Millis) -> bool:
    """Whether we have a leader to be loyal to: thesis §4.2.3, "if a server receives a RequestVote request within the

    minimum election timeout of hearing from a current leader, it does not update its term or grant its vote". The
    lease rests on this, so it also holds after a restart (`heard_at` starts at birth). A quiet group is loyal too,
    for the sake of peace only: it has no lease.
    """
    if replica.is_leader or replica.quiesced:
        return True
    return now - replica.following.heard_at < replica.settings.election_timeout_ms_min


def my_clock(replica: "RaftReplica", now: Millis) -> Millis:
    """Our clock as we tell it to leaders: from an origin drawn at birth, so that an echo of another life shows."""
    return Millis(now + replica.following.clock_offset)


def learn_freshness(replica: "RaftReplica", now: Millis, echo: Millis | None, commit: Index) -> None:
    """A leader with a lease had our `echo` when it said that `commit` covers all that is committed.

    So nothing above `commit` had been committed (or acknowledged) at that instant of our own clock, whatever the
    clocks of others say.
    """
    if echo is None:
        return
    following = replica.following
    instant = Millis(echo - following.clock_offset)
    if not following.born <= instant <= now:
        return  # an echo of an earlier life of ours, whose clock had another origin
    if following.fresh_at is None or instant > following.fresh_at:
        following.fresh_at = instant
        following.fresh_index = commit
