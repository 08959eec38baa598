"""PartitionHost: one replica of one partition: takes writes into the log, answers reads, applies what is committed."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from msgspec.msgpack import encode

from kvstore.core.commands import EntryPayload, Run, WriteBatch
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption, KvError, NoLeader, NotLeader, OutcomeUnknown, Overloaded, RequestTooLarge
from kvstore.core.hybrid_clock import HybridClock, Stamp
from kvstore.core.ids import GroupId, Index, Millis, NodeId, Term
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.node.group_host import GroupHost, LogLimits
from kvstore.node.images import Images
from kvstore.node.outcomes import Answers
from kvstore.node.partition_state import History, PartitionState
from kvstore.node.requests import (
    Acks,
    Failure,
    Found,
    OutcomeFound,
    OutcomeRequest,
    PageFound,
    PageRequest,
    ReadLevel,
    ReadRequest,
    Receipt,
    Written,
)
from kvstore.node.tick import Tick
from kvstore.placement.ring import Place
from kvstore.replication.raft.effects import Damaged, Effects, Propose, ReadRequested, Received
from kvstore.replication.raft.messages import Message
from kvstore.replication.raft.replica import RaftReplica
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.group_places import GroupPlace

PAYLOAD_BYTES_MAX = 4 << 20
PAGE_BYTES_DEFAULT = 1 << 20
PAGE_BYTES_MAX = 8 << 20
UNPROVEN_MS = 0xFFFF_FFFF
"""The most that a receipt can say."""

AnyRead = ReadRequest | PageRequest | OutcomeRequest


class Waiting(NamedTuple):
    """A write that will go into the next log entry."""

    handle: int
    data: bytes
    batch: WriteBatch
    acks: int


class Proposed(NamedTuple):
    """The writes of one log entry that is not applied yet."""

    term: Term
    writes: list[Waiting]
    first_stamp: int

    @property
    def handles(self) -> list[int]:
        """Of those that still wait for their answer."""
        return [write.handle for write in self.writes if write.handle]


class Round(NamedTuple):
    """Reads that wait for others to say that we lead, and since when."""

    begun: Millis
    reads: list[tuple[int, AnyRead]]


NO_ROUND = Round(Millis(0), [])


class PartitionHost(GroupHost):
    """See the module."""

    def __init__(
        self,
        group: GroupId,
        raft: RaftReplica,
        place: GroupPlace,
        images: Images,
        limits: LogLimits,
        *,
        me: NodeId,
        where: Place,
        engine: Engine,
        clock: HybridClock,
        lease_reads: bool,
        forward: Callable[[Tick, int, AnyRead, NodeId], None],
    ) -> None:
        super().__init__(group, raft, place, images, limits)
        self._me, self._where, self._engine, self._clock = me, where, engine, clock
        self._lease_reads, self._forward = lease_reads, forward
        settings = where.keyspace.settings
        self._history = History(settings.history_versions, settings.history_seconds)
        self._default_acks = Acks[settings.acks.upper()]
        self._state: PartitionState | None = None
        self._waiting: list[Waiting] = []
        self._proposed: dict[Index, Proposed] = {}
        self._awaiting_all: deque[tuple[Index, Waiting, Answers]] = deque()
        self._reads: list[tuple[int, AnyRead]] = []
        self._confirming: dict[int, Round] = {}
        self._contexts = 0
        self._open_state()

    @property
    def state(self) -> PartitionState | None:
        return self._state

    def _open_state(self) -> None:
        self._state = PartitionState(self._engine, self.place.data, self._history, alone=self._is_alone)

    def _drop_state(self) -> None:
        self._state = None

    # ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _is_alone(self) -> bool:
        """No other replica could mend this one."""
        return len(self._where.partition.replicas) == 1

    def write(self, tick: Tick, handle: int, data: bytes, batch: WriteBatch, acks: int) -> None:
        """Take a checked write into the entry that `finish` proposes."""
        if self._is_alone and self._state is not None:
            try:
                self._state.check_rows(batch)
            except Corruption as error:
                self._fail(tick, [handle], error)
                self._damage(tick, error)
                return
        acks = acks or self._default_acks
        if acks == Acks.LEADER and not batch.is_foregone:
            acks = Acks.MAJORITY  # its answer is known only when it is applied: stronger than asked, never weaker
        self._waiting.append(Waiting(handle, data, batch, acks))

    @property
    def has_waiting(self) -> bool:
        """Whether writes wait for their log entry."""
        return bool(self._waiting)

    @property
    def has_proposed(self) -> bool:
        """Whether log entries of this node's clients wait for their commit."""
        return bool(self._proposed)

    def finish(self, tick: Tick, *, may_propose: bool) -> bool:
        """At the end of a tick: propose its writes (or keep gathering), answer or confirm its reads.

        True if something was proposed.

        A new leader proposes nothing before it has applied an entry of its own term: only then has it seen every stamp
        that its log holds, and a stamp must never be given twice.
        """
        proposes = bool(self._waiting) and may_propose and not (self.raft.is_leader and self._is_catching_up)
        if proposes:
            self._propose(tick)
        if self._reads:
            self._start_reads(tick)
        return proposes

    @property
    def _is_catching_up(self) -> bool:
        return self._state is None or self._state.applied.term != self.raft.term

    def _propose(self, tick: Tick) -> None:
        writes, self._waiting = self._waiting, []
        while writes:
            size = taken = 0
            while taken < len(writes) and (not taken or size + len(writes[taken].data) <= PAYLOAD_BYTES_MAX):
                size += len(writes[taken].data)
                taken += 1
            self._propose_entry(tick, writes[:taken])
            writes = writes[taken:]

    def _propose_entry(self, tick: Tick, writes: list[Waiting]) -> None:
        count = sum(len(write.batch) for write in writes)
        if self._state is not None:
            self._clock.witness(Stamp(self._state.stamp))
        first = self._clock.reserve(tick.now.wall, count)
        payload = encode(EntryPayload(first, [write.data for write in writes]))
        effects = self.hear(tick, Propose((payload,)))
        if effects.accepted is not None:
            term, index = effects.accepted
            self._proposed[index] = Proposed(term, writes, first)
            return
        error: KvError = self._not_leader()
        if effects.overloaded:
            error = Overloaded("the partition's log is full of uncommitted writes", retry_after_ms=50)
        self._fail(tick, [write.handle for write in writes], error)

    def _not_leader(self) -> KvError:
        leader = self.raft.leader
        if leader is None or leader == self._me:
            return NoLeader(f"partition {self._where.number} of {self._where.keyspace.name} has no leader right now")
        return NotLeader(f"{leader} leads", leader=leader)

    def _fail(self, tick: Tick, handles: list[int], error: KvError) -> None:
        failure = Failure.of(error)
        for handle in handles:
            tick.reply(handle, failure)

    def _on_committed(self, tick: Tick, entries: list[Entry]) -> None:
        for entry in entries:
            state = self._state
            if state is None:
                return  # damaged on the way: an image will bring what is missing
            if entry.index <= state.applied.index:
                continue
            proposed = self._proposed.pop(entry.index, None)
            if proposed is not None and proposed.term != entry.term:
                # Another leader's entry took the place: ours can never be committed any more.
                self._fail(tick, [write.handle for write in proposed.writes], self._not_leader())
                proposed = None
            batches = [write.batch for write in proposed.writes] if proposed is not None else None
            try:
                answers = state.apply(entry, batches)
            except Corruption as error:
                if proposed is not None:
                    self._fail(tick, proposed.handles, OutcomeUnknown(f"a damaged record was met: {error}"))
                self._damage(tick, error)
                return
            if proposed is not None:
                self._answer_writes(tick, entry.index, proposed, answers)
            if self.dirty_since is None:
                self.dirty_since = tick.now.monotonic

    def _answer_writes(self, tick: Tick, index: Index, proposed: Proposed, answers: list[Answers]) -> None:
        receipt = None
        for write, results in zip(proposed.writes, answers, strict=True):
            if write.acks == Acks.ALL and self.raft.stored_on_all < index:
                self._awaiting_all.append((index, write, results))
            elif write.acks != Acks.LEADER or write.handle:
                receipt = receipt or self._receipt(index)
                tick.reply(write.handle, Written(encode(results), receipt))

    def _receipt(self, index: Index) -> Receipt:
        count = self.raft.replicas_with(index)
        return Receipt(
            mode="leader",
            group=self.group,
            partition=self._where.number,
            term=self.raft.term,
            node=self._me,
            acknowledged=count,
            on_disk=count,
            index=index,
            stamp=self._clock.latest,
        )

    def settle(self, tick: Tick) -> None:
        """Answer the writes that waited for every replica."""
        while self._awaiting_all and self._awaiting_all[0][0] <= self.raft.stored_on_all:
            index, write, results = self._awaiting_all.popleft()
            tick.reply(write.handle, Written(encode(results), self._receipt(index)))

    def on_persisted(self, tick: Tick, end: LogEnd) -> None:
        super().on_persisted(tick, end)
        early: list[tuple[Index, Proposed]] = []
        for index, proposed in self._proposed.items():
            if index > end.index or proposed.term != end.term:
                break
            early.append((index, proposed))
        asked = any(write.acks == Acks.LEADER and write.handle for _, proposed in early for write in proposed.writes)
        if asked and self._state is not None:  # it may be damaged
            self._answer_early(tick, self._state, early)

    def _answer_early(self, tick: Tick, state: PartitionState, entries: list[tuple[Index, Proposed]]) -> None:
        """`acks=leader`: our disk has it; the receipt says one replica.

        What may be a retry waits until it is applied: its answer is that of the first try. That one was applied, or is
        in an entry before this one, for a leader proposes only when it has applied all that it found in its log.
        """
        seen: dict[int, int] = {}
        """The largest operation number of each client in what is not applied yet."""
        for index, proposed in entries:
            stamp = proposed.first_stamp
            for position, write in enumerate(proposed.writes):
                batch = write.batch
                is_new = batch.first > seen.get(batch.client, 0) and state.is_new(batch)
                if is_new and write.acks == Acks.LEADER and write.handle:
                    tick.reply(write.handle, Written(encode(Run(stamp, len(batch))), self._receipt(index)))
                    proposed.writes[position] = write._replace(handle=0)
                seen[batch.client] = max(seen.get(batch.client, 0), batch.last)
                stamp += len(batch)

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, tick: Tick, handle: int, request: AnyRead, *, forwarded: bool) -> None:
        """Serve a read at its level, or pass it to the leader."""
        level = ReadLevel.LINEARIZABLE if isinstance(request, OutcomeRequest) else request.level
        if level == ReadLevel.FOLLOWER and not isinstance(request, OutcomeRequest):
            staleness = self._staleness_ms(tick)
            fresh_enough = not request.max_staleness_ms or staleness <= request.max_staleness_ms
            if self._state is not None and self._state.is_whole and fresh_enough:
                self._serve(tick, handle, request, staleness_ms=staleness, by_lease=False)
                return
        if self.raft.is_leader and self._state is not None:
            if level == ReadLevel.LEADER and self._state.is_whole:
                self._serve(tick, handle, request, staleness_ms=0, by_lease=False)
            else:
                self._reads.append((handle, request))
            return
        leader = self.raft.leader
        if forwarded or leader is None or leader == self._me:
            self._fail(tick, [handle], self._not_leader())
        else:
            self._forward(tick, handle, request, leader)

    def _staleness_ms(self, tick: Tick) -> int:
        """An upper bound, on our own clock; very large if nothing is proven."""
        now = tick.now.monotonic
        if self.raft.is_leader and self.raft.has_lease(now):
            return 0
        fresh = self.raft.fresh
        if fresh is None or self._state is None or self._state.applied.index < fresh[1]:
            return UNPROVEN_MS
        return min(now - fresh[0], UNPROVEN_MS)

    def _start_reads(self, tick: Tick) -> None:
        reads, self._reads = self._reads, []
        if self._lease_reads and self.raft.has_lease(tick.now.monotonic):
            for handle, request in reads:
                self._serve(tick, handle, request, staleness_ms=0, by_lease=True)
            return
        self._contexts += 1
        self._confirming[self._contexts] = Round(tick.now.monotonic, reads)
        self.hear(tick, ReadRequested(self._contexts))

    def _on_reads(self, tick: Tick, effects: Effects) -> None:
        for context in effects.reads_failed:
            handles = [handle for handle, _ in self._confirming.pop(context, NO_ROUND).reads]
            self._fail(tick, handles, self._not_leader())
        for context, index in effects.reads_ready:
            begun, reads = self._confirming.pop(context, NO_ROUND)
            if self._state is None or self._state.applied.index < index:
                self._fail(tick, [handle for handle, _ in reads], self._not_leader())
                continue
            age_ms = min(tick.now.monotonic - begun, UNPROVEN_MS)
            for handle, request in reads:
                self._serve_confirmed(tick, handle, request, age_ms)

    def _serve_confirmed(self, tick: Tick, handle: int, request: AnyRead, age_ms: int) -> None:
        """A round that began so long ago has confirmed that we led then.

        That is fresh enough for whoever wants what was there when it asked. A staleness bound counts from the answer
        back (we may have slept for a while): beyond it, the read needs another round.
        """
        if isinstance(request, OutcomeRequest) or request.level != ReadLevel.FOLLOWER:
            self._serve(tick, handle, request, staleness_ms=0, by_lease=False)
        elif request.max_staleness_ms and age_ms > request.max_staleness_ms:
            self._reads.append((handle, request))
        else:
            self._serve(tick, handle, request, staleness_ms=age_ms, by_lease=False)

    def _serve(self, tick: Tick, handle: int, request: AnyRead, *, staleness_ms: int, by_lease: bool) -> None:
        state = self._state
        if state is None:
            self._fail(tick, [handle], self._not_leader())
            return
        receipt = Receipt(
            mode="leader",
            group=self.group,
            partition=self._where.number,
            term=self.raft.term,
            node=self._me,
            index=state.applied.index,
            stamp=state.stamp,
            staleness_ms=staleness_ms,
            by_lease=by_lease,
        )
        try:
            tick.reply(handle, _answer(state, request, receipt))
        except Corruption as error:
            self._fail(tick, [handle], error)
            self._damage(tick, error)
        except KvError as error:
            self._fail(tick, [handle], error)

    def reclaim(self, tick: Tick, *, full: bool) -> None:
        super().reclaim(tick, full=full)
        if self._state is not None and not self._state.is_flushing:
            self._state.collect(tick.rows, everything=full)

    def flush_piece(self, tick: Tick, rows: Batch, rows_max: int) -> int:
        try:
            return super().flush_piece(tick, rows, rows_max)
        except Corruption as error:
            self._damage(tick, error)
            return 1

    # ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _damage(self, tick: Tick, error: Corruption) -> None:
        """A row of our state is damaged. Peers mend it with an image; alone we refuse what needs that row."""
        tick.damaged.append((self.group, str(error)))
        if self._is_alone:
            return
        self._drop_state()
        self.hear(tick, Damaged())

    def on_damaged_row(self, tick: Tick, table: bytes, row: bytes, error: Corruption) -> bool:
        """A scrub has found one. False if nobody can mend it."""
        if self._state is not None:
            self._damage(tick, error)
        return not self._is_alone

    def _on_role_changed(self, tick: Tick) -> None:
        if self.raft.is_leader:
            return
        lost = OutcomeUnknown("leadership moved while the write was under way")
        for proposed in self._proposed.values():
            self._fail(tick, proposed.handles, lost)
        self._fail(tick, [write.handle for _, write, _ in self._awaiting_all], lost)
        self._fail(tick, [write.handle for write in self._waiting], self._not_leader())
        self._fail(tick, [handle for handle, _ in self._reads], self._not_leader())
        self._waiting.clear()
        self._reads.clear()
        self._proposed.clear()
        self._awaiting_all.clear()

    def abandon(self, tick: Tick, error: KvError) -> None:
        """The group is dropped: nobody shall wait for it."""
        self._fail(tick, [write.handle for write in self._waiting], error)
        self._fail(tick, [handle for handle, _ in self._reads], error)
        for confirming in self._confirming.values():
            self._fail(tick, [handle for handle, _ in confirming.reads], error)
        for proposed in self._proposed.values():
            self._fail(tick, proposed.handles, OutcomeUnknown(str(error)))
        self._fail(tick, [write.handle for _, write, _ in self._awaiting_all], OutcomeUnknown(str(error)))

    def receive(self, tick: Tick, sender: NodeId, message: Message) -> None:
        self.hear(tick, Received(sender, message))
        if self._awaiting_all:
            self.settle(tick)


def _answer(state: PartitionState, request: AnyRead, receipt: Receipt) -> Found | PageFound | OutcomeFound:
    match request:
        case ReadRequest(keys=keys):
            versions = encode([state.read(key) for key in keys])
            if len(versions) > REQUEST_BYTES_MAX:
                raise RequestTooLarge(f"the {len(keys)} values make more than 16 MiB: ask for fewer keys at once")
            return Found(versions, receipt)
        case PageRequest():
            size = min(request.bytes_max or PAGE_BYTES_DEFAULT, PAGE_BYTES_MAX)
            rows, more = state.page(request.start, request.end, request.limit, size, request.keys_only)
            return PageFound(encode(rows), more, receipt)
        case OutcomeRequest():
            return OutcomeFound(encode(state.outcome(request.client, request.sequence)), receipt)
