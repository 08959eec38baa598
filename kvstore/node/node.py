"""Node: a whole node as a function. `step(now, events) -> Effects`: no socket, no clock, no dice of its own."""

from heapq import heappop, heappush
from random import Random

import msgspec

from kvstore.core.errors import Corruption, InvalidRequest, KvError, NoLeader, NotLeader, NotReady, WrongMode
from kvstore.core.hybrid_clock import HybridClock
from kvstore.core.ids import METADATA_GROUP, GroupId, Instant, Millis, NodeId
from kvstore.node.config import NodeConfig
from kvstore.node.effects import (
    NODE_LEVEL,
    Asked,
    Effects,
    Event,
    Forward,
    ForwardReply,
    FrameArrived,
    LinkLost,
    PeerMessage,
    PeerRefused,
    Persisted,
    Pulse,
    RowsWritten,
    Stopping,
    TimePassed,
)
from kvstore.node.flushing import Flusher
from kvstore.node.forwards import HOPS_MAX, Forwarded, Forwards
from kvstore.node.gate import Gate
from kvstore.node.group_host import GroupHost
from kvstore.node.groups import Groups
from kvstore.node.hosting import check_listed
from kvstore.node.liveness import Identity, Liveness, News
from kvstore.node.metadata_host import MetadataHost
from kvstore.node.partition_host import PartitionHost
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.requests import (
    Answer,
    CreateKeyspaceRequest,
    DropKeyspaceRequest,
    Failure,
    OutcomeRequest,
    PageRequest,
    ReadRequest,
    RepairRequest,
    Request,
    ScrubRequest,
    StatusRequest,
    Told,
    TransferRequest,
    WriteRequest,
)
from kvstore.node.scrubbing import Scrubber
from kvstore.node.status import node_status
from kvstore.node.tick import Tick
from kvstore.node.tickets import Tickets
from kvstore.placement.ring import Ring
from kvstore.replication.raft import effects as raft
from kvstore.storage.engine import Batch, Engine

FAR_AWAY = Millis(1 << 62)
TICKETS_GATHERING = 1
"""With so many batches on their way to the disk, writes of clients gather for the next one."""


class Node:
    """One node: its groups, its peers, its clients' open requests, its disk's open tickets."""

    def __init__(self, config: NodeConfig, identity: Identity, engine: Engine, now: Instant, rng: Random) -> None:
        self.config, self.identity, self.engine = config, identity, engine
        self.me = identity.me
        self.clock = HybridClock(ahead_ms_max=Millis(config.limits.clock_ahead_ms_max))
        peers = tuple(NodeId(member.id) for member in config.peers)
        patience = config.raft.election_timeout_ms_max
        self.liveness = Liveness(identity, peers, config.raft.heartbeat_ms, patience)
        self.gate = Gate(config.limits)
        self.flusher = Flusher(config.storage)
        self.forwards = Forwards(self.liveness, self.gate, rng.getrandbits(62))
        self.groups = Groups(config, self.me, engine, self.clock, rng, self.forwards.forward, self.liveness)
        self.scrubber = Scrubber(config.storage, engine, now.monotonic)
        self.damage: list[str] = []
        self.refused: dict[NodeId, str] = {}
        """Peers that were not let in, and why."""
        self.operations = {"write": 0, "read": 0, "page": 0, "outcome": 0}
        """Single operations that this node has served itself, by kind."""
        self._tickets = Tickets()
        self._alarms: list[tuple[Millis, GroupId]] = []
        self._alarm_of: dict[GroupId, Millis] = {}
        self._opening = Batch()
        if identity.founded:
            check_listed(config, identity.members)
            self.groups.open(now, wiped=identity.wiped, batch=self._opening)
            self._set_alarms()

    # ── the step ─────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, now: Instant, events: list[Event]) -> Effects:
        """Everything that happened since the last step, in order, as one batch and one frame per peer."""
        tick = Tick(now)
        if self._opening:
            tick.batch, self._opening = self._opening, Batch()
        try:
            for event in events:
                self._hear(tick, event)
            beats = self._on_time(tick)
            if self.identity.founded:
                self.groups.finish(tick, disk_is_busy=len(self._tickets) >= TICKETS_GATHERING)
                self.scrubber.step(tick, self.groups)
                self.flusher.step(tick, self.groups)
                if beats:  # after the flusher: what it has of a state that is gone is put before that is removed
                    self.groups.reclaim(tick, full=self.gate.full)
        except Corruption as error:
            tick.effects.failure = f"the node's own records are damaged: {error}"
        self._set_alarms()
        return self._finished(tick)

    def _hear(self, tick: Tick, event: Event) -> None:
        match event:
            case FrameArrived():
                self._on_frame(tick, event)
            case Asked():
                self._on_asked(tick, event)
            case Persisted(ticket=number):
                self._on_persisted(tick, number)
            case RowsWritten(ticket=number):
                self._on_rows_written(tick, number)
            case LinkLost(peer=peer, incarnation=incarnation):
                if incarnation is None or not self.liveness.is_stale(peer, incarnation):
                    self._on_link_lost(tick, peer)
            case PeerRefused(peer=peer, why=why):
                self.refused[peer] = why
            case Stopping():
                self.gate.stopping = True
                self.groups.hand_over(tick)
            case TimePassed():
                pass

    def _finished(self, tick: Tick) -> Effects:
        effects = tick.effects
        found = dict.fromkeys(f"group {group}: {what}" for group, what in tick.damaged)
        self.damage += [what for what in found if what not in self.damage]
        self._answer(tick)
        self._tickets.open(tick)
        effects.wake_at = self._wake_at(tick.now.monotonic)
        return effects

    def _on_persisted(self, tick: Tick, number: int) -> None:
        done = self._tickets.persisted(number, tick.effects.send)
        for group in done.after:
            host = self.groups.touch(group)
            if isinstance(host, GroupHost):
                host.on_image_stored(tick)
        for group, end in done.log_ends.items():
            keeper = self.groups.touch(group) or self.groups.touch_guest(group)
            if keeper is not None:
                keeper.on_persisted(tick, end)

    def _on_rows_written(self, tick: Tick, number: int) -> None:
        for group in self._tickets.rows_written(number):
            self.flusher.end(group)  # also of a group that was dropped meanwhile
            host = self.groups.touch(group)
            if host is not None:
                host.on_slice_done(tick)

    # ── peers ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_frame(self, tick: Tick, frame: FrameArrived) -> None:
        sender = frame.sender
        pulses = [message for _, message in frame.messages if isinstance(message, Pulse)]
        for pulse in pulses:
            if sender in self.liveness.peers and pulse.incarnation == frame.incarnation:
                self._on_pulse(tick, sender, pulse)
        if self.liveness.is_stale(sender, frame.incarnation):
            return
        if self.liveness.on_frame(sender, tick.now) is News.UP:
            self.refused.pop(sender, None)
            self.groups.peer_up(tick, sender)
        for group, message in frame.messages:
            if group == NODE_LEVEL:
                self._on_node_message(tick, sender, message)
            else:
                self.groups.receive(tick, group, sender, message)

    def _on_link_lost(self, tick: Tick, peer: NodeId) -> None:
        if self.liveness.on_link_lost(peer):
            self.groups.peer_down(tick, peer)
        self.forwards.give_up(tick, peer)

    def _on_pulse(self, tick: Tick, sender: NodeId, pulse: Pulse) -> None:
        if self.liveness.on_pulse(sender, pulse, tick.now) is News.RESTARTED:
            self.groups.peer_up(tick, sender, restarted=True)
        was_founded = self.identity.founded
        founding = self.liveness.founding()
        if founding is not None:
            tick.effects.founding = founding
            if not was_founded:
                self.groups.open(tick.now, wiped=self.identity.wiped, batch=tick.batch)

    def _on_node_message(self, tick: Tick, sender: NodeId, message: PeerMessage) -> None:
        if isinstance(message, Forward):
            handle = self.forwards.take_on(sender, message.id)
            deadline = Millis(tick.now.monotonic + message.deadline_ms)
            self._on_asked(tick, Asked(handle, message.request, deadline), forwarded=True)
        elif isinstance(message, ForwardReply):
            forwarded = self.forwards.answered(message.id)
            if forwarded is not None:
                self._on_forward_reply(tick, forwarded, message.answer)

    def _on_forward_reply(self, tick: Tick, forwarded: Forwarded, answer: Answer) -> None:
        """The answer of the node we asked; if that one knows better who leads, nothing was done and we ask there."""
        leader = answer.leader if isinstance(answer, Failure) else None
        if leader is None or forwarded.hops == HOPS_MAX or not self.gate.is_open(forwarded.handle):
            tick.reply(forwarded.handle, answer)
        elif leader != self.me:
            self.forwards.forward(tick, forwarded.handle, forwarded.request, NodeId(leader), hops=forwarded.hops + 1)
        else:
            self._try_to_serve(tick, forwarded.handle, forwarded.request, forwarded=True)

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_time(self, tick: Tick) -> bool:
        """Whether it is time for a heartbeat."""
        now = tick.now.monotonic
        while self._alarms and self._alarms[0][0] <= now:
            when, group = heappop(self._alarms)
            if self._alarm_of.get(group) != when:
                continue  # an earlier one was set since, and rang
            del self._alarm_of[group]
            # A later wish is set again at the end of the tick.
            host = self.groups.touch(group) or self.groups.touch_guest(group)
            if host is not None and host.wake_at is not None and host.wake_at <= now:
                host.on_time(tick)
        due, silent = self.liveness.beat(tick.now)
        for peer in silent:
            self.groups.peer_down(tick, peer)
            self.forwards.give_up(tick, peer)
        if due:
            self._beat(tick)
        return due

    def _beat(self, tick: Tick) -> None:
        for peer in self.liveness.peers:
            tick.send(NODE_LEVEL, peer, self.liveness.pulse_for(peer, tick.now))
        self.gate.expire(tick)
        self.forwards.forget_closed()
        self.gate.clock_ahead_ms = self.liveness.clock_ahead_ms()
        self.gate.full = self.engine.is_full()
        self.gate.unflushed_too_much = self.flusher.is_behind(self.groups)
        if self.gate.clock_ahead_ms > self.config.limits.clock_ahead_ms_max:
            self.groups.hand_over(tick)

    def _set_alarms(self) -> None:
        for host in self.groups.take_touched():
            when, group = host.wake_at, host.group
            if when is not None and when < self._alarm_of.get(group, FAR_AWAY):
                self._alarm_of[group] = when
                heappush(self._alarms, (when, group))

    def _wake_at(self, now: Millis) -> Millis:
        wake_at = self.liveness.next_pulse_at
        if self._alarms:
            wake_at = min(wake_at, self._alarms[0][0])
        for when in (self.flusher.wake_at(now), self.groups.propose_at(now), self.scrubber.wake_at):
            if when is not None:
                wake_at = min(wake_at, when)
        return max(now, wake_at)

    # ── clients ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_asked(self, tick: Tick, asked: Asked, *, forwarded: bool = False) -> None:
        try:
            self.gate.admit(asked.handle, asked.request, asked.deadline, tick.now.monotonic)
        except KvError as error:
            self._answer_unadmitted(tick, asked.handle, Failure.of(error))
            return
        self._try_to_serve(tick, asked.handle, asked.request, forwarded)

    def _try_to_serve(self, tick: Tick, handle: int, request: Request, forwarded: bool) -> None:
        try:
            self._serve(tick, handle, request, forwarded)
        except KvError as error:
            tick.reply(handle, Failure.of(error))

    def _serve(self, tick: Tick, handle: int, request: Request, forwarded: bool) -> None:
        match request:
            case WriteRequest():
                self._write(tick, handle, request, forwarded)
            case ReadRequest() | PageRequest() | OutcomeRequest():
                self._read(tick, handle, request, forwarded)
            case StatusRequest(node=node) if node and node != self.me:
                self.forwards.forward(tick, handle, request, NodeId(node))
            case RepairRequest(node=node) if node != self.me:
                self.forwards.forward(tick, handle, request, NodeId(node))
            case RepairRequest():
                self._compare(tick, handle, request)
            case ScrubRequest(node=node) if node != self.me:
                self.forwards.forward(tick, handle, request, NodeId(node))
            case ScrubRequest():
                if not self.identity.founded:
                    raise NotReady("the node has not been founded yet")
                self.scrubber.demand(handle)
            case StatusRequest():
                tick.reply(handle, Told(msgspec.json.encode(node_status(self, tick.now))))
            case CreateKeyspaceRequest() | DropKeyspaceRequest() | TransferRequest():
                self._change(tick, handle, request, forwarded)

    def _write(self, tick: Tick, handle: int, request: WriteRequest, forwarded: bool) -> None:
        place = self.groups.place_of(request.group)
        host = self.groups.partition(request.group)
        if host is None or (isinstance(host, PartitionHost) and not host.raft.is_leader):
            leader = host.raft.leader if host is not None else None
            self._pass_on(tick, handle, request, leader or self._somebody(tick, place.partition.replicas), forwarded)
            return
        batch = self.gate.check_write(request, place)
        if isinstance(host, QuorumHost):
            host.write(tick, handle, request, batch, self.gate.deadline_of(handle))
        else:
            host.write(tick, handle, request.commands, batch, request.acks)
        self.groups.gathered_commands += len(batch)
        self.operations["write"] += len(batch)
        self.groups.touch(request.group)

    def _read(self, tick: Tick, handle: int, request: ReadRequest | PageRequest | OutcomeRequest, fwd: bool) -> None:
        place = self.groups.place_of(request.group)
        self.gate.check_read(request, place)
        host = self.groups.partition(request.group)
        if host is None:
            self._pass_on(tick, handle, request, self._somebody(tick, place.partition.replicas), fwd)
            return
        self.groups.touch(request.group)
        match request:
            case ReadRequest(keys=keys):
                self.operations["read"] += len(keys)
            case PageRequest():
                self.operations["page"] += 1
            case OutcomeRequest():
                self.operations["outcome"] += 1
        if isinstance(host, QuorumHost):
            host.read(tick, handle, request, self.gate.deadline_of(handle))
        else:
            host.read(tick, handle, request, forwarded=fwd)

    def _compare(self, tick: Tick, handle: int, request: RepairRequest) -> None:
        place = self.groups.place_of(request.group)
        host = self.groups.touch(request.group)
        if place.keyspace.settings.mode != "leaderless":
            raise WrongMode(
                f"{place.keyspace.name} is in leader mode: its replicas follow a log, and are compared by no repair"
            )
        if not isinstance(host, QuorumHost):
            raise InvalidRequest(f"{self.me} holds no replica of partition {place.number} of {place.keyspace.name}")
        host.compare(tick, handle, request, self.gate.deadline_of(handle))

    def _somebody(self, tick: Tick, replicas: tuple[NodeId, ...]) -> NodeId | None:
        """A replica that is up, rather one that is not slow: it leads, or knows who does."""
        others = [node for node in replicas if self.liveness.is_up(node)]
        return min(others, key=lambda node: self.liveness.slowness(node, tick.now.monotonic), default=None)

    def _pass_on(self, tick: Tick, handle: int, request: Request, to: NodeId | None, forwarded: bool) -> None:
        if to is None or to == self.me:
            raise NoLeader("the group has no leader right now; nothing was written")
        if forwarded:
            raise NotLeader(f"{to} leads", leader=to)
        self.forwards.forward(tick, handle, request, to)

    def _change(
        self,
        tick: Tick,
        handle: int,
        request: CreateKeyspaceRequest | DropKeyspaceRequest | TransferRequest,
        forwarded: bool,
    ) -> None:
        host = self.groups.touch(request.group)
        if host is None and request.group != METADATA_GROUP:
            replicas = self.groups.place_of(request.group).partition.replicas
            self._pass_on(tick, handle, request, self._somebody(tick, replicas), forwarded)
            return
        if host is None:
            raise NotReady("the node has not been founded yet")
        if isinstance(host, QuorumHost):
            raise WrongMode("a leaderless partition has no leadership to transfer")
        if not host.raft.is_leader:
            self._pass_on(tick, handle, request, host.raft.leader, forwarded)
        elif isinstance(request, TransferRequest):
            host.hear(tick, raft.TransferLeadership(NodeId(request.to) if request.to else None))
            tick.reply(handle, Told())
        else:
            assert isinstance(host, MetadataHost), "changes of the cluster go to group 0"
            host.change(tick, handle, request)

    def _answer(self, tick: Tick) -> None:
        """Each open request is answered once; those of peers go back to them as messages."""
        replies: list[tuple[int, Answer]] = []
        for handle, answer in tick.effects.replies:
            if self.gate.close(handle):
                if handle < 0:
                    self._answer_unadmitted(tick, handle, answer)
                else:
                    replies.append((handle, answer))
        tick.effects.replies = replies + tick.refused

    def _answer_unadmitted(self, tick: Tick, handle: int, answer: Answer) -> None:
        if handle < 0:
            peer, number = self.forwards.asked_by(handle)
            tick.send(NODE_LEVEL, peer, ForwardReply(number, answer))
        else:
            tick.refused.append((handle, answer))

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def ring(self) -> Ring | None:
        """The ring as this node knows it; None before it knows one."""
        return self.groups.ring

    def leader_of(self, group: GroupId) -> NodeId | None:
        """Who leads a group, as far as this node knows."""
        host = self.groups.raft_host(group)
        return None if host is None else host.raft.leader

    @property
    def batches_open(self) -> int:
        """Batches on their way to the disk."""
        return len(self._tickets)

    @property
    def leads_nothing(self) -> bool:
        return not any(host.raft.is_leader for host in self.groups.raft_hosts())

    @property
    def is_ready(self) -> bool:
        """Whether the node can serve: it knows the ring, and each of its partitions has a leader."""
        ring = self.ring
        if ring is None or ring.epoch < 2 or self.gate.stopping:
            return False
        return all(host.raft.leader is not None for host in self.groups.raft_hosts())
