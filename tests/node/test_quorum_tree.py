"""The tree of a leaderless replica counts what is known, whenever it is told, and what cannot be read as nothing."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.entries import LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.ids import Index, Term
from kvstore.node.quorum_state import QuorumState
from kvstore.node.quorum_tree import QuorumTree
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless.merkle import Tree
from kvstore.storage.engine import Batch
from kvstore.storage.keys import value_prefix
from kvstore.storage.memory_engine import MemoryEngine

DATA, BITS = 5, 10


def key(number: int) -> bytes:
    return b"key:%04d" % number


class Replica:
    """A state with a tree, and what it should count."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.known: dict[bytes, bytes] = {}
        self.end = 0
        self.open()

    def open(self) -> None:
        self.state = QuorumState(self.engine, DATA, lww=False)
        self.tree = QuorumTree(self.state, BITS)

    def put(self, key: bytes, record: bytes) -> None:
        self.state.put(key, record)
        self.known[key] = record
        self.end += 1
        self.state.advance(LogEnd(Term(1), Index(self.end)))

    def flush(self) -> None:
        self.state.begin_flush()
        while self.state.is_flushing:
            batch = Batch()
            self.state.flush_slice(batch, 10)
            self.engine.commit(batch)
            self.state.end_slice()

    def damage(self, key: bytes) -> None:
        batch = Batch()
        batch.put(value_prefix(DATA) + key, b"rotten")
        self.engine.commit(batch)
        self.state._last_row = (b"", b"")

    def count_all(self) -> None:
        while not self.tree.is_whole:
            assert self.tree.count(7) <= 7

    def is_right(self, *without: bytes) -> bool:
        wanted = Tree(BITS)
        for name, record in self.known.items():
            if name not in without:
                wanted.change(key_hash(name), 0, record_digest(key_hash(name), record))
        leaves = range(1 << BITS)
        return self.tree.is_whole and self.tree.tree.hashes(BITS, leaves) == wanted.hashes(BITS, leaves)


@pytest.fixture
def replica() -> Replica:
    """Thirty records, ten in memory and twenty in rows, not counted yet."""
    replica = Replica()
    for i in range(20):
        replica.put(key(i), b"row %d" % i)
    replica.flush()
    replica.open()
    for i in range(15, 25):
        replica.put(key(i), b"memory %d" % i)
    return replica


def test_records_in_rows_and_in_memory_are_counted_page_by_page(replica: Replica) -> None:
    assert not replica.tree.is_whole
    assert replica.tree.count(7) == 7
    assert not replica.tree.is_whole
    replica.count_all()
    assert replica.is_right()
    assert replica.tree.count(7) == 0


CHANGES = st.lists(st.tuples(st.integers(0, 30), st.binary(min_size=1, max_size=3)), max_size=15)


@given(first=CHANGES, counted=st.integers(0, 20), second=CHANGES, flushed=st.booleans(), third=CHANGES)
def test_changes_before_during_and_after_the_counting(
    first: list[tuple[int, bytes]], counted: int, second: list[tuple[int, bytes]], flushed: bool,
    third: list[tuple[int, bytes]],
) -> None:  # fmt: skip
    replica = Replica()
    for number, record in first:
        replica.put(key(number), record)
    if counted:
        replica.tree.count(counted)
    for number, record in second:
        replica.put(key(number), record)
    if flushed and replica.state.needs_flush:
        replica.flush()
    replica.count_all()
    assert replica.is_right()
    for number, record in third:
        replica.put(key(number), record)
    assert replica.is_right()


def test_replaying_changes_what_is_counted(replica: Replica) -> None:
    """The tree is there before the log is replayed, and nothing is counted until then."""
    replica.flush()
    replica.open()
    replica.put(key(3), b"from the log")
    replica.count_all()
    assert replica.is_right()


def test_a_damaged_row_counts_as_nothing_until_it_is_replaced(replica: Replica) -> None:
    replica.damage(key(3))
    replica.count_all()
    assert replica.is_right(key(3))
    with pytest.raises(Corruption):
        replica.state.record(key(3))
    replica.put(key(3), b"mended")
    assert replica.is_right()


def test_a_row_that_was_counted_and_rotted_since_is_a_reason_to_count_anew(replica: Replica) -> None:
    replica.count_all()
    replica.damage(key(3))
    replica.put(key(3), b"mended")
    assert not replica.tree.is_whole
    replica.count_all()
    assert replica.is_right()


def test_a_mended_row_may_rot_again(replica: Replica) -> None:
    replica.damage(key(3))
    replica.count_all()
    replica.put(key(3), b"mended")
    replica.flush()
    assert replica.is_right()
    replica.damage(key(3))
    replica.put(key(3), b"once more")
    replica.count_all()
    assert replica.is_right()


def test_damage_that_the_counting_has_not_reached_is_no_reason(replica: Replica) -> None:
    replica.tree.count(2)
    replica.damage(key(10))
    replica.put(key(10), b"mended")
    assert replica.tree.count(2) == 2
    replica.count_all()
    assert replica.is_right()


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("damaged", [[], [0], [3, 4], [14]])
def test_pages_list_the_keys_of_leaves_around_damaged_rows(replica: Replica, limit: int, damaged: list[int]) -> None:
    for number in damaged:
        replica.damage(key(number))
    dice = Random(limit)
    leaves = {replica.tree.tree.leaf_of(key_hash(key(i))) for i in dice.sample(range(25), 12)}
    for wanted in (None, leaves):
        found, start, looked_at = list[tuple[bytes, int]](), b"", 0
        while True:
            page = replica.tree.page(wanted, start, limit)
            assert page.looked_at <= limit + 1
            found, start, looked_at = found + page.entries, page.upto, looked_at + page.looked_at
            if not start:
                break
        assert looked_at == 25
        assert found == [
            (name, record_digest(key_hash(name), record))
            for name, record in sorted(replica.known.items())
            if name not in map(key, damaged) and (wanted is None or replica.tree.tree.leaf_of(key_hash(name)) in leaves)
        ]
