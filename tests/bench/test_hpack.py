"""Header blocks against the examples of RFC 7541, appendix C, and against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.hpack import (
    HeaderBlockError,
    decode_block,
    decode_huffman,
    decode_integer,
    encode_block,
    encode_integer,
)


@pytest.mark.parametrize(
    ("value", "prefix_bits", "encoded"),
    [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")],  # C.1.1, C.1.2, C.1.3
)
def test_integers_of_the_rfc(value: int, prefix_bits: int, encoded: str) -> None:
    assert encode_integer(value, prefix_bits).hex() == encoded
    assert decode_integer(bytes.fromhex(encoded), 0, prefix_bits) == (value, len(encoded) // 2)


@given(st.integers(0, 2**28), st.integers(1, 8))
def test_integers_come_back(value: int, prefix_bits: int) -> None:
    encoded = encode_integer(value, prefix_bits)
    assert decode_integer(encoded, 0, prefix_bits) == (value, len(encoded))


def test_a_literal_of_the_rfc() -> None:
    """C.2.2: `:path: /sample/path` as a literal without indexing whose name is entry 4 of the static table."""
    assert encode_block([(":path", "/sample/path")]).hex() == "040c2f73616d706c652f70617468"


def test_static_entries_of_the_rfc() -> None:
    """C.3.1 begins so: `:method: GET`, `:scheme: http` are one byte each; ours is POST, entry 3."""
    assert encode_block([(":method", "POST"), (":scheme", "http")]).hex() == "8386"


def test_a_name_beyond_the_prefix() -> None:
    """`content-type` is entry 31: 15 fills the prefix of 4 bits, 16 follows."""
    assert encode_block([("content-type", "a")]).hex() == "0f100161"


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),  # C.4.1
        ("a8eb10649cbf", "no-cache"),  # C.4.2
        ("25a849e95ba97d7f", "custom-key"),  # C.4.3
        ("6402", "302"),  # C.6.1
        ("aec3771a4b", "private"),
        ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"),
        (
            "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
            "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",  # C.6.3
        ),
    ],
)
def test_huffman_strings_of_the_rfc(encoded: str, text: str) -> None:
    assert decode_huffman(bytes.fromhex(encoded)) == text


def test_huffman_padding_is_checked() -> None:
    assert decode_huffman(b"\x1f") == "a"  # 00011, and three ones
    for wrong in ("18", "1fff"):  # three zeros; eleven ones
        with pytest.raises(HeaderBlockError):
            decode_huffman(bytes.fromhex(wrong))


NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1).filter(lambda name: name not in ("content-type",))
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))


@given(st.dictionaries(NAMES, VALUES))
def test_spelled_out_fields_come_back(headers: dict[str, str]) -> None:
    assert decode_block(encode_block(headers.items())) == headers


def test_reading_skips_what_the_static_table_names() -> None:
    """A size update to 0, `:status: 200`, a literal with an indexed name, then ours, Huffman-coded."""
    block = bytes.fromhex("20 88 0f10 0161") + b"\x00\x0bgrpc-status" + bytes.fromhex("82 6402")
    assert decode_block(block) == {"grpc-status": "302"}


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("be", "dynamic table"),  # entry 62
        ("7e0161", "dynamic table"),  # a literal named by entry 62
        ("000361", "cut short"),
        ("00", "cut short"),
        ("1f", "cut short"),
        ("1fffffffffffff01", "does not end"),
    ],
)
def test_broken_blocks_are_refused(block: str, why: str) -> None:
    with pytest.raises(HeaderBlockError, match=why):
        decode_block(bytes.fromhex(block))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(block: bytes) -> None:
    try:
        headers = decode_block(block)
    except HeaderBlockError:
        return
    assert all(isinstance(value, str) for value in headers.values())
