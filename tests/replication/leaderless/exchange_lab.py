"""Replicas that only exchange: maps with trees, and a network that loses, doubles and reorders as told."""

from collections.abc import Collection, Iterable
from random import Random

from kvstore.core.causality import Sibling, Versions, decode, encode, merged
from kvstore.core.hybrid_clock import stamp_at
from kvstore.core.ids import Instant, Millis, NodeId
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless.comparing import Outcome
from kvstore.replication.leaderless.exchange import Exchanged, Exchanger
from kvstore.replication.leaderless.knowledge import Page
from kvstore.replication.leaderless.merkle import BITS_MIN, Tree
from kvstore.replication.leaderless.messages import Exchange, Record
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle

START = 1_000_000
"""What the wall clock says at first; records with smaller stamps are old."""
DELAY_MS = 1
N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def versions_of(actor: int, counter: int, value: bytes | None = b"v", stamp_ms: int = 0) -> Versions:
    """What is known after one write."""
    sibling = Sibling(actor, counter, stamp_at(Millis(stamp_ms)), value)
    return Versions({actor: counter}, (sibling,))


class Map:
    """Knowledge in a dict."""

    def __init__(self, bits: int = BITS_MIN) -> None:
        self.tree = Tree(bits)
        self.recovering = False
        self.is_whole = True
        self.records: dict[bytes, bytes] = {}

    def page(self, leaves: Collection[int] | None, start: bytes, limit: int) -> Page:
        keys = sorted(key for key in self.records if key >= start)
        looked, upto = keys[:limit], keys[limit] if len(keys) > limit else b""
        hashed = [(key, key_hash(key)) for key in looked]
        found = [
            (k, record_digest(h, self.records[k]))
            for k, h in hashed
            if leaves is None or self.tree.leaf_of(h) in leaves
        ]
        return Page(found, upto, len(looked))

    def record(self, key: bytes) -> bytes:
        return self.records.get(key, b"")

    def merge(self, records: list[Record]) -> None:
        for key, record in records:
            ours = self.records.get(key)
            self.put(key, decode(record) if ours is None else merged(decode(ours), decode(record)))

    def put(self, key: bytes, versions: Versions) -> None:
        hashed, record = key_hash(key), encode(versions)
        self.tree.change(hashed, record_digest(hashed, self.record(key)), record_digest(hashed, record))
        self.records[key] = record


class Lab:
    """Replicas n1, n2 …; `loss`, `doubling` and `lateness` are chances of each message."""

    def __init__(
        self, count: int = 2, seed: int = 0, *, loss: float = 0, doubling: float = 0, lateness: float = 0,
        bits: int = BITS_MIN, **settings: object,
    ) -> None:  # fmt: skip
        self.settings = ExchangeSettings(**settings)  # type: ignore[arg-type]
        self.names = [NodeId(f"n{i + 1}") for i in range(count)]
        self.dice, self.now = Random(seed), 0
        self.loss, self.doubling, self.lateness = loss, doubling, lateness
        self.maps = {name: Map(bits) for name in self.names}
        self.exchangers = {name: self._made(name) for name in self.names}
        self.wire: list[tuple[int, int, NodeId, NodeId, Exchange]] = []
        self.sent = 0
        self.said: list[Exchange] = []
        self.outcomes: list[tuple[NodeId, Outcome]] = []

    def _made(self, name: NodeId) -> Exchanger:
        peers = [peer for peer in self.names if peer != name]
        throttle, rng = Throttle(self.settings), Random(f"{name}{self.dice.random()}")
        return Exchanger(name, peers, self.maps[name], self.settings, throttle, rng, self.instant)

    @property
    def instant(self) -> Instant:
        return Instant(Millis(self.now), Millis(START + self.now))

    def carry_out(self, name: NodeId, out: Exchanged) -> None:
        self.outcomes += [(name, outcome) for outcome in out.finished]
        for peer, message in out.send:
            self.sent += 1
            self.said.append(message)
            for _ in range(1 + (self.dice.random() < self.doubling)):
                if self.dice.random() >= self.loss:
                    late = self.dice.randrange(4_000) if self.dice.random() < self.lateness else 0
                    self.wire.append((self.now + DELAY_MS + late, self.sent, name, peer, message))

    def demand(self, name: NodeId = N1, *, check: bool = False) -> list[Outcome]:
        """Demand, and run until every peer's outcome is there."""
        ticket, before = self.sent + 1, len(self.outcomes)
        self.carry_out(name, self.exchangers[name].demand(self.instant, ticket, check=check))
        while sum(o.ticket == ticket for _, o in self.outcomes[before:]) < len(self.names) - 1:
            self.one()
        return [outcome for _, outcome in self.outcomes[before:] if outcome.ticket == ticket]

    def one(self) -> None:
        """The next thing that happens: a message arrives or a clock goes off."""
        alarms = [(at, name) for name, each in self.exchangers.items() if (at := each.wake_at) is not None]
        arrival = min(self.wire, default=None, key=lambda each: each[:2])
        if arrival is not None and (not alarms or arrival[0] <= min(alarms)[0]):
            self.wire.remove(arrival)
            at, _, sender, to, message = arrival
            self.now = max(self.now, at)
            self.carry_out(to, self.exchangers[to].hear(self.instant, sender, message))
            return
        assert alarms, "nothing would ever happen"
        at, name = min(alarms)
        self.now = max(self.now, at)
        self.carry_out(name, self.exchangers[name].time_passed(self.instant))

    def run(self, ms: int) -> None:
        until = self.now + ms
        while self.now < until:
            self.one()

    def fill(self, names: Iterable[NodeId] | None, records: dict[bytes, Versions]) -> None:
        for name in names or self.names:
            for key, versions in records.items():
                self.maps[name].put(key, versions)

    @property
    def is_converged(self) -> bool:
        return all(each.records == self.maps[self.names[0]].records for each in self.maps.values())


def key(number: int) -> bytes:
    return f"key:{number:06}".encode()


def filled(keys: int, **options: object) -> Lab:
    """Replicas that all know so many keys."""
    lab = Lab(**options)  # type: ignore[arg-type]
    lab.fill(None, {key(i): versions_of(1, i + 1) for i in range(keys)})
    return lab


def union(lab: Lab) -> dict[bytes, bytes]:
    """What all replicas know together."""
    known = Map()
    for each in lab.maps.values():
        known.merge(list(each.records.items()))
    return known.records
