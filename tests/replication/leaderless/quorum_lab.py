"""A few leaderless replicas in one list: messages and disks move when the test says so, in the order it says.

With `guests` there are so many nodes more that hold no replica, and keep hints.
"""

from collections.abc import Sequence
from random import Random

import msgspec

from kvstore.core.causality import UNKNOWN, Versions, decode, encode, encode_context, merged, newest_only
from kvstore.core.commands import Command, Kind
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.hybrid_clock import HybridClock
from kvstore.core.ids import Index, Instant, Millis, NodeId
from kvstore.replication.leaderless.effects import (
    Answer,
    Effects,
    Event,
    PageAsked,
    PeerDown,
    PeerUp,
    Persisted,
    ReadAsked,
    ReadDone,
    Received,
    TimePassed,
    WriteAsked,
    Wrote,
)
from kvstore.replication.leaderless.guest import Guest, GuestBudget
from kvstore.replication.leaderless.messages import Message, Operation, Record
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle
from kvstore.replication.leaderless.replica import LOG_TERM, LeaderlessReplica
from kvstore.replication.leaderless.settings import LeaderlessSettings

WALL = 1_700_000_000_000


class MemoryTable:
    """A table in a dict. Damaged keys raise until they are put again."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.operations: dict[tuple[int, int], tuple[int, int]] = {}
        self.damaged: set[bytes] = set()

    def known(self, key: bytes) -> Versions:
        record = self.record(key)
        return decode(record) if record else UNKNOWN

    def record(self, key: bytes) -> bytes:
        if key in self.damaged:
            raise Corruption(f"{key!r} is damaged", key=key)
        return self.rows.get(key, b"")

    def put(self, key: bytes, record: bytes) -> None:
        self.damaged.discard(key)
        if record:
            self.rows[key] = record
        else:
            self.rows.pop(key, None)

    def digest(self, key: bytes) -> bytes:
        return self.record(key)[::-1]

    def page(self, start: bytes, end: bytes, limit: int, bytes_max: int) -> tuple[list[Record], bytes]:
        keys = sorted(key for key in self.rows if key >= start and (not end or key < end))
        taken = keys[:limit]
        return [(key, self.record(key)) for key in taken], keys[limit] if len(keys) > limit else b""

    def remember(self, client: int, sequence: int, stamp: int) -> None:
        self.operations[client, sequence] = (0, stamp)

    def outcome(self, client: int, sequence: int) -> Sequence[int] | None:
        return self.operations.get((client, sequence))

    def log_payload(self, records: list[Record], operations: list[Operation]) -> bytes:
        return msgspec.msgpack.encode((records, operations))


class Lab:
    """Replicas n1, n2 …, a network that holds every message until it is told to deliver, disks that hold entries."""

    def __init__(
        self, count: int = 3, seed: int = 0, guests: int = 0, guest_hints_max: int = 1_000, **settings: object
    ) -> None:
        everybody = tuple(NodeId(f"n{i}") for i in range(1, count + guests + 1))
        self.names, self.others = everybody[:count], everybody[count:]
        self.guest_hints_max = guest_hints_max
        self.guests: dict[NodeId, Guest] = {}
        self.log_starts: dict[NodeId, int] = dict.fromkeys(everybody, 0)
        self.settings = LeaderlessSettings(**{"write_quorum": count // 2 + 1, **settings})  # type: ignore[arg-type]
        self.dice = Random(seed)
        self.now = 1_000
        self.replicas: dict[NodeId, LeaderlessReplica] = {}
        self.tables: dict[NodeId, MemoryTable] = {}
        self.logs: dict[NodeId, list[bytes]] = {name: [] for name in everybody}
        self.synced: dict[NodeId, int] = dict.fromkeys(everybody, 0)
        self.promised: dict[NodeId, list[tuple[int, NodeId, Message]]] = {}
        self.wire: list[tuple[NodeId, NodeId, Message]] = []
        self.answers: dict[int, Answer] = {}
        self.handles = self.sequence = self.lives = 0
        for name in everybody:
            self.start(name)

    @property
    def alive(self) -> list[NodeId]:
        return [*self.replicas, *self.guests]

    # ── lives ──

    def start(self, name: NodeId, *, recovering: bool = False) -> None:
        self.lives += 1
        if name in self.others:
            self._start_guest(name)
        else:
            self._start_replica(name, recovering)
        self.promised[name] = []
        for other in self.names + self.others:
            if other != name and other not in self.alive:
                self.hear(name, PeerDown(other))
        for other in self.alive:
            if other != name:
                self.hear(other, PeerUp(name))
        self.hear(name, TimePassed())

    def _start_guest(self, name: NodeId) -> None:
        start = self.log_starts[name]
        guest = self.guests[name] = Guest(
            me=name, replicas=self.names, up=set(self.replicas), settings=self.settings,
            budget=GuestBudget(self.guest_hints_max, 1 << 20), throttle=Throttle(ExchangeSettings()),
            log_start=Index(start), rng=Random(f"{name}{self.lives}"),
        )  # fmt: skip
        for index, payload in enumerate(self.logs[name][start:], start + 1):
            guest.replay(Entry(LOG_TERM, Index(index), payload))

    def _start_replica(self, name: NodeId, recovering: bool) -> None:
        table = self.tables[name] = MemoryTable()
        for payload in self.logs[name]:
            records, operations = msgspec.msgpack.decode(payload, type=tuple[list[Record], list[Operation]])
            for key, record in records:
                self._replay(table, key, record)
            for client, sequence, stamp in operations:
                table.remember(client, sequence, stamp)
        self.replicas[name] = LeaderlessReplica(
            me=name, replicas=self.names, settings=self.settings, table=table, last=Index(len(self.logs[name])),
            clock=HybridClock(), actor=1000 + self.lives, rng=Random(f"{name}{self.lives}"), recovering=recovering,
            stand_ins=self.others,
        )  # fmt: skip

    def _replay(self, table: MemoryTable, key: bytes, record: bytes) -> None:
        known = merged(table.known(key), decode(record)) if record else table.known(key)
        if self.settings.lww:
            known = newest_only(known)
        table.put(key, encode_of(known))
        for sibling in known.siblings:
            table.remember(sibling.client, sibling.sequence, sibling.stamp)

    def crash(self, name: NodeId) -> None:
        """What was not synced is gone."""
        if name in self.others:
            del self.guests[name]
        else:
            del self.replicas[name]
        del self.logs[name][self.synced[name] :]
        for other in self.alive:
            self.hear(other, PeerDown(name))

    def wipe(self, name: NodeId) -> None:
        self.crash(name)
        self.logs[name], self.synced[name] = [], 0

    # ── events ──

    def instant(self) -> Instant:
        return Instant(Millis(self.now), Millis(WALL + self.now))

    def hear(self, name: NodeId, event: Event) -> None:
        if name in self.others:
            out = self.guests[name].step(self.instant(), event)  # type: ignore[arg-type]  # none is meant for replicas
            if out.compact is not None:
                assert out.compact <= self.synced[name], "entries that are not on disk cannot be dropped from it"
                self.log_starts[name] = out.compact
            self._carry_out(name, out)
        else:
            self._carry_out(name, self.replicas[name].step(self.instant(), event))

    def _carry_out(self, name: NodeId, out: Effects) -> None:
        self.logs[name] += [entry.payload for entry in out.append]
        self.wire += [(name, peer, message) for peer, message in out.send]
        self.promised[name] += [(len(self.logs[name]), peer, message) for peer, message in out.promise]
        for handle, answer in out.replies:
            assert handle not in self.answers, "answered twice"
            self.answers[handle] = answer
        self._keep_promises(name)

    def _keep_promises(self, name: NodeId) -> None:
        kept = [promise for promise in self.promised[name] if promise[0] <= self.synced[name]]
        self.promised[name] = [promise for promise in self.promised[name] if promise[0] > self.synced[name]]
        self.wire += [(name, peer, message) for _, peer, message in kept]

    def sync(self, name: NodeId) -> None:
        """The disk has everything."""
        if name in self.alive and self.synced[name] < len(self.logs[name]):
            self.synced[name] = len(self.logs[name])
            self.hear(name, Persisted(LogEnd(LOG_TERM, Index(self.synced[name]))))
            self._keep_promises(name)

    def deliver(self, position: int = 0) -> None:
        sender, to, message = self.wire.pop(position)
        if to in self.alive:
            self.hear(to, Received(sender, message))

    def drop(self, sender: NodeId | None = None, to: NodeId | None = None) -> None:
        """Lose what is under way."""
        self.wire = [each for each in self.wire if (sender and each[0] != sender) or (to and each[1] != to)]

    def settle(self) -> None:
        """Everything that is under way arrives, everything that waits for a disk is on it."""
        while self.wire or any(self.synced[name] < len(self.logs[name]) for name in self.alive):
            for name in self.alive:
                self.sync(name)
            while self.wire:
                self.deliver()

    def run(self, ms: int) -> None:
        for _ in range(ms // 100):
            self.settle()
            self.now += 100
            for name in self.alive:
                self.hear(name, TimePassed())
        self.settle()

    # ── clients ──

    def write(
        self, at: NodeId, key: bytes, value: bytes | None, context: dict[int, int] | None = None, needed: int = 2,
        sequence: int = 0, *, sloppy: bool = False,
    ) -> int:  # fmt: skip
        self.handles += 1
        self.sequence += 1
        kind = Kind.DELETE if value is None else Kind.PUT
        command = Command(
            sequence or self.sequence, kind.value, key, value or b"", 0, 0,
            encode_context(context) if context is not None else b"",
        )  # fmt: skip
        self.hear(at, WriteAsked(self.handles, 7, [command], needed, Millis(self.now + 5_000), sloppy))
        return self.handles

    def read(self, at: NodeId, key: bytes, needed: int = 2) -> int:
        self.handles += 1
        self.hear(at, ReadAsked(self.handles, [key], needed, Millis(self.now + 5_000)))
        return self.handles

    def page(self, at: NodeId, needed: int = 2, limit: int = 100) -> int:
        self.handles += 1
        self.hear(at, PageAsked(self.handles, b"", b"", limit, 1 << 20, needed, Millis(self.now + 5_000)))
        return self.handles

    def wrote(self, handle: int) -> Wrote:
        answer = self.answers[handle]
        assert isinstance(answer, Wrote), answer
        return answer

    def found(self, handle: int) -> Versions:
        answer = self.answers[handle]
        assert isinstance(answer, ReadDone), answer
        return decode(answer.records[0]) if answer.records[0] else UNKNOWN


def encode_of(versions: Versions) -> bytes:

    return encode(versions) if versions.context else b""
