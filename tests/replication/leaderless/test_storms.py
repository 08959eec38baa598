"""Replicas in a storm of loss, doubles and crashes: acknowledged writes stay until somebody replaces them.

The model: every value is unique; a write replaces the values that its client had read, and nothing else.
"""

from random import Random

import pytest

from kvstore.core.causality import UNKNOWN, Versions, merged
from kvstore.core.ids import NodeId
from kvstore.replication.leaderless.effects import Answer, ReadDone, TimePassed, Wrote
from tests.replication.leaderless.quorum_lab import Lab

KEY = b"k"


class Storm:
    """One seed."""

    def __init__(self, seed: int, *, guests: int = 0) -> None:
        """With guests some writes count hints."""
        self.dice = Random(seed)
        self.lab = Lab(3, seed, guests=guests)
        self.replaces: dict[bytes, list[bytes]] = {}
        """What a write's client had read."""
        self.writes: dict[int, bytes] = {}
        self.reads: dict[int, int] = {}
        """Handle of a read, and how many answers there were when it began."""
        self.last_read = UNKNOWN
        self.values = 0

    def go(self, steps: int) -> None:
        choices = (self.write, self.read, self.deliver, self.deliver, self.deliver, self.sync, self.sync)
        rare = (self.lose, self.double, self.crash, self.restart, self.restart, self.wait)
        for _ in range(steps):
            self.dice.choice(choices if self.dice.random() < 0.85 else rare)()
        for name in self.lab.names + self.lab.others:
            if name not in self.lab.alive:
                self.lab.start(name)
        self.lab.run(12_000)

    def alive(self) -> NodeId | None:
        names = sorted(self.lab.replicas)
        return self.dice.choice(names) if names else None

    def anybody(self) -> NodeId | None:
        """Guests, too."""
        names = sorted(self.lab.alive)
        return self.dice.choice(names) if names else None

    def write(self) -> None:
        at = self.alive()
        if at is None:
            return
        self.values += 1
        value = b"%d" % self.values
        context, seen = None, []
        if self.dice.random() < 0.6:
            context, seen = self.last_read.context, self.last_read.values
        self.replaces[value] = seen
        sloppy = bool(self.lab.others) and self.dice.random() < 0.8
        self.writes[self.lab.write(at, KEY, value, context, sloppy=sloppy)] = value

    def read(self) -> None:
        at = self.alive()
        if at is not None:
            self.reads[self.lab.read(at, KEY)] = len(self.lab.answers)
        for handle in list(self.reads):
            if isinstance(self.lab.answers.get(handle), ReadDone):
                self.last_read = self.lab.found(handle)

    def deliver(self) -> None:
        if self.lab.wire:
            self.lab.deliver(self.dice.randrange(len(self.lab.wire)))

    def sync(self) -> None:
        at = self.anybody()
        if at is not None:
            self.lab.sync(at)

    def lose(self) -> None:
        if self.lab.wire:
            self.lab.wire.pop(self.dice.randrange(len(self.lab.wire)))

    def double(self) -> None:
        if self.lab.wire:
            self.lab.wire.append(self.dice.choice(self.lab.wire))

    def crash(self) -> None:
        at = self.anybody()
        if at is not None:
            self.lab.crash(at)

    def restart(self) -> None:
        for name in self.lab.names + self.lab.others:
            if name not in self.lab.alive:
                self.lab.start(name)
                return

    def wait(self) -> None:
        self.lab.now += 300
        for name in self.lab.alive:
            self.lab.hear(name, TimePassed())

    @property
    def acknowledged(self) -> set[bytes]:
        return {value for handle, value in self.writes.items() if isinstance(self.lab.answers.get(handle), Wrote)}

    @property
    def known(self) -> Versions:
        everything = UNKNOWN
        for table in self.lab.tables.values():
            everything = merged(everything, table.known(KEY))
        return everything


@pytest.mark.parametrize("seed", range(150))
def test_what_was_acknowledged_stays_until_it_is_replaced(seed: int) -> None:
    storm = Storm(seed)
    storm.go(150)
    found = set(storm.known.values)
    replaced_by_anyone = {old for value in storm.replaces for old in storm.replaces[value]}
    lost = storm.acknowledged - replaced_by_anyone - found
    assert not lost, f"acknowledged and gone: {lost}"
    replaced = {old for value in storm.acknowledged for old in storm.replaces[value]}
    assert not found & replaced, f"replaced and back: {found & replaced}"


@pytest.mark.parametrize("seed", range(200))
def test_what_was_acknowledged_with_hints_stays_too(seed: int) -> None:
    """Two of five nodes may be the only ones that have it, and one of them a guest."""
    storm = Storm(seed, guests=2)
    storm.go(200)
    found = set(storm.known.values)
    replaced_by_anyone = {old for value in storm.replaces for old in storm.replaces[value]}
    lost = storm.acknowledged - replaced_by_anyone - found
    assert not lost, f"acknowledged and gone: {lost}"
    replaced = {old for value in storm.acknowledged for old in storm.replaces[value]}
    assert not found & replaced, f"replaced and back: {found & replaced}"
    assert all(guest.is_done for guest in storm.lab.guests.values()), "hints that were not returned"


def test_storms_do_count_hints() -> None:
    answers = [answer for seed in range(20) for answer in _answers(seed)]
    assert sum(isinstance(answer, Wrote) and answer.sloppy for answer in answers) > 20


def _answers(seed: int) -> list[Answer]:
    storm = Storm(seed, guests=2)
    storm.go(200)
    return list(storm.lab.answers.values())


@pytest.mark.parametrize("seed", range(60))
def test_quorum_reads_never_go_back(seed: int) -> None:
    """A read that begins after another one was answered has seen at least as much."""
    storm = Storm(seed)
    storm.go(150)
    answers = list(storm.lab.answers)  # in the order in which they came
    for handle, begun in storm.reads.items():
        if not isinstance(storm.lab.answers.get(handle), ReadDone):
            continue
        later = storm.lab.found(handle)
        for earlier in answers[:begun]:
            if earlier in storm.reads and isinstance(storm.lab.answers[earlier], ReadDone):
                before = storm.lab.found(earlier)
                assert merged(later, before) == later, f"read {handle} is behind read {earlier}"


@pytest.mark.parametrize("seed", range(60))
def test_quorum_reads_see_what_was_acknowledged_before(seed: int) -> None:
    storm = Storm(seed)
    storm.go(150)
    answers = list(storm.lab.answers)
    for handle, begun in storm.reads.items():
        if not isinstance(storm.lab.answers.get(handle), ReadDone):
            continue
        found = set(storm.lab.found(handle).values)
        done = {storm.writes[each] for each in answers[:begun] if each in storm.writes} & storm.acknowledged
        replaced = {old for value in storm.replaces for old in storm.replaces[value]}
        assert done - replaced <= found, f"read {handle} misses {done - replaced - found}"
