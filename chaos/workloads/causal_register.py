"""Registers of a leaderless keyspace: what the operations of a history mean, and what each write had seen.

Operations, as they are recorded (every write has a name of its own; `versions` are what a reader gets, tombstones
among them):

    write, delete, sweep
                    input (name, read, after, quorum, sloppy), output (its stamp or 0, whether it was tried again)
                    `read`: the names of the versions whose context it carries; `after`: the write whose answer's
                    context it carries, "" if none; neither: a blind write. A sweep is a delete without any context: it
                    replaces whatever its coordinator knows, so that nobody can say what that was
    read            input quorum, output ((name, stamp, is_tombstone) ...)

The model is the plainest one: a write replaces exactly what its client had seen, that is the versions it read and
everything these replaced. The context in the answer to a write is the one that may cover less: it leaves out siblings
its client has not seen, and the write itself if it cannot be told apart from an older sibling of the same node. So a
write with such a context `may` replace its predecessor, and `must` replace what the predecessor had to. Such a context
also covers what others had replaced by then, where it was given, although its client has not seen by what; that can be
told from the record that the predecessor was stored with, so that a read whose quorum need not meet the predecessor's
may find it missing.

A write that was tried again, at another coordinator, may have become two. What replaced one of them cannot always know
of the other, which comes back then; so that of such a write, and of one that was never answered, nobody is promised
that it stays replaced.
"""

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

from chaos.history import Instant, Operation, Outcome

Version = tuple[str, int, bool]
"""(name of its write, stamp, whether it is a tombstone)."""


@dataclass(frozen=True, slots=True)
class Write:
    """A write or delete of one key."""

    name: str
    read: tuple[str, ...]
    after: str
    quorum: int
    is_strict: bool
    is_delete: bool
    stamp: int
    """0 if nobody said."""
    was_repeated: bool
    """Whether it was, or may have been, tried twice."""
    operation: Operation

    @property
    def is_acknowledged(self) -> bool:
        return self.operation.outcome is Outcome.OK

    @property
    def is_refused(self) -> bool:
        """Whether it certainly never happened."""
        return self.operation.outcome is Outcome.FAILED


@dataclass(frozen=True, slots=True)
class Read:
    """A read of one key that was answered."""

    versions: tuple[Version, ...]
    quorum: int
    operation: Operation

    @property
    def invoked_at(self) -> Instant:
        return self.operation.invoked_at

    @property
    def returned_at(self) -> Instant:
        assert self.operation.returned_at is not None, "a read that was answered has returned"
        return self.operation.returned_at


class KeyHistory:
    """All operations of one key. Sets of writes are whole numbers: bit i is the i-th write by invocation."""

    def __init__(self, key: Hashable, operations: Iterable[Operation]) -> None:
        self.key = key
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self.number: dict[str, int] = {}
        for operation in operations:
            if operation.kind == "read":
                if operation.outcome is Outcome.OK:
                    self.reads.append(_read(operation))
            else:
                write = _write(operation)
                if write.name in self.number:
                    raise ValueError(f"two writes are named {write.name}")
                self.number[write.name] = len(self.writes)
                self.writes.append(write)
        self.must = [0] * len(self.writes)
        """By write, all that it replaces if it happened."""
        self.may = [0] * len(self.writes)
        """By write, all that it may replace."""
        self.vague: list[dict[int, int]] = [{} for _ in self.writes]
        """By write, what its context may cover unseen, by the quorum of the predecessor whose answer gave it."""
        for index, write in enumerate(self.writes):
            self._place(index, write)
        self.repeated = sum(1 << index for index, write in enumerate(self.writes) if write.was_repeated)
        self.swept = 0
        """What a sweep may have replaced without a trace: one of its two tries, when the other was replaced itself."""
        for index in members(self.repeated):
            if self.writes[index].operation.kind == "sweep":
                self.swept |= self.may[index]
        self.stamps = [write.stamp for write in self.writes]
        for read in self.reads:
            self.learn_stamps(read.versions)

    def _place(self, index: int, write: Write) -> None:
        """What nobody had written yet cannot have been seen: whoever judges the read says so."""
        if write.operation.kind == "sweep":
            self.may[index] = self._begun_before(write.operation.returned_at) & ~(1 << index)
        for name in write.read:
            seen = self.number.get(name, index)
            if seen < index:
                self.must[index] |= 1 << seen | self.must[seen]
                self.may[index] |= 1 << seen | self.may[seen]
                self._add_vague(index, self.vague[seen])
        seen = self.number.get(write.after, index)
        if seen < index:
            self.must[index] |= self.must[seen]
            self.may[index] |= 1 << seen | self.may[seen]
            before = self.writes[seen]
            quorum = before.quorum if before.is_strict else 0
            self._add_vague(index, self.vague[seen])
            self._add_vague(index, {quorum: self._begun_before(before.operation.returned_at)})

    def _add_vague(self, index: int, more: dict[int, int]) -> None:
        vague = self.vague[index]
        for quorum, writes in more.items():
            vague[quorum] = vague.get(quorum, 0) | writes

    def _begun_before(self, end: Instant | None) -> int:
        begun = (number for number, write in enumerate(self.writes) if end is None or write.operation.invoked_at <= end)
        return sum(1 << number for number in begun)

    def learn_stamps(self, versions: Collection[Version]) -> None:
        """A write that nobody acknowledged has a stamp all the same, readers see it. Of two tries, the smaller one."""
        for name, stamp, _ in versions:
            index = self.number.get(name)
            if index is not None and (not self.stamps[index] or stamp < self.stamps[index]):
                self.stamps[index] = stamp

    # --- sets of writes -----------------------------------------------------------------------------------------------

    def set_of(self, versions: Collection[Version]) -> int:
        """The writes of these versions; unknown names are left out."""
        return sum({1 << self.number[name] for name, _, _ in versions if name in self.number})

    def covered_by(self, writes: int) -> int:
        """These, and everything they may have replaced."""
        covered = writes
        for index in members(writes):
            covered |= self.may[index]
        return covered

    def replaced_by(self, writes: int) -> int:
        """Everything these have certainly replaced."""
        replaced = 0
        for index in members(writes):
            replaced |= self.must[index]
        return replaced

    def lacking(self, owed: int, versions: Collection[Version], lww: bool, missed: int = 0) -> int:
        """Which of the writes owed are neither among the versions nor replaced by them; with `lww`, nor older.

        `missed`: on so many replicas there may be more than these versions.
        """
        there = self.set_of(versions)
        lacking = owed & ~self.covered_by(there) & ~self.swept
        if lacking and missed:
            for index in members(there):
                for quorum, writes in self.vague[index].items():
                    lacking &= ~writes if quorum <= missed else -1
        if not lww or not lacking:
            return lacking
        newest = max((stamp for _, stamp, _ in versions), default=-1)
        return sum(1 << index for index in members(lacking) if self.stamps[index] > newest)

    def told(self, writes: int) -> str:
        """The writes of a set, in words; not more than a few."""
        named = [str(self.writes[index].operation) for index in members(writes)]
        return " and ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


def members(writes: int) -> list[int]:
    """The numbers in a set of writes.

    >>> members(0b10110)
    [1, 2, 4]
    """
    found = []
    while writes:
        lowest = writes & -writes
        found.append(lowest.bit_length() - 1)
        writes ^= lowest
    return found


def key_histories(operations: Sequence[Operation]) -> list[KeyHistory]:
    """The history of each key, in order of first use. Raises ValueError for operations of another workload."""
    by_key: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        by_key.setdefault(operation.key, []).append(operation)
    return [KeyHistory(key, each) for key, each in by_key.items()]


def _write(operation: Operation) -> Write:
    match operation.kind, operation.input, operation.output:
        case ("write" | "delete" | "sweep") as kind, (
            str(name),
            tuple(read),
            str(after),
            int(quorum),
            bool(sloppy),
        ), output:
            stamp, was_repeated = output if isinstance(output, tuple) else (0, True)
            return Write(name, read, after, quorum, not sloppy, kind != "write", stamp, was_repeated, operation)
    raise ValueError(f"not a write of a causal register: {operation}")


def _read(operation: Operation) -> Read:
    match operation.input, operation.output:
        case int(quorum), tuple(versions):
            return Read(versions, quorum, operation)
    raise ValueError(f"not a read of a causal register: {operation}")
