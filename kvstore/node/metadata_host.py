"""MetadataHost: the replica of group 0 inside a node: forms the cluster, creates and drops keyspaces."""

from collections.abc import Callable
from random import Random

import msgspec

from kvstore.core.entries import Entry
from kvstore.core.errors import Corruption, KvError, NoLeader, NotLeader, OutcomeUnknown, Unavailable
from kvstore.core.ids import METADATA_GROUP, ClusterId, Index, NodeId, Term, TimelineId
from kvstore.node.group_host import GroupHost, LogLimits
from kvstore.node.images import Images
from kvstore.node.metadata import (
    DEFAULT_KEYSPACE,
    Change,
    CreateKeyspace,
    DropKeyspace,
    FormCluster,
    Metadata,
    MetadataState,
    encode_change,
    settle,
)
from kvstore.node.requests import CreateKeyspaceRequest, DropKeyspaceRequest, Failure, Told
from kvstore.node.tick import Tick
from kvstore.placement.keyspaces import Settings
from kvstore.placement.members import NodeInfo
from kvstore.placement.ring_plan import Burden, plan_rows
from kvstore.replication.raft.effects import Effects, Propose, Received
from kvstore.replication.raft.messages import Message
from kvstore.replication.raft.replica import RaftReplica
from kvstore.storage.engine import Engine
from kvstore.storage.group_places import GroupPlace

ChangeRequest = CreateKeyspaceRequest | DropKeyspaceRequest


class MetadataHost(GroupHost):
    """See the module. `on_change(tick, index)` is called when a decision after that index changed the metadata."""

    def __init__(
        self,
        raft: RaftReplica,
        place: GroupPlace,
        images: Images,
        limits: LogLimits,
        *,
        me: NodeId,
        engine: Engine,
        cluster: ClusterId,
        founders: tuple[NodeInfo, ...],
        rng: Random,
        on_change: Callable[[Tick, Index], None],
    ) -> None:
        super().__init__(METADATA_GROUP, raft, place, images, limits)
        self._me, self._engine, self._rng = me, engine, rng
        self._cluster, self._founders, self._on_change = cluster, founders, on_change
        self._state: MetadataState | None = None
        self._latest = Metadata()
        self._proposed: dict[Index, tuple[Term, int]] = {}
        self._open_state()
        self._told = self._latest
        """What `on_change` was called for last, or the node read from its disk."""
        self._told_upto = Index(0) if self._state is None else self._state.applied.index

    @property
    def state(self) -> MetadataState | None:
        return self._state

    @property
    def metadata(self) -> Metadata:
        """What we know last; while an image is on its way, what we knew before."""
        return self._latest

    def _open_state(self) -> None:
        self._state = MetadataState(self._engine, self.place.data)
        if self._state.now.epoch >= self._latest.epoch:
            self._latest = self._state.now

    def _drop_state(self) -> None:
        self._state = None

    def on_image_stored(self, tick: Tick) -> None:
        super().on_image_stored(tick)
        self._tell(tick)

    def _tell(self, tick: Tick) -> None:
        """Let the node follow, if what we know is news."""
        if self._latest is not self._told:
            self._told = self._latest
            tick.effects.ring_changed = True
            self._on_change(tick, self._told_upto)
        if self._state is not None:
            self._told_upto = self._state.applied.index

    def receive(self, tick: Tick, sender: NodeId, message: Message) -> None:
        self.hear(tick, Received(sender, message))

    # ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────

    def change(self, tick: Tick, handle: int, request: ChangeRequest) -> None:
        """Propose what a user asked for. Answered when it is applied."""
        if not self.raft.is_leader:
            tick.reply(handle, Failure.of(self._not_leader()))
        elif self._is_busy:
            tick.reply(handle, Failure.of(Unavailable("another change of the cluster is under way: try again")))
        else:
            try:
                self._propose(tick, handle, self._planned(request))
            except KvError as error:
                tick.reply(handle, Failure.of(error))

    @property
    def _is_busy(self) -> bool:
        """One change at a time: a plan is made from the state that it will be applied to."""
        return self._state is None or self._latest.epoch == 0 or self._state.applied != self.raft.last

    def _not_leader(self) -> KvError:
        leader = self.raft.leader
        if leader is None or leader == self._me:
            return NoLeader("the metadata group has no leader right now")
        return NotLeader(f"{leader} leads the metadata group", leader=leader)

    def _planned(self, request: ChangeRequest) -> Change:
        now = self._latest
        if isinstance(request, DropKeyspaceRequest):
            now.ring().keyspace(request.name)
            return DropKeyspace(request.name)
        settings = settle(request.settings, len(now.nodes))
        rows = [row for keyspace in now.keyspaces for row in keyspace.rows()]
        plan = plan_rows(now.nodes, partitions=settings.partitions, replicas=settings.replicas, burden=Burden(rows))
        return CreateKeyspace(settings, plan.rows, request.if_absent)

    def _propose(self, tick: Tick, handle: int, change: Change) -> None:
        effects = self.hear(tick, Propose((encode_change(change),)))
        if effects.accepted is not None:
            term, index = effects.accepted
            self._proposed[index] = (term, handle)
        elif handle:
            tick.reply(handle, Failure.of(self._not_leader()))

    def _on_committed(self, tick: Tick, entries: list[Entry]) -> None:
        for entry in entries:
            if self._state is None or entry.index <= self._state.applied.index:
                continue
            error = self._state.apply(entry)
            self._latest = self._state.now
            if self.dirty_since is None:
                self.dirty_since = tick.now.monotonic
            term, handle = self._proposed.pop(entry.index, (Term(0), 0))
            if handle:
                lost = term != entry.term
                tick.reply(handle, Failure.of(error or self._not_leader()) if error or lost else Told())
        self._tell(tick)

    def finish(self, tick: Tick) -> None:
        """At the end of a tick: a leader that has applied everything founds what is missing."""
        state = self._state
        if not self.raft.is_leader or state is None or state.applied != self.raft.last:
            return
        if state.applied.term != self.raft.term:
            return
        if self._latest.epoch == 0:
            timeline = TimelineId(self._rng.randrange(1, 1 << 32))
            self._propose(tick, 0, FormCluster(self._cluster, timeline, self._founders))
        elif self._latest.epoch == 1:
            settings = settle(Settings(DEFAULT_KEYSPACE, replicas=0), len(self._latest.nodes))
            self.change(tick, 0, CreateKeyspaceRequest(settings, if_absent=True))

    def _damage(self, tick: Tick, error: Corruption) -> None:
        """Our one row is damaged; all that it says we have in memory: it is written again."""
        tick.damaged.append((self.group, str(error)))
        if self._state is not None:
            self._state.write_again()
            self.dirty_since = tick.now.monotonic

    def _on_reads(self, tick: Tick, effects: Effects) -> None:
        raise AssertionError("nobody reads group 0 through its log")

    def _on_role_changed(self, tick: Tick) -> None:
        if self.raft.is_leader:
            return
        lost = Failure.of(OutcomeUnknown("leadership of the metadata group moved while the change was under way"))
        for _, handle in self._proposed.values():
            if handle:
                tick.reply(handle, lost)
        self._proposed.clear()


def ring_facts(metadata: Metadata) -> bytes:
    """The metadata as JSON, for people."""
    return msgspec.json.encode(metadata)
