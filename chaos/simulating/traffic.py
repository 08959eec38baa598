"""The clients' work: registers under concurrent gets, puts, deletes, compare-and-sets and batches; and its history."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec

from chaos.simulating.day import Day
from chaos.simulating.ground import Ground
from chaos.simulating.oracle import Violation
from kvstore.core.commands import Command, Condition, Kind, Status, batch_of, decode_results, encode
from kvstore.core.ids import GroupId, NodeId
from kvstore.node.requests import (
    Acks,
    Answer,
    Failure,
    Found,
    OutcomeFound,
    OutcomeRequest,
    ReadLevel,
    ReadRequest,
    WriteRequest,
    Written,
)
from kvstore.sim.client import Call, SimClient
from kvstore.sim.cluster import SimCluster
from kvstore.sim.scheduler import MILLI

Result = list[int]
Mix = tuple[tuple[str, int], ...]
READER_MIX: Mix = (("get", 3), ("pair read", 1))
_VERSIONS = msgspec.msgpack.Decoder(list[tuple[int, bytes] | None])
_OUTCOME = msgspec.msgpack.Decoder(Result | None)


@dataclass(slots=True)
class Change:
    """One command on its way, and its place in the history (None: its key is not judged)."""

    handle: int | None
    kind: str
    key: str
    value: str | None
    command: Command


@dataclass(slots=True)
class Unsettled:
    """A write of which no client knows how it ended."""

    group: GroupId
    client: int
    changes: list[Change]
    answers: dict[int, Result | None] = field(default_factory=dict)


class Worker:
    """One lane of one client: one call at a time."""

    def __init__(self, traffic: "Traffic", client: SimClient, number: int, lane: int, pause_ms: int, mix: Mix) -> None:
        self.name = f"{client.name}.{lane}"
        self._pause_ms, self._mix = pause_ms, mix
        self.client, self.number, self._traffic = client, number, traffic
        self._rng = traffic.cluster.dice.stream(f"work of {self.name}")
        self._values = 0
        self._seen: dict[str, tuple[int, str] | None] = {}
        """What this worker saw last under a key."""

    def rest(self) -> None:
        """Think, then go on."""
        pause = self._rng.expovariate(1 / self._pause_ms)
        self._traffic.cluster.scheduler.after(int(pause * MILLI), self.name, "works", self._work)

    def _work(self) -> None:
        traffic = self._traffic
        if traffic.closed:
            return
        kinds, weights = zip(*self._mix, strict=True)
        kind = self._rng.choices(kinds, weights)[0]
        match kind:
            case "get" | "follower read" | "leader read":
                self._read([self._key()], kind)
            case "pair read":
                self._read(list(self._rng.choice(traffic.pairs)), "get")
            case "pair":
                self._write_pair()
            case "many":
                self._write_many()
            case "weak put":
                key = self._rng.choice(traffic.weak_keys)
                self._write([self._change("put", key, judged=False)], Acks.LEADER)
            case _:
                self._write([self._change(kind, self._key())], self._acks())

    def _key(self) -> str:
        return self._rng.choice(self._traffic.keys)

    def _acks(self) -> Acks:
        return Acks.ALL if self._rng.randrange(1000) < self._traffic.day.load.acks_all_per_mille else Acks.DEFAULT

    # --- writing ------------------------------------------------------------------------------------------------------

    def _change(self, kind: str, key: str, value: str | None = None, judged: bool = True) -> Change:
        """A command, noted in the history as invoked now. It writes a value of its own if none is given."""
        traffic, row = self._traffic, key.encode()
        sequence = traffic.next_sequence(self.number)
        value = None if kind == "delete" else value or self._unique_value()
        data = traffic.encoded(value)
        asked: Hashable = value
        if kind == "cas":
            seen = self._seen.get(key)
            condition = Condition.ABSENT if seen is None else Condition.STAMP
            command = Command(sequence, Kind.PUT, row, data, condition, 0 if seen is None else seen[0])
            asked = (None if seen is None else seen[1], value)
        elif kind == "delete":
            command = Command(sequence, Kind.DELETE, row)
        else:
            command = Command(sequence, Kind.PUT, row, data)
        handle = None
        if judged:
            handle = traffic.history.invoke(self.name, kind, key, asked, traffic.cluster.now)
        return Change(handle, kind, key, value, command)

    def _unique_value(self) -> str:
        self._values += 1
        return f"{self.name}#{self._values}"

    def _write_pair(self) -> None:
        """Both keys get the same value, or none does; sometimes only if both are what we saw."""
        pair = self._rng.choice(self._traffic.pairs)
        kind = self._rng.choice(("put", "put", "cas", "delete"))
        value = self._unique_value()
        self._write([self._change(kind, key, value) for key in pair], self._acks(), atomic=True)

    def _write_many(self) -> None:
        """Several keys of one partition in one batch that need not stay together."""
        group = self._traffic.group_of(self._key())
        keys = [key for key in self._traffic.keys if self._traffic.group_of(key) == group]
        picked = self._rng.sample(keys, min(len(keys), 3))
        self._write([self._change(self._rng.choice(("put", "delete", "cas")), key) for key in picked], self._acks())

    def _write(self, changes: list[Change], acks: Acks, atomic: bool = False) -> None:
        commands = [change.command for change in changes]
        batch = batch_of(self.number, 0, commands, atomic=atomic)
        group = self._traffic.group_of(changes[0].key)
        request = WriteRequest(group, encode(batch), acks)
        self.client.call(request, lambda call, answer: self._written(changes, group, call, answer))

    def _written(self, changes: list[Change], group: GroupId, call: Call, answer: Answer | None) -> None:
        traffic = self._traffic
        if isinstance(answer, Written):
            for change, result in zip(changes, decode_results(answer.results), strict=True):
                traffic.conclude(change, [result.status, result.stamp])
                self._learn(change, [result.status, result.stamp])
        elif isinstance(answer, Failure) and not call.maybe:
            traffic.check_refusal(answer)
            for change in changes:
                traffic.fail(change)
        else:
            traffic.leave_open(Unsettled(group, self.number, changes))
        self.rest()

    def _learn(self, change: Change, result: Result) -> None:
        if result[0] == Status.WRITTEN and change.value is not None:
            self._seen[change.key] = (result[1], change.value)
        elif result[0] in (Status.WRITTEN, Status.NOT_FOUND):
            self._seen[change.key] = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, keys: list[str], kind: str) -> None:
        traffic = self._traffic
        level, staleness = ReadLevel.DEFAULT, 0
        if kind == "follower read":
            level, staleness = ReadLevel.FOLLOWER, self._rng.choice((0, 100, 1_000, 10_000))
        elif kind == "leader read":
            level = ReadLevel.LEADER
        request = ReadRequest(traffic.group_of(keys[0]), [key.encode() for key in keys], level, staleness)
        handles = []
        if kind == "get":
            handles = [traffic.history.invoke(self.name, "get", key, None, traffic.cluster.now) for key in keys]
        self.client.call(request, lambda call, answer: self._found(keys, handles, kind, answer))

    def _found(self, keys: list[str], handles: list[int], kind: str, answer: Answer | None) -> None:
        traffic = self._traffic
        if isinstance(answer, Found):
            traffic.count(kind, "ok")
            values = [None if version is None else version for version in _VERSIONS.decode(answer.versions)]
            seen = [None if version is None else (version[0], traffic.decoded(version[1])) for version in values]
            for handle, version in zip(handles, seen, strict=False):
                traffic.history.ok(handle, traffic.cluster.now, None if version is None else version[1])
            self._seen.update(zip(keys, seen, strict=True))
            if len(keys) == 2:
                traffic.check_pair(keys, seen)
        else:
            traffic.count(kind, "failed" if isinstance(answer, Failure) else "unknown")
            for handle in handles:  # a read that was not answered did nothing, whatever became of it
                traffic.history.failed(handle, traffic.cluster.now)
        self.rest()


class Traffic(Ground):
    """All workers, their keys and their history."""

    def __init__(self, cluster: SimCluster, day: Day) -> None:
        super().__init__(cluster, day)
        self.unsettled: list[Unsettled] = []
        self.pairs: list[tuple[str, str]] = []
        self.weak_keys = ["w0", "w1"]
        self._workers = [
            Worker(self, client, number, lane, day.load.pause_ms, day.load.mix)
            for client, number in zip(self.clients, self.numbers, strict=True)
            for lane in range(day.load.lanes)
        ]
        if day.load.reader_pause_ms:
            self._workers += [self._reader(home) for home in cluster.names]

    def _reader(self, home: NodeId) -> Worker:
        """Reads beside its node, so that an old leader, if there is one, has somebody to deceive."""
        habits = replace(self.day.load.habits, try_ms=100, backoff_ms_max=20, stays_at_home=True)
        client = SimClient(self.cluster, f"reader at {home}", home, habits)
        return Worker(self, client, 0, 0, self.day.load.reader_pause_ms, READER_MIX)

    def _choose_keys(self) -> None:
        """Pairs of keys that live in one partition."""
        while len(self.pairs) < self.day.load.pairs:
            number = len(self.pairs)
            first = f"p{number}.a"
            twins = (f"p{number}.b{suffix}" for suffix in range(10_000))
            second = next(twin for twin in twins if self.group_of(twin) == self.group_of(first))
            self.pairs.append((first, second))

    def _start(self) -> None:
        for worker in self._workers:
            worker.rest()

    # --- endings ------------------------------------------------------------------------------------------------------

    def conclude(self, change: Change, result: Result) -> None:
        """The command ended like that."""
        status, now = result[0], self.cluster.now
        self.count(change.kind if change.handle is not None else "weak put", "ok")
        if change.handle is None:
            return
        if status == Status.NOT_EXECUTED:
            self.history.failed(change.handle, now)
        elif change.kind == "cas":
            self.history.ok(change.handle, now, status == Status.WRITTEN)
        else:
            self.history.ok(change.handle, now)

    def fail(self, change: Change) -> None:
        self.count(change.kind if change.handle is not None else "weak put", "failed")
        if change.handle is not None:
            self.history.failed(change.handle, self.cluster.now)

    def leave_open(self, unsettled: Unsettled) -> None:
        for change in unsettled.changes:
            self.count(change.kind if change.handle is not None else "weak put", "unknown")
        if unsettled.changes[0].handle is not None:
            self.unsettled.append(unsettled)

    def check_pair(self, keys: list[str], seen: list[tuple[int, str] | None]) -> None:
        """Two keys that are only ever written together are never seen apart. Raises Violation."""
        values = [None if version is None else version[1] for version in seen]
        if values[0] != values[1]:
            raise Violation("batches are atomic", f"{keys} are {values}")

    # --- settling what is open ----------------------------------------------------------------------------------------

    def settle(self, done: Callable[[], None]) -> None:
        """Ask the cluster how every unknown write ended, and complete the history. `done()` after the last answer."""
        questions = [(unsettled, change) for unsettled in self.unsettled for change in unsettled.changes]
        self.unsettled = []
        waiting = len(questions)
        if not waiting:
            done()

        def answered(unsettled: Unsettled, change: Change, answer: Answer | None) -> None:
            nonlocal waiting
            if isinstance(answer, OutcomeFound):
                result = _OUTCOME.decode(answer.outcome)
                if result is not None:
                    self.conclude(change, result)
                elif change.handle is not None:
                    self.history.failed(change.handle, self.cluster.now)
            waiting -= 1
            if not waiting:
                done()

        for unsettled, change in questions:
            request = OutcomeRequest(unsettled.group, unsettled.client, change.command.sequence)
            self.admin.call(request, partial(_heard, partial(answered, unsettled, change)), call_ms=30_000)


def _heard(answered: Callable[[Answer | None], None], call: Call, answer: Answer | None) -> None:
    answered(answer)
