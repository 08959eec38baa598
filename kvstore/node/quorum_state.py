"""What one replica of a leaderless partition knows: a record (encoded `Versions`) for each key that was ever written.

The caller merges, puts the record of a key here, and keeps a log of the records (`quorum_log.py`), which is what makes
them durable at first. They are readable at once from memory (`_dirty`) and reach the engine later, many at a time, in
slices (`quorum_flush.py`). A flush under way is read from `_flushing`.

Operations are remembered as in leader mode (`outcomes.py`), except that here stamps come in no order: how long ago an
operation was is counted from the largest stamp that was ever remembered.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from kvstore.core.causality import UNKNOWN, Versions, decode, encode, merged, newest_only
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.core.records import unseal
from kvstore.node.outcomes import PARTS_PER_ROW, SWEPT_ROWS_MIN, WINDOW_STAMPS, Answer, Outcomes
from kvstore.node.quorum_flush import QuorumFlush, RowTree
from kvstore.node.quorum_log import Step, log_payload, read_step
from kvstore.node.quorum_rounds import load_rounds, put_rounds
from kvstore.node.sorted_runs import SortedRuns
from kvstore.node.state_flush import Meta, load_meta
from kvstore.node.waste import Waste
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless.messages import Operation, Record
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.keys import VALUE, table_range, value_prefix

ROW_OVERHEAD_BYTES = 120
RUN_KEYS = 2_048
"""Keys are sorted for the flush so many at a time, as they come."""
PAGE_ROWS_MAX = 1_000
"""A page has no more, whatever was asked for: some 3 ms."""
CHUNK_KEYS_MAX = 256
READ_RECORDS_MAX = 256
READ_BYTES_MAX = 4_096
"""Larger records are read from the engine each time."""
DIGEST_BYTES = 8


class QuorumState:
    """The records of one replica, over the rows of `data` in the engine. `lww`: a key keeps its newest sibling only.

    A damaged row is refused to readers (Corruption, with the key among its facts), until a record is put in its place.
    Damaged answers are refused to who asks for one of them, until others are flushed into the same row.
    """

    def __init__(self, engine: Engine, data: int, *, lww: bool) -> None:
        self._engine, self.data, self._lww = engine, data, lww
        self._meta = load_meta(engine, data)
        self.applied, self.stamp = self._meta.applied, self._meta.stamp
        self.rounds = self._rounds_flushing = load_rounds(engine, data)
        """The rounds in which we voted last, and which we carried out last; the log has them, too."""
        self._outcomes = Outcomes(engine, data, alone=True)
        self._prefix = value_prefix(data)
        self.tree: RowTree | None = None
        """Told of every change, from the first replayed entry on, if it is set before that."""
        self._dirty: dict[bytes, bytes] = {}
        """b"" for what was removed, here and in `_flushing`."""
        self._keys = SortedRuns()
        self._fresh_keys: list[bytes] = []
        """Keys of `_dirty` that are not among the sorted ones yet."""
        self.dirty_rows = 0
        """Records put since the last flush began, also of the same key: they are in the log, and slow down a start."""
        self.dirty_bytes = 0
        self._flush: QuorumFlush | None = None
        self._flushing: dict[bytes, bytes] = {}
        self._read: dict[bytes, bytes] = {}
        """Some records that were read from the engine lately: whoever changes one asks for it more than once."""
        self.waste = Waste()
        """Memory tables that are on disk."""

    # ── records ──────────────────────────────────────────────────────────────────────────────────────────────────

    def known(self, key: bytes) -> Versions:
        """UNKNOWN if nobody ever wrote the key. Raises Corruption."""
        record = self.record(key)
        if not record:
            return UNKNOWN
        try:
            return decode(record)
        except Corruption as error:
            error.facts["key"] = key
            raise

    def record(self, key: bytes) -> bytes:
        """The same in bytes; b"" if nobody ever wrote the key. Raises Corruption."""
        record = self._dirty.get(key)
        if record is None:
            record = self._flushing.get(key)
        if record is None:
            record = self._read.get(key)
        if record is None:
            row = self._engine.get(self._prefix + key)
            record = _unsealed(key, row) if row is not None else b""
            if len(record) <= READ_BYTES_MAX:
                if len(self._read) >= READ_RECORDS_MAX:
                    self._read = {}
                self._read[key] = record
        return record

    def digest(self, key: bytes) -> bytes:
        """The same in 8 bytes (`record_digest`); b"" if nobody ever wrote the key. Raises Corruption."""
        record = self.record(key)
        return record_digest(key_hash(key), record).to_bytes(DIGEST_BYTES, "big") if record else b""

    def remove(self, key: bytes) -> None:
        """Nothing is known of the key from now on: its row goes with the next flush."""
        self.put(key, b"")

    def put(self, key: bytes, record: bytes) -> None:
        """What is known of the key from now on. The entry up to which `advance` is told next has it, too."""
        dirty = self._dirty
        before = dirty.get(key)
        if before is None:
            self._fresh_keys.append(key)
            if len(self._fresh_keys) >= RUN_KEYS:
                self._sort_keys()
            if self.tree is not None:
                before = self._before(key)
        if self.tree is not None:
            self.tree.changed(key, before, record)
        dirty[key] = record
        self.dirty_rows += 1
        self.dirty_bytes += len(key) + len(record) + ROW_OVERHEAD_BYTES

    def _before(self, key: bytes) -> bytes | None:
        """See `Change`."""
        try:
            return self.record(key)
        except Corruption:
            return None

    def _sort_keys(self) -> None:
        self._keys.add(self._fresh_keys)
        self._fresh_keys = []

    def advance(self, end: LogEnd) -> None:
        """All records of the log's entries up to here were put."""
        self.applied = end

    @staticmethod
    def log_payload(
        records: list[Record],
        operations: list[Operation],
        removed: Sequence[bytes] = (),
        rounds: tuple[int, int] | None = None,
    ) -> bytes:
        """See `quorum_log.py`."""
        return log_payload(records, operations, removed, rounds)

    # ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────

    def page(self, start: bytes, end: bytes, limit: int, bytes_max: int) -> tuple[list[Record], bytes]:
        """Records of keys from `start` to before `end` (b"": no end) in key order, those of deleted keys among them.

        The second says how far that goes: nothing is missing before that key; b"": nothing at all. The page has at
        least one record if there are any; it ends at `limit` of them (0: no limit) or at `PAGE_ROWS_MAX`, once it
        holds `bytes_max` bytes, or before the one that would make it more than a message may hold. Raises Corruption.
        """
        records: list[Record] = []
        records_max = min(limit or PAGE_ROWS_MAX, PAGE_ROWS_MAX)
        size = 0
        for key, found, is_row in self._found(start, end, min(records_max + 1, CHUNK_KEYS_MAX)):
            if not found:
                continue  # removed
            row_size = len(key) + len(found)
            if records and (len(records) >= records_max or size >= bytes_max or size + row_size > REQUEST_BYTES_MAX):
                return records, key
            records.append((key, _unsealed(key, found) if is_row else found))
            size += row_size
        return records, b""

    def _found(self, start: bytes, end: bytes, chunk_keys: int) -> Iterator[tuple[bytes, bytes, bool]]:
        """(key, record, False) from memory, or (key, row, True) from the engine."""
        in_memory = self._keys_in_memory(start, end, chunk_keys)
        waiting = next(in_memory, None)
        last = self._prefix + end if end else table_range(VALUE, self.data)[1]
        skipped = len(self._prefix)
        for row_key, row in self._engine.scan(self._prefix + start, last):
            key = row_key[skipped:]
            while waiting is not None and waiting < key:
                yield waiting, self.record(waiting), False
                waiting = next(in_memory, None)
            if waiting == key:
                yield key, self.record(key), False
                waiting = next(in_memory, None)
            else:
                yield key, row, True
        while waiting is not None:
            yield waiting, self.record(waiting), False
            waiting = next(in_memory, None)

    def _keys_in_memory(self, start: bytes, end: bytes, chunk_keys: int) -> Iterator[bytes]:
        """Sorted, a few at a time: memory may hold many more than a page."""
        self._sort_keys()
        flushing = self._flush.keys if self._flush is not None else []
        while True:
            low = bisect_left(flushing, start)
            found = {*self._keys.first(start, chunk_keys), *flushing[low : low + chunk_keys]}
            keys = sorted(found)[:chunk_keys]
            if end and keys and keys[-1] >= end:
                yield from keys[: bisect_left(keys, end)]
                return
            yield from keys
            if len(keys) < chunk_keys:
                return
            start = keys[-1] + b"\0"

    # ── operations ───────────────────────────────────────────────────────────────────────────────────────────────

    def remember(self, client: int, sequence: int, stamp: int) -> None:
        """A write of this operation was taken. Written with the next flush; until then the log must have it, too."""
        window = self._outcomes.window(client)
        if stamp > self.stamp:
            self.stamp = stamp
            if sequence > window.sequence_max:
                window.written(sequence, 1, stamp)
                return
        elif stamp < self.stamp - WINDOW_STAMPS:
            return  # forgotten already
        # As if decided now, so that the last answer of a row is its youngest.
        window.answered(sequence, (0, stamp, self.stamp))

    def outcome(self, client: int, sequence: int) -> Answer | None:
        """(0, stamp) of an operation that was taken; None if it is unknown or forgotten. Raises Corruption."""
        if sequence > self._outcomes.window(client).sequence_max:
            return None  # nearly always
        answer = self._outcomes.recorded(client, sequence)
        return answer[:2] if answer is not None and answer[1] >= self.stamp - WINDOW_STAMPS else None

    # ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────

    def replay(self, entry: Entry) -> None:
        """Take the next entry of the log at a start. Raises Corruption if it makes no sense."""
        assert entry.index > self.applied.index, f"entry {entry.index} after {self.applied}"
        step = read_step(entry.payload) if entry.payload else Step([], [])
        self.rounds = step.rounds or self.rounds
        for key in step.removed:
            self.remove(key)
        operations = list(step.operations)
        for key, record in step.records:
            versions = decode(record)
            if entry.index <= self._meta.redo_until:
                self._merge(key, record, versions)
            else:
                self.put(key, record)
            operations += [(each.client, each.sequence, each.stamp) for each in versions.siblings if each.client]
        for client, sequence, stamp in operations:
            self._remember_once(client, sequence, stamp)
        self.advance(LogEnd(entry.term, entry.index))

    def _merge(self, key: bytes, record: bytes, versions: Versions) -> None:
        """Put what the row and the log know together: a flush that a crash interrupted may have written the row."""
        try:
            known = self.known(key)
        except Corruption:  # the log has everything that the row had, here or further on
            known = UNKNOWN
        together = merged(known, versions)
        if self._lww:
            together = newest_only(together)
        if together is versions:
            self.put(key, record)
        elif together is not known:
            self.put(key, encode(together))

    def _remember_once(self, client: int, sequence: int, stamp: int) -> None:
        """Unless a flush that a crash interrupted has written it."""
        try:
            is_known = self.outcome(client, sequence) is not None
        except Corruption:
            is_known = False
        if is_known:
            self.stamp = max(self.stamp, stamp)
        else:
            self.remember(client, sequence, stamp)

    # ── flushing ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def flushed(self) -> LogEnd:
        """The log up to here is in the rows; what follows is needed again after a restart."""
        return self._meta.applied

    @property
    def is_flushing(self) -> bool:
        return self._flush is not None

    @property
    def needs_flush(self) -> bool:
        return self.applied != self.flushed and not self.is_flushing

    def write_meta_again(self, batch: Batch) -> bool:
        """The meta row was found damaged: we know what it said. A flush under way writes a new one in the end."""
        if self._flush is None:
            self._meta.put(batch, self.data)
        return True

    def begin_flush(self) -> None:
        """Freeze what is known so far."""
        assert not self.is_flushing, "one flush at a time"
        self._sort_keys()
        after = Meta(self.applied, self.stamp)
        self._rounds_flushing = self.rounds
        tree = self.tree if self.tree is not None and self.tree.has_rows else None
        self._flush = QuorumFlush(self._engine, self.data, self._dirty, self._keys.merged(), self._meta, after, tree)
        self._flushing = self._dirty
        self._dirty, self._keys, self.dirty_rows, self.dirty_bytes = {}, SortedRuns(), 0, 0
        self._outcomes.freeze()

    @property
    def has_slices(self) -> bool:
        """Whether a flush is under way whose last slice was not handed out yet."""
        return self._flush is not None and not self._flush.is_done

    @property
    def flush_end(self) -> LogEnd:
        """Up to where the log must be on disk before the flush under way may be."""
        assert self._flush is not None, "no flush is under way"
        return self._flush.after.applied

    def flush_slice(self, batch: Batch, rows_max: int) -> int:
        """Put the next rows of the flush into a batch; how many, at least 1.

        What was put before must be on disk (`end_slice`), or in the same batch.
        """
        assert self._flush is not None, "no flush is under way"
        # As of the last whole flush: a crash may take the stamps since then back.
        self._outcomes.sweep(batch, self._meta.stamp, SWEPT_ROWS_MIN + rows_max // 8)
        flush = self._flush
        rows = flush.put_rows(batch, rows_max)
        if not flush.has_rows:
            rows += self._outcomes.flush_slice(batch, max(1, rows_max - rows) * PARTS_PER_ROW) // PARTS_PER_ROW
            if not self._outcomes.has_slices:
                put_rounds(batch, self.data, self._rounds_flushing)
                flush.end(batch)
        return max(1, rows)

    def end_slice(self) -> bool:
        """A slice is on disk. True if it was the last one."""
        assert self._flush is not None, "no flush is under way"
        self._outcomes.end_slice()
        if not self._flush.is_done:
            return False
        flush = self._flush
        self._meta, self._flush = flush.after, None
        self._flushing, self._read = {}, {}
        self.waste.throw(flush.keys)
        self.waste.throw(flush.records)
        self._outcomes.end_flush(self.waste)
        return True


def _unsealed(key: bytes, row: bytes) -> bytes:
    """Raises Corruption naming the key."""
    try:
        return unseal(row)
    except Corruption as error:
        raise Corruption(f"what is known of a key fails its checksum ({len(row)} bytes)", key=key) from error
