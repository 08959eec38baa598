"""What one replica of a partition has applied: the state machine of leader mode.

Applying is deterministic: the same entries give the same answers and the same visible state on every replica. Applied
values are readable at once from memory (`_dirty`) and reach the engine later, many at a time, in one batch together
with the applied index; until then the log is what makes them durable. A flush under way is read from `_flushing`.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from struct import Struct

from kvstore.core.commands import Command, CommandBatch, Condition, Kind, Status, decode_batch, decode_payload
from kvstore.core.entries import NOTHING, Entry, LogEnd
from kvstore.core.hybrid_clock import COUNTER_BITS
from kvstore.core.records import seal, unseal
from kvstore.node.outcomes import Answer, Outcomes, Window
from kvstore.node.value_rows import (
    pack_current,
    pack_superseded,
    read_current,
    superseders_of,
    unpack_current,
    unpack_superseded,
)
from kvstore.storage.engine import Batch, Engine, Reader
from kvstore.storage.keys import HISTORY, VALUE, history_key, meta_key, table_range, value_prefix

Head = tuple[int, bytes | None, "Head | None"]
"""(stamp, value, the version before it that was applied since the last flush): value None is a tombstone."""

ROW_OVERHEAD_BYTES = 120
COLLECTED_ROWS_MIN = 256
_APPLIED = Struct(">QQ")
_META = Struct(">QQQ")


class History:
    """How much of the past a partition keeps: at most `versions` of a key, each at most `seconds` after it went."""

    __slots__ = ("seconds", "versions")

    def __init__(self, versions: int, seconds: int) -> None:
        self.versions, self.seconds = min(versions, 255), seconds

    @property
    def kept(self) -> bool:
        return self.versions > 1 and self.seconds > 0

    def horizon(self, stamp: int) -> int:
        """Versions superseded before this stamp may go."""
        return max(0, stamp - ((self.seconds * 1000) << COUNTER_BITS))


class PartitionState:
    """One image of a partition's state, over the rows of `data` in the engine."""

    def __init__(self, engine: Engine, data: int, history: History) -> None:
        self._engine, self.data, self._history = engine, data, history
        self.applied, self.stamp = load_applied(engine, data), _load_stamp(engine, data)
        self.flushed = self.applied
        self._flushing_end: LogEnd | None = None
        self._outcomes = Outcomes(engine, data)
        self._prefix = value_prefix(data)
        self._dirty: dict[bytes, Head] = {}
        self._flushing: dict[bytes, Head] = {}
        self.dirty_bytes = 0

    # ── applying ─────────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, entry: Entry, batches: list[CommandBatch] | None = None) -> list[list[Answer]]:
        """Apply the next committed entry; answers per batch. `batches` spares decoding what the proposer has already.

        Raises Corruption if a row it must read is damaged; this object must then be thrown away.
        """
        assert entry.index == self.applied.index + 1, f"entry {entry.index} after {self.applied}"
        answers: list[list[Answer]] = []
        if entry.payload:
            payload = decode_payload(entry.payload)
            stamp = payload.first_stamp
            for batch in batches if batches is not None else [decode_batch(data) for data in payload.batches]:
                answers.append(self._apply_batch(batch, stamp))
                stamp += len(batch.commands)
            self.stamp = stamp
        self.applied = LogEnd(entry.term, entry.index)
        return answers

    def _apply_batch(self, batch: CommandBatch, stamp: int) -> list[Answer]:
        window = self._outcomes.window(batch.client)
        if batch.atomic:
            return self._apply_atomic(batch, window, stamp)
        answers = []
        for command in batch.commands:
            sequence = command.sequence
            if sequence > window.sequence_max:
                window.sequence_max = sequence
                answer = self._apply_command(command, stamp)
            else:
                known = self._outcomes.find(batch.client, sequence, stamp)
                answer = known if known is not None else self._apply_command(command, stamp)
            window.recent[sequence] = answer
            answers.append(answer)
            stamp += 1
        return answers

    def _apply_atomic(self, batch: CommandBatch, window: Window, first_stamp: int) -> list[Answer]:
        """All or none: judge every condition first, on the state before the batch."""
        sequences = [command.sequence for command in batch.commands]
        known = [self._outcomes.find(batch.client, sequence, first_stamp) for sequence in sequences]
        if all(answer is not None for answer in known):
            return [answer for answer in known if answer is not None]
        stamps = range(first_stamp, first_stamp + len(sequences))
        refusals = [self._refusal(command, stamp) for command, stamp in zip(batch.commands, stamps, strict=True)]
        if any(refusal is not None for refusal in refusals):
            answers = [
                refusal if refusal is not None else (Status.NOT_EXECUTED.value, 0, stamp)
                for refusal, stamp in zip(refusals, stamps, strict=True)
            ]
        else:
            answers = [self._write(command, stamp) for command, stamp in zip(batch.commands, stamps, strict=True)]
        window.recent.update(zip(sequences, answers, strict=True))
        window.sequence_max = max(window.sequence_max, *sequences)
        return answers

    def _apply_command(self, command: Command, stamp: int) -> Answer:
        if command.condition:
            refusal = self._refusal(command, stamp)
            if refusal is not None:
                return refusal
        return self._write(command, stamp)

    def _refusal(self, command: Command, stamp: int) -> Answer | None:
        if not command.condition:
            return None
        current = self.read(command.key)
        found = current[0] if current is not None else 0
        held = found == 0 if command.condition == Condition.ABSENT else found == command.stamp != 0
        return None if held else (Status.FAILED_CONDITION.value, found, stamp)

    def _write(self, command: Command, stamp: int) -> Answer:
        key = command.key
        before = self._dirty.get(key)
        if command.kind == Kind.DELETE:
            if self.read(key) is None:
                return (Status.NOT_FOUND.value, 0, stamp)
            self._dirty[key] = (stamp, None, before)
            self.dirty_bytes += len(key) + ROW_OVERHEAD_BYTES
            return (Status.WRITTEN.value, stamp)
        self._dirty[key] = (stamp, command.value, before)
        self.dirty_bytes += len(key) + len(command.value) + ROW_OVERHEAD_BYTES
        return (0, stamp)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, key: bytes) -> tuple[int, bytes] | None:
        """(stamp, value), or None if the key does not exist. Raises Corruption."""
        head = self._dirty.get(key) or self._flushing.get(key)
        if head is not None:
            return None if head[1] is None else (head[0], head[1])
        record = self._engine.get(self._prefix + key)
        if record is None:
            return None
        stamp, value = read_current(record)
        return None if value is None else (stamp, value)

    def page(
        self, start: bytes, end: bytes, limit: int, bytes_max: int, keys_only: bool
    ) -> tuple[list[tuple[bytes, int, bytes]], bool]:
        """Rows (key, stamp, value) from start to before end (b"": no end) in key order, and whether more remain.

        The page stops at `limit` rows (0: no limit) or once it holds `bytes_max` bytes. Raises Corruption.
        """
        rows: list[tuple[bytes, int, bytes]] = []
        size = 0
        for key, stamp, value in self._rows(start, end):
            if (limit and len(rows) >= limit) or size >= bytes_max:
                return rows, True
            rows.append((key, stamp, b"" if keys_only else value))
            size += len(key) + 16 + (0 if keys_only else len(value))
        return rows, False

    def _rows(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        fresh = {key: head for key, head in self._flushing.items() if key >= start and (not end or key < end)}
        fresh.update((key, head) for key, head in self._dirty.items() if key >= start and (not end or key < end))
        waiting = sorted(fresh, reverse=True)
        last = self._prefix + end if end else table_range(VALUE, self.data)[1]
        for row, record in self._engine.scan(self._prefix + start, last):
            key = row[len(self._prefix) :]
            while waiting and waiting[-1] < key:
                yield from _alive(waiting[-1], fresh[waiting.pop()])
            if waiting and waiting[-1] == key:
                yield from _alive(key, fresh[waiting.pop()])
                continue
            stamp, value = read_current(record)
            if value is not None:
                yield key, stamp, value
        while waiting:
            yield from _alive(waiting[-1], fresh[waiting.pop()])

    def is_new(self, batch: CommandBatch) -> bool:
        """Whether the batch surely holds no operation that was applied before."""
        return batch.commands[0].sequence > self._outcomes.window(batch.client).sequence_max

    def outcome(self, client: int, sequence: int) -> Answer | None:
        """How that operation ended here; None if it is unknown or forgotten. Raises Corruption."""
        return self._outcomes.find(client, sequence, self.stamp)

    # ── flushing ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def dirty_rows(self) -> int:
        return len(self._dirty)

    @property
    def is_flushing(self) -> bool:
        return self._flushing_end is not None

    @property
    def needs_flush(self) -> bool:
        return self.applied != self.flushed and not self.is_flushing

    def begin_flush(self, batch: Batch) -> None:
        """Put everything applied so far, and the applied index, into one batch; `end_flush` when it is on disk."""
        assert not self.is_flushing, "one flush at a time"
        self._flushing, self._dirty, self.dirty_bytes = self._dirty, {}, 0
        self._flushing_end = self.applied
        for key, head in self._flushing.items():
            self._flush_key(batch, key, head)
        self._outcomes.begin_flush(batch, self.stamp)
        self.collect(batch)
        batch.put(meta_key(self.data), seal(_META.pack(self.applied.term, self.applied.index, self.stamp)))

    def end_flush(self) -> None:
        assert self._flushing_end is not None, "no flush is under way"
        self.flushed, self._flushing_end = self._flushing_end, None
        self._flushing = {}
        self._outcomes.end_flush()

    def _flush_key(self, batch: Batch, key: bytes, head: Head) -> None:
        row = self._prefix + key
        if not self._history.kept:
            if head[1] is None:
                batch.delete(row)
            else:
                batch.put(row, pack_current(head[0], head[1], ()))
            return
        superseders: list[int] = []
        newer, older = head, head[2]
        while older is not None:
            self._put_superseded(batch, key, newer, pack_current(older[0], older[1], ()))
            superseders.append(newer[0])
            newer, older = older, older[2]
        record = self._engine.get(row)
        if record is not None:
            self._put_superseded(batch, key, newer, record)
            superseders.append(newer[0])
            superseders += superseders_of(record)
        kept = self._history.versions - 1
        if len(superseders) > kept:
            for superseder in superseders[kept:]:
                batch.delete(history_key(self.data, superseder))
            del superseders[kept:]
        batch.put(row, pack_current(head[0], head[1], superseders))

    def _put_superseded(self, batch: Batch, key: bytes, newer: Head, record: bytes) -> None:
        batch.put(history_key(self.data, newer[0]), pack_superseded(key, record, newer[1] is None))

    def collect(self, batch: Batch, *, everything: bool = False) -> None:
        """Drop some of the history that is past its time (or any), and the tombstones that end there."""
        start, end = table_range(HISTORY, self.data)
        horizon = end if everything else history_key(self.data, self._history.horizon(self.stamp))
        rows_max = COLLECTED_ROWS_MIN + 2 * len(self._flushing)  # more than a flush adds
        for row, record in islice(self._engine.scan(start, min(end, horizon)), rows_max):
            batch.delete(row)
            version = unpack_superseded(record)
            if version.by_tombstone:
                self._collect_tombstone(batch, version.key, int.from_bytes(row[-8:], "big"))

    def _collect_tombstone(self, batch: Batch, key: bytes, stamp: int) -> None:
        if key in self._flushing or key in self._dirty:
            return
        record = self._engine.get(self._prefix + key)
        if record is not None and read_current(record) == (stamp, None):
            batch.delete(self._prefix + key)

    def versions_of(self, key: bytes) -> list[tuple[int, bytes | None]]:
        """What is kept of the key's past, newest first; (stamp, None) is a deletion. Raises Corruption."""
        versions: list[tuple[int, bytes | None]] = []
        heads: Iterable[Head | None] = (self._dirty.get(key), self._flushing.get(key))
        for head in heads:
            while head is not None:
                versions.append((head[0], head[1]))
                head = head[2]
        record = self._engine.get(self._prefix + key)
        if record is not None:
            current = unpack_current(record)
            versions.append((current.stamp, current.value))
            for superseder in current.superseders:
                older = self._engine.get(history_key(self.data, superseder))
                if older is not None:
                    versions.append(read_current(unpack_superseded(older).record))
        return versions[: max(1, self._history.versions)]


def _alive(key: bytes, head: Head) -> Iterator[tuple[bytes, int, bytes]]:
    if head[1] is not None:
        yield key, head[0], head[1]


def load_applied(reader: Reader, data: int) -> LogEnd:
    """Up to where the rows of a state have applied the log; every kind of state begins its meta row with it.

    Raises Corruption.
    """
    record = reader.get(meta_key(data))
    if record is None:
        return NOTHING
    term, index = _APPLIED.unpack_from(unseal(record, "state meta"))
    return LogEnd(term, index)


def _load_stamp(reader: Reader, data: int) -> int:
    record = reader.get(meta_key(data))
    return 0 if record is None else int(_META.unpack(unseal(record, "state meta"))[2])
