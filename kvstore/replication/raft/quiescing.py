"""Idle groups stop their clocks, and whoever has news starts them again. Not in the thesis; the idea is CockroachDB's.

A leader with nothing to do proposes silence with its heartbeats. A follower that has everything stops its clock and
says so; when all who are up have said so, the leader stops too. From then on the group costs nothing, has no lease,
and relies on the liveness of nodes (`PeerUp`, `PeerDown`) instead of its own. Any message with news wakes it. Nothing
about safety rests on this file: silence only delays.
"""

from typing import TYPE_CHECKING

from kvstore.core.ids import Millis, NodeId
from kvstore.replication.quorum import majority
from kvstore.replication.raft import contact, following, transferring
from kvstore.replication.raft.effects import Effects, PeerDown, PeerUp, Standing
from kvstore.replication.raft.leadership import Leadership
from kvstore.replication.raft.messages import Heartbeat, HeartbeatReply

if TYPE_CHECKING:
    from kvstore.replication.raft.progress import Progress
    from kvstore.replication.raft.replica import RaftReplica


# --- leader -----------------------------------------------------------------------------------------------------------


def is_idle(replica: "RaftReplica", now: Millis, leadership: Leadership) -> bool:
    """Whether silence would hide nothing: everyone who is up has everything and knows that it is committed."""
    last = replica.log.last.index
    return (
        now - leadership.idle_since >= replica.settings.quiesce_after_ms
        and replica.commit == replica.log.persisted == last
        and not transferring.is_wanted(replica, leadership)
        and len(replica.voters) - len(replica.down) >= majority(len(replica.voters))
        and not leadership.askers
        and not leadership.waiting
        and all(
            progress.peer in replica.down
            or (progress.match == progress.commit == last and not progress.recovering and progress.transfer is None)
            for progress in leadership.followers
        )
    )


def propose_silence(replica: "RaftReplica", now: Millis, leadership: Leadership) -> None:
    """At each tick: heartbeats ask for silence for as long as the group is idle. Alone we need not ask."""
    if not is_idle(replica, now, leadership):
        leadership.quiescing_since = None
        return
    if leadership.quiescing_since is None:
        leadership.quiescing_since = now
        for progress in leadership.followers:
            progress.quiesced = False
    _fall_silent(replica, leadership)


def on_silence_answered(
    replica: "RaftReplica",
    now: Millis,
    leadership: Leadership,
    progress: "Progress",
    reply: HeartbeatReply,
    out: Effects,
) -> None:
    """A follower is quiet, or not: then we are not either."""
    since = leadership.quiescing_since
    if since is None or reply.sent_at < since:
        return
    progress.quiesced = reply.quiesced
    if reply.quiesced:
        _fall_silent(replica, leadership)
    elif replica.quiesced:
        wake(replica, now, out)


def _fall_silent(replica: "RaftReplica", leadership: Leadership) -> None:
    if all(progress.quiesced or progress.peer in replica.down for progress in leadership.followers):
        replica.quiesced = True
        replica.wake_at = None
        contact.drop_lease(leadership)


# --- follower ---------------------------------------------------------------------------------------------------------


def agree(replica: "RaftReplica", leader: NodeId, beat: Heartbeat) -> None:
    """Stop our clock if we have everything the leader has, and would be told if it went away."""
    log = replica.log
    if (
        leader not in replica.down
        and replica.following.verified == log.last.index == log.persisted == beat.commit == replica.commit
        and replica.standing is Standing.VOTER
        and not replica.damaged
    ):
        replica.quiesced = True
        replica.wake_at = None


# --- both -------------------------------------------------------------------------------------------------------------


def wake(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """There is news: start the clock. A leader speaks up at once; a follower begins to wait for its leader."""
    leadership = replica.leadership
    if leadership is None:
        if replica.quiesced:
            replica.quiesced = False
            following.be_patient(replica, now)
        return
    leadership.idle_since = now
    leadership.quiescing_since = None
    if not replica.quiesced:
        return
    replica.quiesced = False
    replica.wake_at = replica.next_tick(now)
    leadership.preferred_since = leadership.disk_mark_at = now
    for progress in leadership.followers:
        progress.heard_at = now  # silence was agreed: check-quorum begins anew
    contact.broadcast(replica, now, leadership, out)


def on_peer_up(replica: "RaftReplica", now: Millis, event: PeerUp, out: Effects) -> None:
    """A node is back. Whether it knows that we are quiet is uncertain, so a leader speaks up to its own followers.

    A follower only cares when its leader is another process than before: that one leads no more.
    """
    if event.node not in replica.peers:
        return
    replica.down.discard(event.node)
    if replica.is_leader or (event.restarted and event.node == replica.leader):
        wake(replica, now, out)


def on_peer_down(replica: "RaftReplica", now: Millis, event: PeerDown, out: Effects) -> None:
    """A node is gone. If it led a quiet group, somebody must begin to lose patience."""
    if event.node not in replica.peers:
        return
    replica.down.add(event.node)
    if event.node == replica.leader:
        wake(replica, now, out)
