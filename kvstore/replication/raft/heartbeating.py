"""The leader's tick, the heartbeat a follower hears, and what its answer tells."""

from typing import TYPE_CHECKING

from kvstore.core.ids import Index, Millis, NodeId
from kvstore.replication.raft import (
    appending,
    commitment,
    contact,
    following,
    quiescing,
    reading,
    recovery,
    snapshotting,
    transferring,
)
from kvstore.replication.raft.effects import Effects, Standing
from kvstore.replication.raft.messages import Heartbeat, HeartbeatReply
from kvstore.replication.raft.progress import News, Pace, Progress

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica


def tick(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """Everything a leader does by the clock."""
    leadership = replica.leadership
    assert leadership is not None, "only a leader ticks"
    if contact.lost_majority(replica, now, leadership):
        replica.become_follower(now, out, replica.ballot.term, None)
        return
    replica.wake_at = replica.next_tick(now)
    transferring.tick(replica, now, leadership, out)
    if replica.leadership is None:
        return
    snapshotting.tick(replica, now, leadership, out)
    quiescing.propose_silence(replica, now, leadership)
    if not replica.quiesced:
        contact.broadcast(replica, now, leadership, out)


def on_heartbeat(replica: "RaftReplica", now: Millis, sender: NodeId, beat: Heartbeat, out: Effects) -> None:
    """The leader speaks: be loyal, learn what is committed, say how far we are.

    The answer need not wait for the disk: what it says of the log is on disk already, and after a crash we are loyal
    for an election timeout whether we remember the heartbeat or not.
    """
    following.hear_leader(replica, now, sender, out)
    log, state = replica.log, replica.following
    if beat.commit > replica.commit:
        commitment.learn(replica, beat.commit, out)
    following.learn_freshness(replica, now, beat.echo, beat.commit)
    if beat.quiesce:
        quiescing.agree(replica, sender, beat)
    reply = HeartbeatReply(
        replica.ballot.term,
        beat.sent_at,
        following.my_clock(replica, now),
        beat.context,
        received=state.verified,
        persisted=min(log.persisted, state.verified),
        commit=replica.commit,
        missing=state.verified < beat.sent,
        quiesced=replica.quiesced,
        recovering=replica.standing is Standing.RECOVERING,
        needs_image=snapshotting.needs_image(replica),
    )
    out.send.append((sender, reply))
    if replica.recovery is not None:
        recovery.consider(replica, now, out)


def on_heartbeat_reply(
    replica: "RaftReplica", now: Millis, sender: NodeId, reply: HeartbeatReply, out: Effects
) -> None:
    """A follower heard us: renew the lease, conclude reads, mend what was lost on the way."""
    leadership = replica.leadership
    if leadership is None:
        return
    progress = leadership.progress[sender]
    if not contact.take_note(replica, now, leadership, progress, reply):
        return
    if reply.commit > progress.commit:
        progress.commit = reply.commit
    if not progress.recovering:
        if reply.sent_at > progress.beat and not replica.quiesced:
            progress.beat = reply.sent_at
            contact.renew_lease(replica, now, leadership)
        if reply.context > progress.context:
            progress.context = reply.context
            reading.conclude_round(replica, now, leadership, out)
    _mend(replica, now, progress, reply, out)
    quiescing.on_silence_answered(replica, now, leadership, progress, reply, out)
    if progress.next <= replica.log.last.index or progress.pace is Pace.PROBE:
        appending.send_more(replica, now, leadership, progress, out)


def _mend(replica: "RaftReplica", now: Millis, progress: Progress, reply: HeartbeatReply, out: Effects) -> None:
    """Appends and their answers may be lost. The heartbeat's answer shows it: probe again from where it is."""
    if reply.persisted > progress.match and progress.pace is not Pace.PROBE:
        appending.acknowledge(replica, now, progress, reply.persisted, out)
    if reply.needs_image is not None:
        snapshotting.mend(replica, now, progress, reply.needs_image, out)
    stalled = progress.window and now - progress.moved_at >= replica.settings.append_retry_ms
    if progress.pace is Pace.STREAM and (reply.missing or stalled) and reply.sent_at > progress.lost_at:
        progress.turn(News.LOST)
        progress.lost_at = now  # what was sent until now is mended by this; old answers do not make us start over
        progress.next = Index(min(max(progress.match, reply.received), replica.log.last.index) + 1)
    elif progress.probed_at is not None and now - progress.probed_at >= replica.settings.heartbeat_ms:
        progress.probed_at = None  # it lives and has not answered our probe: that was lost
