"""Guest: a node without a replica of a partition, which keeps hints for replicas that are down, and returns them.

Hints are what a coordinator knew of some keys, kept for one replica, the *owner*. A guest never answers a read and
counts as no replica. It acknowledges what is in its log, and all of that is also in its memory, which is what bounds it
(`GuestBudget`): what does not fit is refused, and left to anti-entropy. Records of a key are merged, per owner.

The log is all there is on disk. An entry is needed while one of its records is the last of its key; returned hints
make the beginning of the log dispensable. When hints of one owner, who stays away, hold up much of the log that nobody
needs otherwise, they are moved to its end, as in a log-structured store (Rosenblum, Ousterhout: "The Design and
Implementation of a Log-Structured File System", SOSP 1991). A crash may bring back hints that were returned: they are
returned again, and merging knows that.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

import msgspec

from kvstore.core.causality import decode, encode, merged, newest_only
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.ids import Index, Instant, Millis, NodeId, Term
from kvstore.replication.leaderless.effects import Effects, PeerDown, PeerUp, Persisted, Received, TimePassed
from kvstore.replication.leaderless.messages import NotStored, Record, Store, Stored
from kvstore.replication.leaderless.pace import Throttle
from kvstore.replication.leaderless.settings import LeaderlessSettings

GuestEvent = Received | Persisted | PeerUp | PeerDown | TimePassed
LOG_TERM = Term(1)
HINT_OVERHEAD_BYTES: Final = 200
"""What a hint takes in memory besides its key and record, roughly."""
SLACK_BYTES: Final = 1 << 20
"""So much of the log may be of no use, besides as much as is of use."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[tuple[NodeId, list[Record]]])


class GuestBudget:
    """What a node keeps for others in all its partitions: at most so many hints and bytes for each owner.

    `refused` and `returned` count hints since the start; `dropped` those that were refused for want of room, and those
    whose owner needs them no more because the keyspace is gone.
    """

    def __init__(self, records_max: int, bytes_max: int) -> None:
        self.records_max, self.bytes_max = records_max, bytes_max
        self.records: Counter[NodeId] = Counter()
        self.bytes: Counter[NodeId] = Counter()
        self.taken = self.returned = self.dropped = self.refused = 0
        self.disk_full = False

    def has_room(self, owner: NodeId, records: int, nbytes: int) -> bool:
        """Whether so much more may be kept. What makes it no more is always let in."""
        enough = self.records[owner] + records <= self.records_max and self.bytes[owner] + nbytes <= self.bytes_max
        return enough or (records <= 0 and nbytes <= 0)

    def add(self, owner: NodeId, records: int, nbytes: int) -> None:
        """So much more is kept; less, if negative."""
        self.records[owner] += records
        self.bytes[owner] += nbytes
        if not self.records[owner]:
            del self.records[owner], self.bytes[owner]


class Hint(NamedTuple):
    """A record that is owed, and the entry of our log that has it."""

    record: bytes
    entry: Index


class Returning(NamedTuple):
    """Hints on their way to their owner."""

    number: int
    hints: dict[bytes, Hint]
    sent_at: Millis


class GuestEffects(Effects):
    """Also how far the log is of no use any more; None: as before."""

    __slots__ = ("compact",)

    def __init__(self) -> None:
        super().__init__()
        self.compact: Index | None = None


class Guest:
    """The hints of one partition, as a function from events to effects. See the module."""

    def __init__(
        self,
        *,
        me: NodeId,
        replicas: tuple[NodeId, ...],
        up: set[NodeId],
        settings: LeaderlessSettings,
        budget: GuestBudget,
        throttle: Throttle,
        log_start: Index,
        rng: Random,
    ) -> None:
        """`up`: replicas that are heard. `throttle` and `budget` are the node's, for all its partitions."""
        self.me, self.replicas, self.settings = me, replicas, settings
        self.last = self.persisted = self.log_start = log_start
        self.wake_at: Millis | None = None
        self._up = up & set(replicas)
        self._budget, self._throttle = budget, throttle
        self._number = rng.getrandbits(60)
        self._hints: dict[NodeId, dict[bytes, Hint]] = {}
        """By owner, in the order of the log."""
        self._returning: dict[NodeId, Returning] = {}
        self._entry_bytes: dict[Index, int] = {}
        """Size of the entries that the log has, in their order."""
        self._log_bytes = self._hint_bytes = 0

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def count(self, owner: NodeId) -> int:
        """How many hints there are for a replica."""
        return len(self._hints.get(owner, ()))

    @property
    def is_done(self) -> bool:
        """Nothing is owed to anybody, nor on its way to our disk: there is no need for this guest."""
        return not self._hints and self.persisted == self.last

    # ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────

    def replay(self, entry: Entry) -> None:
        """Take the next entry of the log at a start. Raises Corruption if it makes no sense."""
        try:
            owed = _DECODER.decode(entry.payload)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Corruption(f"an entry of a guest makes no sense: {error}") from error
        self.last = self.persisted = entry.index
        self._grow(entry)
        for owner, records in owed:
            for key, record in records:
                self._keep(owner, key, Hint(record, entry.index))

    def _grow(self, entry: Entry) -> None:
        self._entry_bytes[entry.index] = len(entry.payload)
        self._log_bytes += len(entry.payload)

    def _log(self, owner: NodeId, records: list[Record], out: GuestEffects) -> None:
        """Keep these and make them durable."""
        self.last = Index(self.last + 1)
        entry = Entry(LOG_TERM, self.last, _ENCODER.encode([(owner, records)]))
        out.append.append(entry)
        self._grow(entry)
        for key, record in records:
            self._keep(owner, key, Hint(record, self.last))

    def _keep(self, owner: NodeId, key: bytes, hint: Hint) -> None:
        hints = self._hints.setdefault(owner, {})
        before = hints.pop(key, None)  # so that it is the last in order
        hints[key] = hint
        grown = _size(key, hint.record) - (_size(key, before.record) if before is not None else 0)
        self._hint_bytes += grown
        self._budget.add(owner, int(before is None), grown)

    def _forget(self, owner: NodeId, key: bytes) -> None:
        hints = self._hints[owner]
        size = _size(key, hints.pop(key).record)
        self._hint_bytes -= size
        self._budget.add(owner, -1, -size)
        if not hints:
            del self._hints[owner]

    def drop(self) -> None:
        """The partition is gone."""
        for owner, hints in list(self._hints.items()):
            self._budget.dropped += len(hints)
            for key in list(hints):
                self._forget(owner, key)
        self._returning.clear()

    # ── the step ─────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, now: Instant, event: GuestEvent) -> GuestEffects:
        """Take one event; say what the world owes us for it."""
        out = GuestEffects()
        match event:
            case Received(sender=sender, message=Store() as message):
                self._on_store(sender, message, out)
            case Received(sender=sender, message=Stored() as message):
                self._on_stored(sender, message)
            case Received():
                pass  # meant for a replica
            case Persisted(end=end):
                self.persisted = max(self.persisted, end.index)
            case PeerUp(peer=peer):
                self._up |= {peer} & set(self.replicas)
            case PeerDown(peer=peer):
                self._up.discard(peer)
                self._returning.pop(peer, None)
            case TimePassed():
                pass
        self._return(now, out)
        self._clean(out)
        self._compact(out)
        out.wake_at = self.wake_at
        return out

    # ── taking ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_store(self, sender: NodeId, message: Store, out: GuestEffects) -> None:
        owner = message.owner
        if owner not in self.replicas:
            whom = f"{owner} is no replica of these keys" if owner else f"{self.me} is no replica of these keys"
            self._refuse(sender, message, f"{whom}: its replicas are {', '.join(self.replicas)}", out)
            return
        try:
            changed = self._merged(owner, message.records)
        except Corruption as error:
            self._refuse(sender, message, f"the hints are damaged: {error}", out)
            return
        if not self._has_room(owner, changed):
            self._budget.dropped += len(message.records)
            why = "its disk is full" if self._budget.disk_full else f"it keeps {self._budget.records[owner]} already"
            self._refuse(sender, message, f"{self.me} has no room for more hints for {owner}: {why}", out)
            return
        if changed:
            self._budget.taken += len(changed)
            self._log(owner, list(changed.items()), out)
        out.promise.append((sender, Stored(message.id)))

    def _refuse(self, sender: NodeId, message: Store, why: str, out: GuestEffects) -> None:
        self._budget.refused += len(message.records)
        out.send.append((sender, NotStored(message.id, why)))

    def _merged(self, owner: NodeId, records: list[Record]) -> dict[bytes, bytes]:
        """What is new, merged with what is kept. Raises Corruption."""
        hints, changed = self._hints.get(owner, {}), dict[bytes, bytes]()
        for key, record in records:
            versions = decode(record)
            kept = changed.get(key) or (hints[key].record if key in hints else b"")
            if kept and kept != record:
                both = merged(decode(kept), versions)
                record = encode(newest_only(both) if self.settings.lww else both)
            if record != kept:
                changed[key] = record
        return changed

    def _has_room(self, owner: NodeId, changed: dict[bytes, bytes]) -> bool:
        if not changed:
            return True
        hints = self._hints.get(owner, {})
        known = [key for key in changed if key in hints]
        grown = sum(_size(*each) for each in changed.items()) - sum(_size(key, hints[key].record) for key in known)
        return not self._budget.disk_full and self._budget.has_room(owner, len(changed) - len(known), grown)

    # ── returning ────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_stored(self, owner: NodeId, reply: Stored) -> None:
        """The owner has some of its hints on disk."""
        returning = self._returning.get(owner)
        if returning is None or returning.number != reply.id:
            return
        del self._returning[owner]
        self._budget.returned += len(returning.hints)
        for key, hint in returning.hints.items():
            if self._hints.get(owner, {}).get(key) is hint:  # nothing came to it meanwhile
                self._forget(owner, key)

    def _return(self, now: Instant, out: GuestEffects) -> None:
        """Give every owner that is up its next few hints: one message at a time, when the throttle allows it."""
        due: list[Millis] = []
        for owner in self._hints:
            if owner not in self._up:
                continue
            returning = self._returning.get(owner)
            if returning is not None:
                again_at = Millis(returning.sent_at + self.settings.store_patience_ms)
                if now.monotonic < again_at:
                    due.append(again_at)
                    continue
            if now.monotonic < self._throttle.free_at:
                due.append(self._throttle.free_at)
                continue
            self._send_some(now, owner, out)
            due.append(Millis(now.monotonic + self.settings.store_patience_ms))
        self.wake_at = min(due, default=None)

    def _send_some(self, now: Instant, owner: NodeId, out: GuestEffects) -> None:
        some: dict[bytes, Hint] = {}
        size = 0
        for key, hint in self._hints[owner].items():
            if len(some) >= self.settings.batch_records_max or size >= self.settings.batch_bytes_max:
                break
            some[key] = hint
            size += len(key) + len(hint.record)
        self._number += 1
        self._returning[owner] = Returning(self._number, some, now.monotonic)
        self._throttle.charge(now.monotonic, len(some), size)
        out.send.append((owner, Store(self._number, [(key, hint.record) for key, hint in some.items()])))

    # ── what the log need not keep ───────────────────────────────────────────────────────────────────────────────

    def _oldest(self) -> Iterator[tuple[NodeId, bytes, Hint]]:
        """The first hint of every owner."""
        for owner, hints in self._hints.items():
            key = next(iter(hints))
            yield owner, key, hints[key]

    def _clean(self, out: GuestEffects) -> None:
        """Move some of the oldest hints to the end of the log, if too much behind them is of no use."""
        is_small = self._log_bytes <= 2 * self._hint_bytes + SLACK_BYTES
        if is_small or not self._hints or self.persisted != self.last:
            return
        owner, _, _ = min(self._oldest(), key=lambda oldest: oldest[2].entry)
        some: list[Record] = []
        size = 0
        for key, hint in self._hints[owner].items():
            if size >= self.settings.batch_bytes_max:
                break
            some.append((key, hint.record))
            size += _size(key, hint.record)
        self._log(owner, some, out)

    def _compact(self, out: GuestEffects) -> None:
        """Let go of the beginning of the log. Nothing that is still on its way to the disk."""
        needed_from = min((hint.entry for _, _, hint in self._oldest()), default=Index(self.last + 1))
        upto = Index(min(needed_from - 1, self.persisted))
        if upto <= self.log_start:
            return
        for index in range(self.log_start + 1, upto + 1):
            self._log_bytes -= self._entry_bytes.pop(Index(index))
        self.log_start = out.compact = upto

    @property
    def log_end(self) -> LogEnd:
        """The last entry."""
        return LogEnd(LOG_TERM, self.last)


def _size(key: bytes, record: bytes) -> int:
    return len(key) + len(record) + HINT_OVERHEAD_BYTES
