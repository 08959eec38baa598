"""Linearizable reads without writing (thesis §6.4): by the lease, or by a round of heartbeats.

A read may be answered from the state at the commit index of a moment at which we certainly led. With a lease we
certainly lead now. Without one, heartbeats that leave after the read arrived ask a majority; reads that arrive while
such a round is under way wait for the next one. Neither is sound before an entry of our own term is committed: until
then our commit index may lag behind our predecessor's.
"""

from typing import TYPE_CHECKING

from kvstore.core.ids import Millis
from kvstore.replication.quorum import reached_by_majority
from kvstore.replication.raft import contact, quiescing
from kvstore.replication.raft.effects import Effects, ReadRequested
from kvstore.replication.raft.leadership import Asker, Leadership
from kvstore.replication.raft.messages import RecoveryReply

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica


def on_read_requested(replica: "RaftReplica", now: Millis, request: ReadRequested, out: Effects) -> None:
    """Answer at once under the lease, otherwise ask whether we still lead."""
    leadership = replica.leadership
    if leadership is None or replica.damaged:
        out.reads_failed.append(request.context)
        return
    leadership.idle_since = now
    if replica.settings.lease_reads and replica.has_lease(now):
        out.reads_ready.append((request.context, replica.commit))
        return
    enquire(replica, now, leadership, Asker(request.context), out)


def enquire(replica: "RaftReplica", now: Millis, leadership: Leadership, asker: Asker, out: Effects) -> None:
    """Answer the asker once a majority has confirmed, from now on, that we lead."""
    if leadership.quiescing_since is not None:
        quiescing.wake(replica, now, out)
    leadership.waiting.append(asker)
    if not leadership.askers:
        begin_round(replica, now, out)


def begin_round(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """Ask everyone on behalf of all who wait, unless nothing of our own term is committed yet."""
    leadership = replica.leadership
    assert leadership is not None, "only a leader has read rounds"
    if replica.commit < leadership.first_index:
        return  # `commitment.advance` will begin it
    leadership.round += 1
    leadership.round_index = replica.commit
    leadership.askers, leadership.waiting = leadership.waiting, []
    contact.broadcast(replica, now, leadership, out)
    conclude_round(replica, now, leadership, out)  # alone in the group, we are the majority


def conclude_round(replica: "RaftReplica", now: Millis, leadership: Leadership, out: Effects) -> None:
    """Serve those who asked, if a majority has confirmed the round. Recovering replicas confirm nothing."""
    if not leadership.askers:
        return
    confirmed = [p.context for p in leadership.followers]  # 0 of those that lost their disks, see `Progress.forget`
    confirmed.append(leadership.round)
    if reached_by_majority(confirmed) < leadership.round:
        return
    index = leadership.round_index
    for asker in leadership.askers:
        if asker.peer is None:
            out.reads_ready.append((asker.context, index))
        else:
            out.send.append((asker.peer, RecoveryReply(replica.ballot.term, asker.context, index)))
    leadership.askers = []
    if leadership.waiting:
        begin_round(replica, now, out)


def fail_all(leadership: Leadership, out: Effects) -> None:
    """We no longer lead: nobody's read can be confirmed by us."""
    for asker in (*leadership.askers, *leadership.waiting):
        if asker.peer is None:
            out.reads_failed.append(asker.context)
