"""What a leaderless replica knows against a naive model: any merges, flushes in slices, crashes between them."""

from zlib import crc32

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvstore.core.causality import UNKNOWN, Context, Sibling, Versions, after_write, decode, encode, merged, newest_only
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.ids import Index, Term
from kvstore.node import outcomes, quorum_state
from kvstore.node.group_host import State
from kvstore.node.outcomes import WINDOW_STAMPS
from kvstore.node.quorum_flush import Change
from kvstore.node.quorum_log import log_payload, read_payload
from kvstore.node.quorum_state import QuorumState
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless.messages import Operation
from kvstore.replication.leaderless.table import Table
from kvstore.storage.engine import Batch
from kvstore.storage.keys import OUTCOME, VALUE, outcome_key, table_range, value_prefix
from kvstore.storage.memory_engine import MemoryEngine

DATA = 5
HERE, THERE = 11, 22
KEYS = [b"a", b"a\0", b"ab", b"b", b"c"]
CLIENTS = [1, 2]
NOW = 20 * WINDOW_STAMPS


class SumTree:
    """The simplest tree: two leaves, each the sum of its records' checksums; None once it cannot be known."""

    ROW = b"x"
    has_rows = True

    def __init__(self, engine: MemoryEngine) -> None:
        self.on_disk = self.load(engine)
        self.in_memory = list(self.on_disk)

    @classmethod
    def load(cls, engine: MemoryEngine) -> list[int]:
        rows = [engine.get(cls.ROW + bytes([leaf])) for leaf in range(2)]
        return [int.from_bytes(row or b"", "big") for row in rows]

    @staticmethod
    def sums(records: dict[bytes, bytes]) -> list[int]:
        sums = [0, 0]
        for key, record in records.items():
            sums[_leaf(key)] ^= _term(key, record)
        return sums

    def changed(self, key: bytes, before: bytes | None, after: bytes) -> None:
        assert before is not None
        self.in_memory[_leaf(key)] ^= _term(key, before) ^ _term(key, after)

    def put_rows(self, batch: Batch, changes: list[Change]) -> None:
        for key, before, after in changes:
            assert before is not None
            self.on_disk[_leaf(key)] ^= _term(key, before) ^ _term(key, after)
        for leaf, total in enumerate(self.on_disk):
            batch.put(self.ROW + bytes([leaf]), total.to_bytes(4, "big"))


def _leaf(key: bytes) -> int:
    return crc32(key) % 2


def _term(key: bytes, record: bytes) -> int:
    return crc32(key + b"=" + record) if record else 0


class Replica:
    """A state on its own disk, with its log, and steps of a flush as they happen in a node."""

    def __init__(self, *, lww: bool = False) -> None:
        self.lww = lww
        self.engine = MemoryEngine()
        self.log: list[Entry] = []
        self.open()

    def open(self) -> None:
        self.state = QuorumState(self.engine, DATA, lww=self.lww)
        self.state.tree = self.tree = SumTree(self.engine)
        self.slice = Batch()
        self.pieces = 0
        self.slice_is_out = False
        for entry in self.log[self.state.applied.index :]:
            self.state.replay(entry)

    def take(self, records: list[tuple[bytes, Versions]], operations: list[Operation], shown: bool = True) -> None:
        """One step: records are put and logged, operations are remembered."""
        encoded = [(key, encode(versions)) for key, versions in records]
        index = Index(len(self.log) + 1)
        self.log.append(Entry(Term(1), index, log_payload(encoded, () if shown else operations)))
        for key, record in encoded:
            self.state.put(key, record)
        for operation in operations:
            self.state.remember(*operation)
        self.state.advance(LogEnd(Term(1), index))

    def collect(self, key: bytes, rounds: tuple[int, int]) -> None:
        """One step: a record is removed, and logged as that."""
        index = Index(len(self.log) + 1)
        payload = log_payload([], [], [key], rounds)
        self.log.append(Entry(Term(1), index, payload))
        self.state.remove(key)
        self.state.rounds = rounds
        self.state.advance(LogEnd(Term(1), index))

    def go_on_flushing(self, rows_max: int, pieces: int = 1) -> None:
        """A piece of a slice is made, or the slice is handed out, or on disk, or the state hears of it."""
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

    def flush(self, rows_max: int = 3) -> None:
        while self.state.needs_flush or self.state.is_flushing:
            self.go_on_flushing(rows_max)

    def crash(self, *, survives: bool = False) -> None:
        """The log is whole: no row reaches the disk before its entry."""
        if survives:
            self.engine.sync()
        self.engine.reopen()
        self.open()

    def pages(self, limit: int, bytes_max: int = 1 << 20, start: bytes = b"", end: bytes = b"") -> dict[bytes, bytes]:
        found: list[tuple[bytes, bytes]] = []
        while True:
            records, upto = self.state.page(start, end, limit, bytes_max)
            assert all(start <= key and (not upto or key < upto) for key, _ in records)
            assert len(records) <= limit or not limit
            found += records
            if not upto:
                assert [key for key, _ in found] == sorted({key for key, _ in found})
                return dict(found)
            assert records
            start = upto


class QuorumMachine(RuleBasedStateMachine):
    """A replica takes writes of its own and hears of those of another one, flushes, and crashes when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()

    @initialize(lww=st.booleans(), few=st.integers(0, 3))
    def begin(self, lww: bool, few: int) -> None:
        self.patch.setattr(outcomes, "WINDOWS_MAX", few)
        self.patch.setattr(quorum_state, "RUN_KEYS", 1 + few)
        self.patch.setattr(quorum_state, "CHUNK_KEYS_MAX", 1 + few)
        self.lww = lww
        self.replica = Replica(lww=lww)
        self.known: dict[bytes, Versions] = {}
        self.elsewhere: dict[bytes, Versions] = {}
        self.taken: dict[tuple[int, int], list[int]] = {}
        self.counter = self.sequence = 0
        self.rounds = (0, 0)
        self.next_stamp = NOW
        self.unflushed_for = 0

    def teardown(self) -> None:
        self.patch.undo()

    def _written(self, known: Versions, actor: int, value: bytes | None, client: int, seen: Context) -> Versions:
        self.counter, self.sequence, self.next_stamp = self.counter + 1, self.sequence + 1, self.next_stamp + 1
        sibling = Sibling(actor, self.counter, self.next_stamp, value, client, self.sequence if client else 0)
        return self._kept(after_write(known, sibling, seen))

    def _kept(self, versions: Versions) -> Versions:
        return newest_only(versions) if self.lww else versions

    def _take(self, records: dict[bytes, Versions], siblings: list[Sibling], shown: bool) -> None:
        operations = [(each.client, each.sequence, each.stamp) for each in siblings if each.client]
        self.replica.take(list(records.items()), operations, shown)
        self.known |= records
        for client, sequence, stamp in operations:
            self.taken.setdefault((client, sequence), []).append(stamp)

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4), value=st.none() | st.binary(max_size=3),
          client=st.sampled_from([0, *CLIENTS]), blind=st.booleans())  # fmt: skip
    def write(self, keys: list[bytes], value: bytes | None, client: int, blind: bool) -> None:
        records: dict[bytes, Versions] = {}
        siblings = []
        for key in keys:
            known = records.get(key, self.replica.state.known(key))
            records[key] = self._written(known, HERE, value, client, {} if blind else known.context)
            siblings += [each for each in records[key].siblings if each.counter == self.counter]
        self._take(records, siblings, shown=len(keys) == len(records))

    @rule(key=st.sampled_from(KEYS), value=st.none() | st.binary(max_size=3), client=st.sampled_from([0, *CLIENTS]),
          blind=st.booleans())  # fmt: skip
    def write_elsewhere(self, key: bytes, value: bytes | None, client: int, blind: bool) -> None:
        known = self.elsewhere.get(key, UNKNOWN)
        self.elsewhere[key] = self._written(known, THERE, value, client, {} if blind else known.context)

    @rule(key=st.sampled_from(KEYS))
    def hear(self, key: bytes) -> None:
        theirs, ours = self.elsewhere.get(key, UNKNOWN), self.replica.state.known(key)
        together = self._kept(merged(ours, theirs))
        if together is not ours:
            new = [each for each in theirs.siblings if ours.context.get(each.actor, 0) < each.counter]
            self._take({key: together}, new, shown=not self.lww)

    @rule(key=st.sampled_from(KEYS))
    def tell(self, key: bytes) -> None:
        theirs = self.elsewhere.get(key, UNKNOWN)
        self.elsewhere[key] = self._kept(merged(theirs, self.known.get(key, UNKNOWN)))

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def collect(self, data: st.DataObject) -> None:
        """What nobody needs any more goes, there as here: whoever heard of it later would not know that."""
        key = data.draw(st.sampled_from(sorted(self.known)))
        self.rounds = (self.rounds[0] + 2, self.rounds[0] + 1)
        self.replica.collect(key, self.rounds)
        del self.known[key]
        self.elsewhere.pop(key, None)

    @rule(windows=st.sampled_from([0.4, 0.9, 2]))
    def time_passes(self, windows: float) -> None:
        self.next_stamp += int(windows * WINDOW_STAMPS)

    @rule(rows_max=st.integers(1, 4), pieces=st.integers(1, 3))
    def go_on_flushing(self, rows_max: int, pieces: int) -> None:
        self.replica.go_on_flushing(rows_max, pieces)

    @precondition(lambda self: self.unflushed_for > 9)
    @rule()
    def flush_all(self) -> None:
        self.replica.flush(2)
        self.unflushed_for = 0
        assert rows_of(self.replica.engine) == {key: encode(versions) for key, versions in self.known.items()}

    @rule(survives=st.booleans())
    def crash(self, survives: bool) -> None:
        self.replica.crash(survives=survives)

    @rule(start=st.sampled_from([b"", *KEYS]), end=st.sampled_from([b"", *KEYS]), limit=st.integers(0, 3),
          bytes_max=st.sampled_from([1, 40, 1 << 20]))  # fmt: skip
    def read_pages(self, start: bytes, end: bytes, limit: int, bytes_max: int) -> None:
        wanted = {key: encode(self.known[key]) for key in self.known if key >= start and (not end or key < end)}
        assert self.replica.pages(limit, bytes_max, start, end) == wanted

    @invariant()
    def knows_what_the_model_knows(self) -> None:
        self.unflushed_for += 1
        state = self.replica.state
        assert state.rounds == self.rounds
        for key in KEYS:
            versions = self.known.get(key)
            assert state.known(key) == (versions or UNKNOWN)
            assert state.record(key) == (encode(versions) if versions is not None else b"")
            assert state.digest(key) == digest_of(key, state.record(key))

    @invariant()
    def remembers_operations_as_long_as_promised(self) -> None:
        state = self.replica.state
        youngest = max((max(stamps) for stamps in self.taken.values()), default=0)
        assert state.stamp == youngest
        for client in CLIENTS:
            for sequence in range(1, self.sequence + 2):
                stamps = self.taken.get((client, sequence), [])
                counting = [(0, stamp) for stamp in stamps if stamp >= youngest - WINDOW_STAMPS]
                assert state.outcome(client, sequence) in (counting or [None])

    @invariant()
    def the_tree_describes_memory_and_its_rows_the_rows(self) -> None:
        known = {key: encode(versions) for key, versions in self.known.items()}
        assert self.replica.tree.in_memory == SumTree.sums(known)
        assert SumTree.load(self.replica.engine) == SumTree.sums(rows_of(self.replica.engine))


def digest_of(key: bytes, record: bytes) -> bytes:
    return record_digest(key_hash(key), record).to_bytes(8, "big") if record else b""


def rows_of(engine: MemoryEngine) -> dict[bytes, bytes]:
    prefix = value_prefix(DATA)
    return {key[len(prefix) :]: row[4:] for key, row in engine.scan(*table_range(VALUE, DATA))}


TestQuorumMachine = QuorumMachine.TestCase
TestQuorumMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# ── what a machine does not meet ─────────────────────────────────────────────────────────────────────────────────────


def one(value: bytes, counter: int = 1, actor: int = HERE, client: int = 0, sequence: int = 0) -> Versions:
    sibling = Sibling(actor, counter, NOW + counter, value, client, sequence)
    return Versions({actor: counter}, (sibling,))


def many(count: int) -> list[tuple[bytes, Versions]]:
    return [(b"key:%05d" % (number * 7919 % count), one(b"value", number + 1)) for number in range(count)]


@pytest.fixture
def replica() -> Replica:
    return Replica()


def test_a_crash_between_any_two_slices_costs_nothing_and_the_old_index_stays() -> None:
    before, after = many(6), [(key, one(b"later", 100)) for key, _ in many(10)]
    for steps in range(40):
        replica = Replica()
        replica.take(before, [])
        replica.flush()
        for number, record in enumerate(after):
            replica.take([record], [(7, number + 1, NOW + number)], shown=False)
        for _ in range(steps):
            replica.go_on_flushing(rows_max=2)
        replica.crash(survives=steps % 2 == 0)
        flushed = replica.state.flushed.index
        assert replica.state.applied.index == 11
        assert [replica.state.known(key) for key, _ in after] == [versions for _, versions in after]
        assert replica.tree.in_memory == SumTree.sums({key: encode(versions) for key, versions in after})
        assert [replica.state.outcome(7, number + 1) for number in range(10)] == [(0, NOW + n) for n in range(10)]
        assert replica.state.stamp == NOW + 9
        replica.flush()
        assert len(replica.engine.get(outcome_key(DATA, 7, 0)) or b"") == 4 + 19, "each answer is there once"
    assert flushed == 11, "forty steps did not reach the end of the flush"


def test_nothing_is_remembered_that_is_not_known_if_the_log_is_lost() -> None:
    records = many(10)
    remembered = set()
    for steps in range(60):
        replica = Replica()
        for number, record in enumerate(records):
            replica.take([record], [(7 + number % 3, number, NOW)])
        for _ in range(steps):
            replica.go_on_flushing(rows_max=1)
        replica.log = replica.log[: replica.state.flushed.index]
        replica.crash()
        state = replica.state
        found = [number for number in range(10) if state.outcome(7 + number % 3, number) is not None]
        assert all(state.known(records[number][0]) == records[number][1] for number in found)
        remembered.add(len(found))
    assert {0, 10} < remembered, "no crash was amid the answers"


def test_rows_younger_than_a_log_that_lost_its_end_are_merged_with_it() -> None:
    replica = Replica()
    replica.take([(b"a", one(b"1", 1)), (b"b", one(b"1", 2))], [])
    replica.take([(b"a", one(b"2", 3))], [])
    for _ in range(4):
        replica.go_on_flushing(rows_max=1)
    assert list(rows_of(replica.engine)) == [b"a"], "one slice is on disk"
    assert not replica.state.flushed.index
    replica.log.pop()
    replica.crash()
    assert replica.state.dirty_rows == 1, "what the row knows is not put again"
    assert replica.state.known(b"a") == one(b"2", 3)
    assert replica.state.known(b"b") == one(b"1", 2)


def test_the_last_writer_wins_in_a_replay_too() -> None:
    replica = Replica(lww=True)
    replica.take([(b"a", one(b"later", 9, actor=THERE)), (b"b", one(b"x"))], [])
    for _ in range(4):
        replica.go_on_flushing(rows_max=1)
    replica.log[0] = Entry(Term(1), Index(1), log_payload([(b"a", encode(one(b"earlier", 2)))]))
    replica.crash()
    assert replica.state.known(b"a").values == [b"later"]
    assert replica.state.known(b"a").context == {HERE: 2, THERE: 9}


def test_pages_end_where_they_were_told_to_and_are_never_empty() -> None:
    replica = Replica()
    records = many(50)
    replica.take(records[:30], [])
    replica.flush()
    replica.take(records[20:40], [])
    replica.go_on_flushing(rows_max=5)
    replica.take(records[35:], [])
    wanted = {key: encode(versions) for key, versions in records}
    for limit in (0, 1, 7, 50, 51):
        assert replica.pages(limit) == wanted
        assert replica.pages(limit, bytes_max=1) == wanted
    assert len(replica.state.page(b"", b"", 0, 1)[0]) == 1
    first, upto = replica.state.page(b"", b"", 7, 1 << 20)
    assert (len(first), upto) == (7, sorted(wanted)[7])


def test_a_page_has_a_limit_of_its_own(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum_state, "PAGE_ROWS_MAX", 3)
    replica.take(many(8), [])
    records, upto = replica.state.page(b"", b"", 0, 1 << 20)
    assert (len(records), upto) == (3, b"key:00003")
    assert replica.state.page(b"key:00006", b"", 100, 1 << 20)[1] == b""


def test_a_page_is_less_than_a_message(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum_state, "REQUEST_BYTES_MAX", 300)
    replica.take([(key, one(b"v" * 100)) for key in KEYS], [])
    for _ in range(2):
        assert [len(replica.state.page(key, b"", 0, 1 << 20)[0]) for key in KEYS] == [2, 2, 2, 2, 1]
        replica.flush()


def damage(engine: MemoryEngine, key: bytes) -> None:
    row = engine.get(key)
    assert row is not None
    batch = Batch()
    batch.put(key, row[:-1] + bytes([row[-1] ^ 1]))
    engine.commit(batch)


def test_a_damaged_row_is_refused_by_name_until_a_record_is_put_in_its_place(replica: Replica) -> None:
    replica.state.tree = None
    replica.take([(b"a", one(b"1")), (b"b", one(b"2")), (b"c", one(b"3"))], [])
    replica.flush()
    damage(replica.engine, value_prefix(DATA) + b"b")
    for ask in (replica.state.known, replica.state.record, replica.state.digest):
        with pytest.raises(Corruption) as error:
            ask(b"b")
        assert error.value.key == b"b"
    with pytest.raises(Corruption) as error:
        replica.state.page(b"", b"", 0, 1 << 20)
    assert error.value.key == b"b"
    records, upto = replica.state.page(b"", b"", 1, 1 << 20)
    assert ([key for key, _ in records], upto) == ([b"a"], b"b")
    assert [key for key, _ in replica.state.page(b"b\0", b"", 0, 1 << 20)[0]] == [b"c"]
    replica.take([(b"b", one(b"mended", 5))], [])
    assert replica.state.known(b"b") == one(b"mended", 5)
    replica.flush()
    replica.crash()
    assert replica.state.known(b"b") == one(b"mended", 5)


def test_a_row_that_holds_no_versions_is_refused(replica: Replica) -> None:
    replica.state.put(b"a", b"\xc0")
    with pytest.raises(Corruption) as error:
        replica.state.known(b"a")
    assert error.value.key == b"a"


def test_the_tree_is_told_that_nobody_can_tell_what_a_damaged_row_was(replica: Replica) -> None:
    told: list[tuple[bytes, bytes | None]] = []

    class Watch:
        has_rows = True

        def changed(self, key: bytes, before: bytes | None, after: bytes) -> None:
            told.append((key, before))

        def put_rows(self, batch: Batch, changes: list[Change]) -> None:
            told.extend((key, before) for key, before, _ in changes)

    replica.take([(b"a", one(b"1"))], [])
    replica.flush()
    damage(replica.engine, value_prefix(DATA) + b"a")
    replica.state.tree = Watch()
    replica.take([(b"a", one(b"2", 2)), (b"a", one(b"3", 3)), (b"n", one(b"4", 4))], [])
    replica.flush()
    assert told == [(b"a", None), (b"a", encode(one(b"2", 2))), (b"n", b""), (b"a", None), (b"n", b"")]


def test_the_tree_sees_the_record_on_its_way_to_the_disk_and_not_the_row(replica: Replica) -> None:
    replica.take([(b"a", one(b"1"))], [])
    replica.flush()
    assert replica.state.known(b"a") == one(b"1"), "so that the row is the last that was read"
    replica.take([(b"a", one(b"2", 2))], [])
    replica.state.begin_flush()
    replica.take([(b"a", one(b"3", 3))], [])
    assert replica.tree.in_memory == SumTree.sums({b"a": encode(one(b"3", 3))})


def test_a_log_that_has_what_a_damaged_row_had_mends_it_at_a_start(replica: Replica) -> None:
    replica.take([(b"a", one(b"1")), (b"b", one(b"1"))], [])
    for _ in range(4):
        replica.go_on_flushing(rows_max=1)
    damage(replica.engine, value_prefix(DATA) + b"a")
    replica.engine.reopen()
    state = QuorumState(replica.engine, DATA, lww=False)
    with pytest.raises(Corruption):
        state.known(b"a")
    state.replay(replica.log[0])
    assert state.known(b"a") == one(b"1")


def test_operations_are_found_after_flush_and_start_and_also_those_no_record_shows(replica: Replica) -> None:
    replica.take([(b"a", one(b"1", 1, client=7, sequence=300))], [(7, 300, NOW + 1)])
    replica.take([(b"a", one(b"2", 2))], [(7, 301, NOW - 5), (8, 1, NOW + 3)], shown=False)
    wanted = {(7, 300): (0, NOW + 1), (7, 301): (0, NOW - 5), (8, 1): (0, NOW + 3), (7, 299): None, (9, 1): None}
    for begin in (lambda: None, replica.crash, replica.state.begin_flush, replica.flush, replica.crash):
        begin()
        assert {operation: replica.state.outcome(*operation) for operation in wanted} == wanted


def test_an_operation_heard_of_late_does_not_make_younger_ones_forgotten(replica: Replica) -> None:
    replica.take([(b"a", one(b"1"))], [(7, 1, NOW + WINDOW_STAMPS), (7, 2, NOW + 1)], shown=False)
    replica.flush()
    replica.take([(b"a", one(b"2", 2))], [(8, 1, NOW + WINDOW_STAMPS + 10)], shown=False)
    replica.flush()
    replica.take([(b"a", one(b"3", 3))], [(8, 2, NOW + 2 * WINDOW_STAMPS)], shown=False)
    replica.flush()
    assert replica.state.outcome(7, 1) == (0, NOW + WINDOW_STAMPS)
    assert replica.state.outcome(7, 2) is None
    replica.take([(b"a", one(b"4", 4))], [(8, 3, NOW + 4 * WINDOW_STAMPS)], shown=False)
    replica.flush()
    replica.take([(b"a", one(b"5", 5))], [(9, 1, NOW)], shown=False)
    replica.flush()
    assert replica.state.outcome(9, 1) is None
    assert [int.from_bytes(key[5:13], "big") for key, _ in replica.engine.scan(*table_range(OUTCOME, DATA))] == [8]


def test_damaged_answers_are_refused_to_who_asks_for_them_and_stop_no_flush(replica: Replica) -> None:
    replica.take([(b"a", one(b"1"))], [(7, 5, NOW + 1)])
    replica.flush()
    damage(replica.engine, outcome_key(DATA, 7, 0))
    state = QuorumState(replica.engine, DATA, lww=False)
    with pytest.raises(Corruption):
        state.outcome(7, 5)
    assert state.outcome(7, 256) is None
    replica.state = state
    replica.take([(b"a", one(b"2", 2))], [(7, 6, NOW + 2)])
    replica.flush()
    assert (replica.state.outcome(7, 5), replica.state.outcome(7, 6)) == (None, (0, NOW + 2))


def test_it_is_a_table_to_its_replica_and_a_state_to_the_flusher(replica: Replica) -> None:
    table: Table = replica.state
    state: State = replica.state
    table.put(b"a", encode(one(b"1")))
    assert state.flushed == state.applied
    assert read_payload(table.log_payload([(b"a", table.record(b"a"))], [])) == ([(b"a", encode(one(b"1")))], [])


def test_what_waits_is_counted(replica: Replica) -> None:
    replica.take([(b"a", one(b"1")), (b"a", one(b"2", 2)), (b"b", one(b"3", 3))], [])
    assert replica.state.dirty_rows == 3
    assert replica.state.dirty_bytes > 3 * 120
    assert replica.state.needs_flush
    replica.state.begin_flush()
    assert (replica.state.dirty_rows, replica.state.dirty_bytes) == (0, 0)
    assert replica.state.flush_end == LogEnd(Term(1), Index(1))
    assert (replica.state.needs_flush, replica.state.is_flushing, replica.state.has_slices) == (False, True, True)
    replica.flush()
    assert replica.state.flushed == replica.state.applied == LogEnd(Term(1), Index(1))
    assert len(replica.state.waste) == 4
    assert decode(rows_of(replica.engine)[b"a"]) == one(b"2", 2)


def test_an_entry_is_read_as_it_was_written_and_others_are_not_read() -> None:
    records, operations = [(b"a", b"record"), (b"b", b"")], [(7, 1 << 63, NOW)]
    assert read_payload(log_payload(records, operations)) == (records, operations)
    assert read_payload(log_payload(records)) == (records, [])
    for payload in (b"", b"\xc0", log_payload(records)[:-1], log_payload(records) + b"\0"):
        with pytest.raises(Corruption):
            read_payload(payload)
