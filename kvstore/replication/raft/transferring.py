"""Handing leadership over: on request, to the preferred leader, and away from a slow disk (thesis §3.10).

The leader stops accepting proposals, brings the target up to date and tells it to campaign at once. Nobody refuses
that campaign for loyalty's sake, so the lease must end first: it is not used while a handover is under way, and never
again in this term once TimeoutNow has left, for that message and the vote requests it causes may arrive late.
"""

from typing import TYPE_CHECKING

from kvstore.core.ids import Millis, NodeId
from kvstore.replication.raft.effects import Effects, TransferLeadership
from kvstore.replication.raft.leadership import Handover, Leadership
from kvstore.replication.raft.messages import TimeoutNow
from kvstore.replication.raft.progress import Pace, Progress

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica


def on_transfer_leadership(replica: "RaftReplica", now: Millis, event: TransferLeadership, out: Effects) -> None:
    """Ignored unless we lead, and if the target cannot lead."""
    leadership = replica.leadership
    if leadership is None or leadership.handover is not None:
        return
    target = event.to if event.to is not None else best_follower(replica, leadership)
    if target in leadership.progress and is_able(replica, leadership.progress[target]):
        begin(replica, now, leadership, target, out)


def is_able(replica: "RaftReplica", progress: Progress) -> bool:
    """Whether that follower could lead, once it is up to date."""
    return progress.peer not in replica.down and not progress.recovering and progress.needs_image is None


def best_follower(replica: "RaftReplica", leadership: Leadership) -> NodeId | None:
    """The one that has most on disk; of equals the preferred leader, then the first voter."""
    able = [progress for progress in leadership.followers if is_able(replica, progress)]
    if not able:
        return None
    return max(able, key=lambda progress: (progress.match, progress.peer == replica.preferred_leader)).peer


def begin(replica: "RaftReplica", now: Millis, leadership: Leadership, target: NodeId, out: Effects) -> None:
    """From now on proposals are refused and the lease is not used."""
    leadership.handover = Handover(target, Millis(now + replica.settings.election_timeout_ms_max))
    consider(replica, leadership.progress[target], out)


def consider(replica: "RaftReplica", progress: Progress, out: Effects) -> None:
    """If this is the target and it has our whole log: let it campaign."""
    leadership = replica.leadership
    assert leadership is not None, "only a leader hands over"
    handover = leadership.handover
    if handover is None or handover.target != progress.peer or progress.match != replica.log.last.index:
        return
    leadership.forfeited = True
    out.send.append((progress.peer, TimeoutNow(replica.ballot.term)))


def tick(replica: "RaftReplica", now: Millis, leadership: Leadership, out: Effects) -> None:
    """Repeat, give up, or begin by ourselves."""
    handover = leadership.handover
    if handover is None and replica.damaged:
        on_transfer_leadership(replica, now, TransferLeadership(None), out)
    elif handover is None:
        _prefer(replica, now, leadership, out)
        _relieve_disk(replica, now, leadership, out)
    elif now >= handover.deadline or not is_able(replica, leadership.progress[handover.target]):
        leadership.handover = None  # "if leadership transfer does not complete after about an election timeout, …"
        if replica.damaged:
            replica.become_follower(now, out, replica.ballot.term, None)  # anybody leads better than we
    else:
        consider(replica, leadership.progress[handover.target], out)  # TimeoutNow may have been lost


def is_wanted(replica: "RaftReplica", leadership: Leadership) -> bool:
    """Whether a handover is under way, or will be as soon as the preferred leader has proved itself."""
    preferred = replica.preferred_leader
    if leadership.handover is not None:
        return True
    return (
        preferred in leadership.progress
        and is_able(replica, leadership.progress[preferred])
        and not leadership.forfeited
    )


def _prefer(replica: "RaftReplica", now: Millis, leadership: Leadership, out: Effects) -> None:
    """Hand over to the preferred leader when it has kept up for a while, at every single tick.

    Tried once a term: if it does not take the lead, it has a reason.
    """
    preferred = replica.preferred_leader
    if preferred not in leadership.progress or leadership.forfeited:
        return
    progress = leadership.progress[preferred]
    kept_up = progress.pace is Pace.STREAM and progress.match >= leadership.preferred_upto
    leadership.preferred_upto = replica.log.last.index
    if not kept_up or not is_able(replica, progress):
        leadership.preferred_since = now
    elif now - leadership.preferred_since >= replica.settings.prefer_after_ms:
        leadership.preferred_since = now
        begin(replica, now, leadership, preferred, out)


def _relieve_disk(replica: "RaftReplica", now: Millis, leadership: Leadership, out: Effects) -> None:
    """A leader whose disk is slow makes everyone's writes wait; a follower that is ahead of it will do better."""
    log = replica.log
    if log.persisted >= leadership.disk_mark:
        leadership.disk_mark, leadership.disk_mark_at = log.last.index, now
    elif now - leadership.disk_mark_at >= replica.settings.slow_disk_ms and leadership.handover is None:
        leadership.disk_mark_at = now
        best = best_follower(replica, leadership)
        if best is not None and leadership.progress[best].match > log.persisted:
            begin(replica, now, leadership, best, out)
