"""At most once: how each write ended, remembered long enough that a retry gets the first answer.

Every command carries an operation id (client, sequence). A sequence above all that this partition has seen of the
client is new, which is nearly always so and costs one comparison; any other is looked up. Answers live in memory
until the state is flushed, then in rows of 256 sequences:

    row key    o data client (sequence // 256 * 256)
    row body   checksum, then 18 bytes an operation: offset u8, status u8, stamp u64, decided u64

Whether an answer still counts is decided by stamps in the log, never by a local clock or by what a replica happens to
have deleted: an answer older than `OUTCOME_WINDOW_MS` before the entry being applied counts as forgotten on every
replica alike. The Raft thesis (§6.3) tells why a store needs this for linearizability.
"""

from collections.abc import Iterator
from itertools import islice
from struct import Struct

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

ROW_SEQUENCES = 256
WINDOWS_MAX = 10_000
WINDOW_STAMPS = OUTCOME_WINDOW_MS << COUNTER_BITS
_OPERATION = Struct(">BBQQ")


class Window:
    """What one client has done here lately."""

    __slots__ = ("recent", "sequence_max", "stamp_max")

    def __init__(self, sequence_max: int) -> None:
        self.sequence_max = sequence_max
        self.stamp_max = 0
        self.recent: dict[int, Answer] = {}
        """Answers that no row holds yet."""


class Outcomes:
    """The answers of one partition, over the rows of its state. `alone`: nobody could mend a damaged row."""

    def __init__(self, engine: Engine, data: int, *, alone: bool = False) -> None:
        self._engine, self._data, self._alone = engine, data, alone
        self._windows: dict[int, Window] = {}
        self._dirty: dict[int, Window] = {}
        self._flushing: dict[int, dict[int, Answer]] = {}
        self._queue: list[tuple[int, Iterator[tuple[int, Answer]]]] = []
        self._slice_rows: dict[bytes, bytes] = {}
        """What was put since a slice was last on disk."""
        self._sweep_from = table_range(OUTCOME, data)[0]

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
        window = self._windows.get(client)
        if window is not None and sequence in window.recent:
            return window.recent[sequence]
        flushing = self._flushing.get(client)
        if flushing is not None and sequence in flushing:
            return flushing[sequence]
        return self._row(client, sequence - sequence % ROW_SEQUENCES).get(sequence)

    def _row(self, client: int, start: int) -> dict[int, Answer]:
        record = self._engine.get(outcome_key(self._data, client, start))
        if record is None:
            return {}
        return {
            start + offset: (status, stamp, decided) if decided != stamp else (status, stamp)
            for offset, status, stamp, decided in _operations(record)
        }

    def _sequence_max(self, client: int) -> int:
        """What the rows know, and the flush on its way to them."""
        return max(self._sequence_max_of_rows(client), *self._flushing.get(client, (0,)))

    def _sequence_max_of_rows(self, client: int) -> int:
        first, last = outcome_key(self._data, client, 0), outcome_key(self._data, client + 1, 0)
        for key, record in self._engine.scan(first, last, reverse=True):
            start = int.from_bytes(key[-8:], "big")
            try:
                return start + max(operation[0] for operation in _operations(record))
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
                self._queue.append((client, iter(window.recent.items())))
                window.recent = {}
        self._dirty = {}
        if len(self._windows) > WINDOWS_MAX:
            self._windows = {}  # only a memory of row lookups; the rows know

    @property
    def has_slices(self) -> bool:
        return bool(self._queue)

    def flush_slice(self, batch: Batch, answers_max: int) -> int:
        """Put the next answers into a batch; how many."""
        put = 0
        while self._queue and put < answers_max:
            client, answers = self._queue[-1]
            taken = list(islice(answers, answers_max - put))
            if len(taken) < answers_max - put:
                self._queue.pop()
            self._put_rows(batch, client, taken)
            put += len(taken)
        return put

    def end_slice(self) -> None:
        """Everything that was put is on disk."""
        self._slice_rows.clear()

    def end_flush(self, waste: Waste) -> None:
        self.end_slice()
        for answers in self._flushing.values():
            waste.throw(answers)
        self._flushing = {}

    def _put_rows(self, batch: Batch, client: int, answers: list[tuple[int, Answer]]) -> None:
        rows: dict[int, list[bytes]] = {}
        pack = _OPERATION.pack
        for sequence, answer in answers:
            offset = sequence % ROW_SEQUENCES
            row = rows.setdefault(sequence - offset, [])
            row.append(pack(offset, answer[0], answer[1], answer[-1]))
        for start, operations in rows.items():
            key = outcome_key(self._data, client, start)
            before = self._slice_rows.get(key) or self._engine.get(key)
            if before is not None:
                operations.insert(0, self._unsealed(before))
            self._slice_rows[key] = sealed = seal(b"".join(operations))
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
        self._sweep_from = start


def _is_whole(record: bytes) -> bool:
    try:
        unseal(record)
    except Corruption:  # left for who asks for an answer in it
        return False
    return True


def _operations(record: bytes) -> Iterator[tuple[int, int, int, int]]:
    return _OPERATION.iter_unpack(unseal(record, "outcomes"))
