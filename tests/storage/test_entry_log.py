"""Log rows: what is appended is what is loaded, and every kind of damage is noticed and named."""

from random import Random

import pytest

from kvstore.core.entries import Entry
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, Index, Term
from kvstore.core.records import seal
from kvstore.storage import entry_log
from kvstore.storage.engine import Batch
from kvstore.storage.keys import LOG, log_key
from kvstore.storage.memory_engine import MemoryEngine

GROUP, LAST_GROUP = GroupId(7), GroupId((1 << 32) - 1)


def entry(index: int, term: int = 1, payload: bytes = b"") -> Entry:
    return Entry(Term(term), Index(index), payload or b"payload %d" % index)


def entries(first: int, last: int, term: int = 1) -> list[Entry]:
    return [entry(index, term) for index in range(first, last + 1)]


@pytest.fixture
def engine() -> MemoryEngine:
    """With a log of entries 1 to 9 in groups around ours, so that nothing may spill over."""
    engine, batch = MemoryEngine(), Batch()
    for group in (6, 7, 8, LAST_GROUP):
        entry_log.append(batch, GroupId(group), entries(1, 9), None)
    engine.commit(batch)
    return engine


def load(engine: MemoryEngine, after: int = 0, group: GroupId = GROUP) -> list[Entry]:
    return entry_log.load(engine, group, Index(after))


def assert_the_others_are_whole(engine: MemoryEngine) -> None:
    for group in (6, 8, LAST_GROUP):
        assert load(engine, 0, GroupId(group)) == entries(1, 9)


def test_what_was_appended_is_loaded(engine: MemoryEngine) -> None:
    assert load(engine) == entries(1, 9)
    assert load(engine, after=4) == entries(5, 9)
    assert load(engine, after=9) == []
    assert load(engine, group=GroupId(99)) == []


def test_empty_payloads_and_large_terms(engine: MemoryEngine) -> None:
    batch = Batch()
    last = Entry(Term((1 << 64) - 1), Index(10), b"")
    entry_log.append(batch, GROUP, [last], None)
    engine.commit(batch)
    assert load(engine)[-1] == last


def test_truncating_drops_the_tail_before_the_new_entries_come(engine: MemoryEngine) -> None:
    batch = Batch()
    entry_log.append(batch, GROUP, entries(5, 6, term=2), Index(5))
    engine.commit(batch)
    assert load(engine) == entries(1, 4) + entries(5, 6, term=2)
    assert_the_others_are_whole(engine)


def test_truncating_alone(engine: MemoryEngine) -> None:
    batch = Batch()
    entry_log.append(batch, GROUP, [], Index(1))
    engine.commit(batch)
    assert load(engine) == []
    assert_the_others_are_whole(engine)


def test_compacting_drops_the_head(engine: MemoryEngine) -> None:
    batch = Batch()
    entry_log.compact(batch, GROUP, Index(4))
    engine.commit(batch)
    assert load(engine, after=4) == entries(5, 9)
    with pytest.raises(Corruption, match="group 7: log entry 1 is missing"):
        load(engine)
    assert_the_others_are_whole(engine)


def test_resetting_drops_it_all_also_for_the_last_group_there_can_be(engine: MemoryEngine) -> None:
    for group in (GROUP, LAST_GROUP):
        batch = Batch()
        entry_log.reset(batch, group)
        engine.commit(batch)
        assert load(engine, group=group) == []
    assert load(engine, group=GroupId(8)) == entries(1, 9)


def test_a_missing_row_is_named(engine: MemoryEngine) -> None:
    batch = Batch()
    batch.delete(log_key(GROUP, Index(5)))
    engine.commit(batch)
    with pytest.raises(Corruption, match="group 7: log entry 5 is missing, the next one is 6") as caught:
        load(engine)
    assert caught.value.facts == {"group": GROUP, "index": 5}


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_is_named(seed: int) -> None:
    engine, batch = MemoryEngine(), Batch()
    entry_log.append(batch, GROUP, entries(1, 9), None)
    engine.commit(batch)
    key = engine.flip_bit(Random(seed), [LOG])
    assert key is not None
    index = int.from_bytes(key[-8:], "big")
    with pytest.raises(Corruption, match=f"group 7: log entry {index} fails its checksum") as caught:
        load(engine)
    assert caught.value.facts == {"group": GROUP, "index": index}
    assert load(engine, after=index) == entries(index + 1, 9)


def test_a_row_too_short_for_a_term_is_named(engine: MemoryEngine) -> None:
    batch = Batch()
    batch.put(log_key(GROUP, Index(3)), seal(b"1234567"))
    engine.commit(batch)
    with pytest.raises(Corruption, match="group 7: log entry 3 is too short"):
        load(engine)


def test_a_term_that_decreases_is_named(engine: MemoryEngine) -> None:
    batch = Batch()
    entry_log.append(batch, GROUP, [entry(5, term=3)], None)
    engine.commit(batch)
    with pytest.raises(Corruption, match="group 7: log entry 6 is of term 1, after one of term 3"):
        load(engine)
