"""A partition's state against a naive model: any entries, flushes in slices, crashes between them, two replicas."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvstore.core.commands import Command, CommandBatch, Condition, EntryPayload, Kind, PutBatch, batch_of, encode
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.hybrid_clock import COUNTER_BITS
from kvstore.core.ids import Index, Term
from kvstore.node import outcomes, partition_state, state_flush
from kvstore.node.outcomes import WINDOW_STAMPS
from kvstore.node.partition_state import History, PartitionState
from kvstore.storage.engine import Batch
from kvstore.storage.keys import HISTORY, OUTCOME, VALUE, table_range
from kvstore.storage.memory_engine import MemoryEngine
from tests.node.partition_model import PartitionModel, whole

DATA = 5
KEYS = [b"a", b"a\0", b"ab", b"b", b"c"]
CLIENTS = [1, 2, (1 << 63) - 1]
SECOND = 1000 << COUNTER_BITS


class Replica:
    """One replica on its own disk, and how far its log has been applied."""

    def __init__(self, history: tuple[int, int]) -> None:
        self.history = history
        self.engine = MemoryEngine()
        self.open()

    def open(self) -> None:
        self.state = PartitionState(self.engine, DATA, History(*self.history))
        self.slice = Batch()
        self.pieces = 0
        self.slice_is_out = False

    def go_on_flushing(self, rows_max: int, pieces: int = 1) -> None:
        """One step: a piece of a slice is made, or the slice is handed out, or on disk, or the state hears of it."""
        if self.engine.unsynced:
            self.engine.sync()
        elif self.slice_is_out:
            self.slice_is_out = False
            self.state.end_slice()
        elif self.pieces and (self.pieces >= pieces or not self.state.has_slices):
            self.engine.commit_unsynced(self.slice)
            self.slice, self.pieces, self.slice_is_out = Batch(), 0, True
        elif self.state.has_slices or self.state.needs_flush:
            if not self.state.is_flushing:
                self.state.begin_flush()
            assert self.state.flush_slice(self.slice, rows_max) >= 1
            self.pieces += 1

    def crash(self, *, survives: bool) -> None:
        if survives:
            self.engine.sync()
        self.engine.reopen()
        self.open()

    def flush(self, rows_max: int = 3) -> None:
        """All of it, to the end."""
        while self.state.needs_flush or self.state.is_flushing:
            self.go_on_flushing(rows_max)


Drawn = tuple[Kind, bytes, bytes, Condition, str]
COMMANDS = st.tuples(
    st.sampled_from(Kind), st.sampled_from(KEYS), st.binary(max_size=2), st.sampled_from(Condition),
    st.sampled_from(["current", "other"]),
)  # fmt: skip
PUTS = st.lists(st.tuples(st.sampled_from(KEYS), st.binary(max_size=2)), min_size=1, max_size=6)
DRAWN_BATCHES = st.tuples(st.booleans(), st.lists(COMMANDS, max_size=4))


class PartitionMachine(RuleBasedStateMachine):
    """Both replicas apply the same entries; each flushes and crashes when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()

    @initialize(history=st.sampled_from([(1, 0), (10, 0), (2, 1), (3, 100_000), (255, 600)]), windows=st.integers(0, 3),
                slack=st.sampled_from([1, 2]))  # fmt: skip
    def begin(self, history: tuple[int, int], windows: int, slack: int) -> None:
        self.history, self.purged = history, False
        self.patch.setattr(outcomes, "WINDOWS_MAX", windows)  # so few clients are remembered between flushes
        self.patch.setattr(partition_state, "RUN_WRITES", 2 + windows)
        self.patch.setattr(state_flush, "SLACK", slack)
        self.model = PartitionModel()
        self.replicas = [Replica(history), Replica(history)]
        self.log: list[Entry] = []
        self.told: list[list[list[tuple[int, int, int]]]] = []
        self.batches: list[bytes] = []
        self.sequences = dict.fromkeys(CLIENTS, 0)
        self.next_stamp = 20 * WINDOW_STAMPS
        self.unflushed_for = 0

    # ── entries ──

    def _append(self, batches: list[bytes], commands: int) -> None:
        index = Index(len(self.log) + 1)
        entry = Entry(Term(1), index, encode(EntryPayload(self.next_stamp, batches)) if batches else b"")
        self.next_stamp += commands + 1
        self.log.append(entry)
        self.told.append(self.model.apply(entry) if batches else [])
        for replica in self.replicas:
            self._catch_up(replica)

    def _catch_up(self, replica: Replica) -> None:
        """Apply what the log has; the answers are those that were given the first time."""
        for entry in self.log[replica.state.applied.index :]:
            answers = replica.state.apply(entry)
            assert [[whole(one) for one in batch] for batch in answers] == self.told[entry.index - 1]

    def _command(self, client: int, drawn: Drawn, skip: int) -> Command:
        kind, key, value, condition, which = drawn
        current = self.model.read(key)
        stamp = current[0] if current is not None and which == "current" else self.next_stamp - 5
        self.sequences[client] += 1 + skip
        return Command(self.sequences[client], kind.value, key, value, condition.value, stamp)

    @rule(client=st.sampled_from(CLIENTS), entries=st.lists(DRAWN_BATCHES, min_size=1, max_size=3),
          skip=st.sampled_from([0, 0, 0, 200]))  # fmt: skip
    def write(self, client: int, entries: list[tuple[bool, list[Drawn]]], skip: int) -> None:
        """Commands of one client, perhaps with holes in its operation numbers; no commands are a new leader's entry."""
        for atomic, drawn in entries:
            commands = [self._command(client, one, skip) for one in drawn]
            batches = [encode(batch_of(client, 0, commands, atomic=atomic))] if commands else []
            self.batches += batches
            self._append(batches, len(commands))

    @rule(client=st.sampled_from(CLIENTS), entries=st.lists(PUTS, min_size=1, max_size=3),
          skip=st.sampled_from([0, 0, 300]))  # fmt: skip
    def put(self, client: int, entries: list[list[tuple[bytes, bytes]]], skip: int) -> None:
        """Unconditional puts under consecutive numbers, which go by columns."""
        for rows in entries:
            first = self.sequences[client] + 1 + skip
            self.sequences[client] = first + len(rows) - 1
            data = encode(PutBatch(client, 0, first, [key for key, _ in rows], [value for _, value in rows]))
            self.batches.append(data)
            self._append([data], len(rows))

    @rule(client=st.sampled_from(CLIENTS), drawn=COMMANDS, back=st.integers(0, 3), atomic=st.booleans())
    def reuse_operation_numbers(self, client: int, drawn: Drawn, back: int, atomic: bool) -> None:
        """A client that breaks the rules: another command under a number it used, beside one it did not."""
        used = max(0, self.sequences[client] - back)
        commands = [self._command(client, drawn, 0), self._command(client, drawn, 0)]
        reused = Command(used, commands[0].kind, commands[0].key, b"reused", 0, 0)
        self._append([encode(CommandBatch(client, 0, atomic, [reused, commands[1]]))], 2)

    @precondition(lambda self: self.batches)
    @rule(places=st.lists(st.integers(0, 5), min_size=1, max_size=3))
    def retry(self, places: list[int]) -> None:
        batches = [self.batches[-1 - place % len(self.batches)] for place in places]
        self._append(batches, 6 * len(batches))

    @rule(jump=st.sampled_from([SECOND, 10 * SECOND, WINDOW_STAMPS // 3, 2 * WINDOW_STAMPS]))
    def let_time_pass(self, jump: int) -> None:
        """Stamps follow the wall clock, and no flush is as late as the time after which answers are forgotten."""
        self.next_stamp += jump
        self.unflushed_for += jump
        if self.unflushed_for > WINDOW_STAMPS // 2:
            self.unflushed_for = 0
            for replica in self.replicas:
                replica.flush()

    # ── disks ──

    @rule(which=st.integers(0, 1), steps=st.integers(1, 12), rows_max=st.integers(1, 4), pieces=st.integers(1, 4))
    def go_on_flushing(self, which: int, steps: int, rows_max: int, pieces: int) -> None:
        for _ in range(steps):
            self.replicas[which].go_on_flushing(rows_max, pieces)

    @rule(which=st.integers(0, 1), everything=st.sampled_from([False] * 9 + [True]))
    def collect(self, which: int, everything: bool) -> None:
        """As a node does between flushes; `everything` when its disk is full."""
        replica = self.replicas[which]
        if not replica.state.is_flushing:
            batch = Batch()
            replica.state.collect(batch, everything=everything)
            replica.engine.commit(batch)
            self.purged = self.purged or everything

    @rule(which=st.integers(0, 1), steps=st.integers(0, 20), rows_max=st.integers(1, 3), pieces=st.integers(1, 3),
          survives=st.booleans())  # fmt: skip
    def crash(self, which: int, steps: int, rows_max: int, pieces: int, survives: bool) -> None:
        """Anywhere in a flush; what was handed to the disk last may be lost."""
        self.go_on_flushing(which, steps, rows_max, pieces)
        self.replicas[which].crash(survives=survives)
        self._catch_up(self.replicas[which])

    @rule(which=st.integers(0, 1), before=st.integers(0, 20), applied=st.integers(1, 4), steps=st.integers(0, 20))
    def crash_again_before_it_has_caught_up(self, which: int, before: int, applied: int, steps: int) -> None:
        replica = self.replicas[which]
        self.go_on_flushing(which, before, 1, 1)
        replica.crash(survives=True)
        for entry in self.log[replica.state.applied.index :][:applied]:
            replica.state.apply(entry)
        self.go_on_flushing(which, steps, 1, 1)
        replica.crash(survives=True)
        self._catch_up(replica)

    # ── what must hold ──

    @invariant()
    def every_key_reads_as_in_the_model(self) -> None:
        for replica in self.replicas:
            assert replica.state.applied == LogEnd(Term(1 if self.log else 0), Index(len(self.log)))
            for key in KEYS:
                assert replica.state.read(key) == self.model.read(key)

    @rule(start=st.sampled_from([b"", *KEYS]), end=st.sampled_from([b"", *KEYS]), limit=st.integers(0, 3),
          bytes_max=st.sampled_from([1, 40, 1000]), keys_only=st.booleans())  # fmt: skip
    def pages_are_as_in_the_model(self, start: bytes, end: bytes, limit: int, bytes_max: int, keys_only: bool) -> None:
        rows = [(key, stamp, b"" if keys_only else value) for key, stamp, value in self.model.rows(start, end)]
        for replica in self.replicas:
            page, more = replica.state.page(start, end, limit, bytes_max, keys_only)
            assert page == rows[: len(page)] and more is (len(page) < len(rows))
            assert not limit or len(page) <= limit
            assert len(page) == len(rows) or len(page) == limit or sum(16 + len(k) for k, _, _ in page) + 8 >= bytes_max

    @invariant()
    def outcomes_are_known_as_long_as_they_count(self) -> None:
        for replica in self.replicas:
            for client, sequence in self.model.outcomes:
                told = replica.state.outcome(client, sequence)
                expected = self.model.outcome(client, sequence, self.model.stamp)
                assert (whole(told) if told is not None else None) == expected

    @invariant()
    def the_past_is_kept_by_count_and_time(self) -> None:
        count, seconds = self.history
        for replica in self.replicas:
            horizon = History(count, seconds).horizon(replica.state.stamp)
            for key in KEYS:
                told = replica.state.versions_of(key)
                ever = self.model.versions.get(key, [])
                assert len(told) <= max(1, count)
                assert told == ever[: len(told)], "versions that never were, or not in their order"
                if not self.purged:
                    must = self.model.kept(key, count, horizon) if seconds else ever[:1]
                    while must and must[-1][1] is None:
                        must.pop()  # a deletion that ends the past says as much as no row
                    assert told[: len(must)] == must

    def teardown(self) -> None:
        """However they flushed and crashed: in the end nothing is left of what was deleted and is past its time."""
        try:
            if hasattr(self, "model"):
                self._end()
        finally:
            self.patch.undo()

    def _end(self) -> None:
        self.next_stamp += (self.history[1] + 1) * SECOND + 2 * WINDOW_STAMPS
        self.sequences[1] += 1
        last = Command(self.sequences[1], Kind.PUT.value, b"last", b"v")
        self._append([encode(batch_of(1, 0, [last]))], 1)
        for replica in self.replicas:
            replica.flush()
            for _ in range(3):
                batch = Batch()
                replica.state.collect(batch)
                replica.engine.commit(batch)
            rows = {table: [key for key, _ in replica.engine.scan(*table_range(table, DATA))] for table in TABLES}
            assert len(rows[VALUE]) == len(self.model.rows(b"", b"")), "a tombstone stayed"
            assert rows[HISTORY] == [], "a version stayed beyond its time"


def written(replica: Replica, first: int, keys: list[bytes]) -> int:
    """One entry with these writes, applied and flushed; the next operation number."""
    commands = [Command(first + i, Kind.PUT.value, key, b"%d" % (first + i)) for i, key in enumerate(keys)]
    payload = encode(EntryPayload((1 << 40) + first, [encode(batch_of(1, 0, commands))]))
    replica.state.apply(Entry(Term(1), Index(replica.state.applied.index + 1), payload))
    replica.flush(rows_max=50)
    return first + len(keys)


def history_rows(replica: Replica) -> int:
    return len(list(replica.engine.scan(*table_range(HISTORY, DATA))))


@pytest.mark.parametrize("versions", [2, 5, 16])
def test_a_hot_key_leaves_no_more_on_disk_than_its_versions(versions: int) -> None:
    """Also long before their time has come."""
    replica, sequence = Replica((versions, 10**6)), 1
    for _ in range(5):
        sequence = written(replica, sequence, [b"hot", b"warm"] * 300)
        assert history_rows(replica) == 2 * (versions - 1)
    for key, last in ((b"hot", sequence - 2), (b"warm", sequence - 1)):
        told = replica.state.versions_of(key)
        assert [value for _, value in told] == [b"%d" % (last - 2 * i) for i in range(versions)]


@pytest.mark.parametrize("versions", [2, 5, 16])
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_key_written_again_and_again_keeps_a_bounded_past_on_disk(versions: int, at_once: int) -> None:
    replica, sequence, most = Replica((versions, 10**6)), 1, 0
    for _ in range(200):
        sequence = written(replica, sequence, [b"slow"] * at_once)
        most = max(most, history_rows(replica))
        told = replica.state.versions_of(b"slow")
        assert [value for _, value in told] == [b"%d" % (sequence - 1 - i) for i in range(min(versions, sequence - 1))]
    assert most <= state_flush.SLACK * versions + at_once


def test_who_asks_for_very_many_versions_has_the_bound_of_time_alone() -> None:
    replica, sequence = Replica((state_flush.COUNTED_VERSIONS_MAX + 1, 10**6)), 1
    for _ in range(100):
        sequence = written(replica, sequence, [b"key"])
    assert history_rows(replica) == 99 and len(replica.state.versions_of(b"key")) == 100


@pytest.mark.parametrize("row", [b"", b"damaged", bytes(40)])
def test_damage_in_the_past_stops_nobody_from_forgetting(row: bytes) -> None:
    """It is met while looking for what is too many, and left for who reads it."""
    replica, sequence = Replica((2, 10**6)), 1
    for _ in range(5):
        sequence = written(replica, sequence, [b"key"])
    batch = Batch()
    batch.put([key for key, _ in replica.engine.scan(*table_range(HISTORY, DATA))][2], row)
    replica.engine.commit(batch)
    for _ in range(50):
        sequence = written(replica, sequence, [b"key"])
        assert replica.state.read(b"key") == ((1 << 40) + sequence - 1, b"%d" % (sequence - 1))


def test_a_leap_of_the_clock_in_the_middle_of_a_flush_takes_no_answers_that_are_needed_to_redo_it() -> None:
    """Old answers are swept while others are flushed. A machine that slept makes those of the flush look old, too."""
    replica, log = Replica((1, 0)), []
    for index, first in ((1, 20 * WINDOW_STAMPS), (2, 22 * WINDOW_STAMPS)):
        commands = [Command(100 * index + i, Kind.PUT.value, b"%d" % i, b"%d" % index) for i in range(10)]
        payload = encode(EntryPayload(first, [encode(CommandBatch(index, 0, False, commands))]))
        log.append(Entry(Term(1), Index(index), payload))
        replica.state.apply(log[-1])
    replica.state.begin_flush()
    while replica.state.flush_end != replica.state.flushed and len(list(replica.engine.scan(b"v", b"w"))) < 5:
        replica.go_on_flushing(1)
    replica.crash(survives=True)
    assert replica.state.applied.index == 0 and not replica.state.is_whole
    for entry in log:
        answers = replica.state.apply(entry)
        assert [answer[0] for answer in answers[0]] == [0] * 10
    assert all(replica.state.read(b"%d" % i) == (22 * WINDOW_STAMPS + i, b"2") for i in range(10))


TABLES = (VALUE, HISTORY, OUTCOME)

TestPartition = PartitionMachine.TestCase
TestPartition.settings = settings(max_examples=60, stateful_step_count=40)
