"""A record comes back whole, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.errors import Corruption
from kvstore.core.records import CHECKSUM_BYTES, seal, unseal

BODIES = st.binary(max_size=200)


@given(BODIES)
def test_a_body_comes_back(body: bytes) -> None:
    assert unseal(seal(body)) == body == unseal(memoryview(seal(body)))


@given(BODIES, st.data())
def test_any_flipped_bit_is_noticed(body: bytes, data: st.DataObject) -> None:
    record = bytearray(seal(body))
    record[data.draw(st.integers(0, len(record) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corruption, match="place fails its checksum"):
        unseal(bytes(record), "place")


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_record_cut_short_is_noticed(body: bytes, data: st.DataObject) -> None:
    """But for the one in four thousand million whose shorter checksum agrees."""
    record = seal(body)
    with pytest.raises(Corruption):
        unseal(record[: data.draw(st.integers(0, CHECKSUM_BYTES - 1))])
    with pytest.raises(Corruption):
        unseal(record[:-1])


def test_an_empty_row_is_no_record() -> None:
    with pytest.raises(Corruption, match="0 bytes"):
        unseal(b"")


def test_the_body_is_a_copy_that_outlives_the_page_it_was_read_from() -> None:
    page = bytearray(seal(b"value"))
    body = unseal(memoryview(page))
    page[:] = bytes(len(page))
    assert body == b"value"
