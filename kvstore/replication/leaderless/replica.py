"""LeaderlessReplica: one node's copy of a leaderless partition, as a function from events to effects."""

from collections.abc import Callable, Container
from random import Random
from typing import assert_never

from kvstore.core.causality import UNKNOWN, Sibling, Versions, decode, encode, merged, newest_only
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption, QuorumUnreachable
from kvstore.core.hybrid_clock import HybridClock
from kvstore.core.ids import Index, Instant, Millis, NodeId, Term
from kvstore.replication.leaderless.anti_entropy import AntiEntropy
from kvstore.replication.leaderless.crowding import Crowding
from kvstore.replication.leaderless.effects import (
    CompareAsked,
    Compared,
    Effects,
    Event,
    PageAsked,
    PeerDown,
    PeerUp,
    Persisted,
    ReadAsked,
    Received,
    RowDamaged,
    TimePassed,
    WriteAsked,
    WritesAsked,
)
from kvstore.replication.leaderless.hints import Hints
from kvstore.replication.leaderless.merging import news_of, together
from kvstore.replication.leaderless.messages import (
    Fetch,
    Fetched,
    FetchPage,
    Message,
    NotStored,
    Operation,
    PageFetched,
    Record,
    Store,
    Stored,
)
from kvstore.replication.leaderless.paging import Pages, Refill, others_to_ask
from kvstore.replication.leaderless.reads import Reads
from kvstore.replication.leaderless.settings import LeaderlessSettings
from kvstore.replication.leaderless.storing import Deliveries
from kvstore.replication.leaderless.table import Table
from kvstore.replication.leaderless.writes import on_writes_asked

MENDED_PER_TICK = 100
OF_STAND_INS = (Store, Stored, NotStored)
"""What nodes without a replica have to say: hints that they return, and whether they keep ours."""
LOG_TERM = Term(1)
"""Every replica has a log of its own, and nobody ever takes an entry back."""


def nobody_is_slow(peer: NodeId, now: Millis) -> float:
    """For those who do not watch."""
    return 0.0


class LeaderlessReplica:
    """It owns no clock, disk, socket or dice; what it knows is in a table that it is handed."""

    def __init__(
        self,
        *,
        me: NodeId,
        replicas: tuple[NodeId, ...],
        settings: LeaderlessSettings,
        table: Table,
        last: Index,
        clock: HybridClock,
        actor: int,
        rng: Random,
        recovering: bool = False,
        anti_entropy: AntiEntropy | None = None,
        stand_ins: tuple[NodeId, ...] = (),
        slowness: Callable[[NodeId, Millis], float] = nobody_is_slow,
    ) -> None:
        """`last` is the last entry of our log; everything in it is in the table. `actor` was never used before.

        `recovering`: our disk was lost, and with it what we acknowledged. Without `anti_entropy` only hints and reads
        bring to other replicas what they lack. `stand_ins`: nodes without a replica, in the order to ask them to keep
        hints. `slowness`: 0 of a node that answers as usual at that time, else by how much not.
        """
        assert me in replicas, f"{me} is no replica"
        self.me, self.replicas, self.settings, self.table, self.clock = me, replicas, settings, table, clock
        self.peers = tuple(node for node in replicas if node != me)
        self.stand_ins, self._slowness = stand_ins, slowness
        self.last, self.persisted = LogEnd(LOG_TERM, last), last
        self.actor, self.counter = actor, 0
        self.down: set[NodeId] = set()
        """Replicas and stand-ins that are not heard."""
        self.hints = Hints(settings.hints_max)
        self.deliveries, self.reads, self.pages = Deliveries(), Reads(), Pages()
        self.refill: Refill | None = None
        if recovering and self.peers:
            self.refill = Refill(others_to_ask(len(replicas), settings.write_quorum))
        self.anti_entropy = anti_entropy if self.peers else None
        self.wake_at: Millis | None = None
        self._rng = rng
        self._number = rng.getrandbits(60)
        self._changed: list[Record] = []
        self._operations: list[Operation] = []
        self._damaged: set[bytes] = set()
        """Keys whose rows cannot be read, until others told us."""
        self._damage: list[bytes] = []
        """Of these, what this step found."""
        self.damaged_rows = 0
        """That were found since the start."""
        self.crowding = Crowding()

    # ── what others may know ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def is_recovering(self) -> bool:
        """Our disk was lost, and we count for nothing until the others have told us what was on it."""
        return self.refill is not None

    @property
    def up(self) -> list[NodeId]:
        """The other replicas that are up."""
        return [peer for peer in self.peers if peer not in self.down]

    def to_ask(self, now: Instant, asked: Container[NodeId]) -> list[NodeId]:
        """Replicas that are up and were not asked, in the order to ask them: who seems to have become slow comes last.

        It is not down, and if the others are not enough it is asked as well.
        """
        fresh = [peer for peer in self.peers if peer not in asked and peer not in self.down]
        if len(fresh) > 1:
            fresh.sort(key=lambda peer: self._slowness(peer, now.monotonic))
        return fresh

    def handles(self) -> list[int]:
        """Of everything that clients wait for."""
        comparing = self.anti_entropy.handles() if self.anti_entropy is not None else []
        return [*self.deliveries.handles(), *self.reads.handles(), *self.pages.handles(), *comparing]

    def check_reachable(self, needed: int, *, with_us: bool = True, sloppy: bool = False) -> None:
        """Raises QuorumUnreachable if fewer replicas are up than needed; `sloppy`: nodes may stand in for the rest."""
        names = [*([self.me] if with_us else []), *self.up]
        if sloppy:
            others = [node for node in self.stand_ins if node not in self.down]
            names += others[: len(self.peers) - len(self.up)]
        if len(names) < needed:
            raise QuorumUnreachable(needed=needed, got=len(names), replicas=" ".join(names))

    # ── who hears what ───────────────────────────────────────────────────────────────────────────────────────────

    def step(self, now: Instant, event: Event) -> Effects:
        """Take one event; say what the world owes us for it."""
        out = Effects()
        match event:
            case Received(sender=sender, message=message):
                if sender in self.peers or (sender in self.stand_ins and isinstance(message, OF_STAND_INS)):
                    self._hear(now, sender, message, out)
            case WriteAsked():
                on_writes_asked(self, now, [event], out)
            case WritesAsked(writes=writes):
                on_writes_asked(self, now, writes, out)
            case ReadAsked():
                self.reads.on_read_asked(self, now, event, out)
            case PageAsked():
                self.pages.on_page_asked(self, now, event, out)
            case CompareAsked():
                self._on_compare_asked(now, event, out)
            case Persisted(end=end):
                self._on_persisted(now, end, out)
            case PeerUp(peer=peer):
                self.down.discard(peer)
                self.hints.send(self, now, out)
                if self.anti_entropy is not None and peer in self.peers:
                    self.anti_entropy.peer_up(self, now, peer, out)
            case PeerDown(peer=peer):
                self._on_down(now, peer, out)
            case RowDamaged(key=key):
                self.on_damage(key)
            case TimePassed():
                self._on_time_passed(now, out)
            case _:
                assert_never(event)
        if self._damage:
            self._see_to_damage(now, out)
        self._append(out)
        if self.refill is not None and self.refill.is_over(self.persisted):
            self.refill = None
        self._set_alarm(now)
        out.wake_at = self.wake_at
        return out

    def _hear(self, now: Instant, sender: NodeId, message: Message, out: Effects) -> None:
        match message:
            case Store():
                self._on_store(now, sender, message, out)
            case Stored():
                if not self.deliveries.on_stored(self, now, sender, message, out):
                    self.hints.on_stored(self, now, sender, message, out)
            case NotStored():
                self.deliveries.on_not_stored(self, now, sender, message, out)
            case Fetch():
                self._on_fetch(now, sender, message, out)
            case Fetched():
                self.reads.on_fetched(self, now, sender, message, out)
            case FetchPage():
                self._on_fetch_page(sender, message, out)
            case PageFetched():
                if self.refill is None or not self.refill.on_page_fetched(self, now, sender, message, out):
                    self.pages.on_page_fetched(self, sender, message, out)
            case _:
                if self.anti_entropy is not None:
                    self.anti_entropy.hear(self, now, sender, message, out)

    def _on_compare_asked(self, now: Instant, asked: CompareAsked, out: Effects) -> None:
        if self.anti_entropy is None:
            out.replies.append((asked.handle, Compared([])))
        else:
            self.anti_entropy.on_compare_asked(self, now, asked, out)

    def _on_persisted(self, now: Instant, end: LogEnd, out: Effects) -> None:
        self.persisted = max(self.persisted, end.index)
        self.deliveries.on_persisted(self, now, self.persisted, out)
        self.reads.on_persisted(self.persisted, out)

    def _on_down(self, now: Instant, peer: NodeId, out: Effects) -> None:
        self.down.add(peer)
        self.deliveries.on_down(self, now, peer, out)
        self.reads.on_down(self, now, peer, out)
        if self.anti_entropy is not None and peer in self.peers:
            self.anti_entropy.peer_down(self, now, peer, out)

    def _on_time_passed(self, now: Instant, out: Effects) -> None:
        if self.wake_at is None or now.monotonic < self.wake_at:
            return
        self.wake_at = None
        self.deliveries.tick(self, now, out)
        self.reads.tick(self, now, out)
        self.pages.tick(self, now, out)
        self.hints.send(self, now, out)
        self._damage = [key for key in sorted(self._damaged) if not self.reads.is_mending(key)][:MENDED_PER_TICK]
        if self.refill is not None:
            self.refill.tick(self, now, out)
        if self.anti_entropy is not None:
            self.anti_entropy.tick(self, now, out)

    def _set_alarm(self, now: Instant) -> None:
        """While anything is under way, look at it now and then."""
        busy = len(self.deliveries) or len(self.reads) or len(self.pages) or self._damaged or self.refill is not None
        retry_at = Millis(now.monotonic + self.settings.retry_ms)
        if (busy or not self.hints.is_empty) and (self.wake_at is None or self.wake_at > retry_at):
            self.wake_at = retry_at
        exchange_at = self.anti_entropy.wake_at(now.monotonic) if self.anti_entropy is not None else None
        if exchange_at is not None and (self.wake_at is None or exchange_at < self.wake_at):
            self.wake_at = exchange_at

    # ── what others ask ──────────────────────────────────────────────────────────────────────────────────────────

    def _on_store(self, now: Instant, sender: NodeId, message: Store, out: Effects) -> None:
        """Merge, and promise. What we cannot merge, because a row of ours is damaged, we do not promise either."""
        if message.owner not in ("", self.me):
            self.hints.refused += len(message.records)
            why = f"{self.me} is a replica of these keys itself: it keeps no hints for {message.owner}"
            out.send.append((sender, NotStored(message.id, why)))
            return
        try:
            self.take(message.records)
        except Corruption:
            for key, _ in message.records:
                self.known_or_nothing(key)
            return
        out.promise.append((sender, Stored(message.id)))

    def _on_fetch(self, now: Instant, sender: NodeId, message: Fetch, out: Effects) -> None:
        ask = self.table.digest if message.digests else self.table.record
        answers = []
        for key in message.keys:
            try:
                answers.append(ask(key))
            except Corruption:
                self.on_damage(key)
                answers.append(b"")
        if self._damaged.intersection(message.keys) and not message.mending:
            return  # it will ask another
        # A promise: what a read has seen must not be forgotten by all who told it.
        out.promise.append((sender, Fetched(message.id, answers, self.is_recovering)))

    def _on_fetch_page(self, sender: NodeId, message: FetchPage, out: Effects) -> None:
        table = self.table
        try:
            records, upto = table.page(message.start, message.end, message.limit, message.bytes_max)
        except Corruption as error:
            key = error.facts.get("key")
            if not isinstance(key, bytes) or not message.mending:
                return  # it will ask another
            self.on_damage(key)
            records, upto = [], key + b"\0"
            if message.start < key:  # up to before the damaged row; what that held we do not know either
                records, before = table.page(message.start, key, message.limit, message.bytes_max)
                upto = before or upto
        out.promise.append((sender, PageFetched(message.id, records, upto, self.is_recovering)))

    # ── what we know ─────────────────────────────────────────────────────────────────────────────────────────────

    def next_number(self) -> int:
        """For a question; never twice in one life, nor likely to be one of another life."""
        self._number += 1
        return self._number

    @property
    def log_index(self) -> Index:
        """The entry with everything that changed so far, the present step included."""
        return Index(self.last.index + bool(self._changed))

    def log(self, records: list[Record]) -> None:
        """These records changed in this step; the table has them already."""
        self._changed += records

    def remember(self, sibling: Sibling, after: Versions) -> None:
        """A write was taken. If it is none of the siblings that are logged, its operation is logged by itself."""
        self.table.remember(sibling.client, sibling.sequence, sibling.stamp)
        if sibling not in after.siblings:
            self.log_operation(sibling)

    def log_operation(self, sibling: Sibling) -> None:
        """The operation of a write that the records of this step do not show."""
        self._operations.append((sibling.client, sibling.sequence, sibling.stamp))

    def take(self, records: list[Record]) -> None:
        """Merge what somebody else knows, or nothing of it.

        Raises Corruption if a record, or a row of ours, is damaged.
        """
        record_of = self.table.record
        arrived = [(key, record, decode(record), record_of(key)) for key, record in records]
        latest: dict[bytes, bytes] = {}
        for key, record, versions, before in arrived:
            ours = latest.get(key, before)
            if ours == record:
                continue
            known = decode(ours) if ours else UNKNOWN
            news = news_of(versions, known)
            both = self.together(key, known, versions, news)
            if both is not versions:
                record = encode(both)
                if record == ours:
                    continue
            self.learn(key, record, both, news)
            latest[key] = record
            self._changed.append((key, record))

    def together(self, key: bytes, known: Versions, heard: Versions, news: list[Sibling]) -> Versions:
        """What we know of a key once we know what we heard as well; `heard` itself if we add nothing to it.

        `news` are the writes in it that are new to us.
        """
        if key in self._damaged:  # what we remember of its operations, we did not see replaced
            both = merged(heard, known)
            return newest_only(both) if self.settings.lww else both
        return together(self.table, known, heard, news, lww=self.settings.lww)

    def learn(self, key: bytes, record: bytes, versions: Versions, news: list[Sibling]) -> None:
        """What is known of the key from now on, and which writes come with it. The caller logs the record."""
        self.table.put(key, record)
        if len(versions.siblings) > 1:
            self.crowding.look_at(key, len(versions.siblings))
        for sibling in news:
            self.remember(sibling, versions)

    def _append(self, out: Effects) -> None:
        """Everything that this step changed, as one entry of our log."""
        if self._changed:
            records, self._changed = self._changed, []
            operations, self._operations = self._operations, []
            self.last = LogEnd(LOG_TERM, Index(self.last.index + 1))
            out.append.append(Entry(LOG_TERM, self.last.index, self.table.log_payload(records, operations)))

    # ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────

    def known_or_nothing(self, key: bytes) -> Versions:
        """What is known of a key; nothing if its row is damaged, which is then seen to."""
        try:
            return self.table.known(key)
        except Corruption:
            self.on_damage(key)
            return UNKNOWN

    def on_damage(self, key: bytes) -> None:
        """A row of ours is damaged: until others have told us what they know of the key, we say nothing about it.

        We have forgotten which of our own writes it held. So our next writes are another actor's.
        """
        if key not in self._damaged:
            self._damaged.add(key)
            self._damage.append(key)
            self.damaged_rows += 1
            self.actor, self.counter = self._rng.getrandbits(63) | 1, 0

    def mended(self, key: bytes) -> bool:
        """The others have told us what they know of it. False if it was not damaged."""
        if key not in self._damaged:
            return False
        self._damaged.discard(key)
        return True

    def _see_to_damage(self, now: Instant, out: Effects) -> None:
        out.damaged, self._damage = self._damage, []
        for key in out.damaged:
            self.reads.mend(self, now, key, others_to_ask(len(self.replicas), self.settings.write_quorum), out)
