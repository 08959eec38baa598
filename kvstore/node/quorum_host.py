"""QuorumHost: one leaderless replica inside a node, its log and rows on disk, and its clients' requests.

Writes gather as those of leader mode do (`Groups.finish`): a tick's, and while the disk is busy those of several,
become one entry in our log and one message to each other replica, so that many clients cost little more than one.
"""

from collections.abc import Callable
from random import Random

from msgspec import json
from msgspec.msgpack import encode

from kvstore.core.commands import Condition, WriteBatch
from kvstore.core.entries import LogEnd
from kvstore.core.errors import (
    ConsistencyNotSupported,
    Corruption,
    InvalidRequest,
    KvError,
    OutcomeUnknown,
    RequestTooLarge,
    WrongMode,
)
from kvstore.core.hybrid_clock import HybridClock
from kvstore.core.ids import GroupId, Index, Millis, NodeId
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.node.partition_host import PAGE_BYTES_DEFAULT, PAGE_BYTES_MAX, AnyRead
from kvstore.node.quorum_state import QuorumState
from kvstore.node.quorum_tree import QuorumTree
from kvstore.node.requests import (
    Acks,
    ComparedPeer,
    Failure,
    Found,
    OutcomeFound,
    OutcomeRequest,
    PageFound,
    PageRequest,
    ReadLevel,
    ReadRequest,
    Receipt,
    RepairRequest,
    Sloppy,
    Told,
    WriteRequest,
    Written,
)
from kvstore.node.requests import Answer as NodeAnswer
from kvstore.node.tick import Tick
from kvstore.placement.keyspaces import majority_of
from kvstore.placement.ring import Place
from kvstore.replication.leaderless.anti_entropy import AntiEntropy
from kvstore.replication.leaderless.comparing import Outcome
from kvstore.replication.leaderless.effects import (
    Answer,
    CompareAsked,
    Compared,
    Effects,
    Event,
    PageAsked,
    PageDone,
    PeerDown,
    PeerUp,
    Persisted,
    ReadAsked,
    ReadDone,
    Received,
    Refused,
    RowDamaged,
    TimePassed,
    WriteAsked,
    WritesAsked,
    Wrote,
)
from kvstore.replication.leaderless.merkle import bits_for
from kvstore.replication.leaderless.messages import Message
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle
from kvstore.replication.leaderless.replica import LeaderlessReplica
from kvstore.replication.leaderless.settings import LeaderlessSettings
from kvstore.storage import entry_log
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.group_places import GroupPlace, put_place
from kvstore.storage.keys import META, VALUE

PAGE_RECORDS_MAX = 10_000

TOGETHER_BYTES_MAX = 1 << 20
"""Commands of clients that travel together; what replicas tell each other has siblings beside them."""

TELLING_MS = 250
"""What an answer may take on its way to who asked for a comparison."""
WHOLE, RECOVERING = 0, 1
"""What a group's place says of us: as in `replication.raft.effects.Standing`, without the votes."""


class QuorumHost:
    """See the module. `place.log_start` is for `verify`: what our log is needed from, our state says as well."""

    def __init__(
        self,
        group: GroupId,
        place: GroupPlace,
        *,
        me: NodeId,
        where: Place,
        engine: Engine,
        clock: HybridClock,
        rng: Random,
        settings: LeaderlessSettings,
        exchanges: ExchangeSettings,
        throttle: Throttle,
        stand_ins: tuple[NodeId, ...],
        slowness: Callable[[NodeId, Millis], float],
    ) -> None:
        """Raises Corruption if the log is damaged: then what the rows say is of no use either (see `QuorumState`)."""
        self.group, self.place = group, place
        self._me, self._where, self._clock = me, where, clock
        self.voters: tuple[NodeId, ...] = where.partition.replicas
        self.wake_at: Millis | None = Millis(0)
        self.dirty_since: Millis | None = None
        self._waiting: list[tuple[WriteAsked, int]] = []
        """Writes that are not taken yet, and their bytes."""
        self.state = QuorumState(engine, place.data, lww=settings.lww)
        counted = QuorumTree(self.state, bits_for(len(where.keyspace.partitions)))
        for entry in entry_log.load(engine, group, self.state.applied.index):
            self.state.replay(entry)
        if self.state.applied != self.state.flushed:
            self.dirty_since = Millis(0)
        self.replica = LeaderlessReplica(
            me=me,
            replicas=self.voters,
            settings=settings,
            table=self.state,
            last=self.state.applied.index,
            clock=clock,
            actor=rng.getrandbits(63) | 1,
            rng=rng,
            recovering=int(self.place.standing) == RECOVERING,
            anti_entropy=AntiEntropy(counted, rng, exchanges, throttle),
            stand_ins=stand_ins,
            slowness=slowness,
        )

    @property
    def neighbours(self) -> tuple[NodeId, ...]:
        """Nodes whose coming and going matters to it."""
        return self.voters + self.replica.stand_ins

    def _stand(self, batch: Batch, standing: int) -> None:
        self.place = self.place.with_standing(standing)
        put_place(batch, self.group, self.place)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, tick: Tick, event: Event) -> None:
        """Step the replica and take its effects into the tick."""
        effects = self.replica.step(tick.now, event)
        self._persist(tick, effects)
        for peer, message in effects.send:
            tick.send(self.group, peer, message)
        for peer, message in effects.promise:
            tick.vow(self.group, peer, message)
        for handle, answer in effects.replies:
            tick.reply(handle, self._answer(answer))
        tick.damaged += [(self.group, f"the row of key {key!r}") for key in effects.damaged]
        self.wake_at = effects.wake_at

    def _persist(self, tick: Tick, effects: Effects) -> None:
        if effects.append:
            entry_log.append(tick.batch, self.group, effects.append, None)
            end = self.replica.last
            tick.log_ends[self.group] = end
            self.state.advance(end)
            if self.dirty_since is None:
                self.dirty_since = tick.now.monotonic
        if int(self.place.standing) == RECOVERING and not self.replica.is_recovering:
            self._stand(tick.batch, WHOLE)

    def receive(self, tick: Tick, sender: NodeId, message: Message) -> None:
        self.hear(tick, Received(sender, message))

    def on_persisted(self, tick: Tick, end: LogEnd) -> None:
        """Our log is on disk up to this entry."""
        self.hear(tick, Persisted(end))

    def on_peer_up(self, tick: Tick, peer: NodeId, *, restarted: bool) -> None:
        """A node is heard (again). One that restarted has forgotten what it was asked."""
        if restarted:
            self.hear(tick, PeerDown(peer))
        self.hear(tick, PeerUp(peer))

    def on_peer_down(self, tick: Tick, peer: NodeId) -> None:
        self.hear(tick, PeerDown(peer))

    def on_time(self, tick: Tick) -> None:
        """The instant `wake_at` has come."""
        self.hear(tick, TimePassed())

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, tick: Tick, handle: int, request: WriteRequest, batch: WriteBatch, deadline: Millis) -> None:
        """Take a checked batch. Raises WrongMode, InvalidRequest or ConsistencyNotSupported."""
        if any(command.condition != Condition.NONE for command in ([] if batch.is_foregone else batch.commands)):
            raise WrongMode(
                "a leaderless keyspace has no conditional puts: replicas take writes without asking each other. "
                "Read the key, and put with the context that the read gave"
            )
        needed = self._write_quorum(request)
        asked = WriteAsked(handle, batch.client, batch.commands, needed, deadline, self._is_sloppy(request))
        self._waiting.append((asked, len(request.commands)))

    @property
    def has_waiting(self) -> bool:
        """Whether writes wait for those that they will travel with."""
        return bool(self._waiting)

    @property
    def has_proposed(self) -> bool:
        """Whether writes are under way that their clients wait for."""
        return self.replica.deliveries.writes_awaited > 0

    def finish(self, tick: Tick, *, may_propose: bool) -> bool:
        """At the end of a tick: take its writes, together, or let them gather. True if something was taken."""
        proposes = bool(self._waiting) and may_propose
        while self._waiting and may_propose:
            taken, size = 0, 0
            while taken < len(self._waiting) and (not taken or size + self._waiting[taken][1] <= TOGETHER_BYTES_MAX):
                size += self._waiting[taken][1]
                taken += 1
            self.hear(tick, WritesAsked([asked for asked, _ in self._waiting[:taken]]))
            del self._waiting[:taken]
        return proposes

    def _is_sloppy(self, request: WriteRequest) -> bool:
        if request.sloppy == Sloppy.DEFAULT:
            return self._where.keyspace.settings.sloppy
        return request.sloppy == Sloppy.YES

    def _write_quorum(self, request: WriteRequest) -> int:
        count = len(self.voters)
        if request.write_quorum:
            return _quorum(request.write_quorum, count, "write")
        match request.acks:
            case Acks.DEFAULT:
                return self._where.keyspace.settings.w
            case Acks.MAJORITY:
                return majority_of(count)
            case Acks.ALL:
                return count
        raise ConsistencyNotSupported(
            "a leaderless keyspace has no leader: ask for a number of replicas, quorum or all"
        )

    def read(self, tick: Tick, handle: int, request: AnyRead, deadline: Millis) -> None:
        """Serve a checked read. Raises InvalidRequest or ConsistencyNotSupported."""
        if isinstance(request, OutcomeRequest):
            self._tell_outcome(tick, handle, request)
            return
        if request.level != ReadLevel.DEFAULT:
            raise ConsistencyNotSupported(
                "a leaderless keyspace has no leader: ask for a number of replicas, one, quorum or all"
            )
        settings = self._where.keyspace.settings
        needed = _quorum(request.read_quorum or settings.r, len(self.voters), "read")
        if isinstance(request, ReadRequest):
            self.hear(tick, ReadAsked(handle, request.keys, needed, deadline))
        else:
            self.hear(tick, _page_asked(handle, request, needed, deadline))

    def _tell_outcome(self, tick: Tick, handle: int, request: OutcomeRequest) -> None:
        """What we remember ourselves."""
        outcome = self.state.outcome(request.client, request.sequence)
        tick.reply(handle, OutcomeFound(encode(outcome), self._receipt(1)))

    def compare(self, tick: Tick, handle: int, request: RepairRequest, deadline: Millis) -> None:
        """Compare with other replicas now; what is not done a moment before the deadline is said to be unfinished."""
        peers = tuple(map(NodeId, request.peers))
        self.hear(tick, CompareAsked(handle, peers, request.check, Millis(deadline - TELLING_MS)))

    def on_damaged_row(self, tick: Tick, table: bytes, row: bytes, error: Corruption) -> bool:
        """A scrub has found one. False if nobody can mend it: what is remembered of operations others do not have."""
        if table == VALUE and self.replica.peers:
            self.hear(tick, RowDamaged(row))
            return True
        tick.damaged.append((self.group, str(error)))
        return table == META and self.state.write_meta_again(tick.rows)

    def _answer(self, answer: Answer) -> NodeAnswer:
        match answer:
            case Wrote(results=results, on_disk=on_disk, siblings=siblings, sloppy=sloppy):
                receipt = self._receipt(on_disk, on_disk=on_disk, siblings=siblings, sloppy=sloppy)
                return Written(encode(results), receipt)
            case ReadDone(records=records, answered=answered, siblings=siblings, repaired=repaired):
                if sum(map(len, records)) > REQUEST_BYTES_MAX:
                    return Failure.of(RequestTooLarge("the values make more than 16 MiB: ask for fewer keys at once"))
                found = encode([record or None for record in records])
                return Found(found, self._receipt(answered, siblings=siblings, repaired=repaired))
            case PageDone(records=records, upto=upto, answered=answered):
                return PageFound(encode(records), bool(upto), self._receipt(answered))
            case Compared(outcomes=outcomes):
                return Told(json.encode([_compared(outcome) for outcome in outcomes]))
            case Refused(error=error):
                return Failure.of(error)

    def _receipt(
        self, replicas: int, *, on_disk: int = 0, siblings: int = 0, repaired: int = 0, sloppy: bool = False
    ) -> Receipt:
        return Receipt(
            mode="leaderless",
            group=self.group,
            partition=self._where.number,
            term=0,
            node=self._me,
            acknowledged=replicas,
            on_disk=on_disk,
            index=self.replica.last.index,
            stamp=self._clock.latest,
            sloppy=sloppy,
            siblings=siblings,
            repaired=repaired,
        )

    # ── flushing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def flush_piece(self, tick: Tick, rows: Batch, rows_max: int) -> int:
        """Put some more of a flush among the rows, beginning one if need be; how many.

        0 if it has to wait: our log must be on disk as far as the rows are.
        """
        if not self.state.is_flushing:
            self.state.begin_flush()
            self.dirty_since = None
        if self.replica.persisted < self.state.flush_end.index:
            return 0
        return self.state.flush_slice(rows, rows_max)

    def on_slice_done(self, tick: Tick) -> None:
        """A slice is on disk; after the last one the log is not needed any more up to there."""
        if self.state.is_flushing and self.state.end_slice():
            self.place = self.place.with_log_start(self.state.flushed)
            put_place(tick.batch, self.group, self.place)
            entry_log.compact(tick.batch, self.group, Index(self.state.flushed.index))

    def reclaim(self, tick: Tick, *, full: bool) -> None:
        """Nothing waits for its time here: the flush removes what is past it."""

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    def abandon(self, tick: Tick, error: KvError) -> None:
        """The partition is dropped: nobody shall wait for it."""
        for asked, _ in self._waiting:
            tick.reply(asked.handle, Failure.of(error))
        self._waiting = []
        unknown = OutcomeUnknown(str(error))
        for handle in self.replica.handles():
            tick.reply(handle, Failure.of(unknown))


def _compared(outcome: Outcome) -> ComparedPeer:
    return ComparedPeer(
        outcome.peer,
        outcome.failed,
        outcome.differing,
        outcome.pulled,
        outcome.pushed,
        outcome.skipped,
        outcome.bytes,
        outcome.ms,
    )


def _quorum(asked: int, count: int, what: str) -> int:
    if not 1 <= asked <= count:
        raise InvalidRequest(f"a {what} quorum of {asked}: the keyspace has {count} replicas, ask for 1 to {count}")
    return asked


def _page_asked(handle: int, request: PageRequest, needed: int, deadline: Millis) -> PageAsked:
    size = min(request.bytes_max or PAGE_BYTES_DEFAULT, PAGE_BYTES_MAX)
    return PageAsked(handle, request.start, request.end, request.limit or PAGE_RECORDS_MAX, size, needed, deadline)
