"""Replicas in a storm, judged by the checkers of chaos: mixed quorums, retries elsewhere, deletes, lost disks."""

from random import Random

import pytest

from chaos.checkers import kept, regular, siblings
from chaos.checkers.verdict import Answer
from chaos.history import HistoryRecorder
from chaos.workloads.causal_register import Version, key_histories
from kvstore.core.causality import UNKNOWN, Context, Versions, decode_context, merged, newest_only
from kvstore.core.ids import NodeId
from kvstore.replication.leaderless.effects import ReadDone, TimePassed, Wrote
from tests.replication.leaderless.quorum_lab import Lab

KEY = b"k"
N = 3


class CausalStorm:
    """One seed. Time is the number of steps so far."""

    def __init__(self, seed: int, *, lww: bool = False, wipes: bool = True, retries: bool = True, w: int = 2) -> None:
        self.dice = Random(f"causal storm {seed}")
        self.lab = Lab(N, seed, lww=lww, write_quorum=w)
        self.lww, self.wipes, self.retries = lww, wipes, retries
        self.history = HistoryRecorder()
        self.now = 0
        self.open_writes: dict[int, tuple[int, str, tuple[str, ...]]] = {}
        """By handle of the lab: place in the history, name, what its client had read."""
        self.open_reads: dict[int, int] = {}
        self.seen: list[tuple[tuple[str, ...], str, Context]] = [((), "", {})]
        self.tries: list[tuple[int, int, bytes | None, Context, int]] = []
        """Writes: handle, sequence, value, context, needed."""
        self.repeated: set[int] = set()
        self.wiped: NodeId | None = None

    def go(self, steps: int) -> None:
        often = (self.write, self.read, self.deliver, self.deliver, self.deliver, self.deliver, self.sync, self.sync)
        rare = (self.lose, self.double, self.crash, self.restart, self.restart, self.wait, self.retry, self.wipe)
        for _ in range(steps):
            self.now += 1
            self.dice.choice(often if self.dice.random() < 0.8 else rare)()
            self.hear()
        for name in self.lab.names:
            if name not in self.lab.replicas:
                self.start(name)
        for _ in range(40):
            self.now += 1
            self.lab.run(300)
            self.hear()

    # ── what happens ──

    def alive(self) -> NodeId | None:
        names = sorted(self.lab.replicas)
        return self.dice.choice(names) if names else None

    def write(self) -> None:
        at = self.alive()
        if at is None:
            return
        read, after, context = self.dice.choice(self.seen[-4:]) if self.dice.random() < 0.8 else ((), "", {})
        is_delete = bool(context) and self.dice.random() < 0.2
        needed = self.dice.choice((1, 2, 2, 2, 3))
        sequence = self.lab.sequence + 1
        name = f"w{sequence}"
        asked = (name, read, after, needed, False)
        place = self.history.invoke("c", "delete" if is_delete else "write", "k", asked, self.now)
        value = None if is_delete else name.encode()
        handle = self.lab.write(at, KEY, value, context, needed)
        self.open_writes[handle] = (place, name, read)
        self.tries.append((handle, sequence, value, context, needed))

    def retry(self) -> None:
        """The client asks somebody else; the first answer that comes is the operation's."""
        at = self.alive()
        waiting = [each for each in self.tries if each[0] in self.open_writes]
        if at is None or not waiting or not self.retries:
            return
        first, sequence, value, context, needed = self.dice.choice(waiting)
        handle = self.lab.write(at, KEY, value, context, needed, sequence)
        self.lab.sequence -= 1
        self.open_writes[handle] = self.open_writes[first]
        self.repeated.add(self.open_writes[first][0])

    def read(self) -> None:
        at = self.alive()
        if at is not None:
            needed = self.dice.choice((1, 2, 2, 2, 3))
            self.open_reads[self.lab.read(at, KEY, needed)] = self.history.invoke("c", "read", "k", needed, self.now)

    def hear(self) -> None:
        """Clients hear what was answered."""
        for handle in [handle for handle in self.open_reads if handle in self.lab.answers]:
            place = self.open_reads.pop(handle)
            if not isinstance(self.lab.answers[handle], ReadDone):
                self.history.failed(place, self.now)
                continue
            found = self.lab.found(handle)
            self.history.ok(place, self.now, told(found))
            self.seen.append((tuple(name for name, _, _ in told(found)), "", found.context))
        for handle in [handle for handle in self.open_writes if handle in self.lab.answers]:
            if handle not in self.open_writes:
                continue  # answered just now
            answer = self.lab.answers[handle]
            place, name, read = self.open_writes.pop(handle)
            if isinstance(answer, Wrote):
                self.open_writes = {each: write for each, write in self.open_writes.items() if write[0] != place}
                self.history.ok(place, self.now, (answer.results[0][1], place in self.repeated))
                context = decode_context(answer.results[0][3])
                self.seen.append((read, name, context) if context else ((), "", {}))

    def deliver(self) -> None:
        if self.lab.wire:
            self.lab.deliver(self.dice.randrange(len(self.lab.wire)))

    def sync(self) -> None:
        at = self.alive()
        if at is not None:
            self.lab.sync(at)

    def lose(self) -> None:
        if self.lab.wire:
            self.lab.wire.pop(self.dice.randrange(len(self.lab.wire)))

    def double(self) -> None:
        if self.lab.wire:
            self.lab.wire.append(self.dice.choice(self.lab.wire))

    def crash(self) -> None:
        at = self.alive()
        if at is not None:
            self.lab.crash(at)

    def restart(self) -> None:
        for name in self.lab.names:
            if name not in self.lab.replicas:
                self.start(name)
                return

    def start(self, name: NodeId) -> None:
        self.lab.start(name, recovering=name == self.wiped)

    def wait(self) -> None:
        self.lab.now += 300
        for name in list(self.lab.replicas):
            self.lab.hear(name, TimePassed())

    def wipe(self) -> None:
        """A disk is lost, if no other one is missed and the others' disks have what it has."""
        at = self.alive()
        if at is None or not self.wipes or self.misses_a_disk() or len(self.lab.replicas) < N:
            return
        for name in self.lab.names:
            self.lab.sync(name)
        others = UNKNOWN
        for name in self.lab.names:
            if name != at:
                others = merged(others, self.lab.tables[name].known(KEY))
        if merged(others, self.lab.tables[at].known(KEY)) == others:
            self.lab.wipe(at)
            self.wiped = at

    def misses_a_disk(self) -> bool:
        if self.wiped is None:
            return False
        replica = self.lab.replicas.get(self.wiped)
        if replica is not None and not replica.is_recovering:
            self.wiped = None
        return self.wiped is not None

    @property
    def known(self) -> Versions:
        everything = UNKNOWN
        for table in self.lab.tables.values():
            everything = merged(everything, table.known(KEY))
        return newest_only(everything) if self.lww else everything


def told(versions: Versions) -> tuple[Version, ...]:
    return tuple((f"w{each.sequence}", each.stamp, each.value is None) for each in versions.writes)


def judge(storm: CausalStorm) -> list[str]:
    histories = key_histories(storm.history.operations())
    verdicts = [
        siblings.check(histories, lww=storm.lww),
        regular.check(histories, N, lww=storm.lww),
        regular.check_monotonic(histories, N, 2, lww=storm.lww),
        kept.check(histories, {"k": told(storm.known)}, lww=storm.lww),
    ]
    return [str(verdict) for verdict in verdicts if verdict.answer is not Answer.VALID]


@pytest.mark.parametrize("seed", range(80))
def test_siblings_are_what_is_concurrent_and_nothing_is_lost(seed: int) -> None:
    storm = CausalStorm(seed)
    storm.go(200)
    assert judge(storm) == []


@pytest.mark.parametrize("seed", range(40))
def test_where_the_last_writer_wins(seed: int) -> None:
    storm = CausalStorm(seed, lww=True)
    storm.go(200)
    assert judge(storm) == []
