"""When an index is safe: a majority has it on disk, and the leader's own term vouches for it (thesis §3.6.2)."""

from typing import TYPE_CHECKING

from kvstore.core.ids import Index, Millis
from kvstore.replication.quorum import reached_by_majority
from kvstore.replication.raft import reading
from kvstore.replication.raft.effects import Effects

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica


def advance(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """Leader: see whether more is committed, after our disk or a follower got further."""
    leadership = replica.leadership
    assert leadership is not None, "only a leader counts"
    # The leader's own log counts only up to what is persisted: it writes while the followers do.
    stored = [Index(0) if p.recovering else p.match for p in leadership.followers]
    stored.append(replica.log.persisted)
    index = Index(reached_by_majority(stored))
    if index <= replica.commit or replica.installing is not None:
        return
    # §5.4.2: "only log entries from the leader's current term are committed by counting replicas". An older entry on
    # a majority could still be overwritten; once one of ours is committed, all before it are (log matching).
    if index < leadership.first_index:
        return
    first = replica.commit < leadership.first_index
    committed = replica.log.between(replica.commit, index)
    replica.commit = index
    leadership.uncommitted_bytes -= sum([len(entry.payload) for entry in committed])
    out.committed += committed
    if first and leadership.waiting:
        reading.begin_round(replica, now, out)


def learn(replica: "RaftReplica", leader_commit: Index, out: Effects) -> None:
    """Follower: the leader says what is committed; we know it for as much of our log as equals its log.

    While an image is on its way to our disk there is no state that could take entries; the leader says it again.
    """
    if replica.installing is not None:
        return
    index = min(leader_commit, replica.following.verified)
    if index > replica.commit:
        out.committed += replica.log.between(replica.commit, index)
        replica.commit = index
