"""At most once: how each write ended, remembered long enough that a retry gets the first answer.

Every command carries an operation id (client, sequence). A sequence above all that this partition has seen of the
client is new, which is nearly always so and costs one comparison; any other is looked up. Answers live in memory
until the state is flushed, then in rows of 256 sequences. Most are runs, in memory as on disk: consecutive operations
that were all written, at consecutive stamps.

    row key    o data client (sequence // 256 * 256)
    row body   checksum, then 19 bytes a run: offset u8, how many more u8, status u8, stamp u64, decided u64

`stamp` and `decided` are those of the run's last operation. Runs lie in the order in which they were decided, so that
the row ends with its youngest stamp; if an operation is in more than one, the last counts.

Whether an answer still counts is decided by stamps in the log, never by a local clock or by what a replica happens to
have deleted: an answer older than `OUTCOME_WINDOW_MS` before the entry being applied counts as forgotten on every
replica alike. The Raft thesis (§6.3) tells why a store needs this for linearizability.
"""

from bisect import bisect
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from struct import Struct
from typing import NamedTuple

from kvstore.core.commands import Run, Status
from kvstore.core.errors import Corruption
from kvstore.core.hybrid_clock import COUNTER_BITS
from kvstore.core.limits import OUTCOME_WINDOW_MS
from kvstore.core.records import seal, unseal
from kvstore.node.waste import Waste
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.keys import OUTCOME, outcome_key, table_range

Answer = tuple[int, ...]
"""(status, stamp) or (status, stamp, decided) of one command: `Result` without the object. `decided` is the stamp of
the command itself where that is not the stamp it answers with."""

Answers = list[Answer] | Run
"""Those to one batch, in its order."""

ROW_SEQUENCES = 256
WINDOWS_MAX = 10_000
ROWS_READ_MAX = 16
PARTS_PER_ROW = 4
"""Writing so many parts takes about as long as writing one row of a value."""
SWEPT_ROWS_MIN = 16
"""Each slice of a flush looks at more rows of old answers than it adds: at so many, and one for every 8 of its rows."""
WINDOW_STAMPS = OUTCOME_WINDOW_MS << COUNTER_BITS
SWEEP_STAMPS = WINDOW_STAMPS // 64
"""A round over the rows begins so long after the last one ended: hardly anything is forgotten in between."""
_RUN = Struct(">BBBQQ")
_WRITTEN = Status.WRITTEN.value


class Part(NamedTuple):
    """A run of answers, or one answer, inside one row."""

    first: int
    """The sequence of its first operation."""
    more: int
    """How many operations follow that."""
    status: int
    stamp: int
    """That of the last operation, and so is `decided`."""
    decided: int


class Recent:
    """Answers of one client that no row holds yet."""

    __slots__ = ("_firsts", "_runs", "single")

    def __init__(self) -> None:
        self.single: dict[int, Answer] = {}
        """Those that are in no run, or were decided after it."""
        self._firsts: list[int] = []
        self._runs: list[tuple[int, int, int]] = []
        """First sequence, how many, first stamp. Sequences rise, and so do stamps."""

    def __bool__(self) -> bool:
        return bool(self.single or self._runs)

    def add_run(self, first: int, count: int, stamp: int) -> None:
        """All of these were written, at consecutive stamps. Their sequences are larger than all before."""
        runs = self._runs
        if runs:
            before, length, its_stamp = runs[-1]
            if before + length == first and its_stamp + length == stamp:
                runs[-1] = (before, length + count, its_stamp)
                return
        self._firsts.append(first)
        runs.append((first, count, stamp))

    def get(self, sequence: int) -> Answer | None:
        answer = self.single.get(sequence)
        if answer is not None or not self._runs:
            return answer
        at = bisect(self._firsts, sequence) - 1
        if at < 0:
            return None
        first, count, stamp = self._runs[at]
        return (_WRITTEN, stamp + sequence - first) if sequence < first + count else None

    @property
    def sequence_max(self) -> int:
        last = self._runs[-1] if self._runs else (0, 1, 0)
        return max(last[0] + last[1] - 1, *self.single, 0)

    def parts(self) -> Iterator[Part]:
        """All of it, cut where rows end, in the order in which it was decided."""
        return (
            merge(self._parts_of_runs(), self._parts_of_single(), key=_decided)
            if self.single
            else self._parts_of_runs()
        )

    def _parts_of_runs(self) -> Iterator[Part]:
        for first, count, stamp in self._runs:
            shift, end = stamp - first, first + count
            while first < end:
                last = min(end - 1, first | ROW_SEQUENCES - 1)
                yield Part(first, last - first, _WRITTEN, last + shift, last + shift)
                first = last + 1

    def _parts_of_single(self) -> Iterator[Part]:
        for sequence, answer in self.single.items():
            yield Part(sequence, 0, answer[0], answer[1], answer[-1])

    def give_away(self, waste: Waste) -> None:
        """Nobody uses this any more."""
        waste.throw(self.single)
        waste.throw(self._runs)
        waste.throw(self._firsts)


def _decided(part: Part) -> int:
    return part.decided


class Window:
    """What one client has done here lately."""

    __slots__ = ("recent", "sequence_max")

    def __init__(self, sequence_max: int) -> None:
        self.sequence_max = sequence_max
        self.recent = Recent()

    def written(self, first: int, count: int, stamp: int) -> None:
        """Operations beyond all before were written, at consecutive stamps."""
        self.sequence_max = first + count - 1
        self.recent.add_run(first, count, stamp)

    def answered(self, sequence: int, answer: Answer) -> None:
        """Any operation was answered."""
        single = self.recent.single
        single.pop(sequence, None)  # it was forgotten; now it is the last
        single[sequence] = answer
        if sequence > self.sequence_max:
            self.sequence_max = sequence


class Outcomes:
    """The answers of one partition, over the rows of its state. `alone`: nobody could mend a damaged row."""

    def __init__(self, engine: Engine, data: int, *, alone: bool = False) -> None:
        self._engine, self._data, self._alone = engine, data, alone
        self._windows: dict[int, Window] = {}
        self._dirty: dict[int, Window] = {}
        self._flushing: dict[int, Recent] = {}
        self._queue: list[tuple[int, Iterator[Part]]] = []
        self._slice_rows: dict[bytes, bytes] = {}
        """What was put since a slice was last on disk."""
        self._rows_read: dict[bytes, dict[int, Answer]] = {}
        """Some rows that were read since the last flush: what is asked for again at a start comes in order."""
        self._sweep_from = table_range(OUTCOME, data)[0]
        self._sweep_again_at = 0
        """The stamp from which on another round is worth while."""

    def window(self, client: int) -> Window:
        """The client's window, to be filled with answers by the caller: it will be flushed."""
        window = self._dirty.get(client)
        if window is None:
            window = self._windows.get(client)
            if window is None:
                window = self._windows[client] = Window(self._sequence_max(client))
            self._dirty[client] = window
        return window

    def find(self, client: int, sequence: int, stamp: int) -> Answer | None:
        """The answer given to an operation, unless it is forgotten at `stamp`. Raises Corruption."""
        answer = self.recorded(client, sequence)
        if answer is None or not stamp - WINDOW_STAMPS <= answer[-1] < stamp:
            return None  # forgotten; or from a flush that a crash interrupted: then it is about to be decided again
        return answer

    def recorded(self, client: int, sequence: int) -> Answer | None:
        """The answer given to an operation, however long ago. Raises Corruption."""
        window, flushing = self._windows.get(client), self._flushing.get(client)
        answer = window.recent.get(sequence) if window is not None else None
        if answer is None and flushing is not None:
            answer = flushing.get(sequence)
        return answer or self._row(client, sequence - sequence % ROW_SEQUENCES).get(sequence)

    def _row(self, client: int, start: int) -> dict[int, Answer]:
        key = outcome_key(self._data, client, start)
        answers = self._rows_read.get(key)
        if answers is None:
            answers = self._read_row(key, start)
            if len(self._rows_read) >= ROWS_READ_MAX:
                self._rows_read = {}
            self._rows_read[key] = answers
        return answers

    def _read_row(self, key: bytes, start: int) -> dict[int, Answer]:
        record = self._engine.get(key)
        if record is None:
            return {}
        answers: dict[int, Answer] = {}
        for offset, more, status, stamp, decided in _runs_of(record):
            if more:
                first = start + offset
                answers.update((first + i, (status, stamp - more + i)) for i in range(more + 1))
            else:
                answers[start + offset] = (status, stamp, decided) if decided != stamp else (status, stamp)
        return answers

    def _sequence_max(self, client: int) -> int:
        """What the rows know, and the flush on its way to them."""
        flushing = self._flushing.get(client)
        return max(self._sequence_max_of_rows(client), flushing.sequence_max if flushing is not None else 0)

    def _sequence_max_of_rows(self, client: int) -> int:
        first, last = outcome_key(self._data, client, 0), outcome_key(self._data, client + 1, 0)
        for key, record in self._engine.scan(first, last, reverse=True):
            start = int.from_bytes(key[-8:], "big")
            try:
                return start + max(offset + more for offset, more, *_ in _runs_of(record))
            except Corruption:
                if not self._alone:
                    raise
                return start + ROW_SEQUENCES - 1  # all that it may have held
        return 0

    # ── flushing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def freeze(self) -> None:
        """Everything answered so far is to be flushed, slice by slice."""
        for client, window in self._dirty.items():
            if window.recent:
                self._flushing[client] = window.recent
                self._queue.append((client, window.recent.parts()))
                window.recent = Recent()
        self._dirty = {}
        if len(self._windows) > WINDOWS_MAX:
            self._windows = {}  # only a memory of row lookups; the rows know

    @property
    def has_slices(self) -> bool:
        return bool(self._queue)

    def flush_slice(self, batch: Batch, parts_max: int) -> int:
        """Put the next answers into a batch; how many parts, each a run inside a row or a single answer."""
        put = 0
        while self._queue and put < parts_max:
            client, parts = self._queue[-1]
            taken = list(islice(parts, parts_max - put))
            if len(taken) < parts_max - put:
                self._queue.pop()
            self._put_rows(batch, client, taken)
            put += len(taken)
        return put

    def end_slice(self) -> None:
        """Everything that was put is on disk."""
        self._slice_rows.clear()

    def end_flush(self, waste: Waste) -> None:
        self.end_slice()
        for recent in self._flushing.values():
            recent.give_away(waste)
        self._flushing, self._rows_read = {}, {}

    def _put_rows(self, batch: Batch, client: int, parts: list[Part]) -> None:
        rows: dict[int, list[bytes]] = {}
        for first, more, status, stamp, decided in parts:
            offset = first % ROW_SEQUENCES
            rows.setdefault(first - offset, []).append(_RUN.pack(offset, more, status, stamp, decided))
        for start, runs in rows.items():
            key = outcome_key(self._data, client, start)
            before = self._slice_rows.get(key) or self._engine.get(key)
            if before is not None:
                runs.insert(0, self._unsealed(before))
            self._slice_rows[key] = sealed = seal(b"".join(runs))
            batch.put(key, sealed)

    def _unsealed(self, row: bytes) -> bytes:
        """What the row held; nothing if it is damaged and nobody can mend it. Raises Corruption."""
        try:
            return unseal(row, "outcomes")
        except Corruption:
            if not self._alone:
                raise
            return b""

    def sweep(self, batch: Batch, stamp: int, rows_max: int) -> None:
        """Look at the next few rows, and delete those that are forgotten at `stamp`."""
        if stamp < self._sweep_again_at:
            return
        horizon = stamp - WINDOW_STAMPS
        start, end = table_range(OUTCOME, self._data)
        for count, (key, record) in enumerate(self._engine.scan(self._sweep_from, end)):
            if count == rows_max:
                self._sweep_from = key
                return
            if int.from_bytes(record[-8:], "big") >= horizon or key in self._slice_rows:
                continue  # its last answer is its youngest; or it has just got one
            if _is_whole(record):
                batch.delete(key)
        self._sweep_from, self._sweep_again_at = start, stamp + SWEEP_STAMPS


def _is_whole(record: bytes) -> bool:
    try:
        unseal(record)
    except Corruption:  # left for who asks for an answer in it
        return False
    return True


def _runs_of(record: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    return _RUN.iter_unpack(unseal(record, "outcomes"))
