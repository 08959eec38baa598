"""Whom the leader can still reach: speaking up, trusting answers, the lease and check-quorum (thesis §6.2, §6.4)."""

from typing import TYPE_CHECKING

from kvstore.core.ids import Index, Millis
from kvstore.replication.quorum import reached_by_majority
from kvstore.replication.raft.effects import Effects
from kvstore.replication.raft.leadership import Leadership
from kvstore.replication.raft.messages import AppendReply, Heartbeat, HeartbeatReply, SnapshotReply
from kvstore.replication.raft.progress import News, Pace, Progress

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica


def broadcast(replica: "RaftReplica", now: Millis, leadership: Leadership, out: Effects) -> None:
    """A heartbeat to everyone. It carries the latest read round and the commit index."""
    term, commit, context = replica.ballot.term, replica.commit, leadership.round
    quiesce = leadership.quiescing_since is not None
    fresh = replica.has_lease(now)
    for progress in leadership.followers:
        sent = progress.next - 1 if progress.pace is Pace.STREAM else progress.match
        echo = progress.at if fresh else None
        beat = Heartbeat(term, commit, Index(sent), now, context, quiesce, echo)
        out.send.append((progress.peer, beat))


def take_note(
    replica: "RaftReplica",
    now: Millis,
    leadership: Leadership,
    progress: Progress,
    reply: AppendReply | HeartbeatReply | SnapshotReply,
) -> bool:
    """What every answer tells: the follower is there. False if the answer must not be believed."""
    if reply.recovering:
        distrust(replica, now, leadership, progress)
    elif reply.sent_at <= progress.distrusted_at:
        return False  # said before it lost its disk, heard only now: what it had is gone, also if it has recovered
    elif progress.recovering:
        progress.recovering = False
        progress.match = Index(0)  # as a voter it says anew how far it is
    progress.heard_at = now
    if reply.sent_at > progress.at_sent:
        progress.at_sent = reply.sent_at
        progress.at = reply.at
    return True


def distrust(replica: "RaftReplica", now: Millis, leadership: Leadership, progress: Progress) -> None:
    """The follower lost its disk: it counts for nothing until it is a voter again."""
    if not progress.recovering:
        progress.forget()
        progress.turn(News.LOST)
        if progress.pace is Pace.PROBE:
            progress.next = Index(replica.log.last.index + 1)  # it may have more than nothing: ask before we resend
        renew_lease(replica, now, leadership)
    progress.distrusted_at = now


def renew_lease(replica: "RaftReplica", now: Millis, leadership: Leadership) -> None:
    """The lease lasts from the latest moment at which we spoke and a majority, ourselves included, heard us.

    Nobody of that majority votes within `election_timeout_ms_min` of hearing us (`following.in_touch`), so nobody
    else is elected before that is over; `lease_ms` is shorter by as much as clocks may drift apart. It is counted
    from when we spoke, not from when we heard: both instants are ours, and the first is certainly the earlier.
    """
    if not leadership.followers:
        return
    heard = [p.beat for p in leadership.followers]  # 0 of those that lost their disks, see `Progress.forget`
    heard.append(now)
    leadership.lease_until = Millis(reached_by_majority(heard) + replica.settings.lease_ms)


def drop_lease(leadership: Leadership) -> None:
    """Before we stop speaking: whoever spoke to us must do so again."""
    for progress in leadership.followers:
        progress.beat = Millis(0)
    if leadership.followers:
        leadership.lease_until = Millis(0)


def lost_majority(replica: "RaftReplica", now: Millis, leadership: Leadership) -> bool:
    """Check-quorum (§6.2): "a leader steps down if an election timeout elapses without a successful round"."""
    heard = [Millis(0) if p.recovering else p.heard_at for p in leadership.followers]
    heard.append(now)
    return reached_by_majority(heard) + replica.settings.election_timeout_ms_max < now
