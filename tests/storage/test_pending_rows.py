"""What is left of the operations is as good as all of them: on any rows, once or twice, and from any start."""

from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.ids import GroupId, Index
from kvstore.storage.engine import Batch, Operation
from kvstore.storage.keys import ballot_key, log_key, log_range
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.pending_rows import PendingRows

GROUPS = [GroupId(1), GroupId(2), GroupId(0x6C6C6C6C)]
KEYS = [*map(ballot_key, GROUPS), *(log_key(group, Index(index)) for group in GROUPS for index in range(6))]
VALUES = st.binary(max_size=3)

PUTS = st.tuples(st.sampled_from(KEYS), VALUES, st.none())
DELETES = st.tuples(st.sampled_from(KEYS), st.none(), st.none())


@st.composite
def range_deletes(draw: st.DrawFn) -> Operation:
    """As truncation and compaction make them, a whole log, or anything from one row to another."""
    group, index = draw(st.sampled_from(GROUPS)), Index(draw(st.integers(0, 6)))
    low, high = log_range(group)
    start, end = draw(
        st.sampled_from([(log_key(group, index), high), (low, log_key(group, index)), (low, high)])
        | st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS))
        | st.tuples(st.sampled_from(KEYS).map(lambda key: key[:3]), st.sampled_from(KEYS).map(lambda key: key[:4]))
    )
    return start, None, end


OPERATIONS = st.lists(PUTS | PUTS | DELETES | range_deletes(), max_size=20)
BASES = st.dictionaries(st.sampled_from(KEYS), VALUES)


def batch_of(operations: list[Operation]) -> Batch:
    batch = Batch()
    batch.operations += operations
    return batch


def engine_with(base: dict[bytes, bytes]) -> MemoryEngine:
    engine = MemoryEngine()
    engine.commit(batch_of([(key, value, None) for key, value in base.items()]))
    return engine


def rows_of(engine: MemoryEngine) -> list[tuple[bytes, bytes]]:
    return list(engine.scan(b"", b"\xff"))


def rows_after(base: dict[bytes, bytes], *batches: Batch) -> list[tuple[bytes, bytes]]:
    engine = engine_with(base)
    for batch in batches:
        engine.commit(batch)
    return rows_of(engine)


def pending_of(operations: list[Operation]) -> PendingRows:
    pending = PendingRows()
    pending.add(operations)
    return pending


@given(BASES, OPERATIONS)
def test_what_is_left_does_the_same_once_and_twice(base: dict[bytes, bytes], operations: list[Operation]) -> None:
    wanted = rows_after(base, batch_of(operations))
    left = pending_of(operations).as_batch()
    assert rows_after(base, left) == wanted
    assert rows_after(base, left, left) == wanted


@given(BASES, OPERATIONS, st.integers(0, 20))
def test_it_may_be_taken_over_again_by_who_has_some_of_it(
    base: dict[bytes, bytes], operations: list[Operation], count: int
) -> None:
    wanted = rows_after(base, batch_of(operations))
    left = pending_of(operations).as_batch()
    assert rows_after(base, batch_of(operations[:count]), left) == wanted
    assert rows_after(base, pending_of(operations[:count]).as_batch(), left) == wanted


@given(BASES, OPERATIONS, OPERATIONS)
def test_what_the_next_batch_deletes_need_not_be_put(
    base: dict[bytes, bytes], operations: list[Operation], following: list[Operation]
) -> None:
    last = batch_of(following)
    left = pending_of(operations).as_batch(last)
    assert rows_after(base, left, last) == rows_after(base, batch_of(operations + following))
    ranges = [(start, end) for start, _, end in following if end is not None]
    put = [key for key, value, _ in left.operations if value is not None]
    assert not [key for key in put for start, end in ranges if start <= key < end]


@given(st.lists(OPERATIONS, max_size=4))
def test_it_knows_its_size_at_every_moment(steps: list[list[Operation]]) -> None:
    pending = PendingRows()
    for operations in steps:
        pending.add(operations)
        rows = {key: value for key, value, end in pending.as_batch().operations if end is None}
        assert pending.size_bytes == sum(len(key) + len(value or b"") for key, value in rows.items())
        assert bool(pending) == bool(pending.as_batch())
    pending.clear()
    assert pending.size_bytes == 0 and not pending and not pending.as_batch()


def test_of_ten_votes_the_last_one_stays_and_of_compacted_entries_nothing() -> None:
    pending = PendingRows()
    group = GROUPS[0]
    pending.add([(ballot_key(group), b"vote %d" % term, None) for term in range(10)])
    pending.add([(log_key(group, Index(index)), b"entry", None) for index in range(100)])
    pending.add([(log_range(group)[0], None, log_key(group, Index(99)))])
    assert pending.as_batch().operations == [
        (log_range(group)[0], None, log_key(group, Index(99))),
        (ballot_key(group), b"vote 9", None),
        (log_key(group, Index(99)), b"entry", None),
    ]


def test_it_is_urgent_for_it_was_accepted() -> None:
    assert pending_of([(KEYS[0], b"vote", None)]).as_batch().urgent
