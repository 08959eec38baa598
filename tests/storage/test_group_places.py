"""Places survive, damaged ones are named, and no data id is given out twice."""

from random import Random

import pytest

from kvstore.core.entries import NOTHING, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, Index, Term
from kvstore.core.records import seal
from kvstore.storage.engine import Batch
from kvstore.storage.group_places import GroupPlace, delete_place, load_place, load_places, next_data_id, put_place
from kvstore.storage.keys import (
    PLACE,
    doomed_key,
    history_key,
    meta_key,
    outcome_key,
    place_key,
    value_prefix,
)
from kvstore.storage.memory_engine import MemoryEngine

MARK = LogEnd(Term(3), Index(400))
PLAIN = GroupPlace(1)
BUSY = GroupPlace(2, LogEnd(Term(2), Index(17)), 1).with_staging(9, MARK, b"vkey")


def engine_with(places: dict[int, GroupPlace]) -> MemoryEngine:
    engine, batch = MemoryEngine(), Batch()
    for group, place in places.items():
        put_place(batch, GroupId(group), place)
    engine.commit(batch)
    return engine


def test_places_are_loaded_as_they_were_put_and_in_order() -> None:
    engine = engine_with({300: BUSY, 0: PLAIN, (1 << 32) - 1: PLAIN})
    assert load_place(engine, GroupId(300)) == BUSY
    assert load_place(engine, GroupId(1)) is None
    assert list(load_places(engine)) == [(0, PLAIN), (300, BUSY), ((1 << 32) - 1, PLAIN)]


def test_a_group_that_left() -> None:
    engine, batch = engine_with({1: PLAIN, 2: BUSY}), Batch()
    delete_place(batch, GroupId(1))
    engine.commit(batch)
    assert list(load_places(engine)) == [(2, BUSY)]


def test_the_steps_of_a_snapshot() -> None:
    place = BUSY.with_standing(0).with_log_start(LogEnd(Term(2), Index(20)))
    assert (place.standing, place.log_start.index, place.staging) == (0, 20, 9)
    installed = place.installed(MARK)
    assert installed == GroupPlace(9, MARK)
    assert place.with_staging(0) == GroupPlace(2, LogEnd(Term(2), Index(20)))
    assert PLAIN.log_start == PLAIN.staging_mark == NOTHING


def test_what_was_never_received_cannot_be_installed() -> None:
    with pytest.raises(AssertionError, match="never received"):
        PLAIN.installed(MARK)


@pytest.mark.parametrize("seed", range(10))
def test_a_damaged_place_is_named(seed: int) -> None:
    engine = engine_with({5: BUSY})
    engine.flip_bit(Random(seed), [PLACE])
    with pytest.raises(Corruption, match="group 5: its place"):
        load_place(engine, GroupId(5))
    with pytest.raises(Corruption, match="group 5: its place"):
        list(load_places(engine))


@pytest.mark.parametrize("body", [b"", b"\x90", b"\x93\x01\x02\x03", b"\xc1"])
def test_a_place_that_makes_no_sense(body: bytes) -> None:
    engine, batch = MemoryEngine(), Batch()
    batch.put(place_key(GroupId(5)), seal(body))
    engine.commit(batch)
    with pytest.raises(Corruption, match="group 5: its place makes no sense"):
        load_place(engine, GroupId(5))


def test_data_ids_begin_at_one() -> None:
    assert next_data_id(MemoryEngine()) == 1


@pytest.mark.parametrize(
    "row",
    [
        meta_key(6),
        value_prefix(6) + b"key",
        history_key(6, 99),
        outcome_key(6, 1, 2),
        doomed_key(6),
    ],
)
def test_an_id_is_not_given_out_while_any_row_mentions_it(row: bytes) -> None:
    engine, batch = engine_with({1: PLAIN}), Batch()
    batch.put(row, b"")
    engine.commit(batch)
    assert next_data_id(engine) == 7


def test_an_id_is_not_given_out_while_a_group_points_at_it() -> None:
    assert next_data_id(engine_with({1: GroupPlace(4), 2: GroupPlace(3)})) == 5
    assert next_data_id(engine_with({1: GroupPlace(4), 2: BUSY})) == 10
