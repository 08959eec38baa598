"""The clients' work on leaderless keys: reads, writes with the context of what was read, blind writes, deletes.

Every write has a name of its own, which is its operation as well, so that a sibling tells whose it is even if it is a
tombstone. A client that gets no answer asks another node with the same operation.
"""

from dataclasses import dataclass, replace

import msgspec

from chaos.checkers import regular, siblings
from chaos.checkers.verdict import Answer as Judgement
from chaos.checkers.verdict import Verdict
from chaos.simulating.day import Day
from chaos.simulating.ground import Ground
from chaos.simulating.oracle import Violation
from chaos.workloads.causal_register import KeyHistory, Version, key_histories
from kvstore.core.causality import Versions, decode, decode_context, encode_context
from kvstore.core.commands import Command, Kind, Result, Status, batch_of, decode_results, encode
from kvstore.core.ids import GroupId, NodeId
from kvstore.node.requests import Answer, Failure, Found, ReadRequest, Sloppy, WriteRequest, Written
from kvstore.sim.client import Call, SimClient
from kvstore.sim.cluster import SimCluster
from kvstore.sim.scheduler import MILLI

Mix = tuple[tuple[str, int], ...]
READER_MIX: Mix = (("read", 1),)
MONOTONIC_QUORUM_MIN = 2
"""What a single replica says may be known to it alone."""

_FOUND = msgspec.msgpack.Decoder(list[bytes | None])


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client has seen of a key: names of versions, or of its own write, and the context that came with them."""

    read: tuple[str, ...] = ()
    after: str = ""
    context: bytes = b""


NOTHING = Seen()


@dataclass(frozen=True, slots=True)
class Change:
    """One command on its way, and its place in the history."""

    handle: int
    kind: str
    key: str
    name: str
    seen: Seen
    command: Command


class Worker:
    """One lane of one client: one call at a time."""

    def __init__(self, traffic: "LeaderlessTraffic", client: SimClient, number: int, lane: int, mix: Mix) -> None:
        self.name = f"{client.name}.{lane}"
        self.client, self.number, self._traffic, self._mix = client, number, traffic, mix
        load = traffic.day.load
        self._pause_ms = load.pause_ms if number else load.reader_pause_ms
        self._rng = traffic.cluster.dice.stream(f"work of {self.name}")
        self._seen: dict[str, Seen] = {}

    def rest(self) -> None:
        """Think, then go on."""
        pause = self._rng.expovariate(1 / self._pause_ms)
        self._traffic.cluster.scheduler.after(int(pause * MILLI), self.name, "works", self._work)

    def _work(self) -> None:
        if self._traffic.closed:
            return
        kinds, weights = zip(*self._mix, strict=True)
        kind = self._rng.choices(kinds, weights)[0]
        key = self._rng.choice(self._traffic.keys)
        match kind:
            case "read":
                self._read([key])
            case "many read":
                self._read(self._neighbours(key))
            case "update":
                self._read([key], then_write=True)
            case "many":
                self._write([(self._rng.choice(("write", "write", "delete")), each) for each in self._neighbours(key)])
            case _:
                self._write([(kind, key)])

    def _neighbours(self, key: str) -> list[str]:
        """A few keys of one partition."""
        traffic = self._traffic
        keys = [each for each in traffic.keys if traffic.group_of(each) == traffic.group_of(key)]
        return self._rng.sample(keys, min(len(keys), 3))

    def _own(self) -> bool:
        """Whether this call names its own quorum."""
        return self._rng.randrange(1000) < self._traffic.day.load.own_quorums_per_mille

    # --- writing ------------------------------------------------------------------------------------------------------

    def _write(self, wishes: list[tuple[str, str]]) -> None:
        """Some (kind, key) in one batch."""
        traffic, keyspace = self._traffic, self._traffic.day.keyspace
        quorum, sloppy = 0, Sloppy.DEFAULT
        if self._own():
            quorum = self._rng.randint(1, keyspace.replicas)
            sloppy = self._rng.choice((Sloppy.DEFAULT, Sloppy.YES, Sloppy.NO))
        is_sloppy = keyspace.sloppy if sloppy == Sloppy.DEFAULT else sloppy == Sloppy.YES
        changes = [self._change(kind, key, quorum or keyspace.w, is_sloppy) for kind, key in wishes]
        batch = batch_of(self.number, 0, [change.command for change in changes])
        group = traffic.group_of(changes[0].key)
        request = WriteRequest(group, encode(batch), write_quorum=quorum, sloppy=sloppy)
        self.client.call(request, lambda call, answer: self._written(changes, call, answer))

    def _change(self, kind: str, key: str, quorum: int, sloppy: bool) -> Change:
        """A command, noted in the history as invoked now."""
        traffic = self._traffic
        seen = NOTHING if kind in ("blind write", "sweep") else self._seen.get(key, NOTHING)
        if kind == "blind write" or (kind == "delete" and not seen.context):
            kind = "write"
        sequence = traffic.next_sequence(self.number)
        name = traffic.name_write(self.client.name, self.number, sequence)
        row = key.encode()
        if kind == "write":
            command = Command(sequence, Kind.PUT, row, traffic.encoded(name), context=seen.context)
        else:
            command = Command(sequence, Kind.DELETE, row, context=seen.context)
        asked = (name, seen.read, seen.after, quorum, sloppy)
        handle = traffic.history.invoke(self.name, kind, key, asked, traffic.cluster.now)
        return Change(handle, kind, key, name, seen, command)

    def _written(self, changes: list[Change], call: Call, answer: Answer | None) -> None:
        traffic = self._traffic
        if isinstance(answer, Written):
            if answer.receipt.sloppy:
                traffic.count("sloppy batch", "ok")
            for change, result in zip(changes, decode_results(answer.results), strict=True):
                self._conclude(change, result, was_repeated=call.copies > 1)
        elif isinstance(answer, Failure) and not call.maybe:
            traffic.check_refusal(answer)
            for change in changes:
                traffic.count(change.kind, f"failed ({answer.code})")
                traffic.history.failed(change.handle, traffic.cluster.now)
        else:
            for change in changes:
                traffic.count(change.kind, "unknown")
        self.rest()

    def _conclude(self, change: Change, result: Result, was_repeated: bool) -> None:
        traffic = self._traffic
        if result.status != Status.WRITTEN:  # too many siblings; but an earlier attempt may have found room
            traffic.count(change.kind, "refused")
            return
        traffic.count(change.kind, "ok")
        traffic.history.ok(change.handle, traffic.cluster.now, (result.stamp, was_repeated))
        if decode_context(result.context):
            self._seen[change.key] = Seen(change.seen.read, change.name, result.context)
        else:
            self._seen.pop(change.key, None)

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, keys: list[str], then_write: bool = False) -> None:
        traffic = self._traffic
        quorum = self._rng.randint(1, traffic.day.keyspace.replicas) if self._own() else 0
        request = ReadRequest(traffic.group_of(keys[0]), [key.encode() for key in keys], read_quorum=quorum)
        needed = quorum or traffic.day.keyspace.r
        handles = [traffic.history.invoke(self.name, "read", key, needed, traffic.cluster.now) for key in keys]
        self.client.call(request, lambda call, answer: self._found(keys, handles, then_write, answer))

    def _found(self, keys: list[str], handles: list[int], then_write: bool, answer: Answer | None) -> None:
        traffic = self._traffic
        if not isinstance(answer, Found):
            traffic.count("read", "failed" if isinstance(answer, Failure) else "unknown")
            for handle in handles:  # a read that was not answered told nobody anything
                traffic.history.failed(handle, traffic.cluster.now)
            self.rest()
            return
        traffic.count("read", "ok")
        for key, handle, data in zip(keys, handles, _FOUND.decode(answer.versions), strict=True):
            versions = decode(data) if data else None
            told = traffic.told(versions)
            traffic.history.ok(handle, traffic.cluster.now, told)
            context = encode_context(versions.context) if versions is not None else b""
            self._seen[key] = Seen(tuple(name for name, _, _ in told), "", context)
        if then_write:
            self._write([(self._rng.choice(("write", "write", "write", "delete")), keys[0])])
        else:
            self.rest()


class LeaderlessTraffic(Ground):
    """All workers, their keys and their history."""

    def __init__(self, cluster: SimCluster, day: Day) -> None:
        super().__init__(cluster, day)
        self.is_lww = day.keyspace.conflicts == "lww"
        self._names: dict[tuple[int, int], str] = {}
        self._workers = [
            Worker(self, client, number, lane, day.load.mix)
            for client, number in zip(self.clients, self.numbers, strict=True)
            for lane in range(day.load.lanes)
        ]
        if day.load.reader_pause_ms:
            self._workers += [self._reader(home) for home in cluster.names]

    def _reader(self, home: NodeId) -> Worker:
        """Reads beside its node only: what one replica knows differs most where it hears little."""
        habits = replace(self.day.load.habits, try_ms=200, backoff_ms_max=20, stays_at_home=True)
        return Worker(self, SimClient(self.cluster, f"reader at {home}", home, habits), 0, 0, READER_MIX)

    def _start(self) -> None:
        for worker in self._workers:
            worker.rest()

    # --- names --------------------------------------------------------------------------------------------------------

    def name_write(self, client: str, number: int, sequence: int) -> str:
        """A name for an operation."""
        name = self._names[number, sequence] = f"{client}-{sequence}"
        return name

    def told(self, versions: Versions | None) -> tuple[Version, ...]:
        """What a reader sees, by the names of its writes. Raises Violation if a value is not what was written."""
        if versions is None:
            return ()
        found = []
        for sibling in versions.writes:
            name = self._names.get(sibling.operation, f"{sibling.client}-{sibling.sequence}")
            if sibling.value is not None and sibling.value != self.encoded(name):
                raise Violation("values are what was written", f"{name} has become {sibling.value!r}")
            found.append((name, sibling.stamp, sibling.value is None))
        return tuple(found)

    # --- the verdict --------------------------------------------------------------------------------------------------

    def histories(self) -> list[KeyHistory]:
        return key_histories(self.history.operations())

    def judge_reads(self, histories: list[KeyHistory]) -> None:
        """Raises Violation for what no reader should have seen."""
        replicas, lww = self.day.keyspace.replicas, self.is_lww
        convict("siblings are concurrent", siblings.check(histories, lww=lww))
        convict("strict reads are fresh", regular.check(histories, replicas, lww=lww))
        convict("reads never go back", regular.check_monotonic(histories, replicas, MONOTONIC_QUORUM_MIN, lww=lww))

    def group_keys(self, group: GroupId) -> list[str]:
        """The keys of a group."""
        return [key for key in self.keys if self.group_of(key) == group]


def convict(check: str, verdict: Verdict) -> None:
    """Raises Violation unless the verdict is valid."""
    if verdict.answer is not Judgement.VALID:
        findings = verdict.findings
        more = f" (and {len(findings) - 3} more)" if len(findings) > 3 else ""
        raise Violation(check, "; ".join(findings[:3]) + more)
