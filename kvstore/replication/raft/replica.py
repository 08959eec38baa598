"""RaftReplica: who hears what. Dispatch, and the become_* methods."""

from collections.abc import Iterable
from random import Random

from kvstore.core.entries import Ballot, Entry, LogEnd
from kvstore.core.ids import GroupId, Index, Millis, NodeId, Term
from kvstore.replication.raft.effects import Effects, Event, Standing
from kvstore.replication.raft.settings import RaftSettings


class RaftReplica:
    """One node's copy of one group, as a function from events to effects."""

    def __init__(
        self,
        *,
        me: NodeId,
        group: GroupId,
        voters: tuple[NodeId, ...],
        settings: RaftSettings,
        ballot: Ballot,
        log_start: LogEnd,
        entries: Iterable[Entry],
        standing: Standing,
        now: Millis,
        rng: Random,
        preferred_leader: NodeId | None = None,
    ) -> None:
        """`log_start` is the last entry compacted away (its state is in the state machine); `entries` follow it.

        The commit index starts at `log_start`; entries after it are delivered again as they prove to be committed.
        """
        raise NotImplementedError

    def step(self, now: Millis, event: Event) -> Effects:
        raise NotImplementedError

    # Read-only facts, cheap:
    role: str
    term: Term
    leader: NodeId | None
    is_leader: bool
    quiesced: bool
    commit: Index
    last: LogEnd
    log_start: LogEnd
    stored_on_all: Index  # leader: on every voter's disk; follower: 0
    lease_until: Millis | None
    fresh: tuple[Millis, Index] | None  # follower: at that instant of our clock nothing beyond the index was committed

    def has_lease(self, now: Millis) -> bool:
        raise NotImplementedError

    def replicas_with(self, index: Index) -> int:
        """Leader: how many replicas are known to have this entry on disk."""
        raise NotImplementedError
