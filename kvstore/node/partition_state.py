"""What one replica of a partition has applied: the state machine of leader mode.

Applying is deterministic: the same entries give the same answers and the same visible state on every replica. Applied
values are readable at once from memory (`_dirty`) and reach the engine later, many at a time, in one batch together
with the applied index; until then the log is what makes them durable. A flush under way is read from `_flushing`.
"""

from collections.abc import Iterator
from itertools import islice

from kvstore.core.commands import (
    Command,
    Condition,
    Kind,
    PutBatch,
    Run,
    Status,
    WriteBatch,
    decode_batch,
    decode_payload,
)
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.hybrid_clock import COUNTER_BITS
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.node.memory_table import MemoryTable
from kvstore.node.outcomes import PARTS_PER_ROW, SWEPT_ROWS_MIN, Answer, Answers, Outcomes, Window
from kvstore.node.sorted_runs import SortedRuns
from kvstore.node.state_flush import Flush, Meta, load_meta
from kvstore.node.value_rows import read_current, unpack_superseded
from kvstore.node.waste import Waste
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.keys import HISTORY, VALUE, history_key, table_range, value_prefix

UNREADABLE = 1
"""In place of the stamp of a damaged row: no write was ever given so small a one."""
RUN_WRITES = 2_048
"""Keys are sorted for the flush so many at a time, as they come."""
COLLECTED_ROWS_MIN = 256


class History:
    """How much of the past a partition keeps: at most `versions` of a key, each at most `seconds` after it went.

    Versions beyond the count cannot be read any more; when their bytes go is told in `state_flush.py`.
    """

    __slots__ = ("seconds", "versions")

    def __init__(self, versions: int, seconds: int) -> None:
        self.versions, self.seconds = versions, seconds

    @property
    def kept(self) -> bool:
        return self.versions > 1 and self.seconds > 0

    def horizon(self, stamp: int) -> int:
        """Versions superseded before this stamp may go."""
        return max(0, stamp - ((self.seconds * 1000) << COUNTER_BITS))


class PartitionState:
    """One image of a partition's state, over the rows of `data` in the engine.

    `alone`: there is no other replica to mend it. A damaged row is then refused to readers all the same, but a write
    that must judge it takes it for a version that nobody knows: it can be deleted and overwritten.
    """

    def __init__(self, engine: Engine, data: int, history: History, *, alone: bool = False) -> None:
        self._engine, self.data, self._history, self._alone = engine, data, history, alone
        self._meta = load_meta(engine, data)
        self.applied, self.stamp = self._meta.applied, self._meta.stamp
        self._outcomes = Outcomes(engine, data, alone=alone)
        self._prefix = value_prefix(data)
        self._dirty = MemoryTable()
        self._sorted_keys = SortedRuns()
        self._flush: Flush | None = None
        self._collect_from = b""
        """Where history was not looked at yet since a slice was last on disk."""
        self.waste = Waste()
        """Memory tables that are on disk."""
        self._flushing = MemoryTable()

    # ── applying ─────────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, entry: Entry, batches: list[WriteBatch] | None = None) -> list[Answers]:
        """Apply the next committed entry; answers per batch. `batches` spares decoding what the proposer has already.

        Raises Corruption if a row it must read is damaged, and not `alone`; this object must then be thrown away.
        """
        assert entry.index == self.applied.index + 1, f"entry {entry.index} after {self.applied}"
        answers: list[Answers] = []
        if entry.payload:
            payload = decode_payload(entry.payload)
            stamp = payload.first_stamp
            apply_batch = self._redo_batch if entry.index <= self._meta.redo_until else self._apply_batch
            for batch in batches if batches is not None else [decode_batch(data) for data in payload.batches]:
                answers.append(apply_batch(batch, stamp))
                stamp += len(batch)
            self.stamp = stamp
            if len(self._dirty) - self._sorted_keys.count >= RUN_WRITES:
                self._sorted_keys.add(self._dirty.keys[self._sorted_keys.count :])
        self.applied = LogEnd(entry.term, entry.index)
        return answers

    def _redo_batch(self, batch: WriteBatch, stamp: int) -> list[Answer]:
        """Repeat what a flush that a crash interrupted may have written already: see `state_flush.py`."""
        answers = []
        for command in batch.commands:
            answer = self._outcomes.recorded(batch.client, command.sequence)
            assert answer is not None, f"no answer of operation {batch.client:x}-{command.sequence:x} to redo"
            if answer[0] == Status.WRITTEN and answer[1] == stamp and self._stamp_of(command.key) < stamp:
                self._dirty.put(command.key, stamp, command.value if command.kind == Kind.PUT else None)
            answers.append(answer)
            stamp += 1
        return answers

    def _stamp_of(self, key: bytes) -> int:
        """The stamp of the key's row, tombstones included; 0 if there is none."""
        version = self._dirty.get(key)
        if version is not None:
            return version[0]
        record = self._engine.get(self._prefix + key)
        return 0 if record is None else read_current(record)[0]

    def _apply_batch(self, batch: WriteBatch, stamp: int) -> Answers:
        window = self._outcomes.window(batch.client)
        if isinstance(batch, PutBatch) and batch.first > window.sequence_max:  # nearly always
            self._dirty.put_all(batch.keys, batch.values, stamp)
            window.written(batch.first, len(batch), stamp)
            return Run(stamp, len(batch))
        if batch.atomic:
            return self._apply_atomic(batch, window, stamp)
        answers: list[Answer] = []
        for command in batch.commands:
            is_new = command.sequence > window.sequence_max
            answer = None if is_new else self._known(batch.client, command.sequence, stamp)
            if answer is None:
                answer = self._apply_command(command, stamp)
                window.answered(command.sequence, answer)
            answers.append(answer)
            stamp += 1
        return answers

    def _apply_atomic(self, batch: WriteBatch, window: Window, first_stamp: int) -> list[Answer]:
        """All or none: judge every condition first, on the state before the batch.

        If some of its operations were decided before in another company, the others cannot happen with them any more.
        """
        sequences = [command.sequence for command in batch.commands]
        refusals = [self._known(batch.client, sequence, first_stamp) for sequence in sequences]
        stamps = range(first_stamp, first_stamp + len(sequences))
        if not any(refusals):
            refusals = [self._refusal(command, stamp) for command, stamp in zip(batch.commands, stamps, strict=True)]
        if any(refusal is not None for refusal in refusals):
            answers = [
                refusal if refusal is not None else (Status.NOT_EXECUTED.value, 0, stamp)
                for refusal, stamp in zip(refusals, stamps, strict=True)
            ]
        else:
            answers = [self._write(command, stamp) for command, stamp in zip(batch.commands, stamps, strict=True)]
        for sequence, answer in zip(sequences, answers, strict=True):
            window.answered(sequence, answer)
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
        found = self._current_stamp(command.key)
        held = found == 0 if command.condition == Condition.ABSENT else found == command.stamp != 0
        return None if held else (Status.FAILED_CONDITION.value, found, stamp)

    def _write(self, command: Command, stamp: int) -> Answer:
        if command.kind == Kind.PUT:
            self._dirty.put(command.key, stamp, command.value)
        elif not self._current_stamp(command.key):
            return (Status.NOT_FOUND.value, 0, stamp)
        else:
            self._dirty.put(command.key, stamp, None)
        return (0, stamp)

    def _known(self, client: int, sequence: int, stamp: int) -> Answer | None:
        """The answer given before, if it still counts. Alone, what cannot be read is forgotten; see `check_rows`."""
        try:
            return self._outcomes.find(client, sequence, stamp)
        except Corruption:
            if not self._alone:
                raise
            return None

    def _current_stamp(self, key: bytes) -> int:
        """The stamp of what a reader would find; 0 if nothing."""
        try:
            current = self.read(key)
        except Corruption:
            if not self._alone:
                raise
            return UNREADABLE
        return current[0] if current is not None else 0

    def check_rows(self, batch: WriteBatch) -> None:
        """Read what the batch must judge, so that it can be refused before it is in the log. Raises Corruption."""
        known = self._outcomes.window(batch.client).sequence_max
        if batch.is_foregone and batch.first > known:
            return
        for command in batch.commands:
            if command.sequence <= known:
                self._outcomes.find(batch.client, command.sequence, self.stamp)
            if command.condition:
                self.read(command.key)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, key: bytes) -> tuple[int, bytes] | None:
        """(stamp, value), or None if the key does not exist. Raises Corruption."""
        version = self._dirty.get(key) or self._flushing.get(key)
        if version is None:
            record = self._engine.get(self._prefix + key)
            if record is None:
                return None
            version = read_current(record)
        stamp, value = version
        return None if value is None else (stamp, value)

    def page(
        self, start: bytes, end: bytes, limit: int, bytes_max: int, keys_only: bool
    ) -> tuple[list[tuple[bytes, int, bytes]], bool]:
        """Rows (key, stamp, value) from start to before end (b"": no end) in key order, and whether more remain.

        The page stops at `limit` rows (0: no limit), once it holds `bytes_max` bytes, or before the row that would make
        it more than a message may hold. Raises Corruption.
        """
        rows: list[tuple[bytes, int, bytes]] = []
        size = 0
        for key, stamp, value in self._rows(start, end):
            row_size = len(key) + 16 + (0 if keys_only else len(value))
            if (limit and len(rows) >= limit) or size >= bytes_max or (rows and size + row_size > REQUEST_BYTES_MAX):
                return rows, True
            rows.append((key, stamp, b"" if keys_only else value))
            size += row_size
        return rows, False

    def _rows(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        fresh: dict[bytes, tuple[int, bytes | None]] = {}
        for table in (self._flushing, self._dirty):
            for key, place in table.newest.items():
                if key >= start and (not end or key < end):
                    fresh[key] = (table.stamps[place], table.values[place])
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

    @property
    def is_whole(self) -> bool:
        """Whether the rows are of one instant. Until an interrupted flush is redone, some are younger than others."""
        return self.applied.index >= self._meta.redo_until

    def is_new(self, batch: WriteBatch) -> bool:
        """Whether the batch surely holds no operation that was applied before."""
        return batch.first > self._outcomes.window(batch.client).sequence_max

    def outcome(self, client: int, sequence: int) -> Answer | None:
        """How that operation ended here; None if it is unknown or forgotten. Raises Corruption."""
        return self._outcomes.find(client, sequence, self.stamp)

    # ── flushing ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def dirty_rows(self) -> int:
        return len(self._dirty)

    @property
    def dirty_bytes(self) -> int:
        """Roughly what was applied and is in no flush yet."""
        return self._dirty.size_bytes

    @property
    def flushed(self) -> LogEnd:
        """The log up to here is in the rows; what follows is needed again after a restart."""
        return self._meta.applied

    @property
    def is_flushing(self) -> bool:
        return self._flush is not None

    @property
    def needs_flush(self) -> bool:
        """Whether there is something to flush; not before an interrupted flush is redone."""
        return self.applied != self.flushed and not self.is_flushing and self.is_whole

    def begin_flush(self) -> None:
        """Freeze what was applied so far."""
        assert not self.is_flushing, "one flush at a time"
        after = Meta(self.applied, self.stamp)
        self._sorted_keys.add(self._dirty.keys[self._sorted_keys.count :])
        self._flush = Flush(
            self._engine,
            self.data,
            self._dirty,
            self._sorted_keys.merged(),
            self._meta,
            after,
            self._history.versions if self._history.kept else 1,
        )
        self._flushing = self._dirty
        self._dirty, self._sorted_keys = MemoryTable(), SortedRuns()
        self._outcomes.freeze()

    @property
    def has_slices(self) -> bool:
        """Whether a flush is under way whose last slice was not handed out yet."""
        return self._flush is not None and not self._flush.is_done

    @property
    def flush_end(self) -> LogEnd:
        """Up to where the flush under way says what was applied."""
        assert self._flush is not None, "no flush is under way"
        return self._flush.after.applied

    def flush_slice(self, batch: Batch, rows_max: int) -> int:
        """Put the next rows of the flush into a batch; how many, at least 1.

        What was put before must be on disk (`end_slice`), or in the same batch.
        """
        assert self._flush is not None, "no flush is under way"
        self._collect_from = self.collect(batch, COLLECTED_ROWS_MIN + 2 * rows_max, start=self._collect_from)
        # As of the last whole flush: until this one is, a crash leaves entries to be redone, for which their answers
        # are needed, and a clock that leapt since would make them look forgotten.
        self._outcomes.sweep(batch, self._meta.stamp, SWEPT_ROWS_MIN + rows_max // 8)
        if self._outcomes.has_slices:
            rows = self._outcomes.flush_slice(batch, rows_max * PARTS_PER_ROW) // PARTS_PER_ROW
            if self._outcomes.has_slices:
                return max(1, rows)
            return rows + self._flush.next_slice(batch, max(1, rows_max - rows)) + 1
        return self._flush.next_slice(batch, rows_max) + 1

    def end_slice(self) -> bool:
        """A slice is on disk. True if it was the last one."""
        assert self._flush is not None, "no flush is under way"
        self._outcomes.end_slice()
        self._collect_from = b""
        if not self._flush.is_done:
            return False
        flush = self._flush
        self._meta, self._flush = flush.after, None
        self._flushing = MemoryTable()
        self.waste.throw(flush.keys)
        flush.table.give_away(self.waste)
        self._outcomes.end_flush(self.waste)
        return True

    def collect(
        self, batch: Batch, rows_max: int = COLLECTED_ROWS_MIN, *, everything: bool = False, start: bytes = b""
    ) -> bytes:
        """Drop some of the history that is past its time (or any), and the tombstones that end there.

        Looks at rows from `start` on; returns where to go on.
        """
        first, end = table_range(HISTORY, self.data)
        start = max(first, start)
        horizon = end if everything else history_key(self.data, self._history.horizon(self.stamp))
        for row, record in islice(self._engine.scan(start, min(end, horizon)), rows_max):
            start = row + b"\0"
            try:
                version = unpack_superseded(record)
            except Corruption:  # it is past its time, and so short that it holds nothing
                batch.delete(row)
                continue
            stamp = int.from_bytes(row[-8:], "big")
            if version.by_tombstone:
                flushing = self._flushing.get(version.key)
                if flushing is not None and flushing[0] == stamp:
                    continue  # its tombstone is on its way to the disk: once there, this row leads to it
                self._collect_tombstone(batch, version.key, stamp)
            batch.delete(row)
        return start

    def _collect_tombstone(self, batch: Batch, key: bytes, stamp: int) -> None:
        if key in self._flushing.newest or key in self._dirty.newest:
            return
        record = self._engine.get(self._prefix + key)
        try:
            if record is not None and read_current(record) == (stamp, None):
                batch.delete(self._prefix + key)
        except Corruption:  # left for who reads it
            return

    def versions_of(self, key: bytes) -> list[tuple[int, bytes | None]]:
        """What is kept of the key's past, newest first; (stamp, None) is a deletion. Raises Corruption."""
        versions: list[tuple[int, bytes | None]] = []
        for table in (self._dirty, self._flushing):
            versions += table.versions(key)
        record = self._engine.get(self._prefix + key)
        while record is not None and len(versions) < self._history.versions:
            version = read_current(record)
            if not versions or version[0] < versions[-1][0]:  # a flush under way may have written what we have
                versions.append(version)
            superseded = self._engine.get(history_key(self.data, version[0]))
            record = unpack_superseded(superseded).record if superseded is not None else None
        return versions[: max(1, self._history.versions)]


def _alive(key: bytes, version: tuple[int, bytes | None]) -> Iterator[tuple[bytes, int, bytes]]:
    stamp, value = version
    if value is not None:
        yield key, stamp, value
