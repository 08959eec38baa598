"""One suite for both engines, and a machine that compares them with a dict through thousands of steps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from kvstore.core.errors import EmptyKey, KeyTooLarge, StorageFull, Unavailable
from kvstore.storage.engine import Batch, Engine, Operation, Row, Snapshot
from kvstore.storage.lmdb_engine import LmdbEngine
from kvstore.storage.memory_engine import MemoryEngine

KIB, MIB = 1 << 10, 1 << 20
MakeEngine = Callable[[int], Engine]


@pytest.fixture(params=["memory", "lmdb"])
def make_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeEngine]:
    """A maker of one engine with a limit in bytes."""
    made: list[Engine] = []

    def make(limit: int) -> Engine:
        if request.param == "memory":
            made.append(MemoryEngine(limit, reserve_bytes=MIB))
        else:
            made.append(LmdbEngine.open(tmp_path / "data", map_bytes_max=limit, reserve_bytes=2 * MIB))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    return make_engine(64 * MIB)


def batch_of(*operations: Operation, urgent: bool = False) -> Batch:
    batch = Batch()
    batch.operations += operations
    batch.urgent = urgent
    return batch


def rows_of(batch: dict[bytes, bytes]) -> Batch:
    return batch_of(*((key, value, None) for key, value in batch.items()))


def everything(reader: Engine | Snapshot) -> dict[bytes, bytes]:
    return dict(reader.scan(b"", b"\xff"))


# ── reading and writing ──


def test_many_rows_are_read_as_one_by_one(engine: Engine) -> None:
    batch = Batch()
    batch.put_all([b"a", b"b"], [b"1", b""])
    assert batch.size_bytes == 3
    engine.commit(batch)
    snapshot = engine.snapshot()
    for reader in (engine, snapshot):
        assert reader.get_many([b"b", b"none", b"a", b"b"]) == [b"", None, b"1", b""] and reader.get_many([]) == []
        with pytest.raises(EmptyKey):
            reader.get_many([b"a", b""])
    snapshot.close()


def test_absent_keys_are_none(engine: Engine) -> None:
    assert engine.get(b"a") is None
    assert list(engine.scan(b"", b"\xff")) == []


def test_operations_happen_in_their_order(engine: Engine) -> None:
    engine.commit(batch_of((b"a", b"1", None), (b"a", b"2", None), (b"b", b"1", None), (b"b", None, None)))
    assert everything(engine) == {b"a": b"2"}


def test_a_range_delete_spares_its_end_and_what_is_put_after_it(engine: Engine) -> None:
    engine.commit(rows_of({b"a": b"1", b"b": b"1", b"c": b"1", b"d": b"1"}))
    engine.commit(batch_of((b"bb", b"2", None), (b"b", None, b"d"), (b"c", b"2", None)))
    assert everything(engine) == {b"a": b"1", b"c": b"2", b"d": b"1"}


def test_deleting_what_is_not_there_changes_nothing(engine: Engine) -> None:
    engine.commit(rows_of({b"a": b"1"}))
    engine.commit(batch_of((b"b", None, None), (b"x", None, b"z"), (b"z", None, b"x")))
    assert everything(engine) == {b"a": b"1"}


def test_range_deletes_over_many_pages(engine: Engine) -> None:
    rows = {b"%06d" % number: b"v" * 200 for number in range(3_000)}
    engine.commit(rows_of(rows))
    engine.commit(batch_of((b"000010", None, b"002990")))
    assert list(everything(engine)) == [key for key in rows if not b"000010" <= key < b"002990"]


def test_scans_take_their_start_and_leave_their_end_in_both_directions(engine: Engine) -> None:
    engine.commit(rows_of({b"a": b"1", b"b": b"2", b"bb": b"3", b"c": b"4"}))
    assert list(engine.scan(b"b", b"c")) == [(b"b", b"2"), (b"bb", b"3")]
    assert list(engine.scan(b"b", b"c", reverse=True)) == [(b"bb", b"3"), (b"b", b"2")]
    assert list(engine.scan(b"aa", b"bz", reverse=True)) == [(b"bb", b"3"), (b"b", b"2")]
    assert list(engine.scan(b"", b"zz", reverse=True)) == [(b"c", b"4"), (b"bb", b"3"), (b"b", b"2"), (b"a", b"1")]
    assert list(engine.scan(b"b" * 600, b"z" * 600)) == [(b"c", b"4")]
    assert list(engine.scan(b"a" * 600, b"b" * 600, reverse=True)) == [(b"bb", b"3"), (b"b", b"2")]
    assert list(engine.scan(b"c", b"b")) == list(engine.scan(b"c", b"b", reverse=True)) == []
    assert list(engine.scan(b"a", b"")) == list(engine.scan(b"a", b"", reverse=True)) == []


def test_empty_and_large_values(engine: Engine) -> None:
    engine.commit(rows_of({b"empty": b"", b"large": b"v" * MIB}))
    assert engine.get(b"empty") == b""
    assert engine.get(b"large") == b"v" * MIB


def test_keys_up_to_511_bytes(engine: Engine) -> None:
    engine.commit(rows_of({b"k" * 511: b"v"}))
    assert engine.get(b"k" * 511) == b"v"


@pytest.mark.parametrize(("key", "error"), [(b"", EmptyKey), (b"k" * 512, KeyTooLarge)])
def test_impossible_keys_are_refused_and_nothing_is_applied(engine: Engine, key: bytes, error: type[Exception]) -> None:
    for value in (b"v", None):
        with pytest.raises(error):
            engine.commit(batch_of((b"good", b"v", None), (key, value, None)))
    assert everything(engine) == {}


def test_there_is_nothing_under_impossible_keys(engine: Engine) -> None:
    for reader in (engine, engine.snapshot()):
        assert reader.get(b"k" * 512) is None
        with pytest.raises(EmptyKey):
            reader.get(b"")


def test_an_empty_batch_is_fine(engine: Engine) -> None:
    engine.commit(Batch())
    assert everything(engine) == {}


# ── views ──


def test_a_snapshot_does_not_move(engine: Engine) -> None:
    engine.commit(rows_of({b"a": b"1", b"c": b"1"}))
    snapshot = engine.snapshot()
    engine.commit(batch_of((b"a", b"2", None), (b"b", b"2", None), (b"c", None, None)))
    assert everything(snapshot) == {b"a": b"1", b"c": b"1"}
    assert (snapshot.get(b"a"), snapshot.get(b"b"), snapshot.get(b"c")) == (b"1", None, b"1")
    assert everything(engine) == {b"a": b"2", b"b": b"2"}
    snapshot.close()


def test_snapshots_are_independent(engine: Engine) -> None:
    snapshots = []
    for number in range(5):
        engine.commit(rows_of({b"a": b"%d" % number}))
        snapshots.append(engine.snapshot())
    snapshots.pop(2).close()
    assert [snapshot.get(b"a") for snapshot in snapshots] == [b"0", b"1", b"3", b"4"]
    for snapshot in snapshots:
        snapshot.close()


def test_a_closed_snapshot_says_so(engine: Engine) -> None:
    snapshot = engine.snapshot()
    snapshot.close()
    snapshot.close()
    with pytest.raises(Unavailable, match="closed"):
        snapshot.get(b"a")
    with pytest.raises(Unavailable, match="closed"):
        list(snapshot.scan(b"", b"\xff"))


def test_a_scan_under_way_does_not_move(engine: Engine) -> None:
    rows = {b"%03d" % number: b"1" for number in range(100)}
    engine.commit(rows_of(rows))
    scan = engine.scan(b"", b"\xff")
    taken = [next(scan)]
    engine.commit(batch_of((b"", None, b"050"), (b"0505", b"new", None), (b"099", b"new", None)))
    assert dict(taken + list(scan)) == rows


def test_a_closed_engine_says_so(engine: Engine) -> None:
    engine.close()
    with pytest.raises(Unavailable, match="closed"):
        engine.get(b"a")
    with pytest.raises(Unavailable, match="closed"):
        engine.commit(rows_of({b"a": b"1"}))


# ── full, and room again ──


def fill(engine: Engine, prefix: bytes = b"row", value: bytes = b"v" * KIB) -> int:
    """Put rows, 16 a batch, until the engine refuses. Returns how many rows were taken."""
    number = 0
    while True:
        batch = rows_of({b"%s%06d" % (prefix, number + place): value for place in range(16)})
        try:
            engine.commit(batch)
        except StorageFull:
            return number
        number += 16
        assert number < 100_000, "it never got full"


def test_a_full_engine_refuses_whole_batches_and_deletes_make_room(make_engine: MakeEngine) -> None:
    engine = make_engine(2 * MIB)
    taken = fill(engine)
    before = everything(engine)
    assert len(before) == taken > 500

    with pytest.raises(StorageFull):
        engine.commit(batch_of((b"row000000", None, None), (b"large", b"v" * MIB, None)))
    assert everything(engine) == before

    engine.commit(batch_of((b"row000000", None, b"row000400")))
    assert not engine.is_full()
    engine.commit(rows_of({b"row000000": b"again"}))
    assert engine.get(b"row000000") == b"again"


def test_what_does_not_grow_the_data_passes_when_full(make_engine: MakeEngine) -> None:
    engine = make_engine(2 * MIB)
    taken = fill(engine)
    for number in range(0, taken, 16):  # every page is rewritten, many times what the limit could hold
        engine.commit(rows_of({b"row%06d" % number: b"w" * KIB}))
    for number in range(taken):
        engine.commit(batch_of((b"row%06d" % number, None, None)))
    assert everything(engine) == {}
    assert fill(engine) >= taken - 32


def test_urgent_batches_may_use_the_reserve_and_no_more(make_engine: MakeEngine) -> None:
    engine = make_engine(2 * MIB)
    fill(engine)
    log_row = rows_of({b"log": b"e" * 64 * KIB})
    with pytest.raises(StorageFull):
        engine.commit(log_row)
    log_row.urgent = True
    engine.commit(log_row)
    assert engine.is_full()
    with pytest.raises(StorageFull):
        engine.commit(batch_of((b"huge", b"h" * 3 * MIB, None), urgent=True))


def test_a_merged_batch_is_urgent_only_if_every_part_is() -> None:
    for flags in ([True, True], [True, False], [False, True], [False, False]):
        merged = Batch()
        for flag in flags:
            merged.extend(batch_of((b"k", b"v", None), urgent=flag))
        assert merged.urgent is all(flags)
        assert merged.has_puts()
    assert not batch_of((b"k", None, None), (b"k", None, b"l")).has_puts()


# ── against a dict ──

KEYS = st.binary(min_size=1, max_size=3) | st.sampled_from([b"a", b"b", b"c", b"\x00", b"\xff"])
VALUES = st.binary(max_size=20) | st.integers(0, 9).map(lambda number: b"%d" % number * 700)
PUTS = st.tuples(KEYS, VALUES, st.none())
DELETES = st.tuples(KEYS, st.none(), st.none())
RANGE_DELETES = st.tuples(KEYS, st.none(), KEYS)
OPERATIONS = st.lists(st.one_of(PUTS, PUTS, DELETES, RANGE_DELETES), max_size=30)
Model = dict[bytes, bytes]
END = b"\xff" * 4


def apply(model: Model, operations: list[Operation]) -> None:
    """What a batch means, said naively."""
    for key, value, end in operations:
        if value is not None:
            model[key] = value
        elif end is None:
            model.pop(key, None)
        else:
            for doomed in [each for each in model if key <= each < end]:
                del model[doomed]


def in_order(model: Model, start: bytes, end: bytes, reverse: bool = False) -> list[Row]:
    return sorted(((key, value) for key, value in model.items() if start <= key < end), reverse=reverse)


@dataclass
class Seen:
    """A view that was given out, and what it must show for as long as it lives."""

    rows: Model
    snapshot: Snapshot | None = None
    scan: Iterator[Row] | None = None
    reverse: bool = False
    lives: bool = True


class EngineMachine(RuleBasedStateMachine):
    """Any engine beside a dict."""

    engine: Engine
    views = Bundle("views")
    scans = Bundle("scans")

    def __init__(self) -> None:
        super().__init__()
        self.model: Model = {}
        self.given_out: list[Seen] = []
        self.set_up()

    def set_up(self) -> None:
        raise NotImplementedError

    @rule(operations=OPERATIONS)
    def commit(self, operations: list[Operation]) -> None:
        self.engine.commit(batch_of(*operations))
        apply(self.model, operations)

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        assert self.engine.get(key) == self.model.get(key)

    @rule(start=KEYS, end=KEYS, reverse=st.booleans())
    def scan(self, start: bytes, end: bytes, reverse: bool) -> None:
        assert list(self.engine.scan(start, end, reverse=reverse)) == in_order(self.model, start, end, reverse)

    @rule(target=views)
    def take_snapshot(self) -> Seen:
        self.given_out.append(Seen(dict(self.model), snapshot=self.engine.snapshot()))
        return self.given_out[-1]

    @rule(view=views, start=KEYS, end=KEYS, reverse=st.booleans())
    def look_back(self, view: Seen, start: bytes, end: bytes, reverse: bool) -> None:
        assert view.snapshot is not None
        if view.lives:
            assert list(view.snapshot.scan(start, end, reverse=reverse)) == in_order(view.rows, start, end, reverse)
            assert view.snapshot.get(start) == view.rows.get(start)
        else:
            with pytest.raises(Unavailable):
                view.snapshot.get(start)

    @rule(view=consumes(views))
    def let_go(self, view: Seen) -> None:
        assert view.snapshot is not None
        view.snapshot.close()

    @rule(target=scans, reverse=st.booleans())
    def begin_scan(self, reverse: bool) -> Seen:
        scan = self.engine.scan(b"", END, reverse=reverse)
        self.given_out.append(Seen(dict(self.model), scan=scan, reverse=reverse))
        return self.given_out[-1]

    @rule(seen=consumes(scans))
    def end_scan(self, seen: Seen) -> None:
        assert seen.scan is not None
        if seen.lives:
            assert list(seen.scan) == in_order(seen.rows, b"", END, seen.reverse)
        else:
            with pytest.raises(Unavailable):
                list(seen.scan)

    @invariant()
    def same_as_the_dict(self) -> None:
        assert list(self.engine.scan(b"", END)) == in_order(self.model, b"", END)

    def teardown(self) -> None:
        self.engine.close()


class MemoryMachine(EngineMachine):
    """With batches that were handed over and not synced, and power cuts."""

    engine: MemoryEngine

    def set_up(self) -> None:
        self.engine = MemoryEngine()
        self.unsynced: list[list[Operation]] = []

    @rule(operations=OPERATIONS)
    def commit(self, operations: list[Operation]) -> None:
        self.engine.commit(batch_of(*operations))
        for each in (*self.unsynced, operations):
            apply(self.model, each)
        self.unsynced = []

    @rule(operations=OPERATIONS)
    def commit_unsynced(self, operations: list[Operation]) -> None:
        self.engine.commit_unsynced(batch_of(*operations))
        self.unsynced.append(operations)

    @rule()
    def sync(self) -> None:
        self.engine.sync()
        for operations in self.unsynced:
            apply(self.model, operations)
        self.unsynced = []

    @rule(seed=st.integers(0, 99))
    def crash(self, seed: int) -> None:
        survivors = self.engine.crash(Random(seed))
        for operations in self.unsynced[:survivors]:
            apply(self.model, operations)
        self.unsynced = []

    @invariant()
    def size_is_the_rows(self) -> None:
        assert self.engine.size_bytes() == sum(len(key) + len(value) + 16 for key, value in self.model.items())


class LmdbMachine(EngineMachine):
    """With closing and opening again."""

    engine: LmdbEngine

    def set_up(self) -> None:
        self.folder = TemporaryDirectory()
        self.engine = self.open()

    def open(self) -> LmdbEngine:
        return LmdbEngine.open(Path(self.folder.name) / "data")

    @rule()
    def reopen(self) -> None:
        self.engine.close()
        for seen in self.given_out:
            seen.lives = False
        self.engine = self.open()

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def test_the_memory_engine_is_a_dict() -> None:
    run_state_machine_as_test(MemoryMachine, settings=settings(max_examples=150, stateful_step_count=40))


def test_the_disk_engine_is_a_dict() -> None:
    run_state_machine_as_test(LmdbMachine, settings=settings(max_examples=40, stateful_step_count=25))
