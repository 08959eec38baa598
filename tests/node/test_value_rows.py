"""The rows of a value and its past: what goes in comes out, and damage is noticed by whoever reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.errors import Corruption
from kvstore.node.value_rows import (
    BEHIND_MAX,
    behind_of,
    pack_current,
    pack_currents,
    pack_superseded,
    read_current,
    unpack_superseded,
)

STAMPS = st.integers(0, (1 << 64) - 1)
VALUES = st.none() | st.binary(max_size=50)


@given(STAMPS, VALUES)
def test_a_version_comes_back_and_a_tombstone_is_not_an_empty_value(stamp: int, value: bytes | None) -> None:
    assert read_current(pack_current(stamp, value)) == (stamp, value)


@given(st.lists(st.tuples(STAMPS, VALUES, st.integers(0, BEHIND_MAX))))
def test_many_are_packed_as_one_by_one(rows: list[tuple[int, bytes | None, int]]) -> None:
    stamps, values, behind = ([row[column] for row in rows] for column in range(3))
    expected = [pack_current(*row) for row in rows]
    assert pack_currents(stamps, values, behind, with_tombstones=True) == expected  # type: ignore[arg-type]
    if None not in values:
        assert pack_currents(stamps, values, behind, with_tombstones=False) == expected  # type: ignore[arg-type]


@given(STAMPS, VALUES, st.integers(0, BEHIND_MAX))
def test_what_lies_behind_a_version_is_told_without_disturbing_it(stamp: int, value: bytes | None, behind: int) -> None:
    record = pack_current(stamp, value, behind)
    assert behind_of(record) == behind and read_current(record) == (stamp, value)
    assert behind_of(b"") == 0 == behind_of(record[:14])


@given(STAMPS, VALUES, st.data())
def test_any_flipped_bit_of_a_version_is_noticed(stamp: int, value: bytes | None, data: st.DataObject) -> None:
    row = bytearray(pack_current(stamp, value))
    row[data.draw(st.integers(0, len(row) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corruption, match="value fails its checksum"):
        read_current(bytes(row))


@given(st.binary(max_size=480), STAMPS, VALUES, st.booleans())
def test_a_superseded_version_is_the_row_as_it_was(
    key: bytes, stamp: int, value: bytes | None, by_tombstone: bool
) -> None:
    record = pack_current(stamp, value)
    version = unpack_superseded(pack_superseded(key, record, by_tombstone))
    assert version == (key, record, by_tombstone)
    assert read_current(version.record) == (stamp, value)


@given(st.binary(max_size=20), VALUES, st.data())
def test_damage_to_a_superseded_version_is_noticed_by_its_reader(
    key: bytes, value: bytes | None, data: st.DataObject
) -> None:
    row = bytearray(pack_superseded(key, pack_current(7, value), False))
    row[data.draw(st.integers(3 + len(key), len(row) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corruption):
        read_current(unpack_superseded(bytes(row)).record)


@pytest.mark.parametrize("row", [b"", b"\0", b"\0\0"])
def test_a_superseded_row_cut_short_is_noticed(row: bytes) -> None:
    with pytest.raises(Corruption, match="cut short"):
        unpack_superseded(row)
