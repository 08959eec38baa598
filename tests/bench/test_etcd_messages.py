"""Protobuf by hand, against bytes worked out from the wire format, and against a slow writer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import etcd_messages
from bench.etcd_messages import MessageError, encode_field, encode_varint, fields


def test_a_put() -> None:
    assert etcd_messages.put_request(b"k", b"vv").hex() == "0a016b" + "12027676"


def test_a_put_of_a_long_value() -> None:
    assert etcd_messages.put_request(b"k", bytes(300)) == b"\x0a\x01k\x12\xac\x02" + bytes(300)


def test_a_range() -> None:
    assert etcd_messages.range_request(b"key").hex() == "0a036b6579"


def test_a_transaction_of_puts() -> None:
    """success = 2 { request_put = 2 { key = 1, value = 2 } }, twice."""
    one = "12081206" + "0a016112" + "0178"
    two = "12081206" + "0a016212" + "0179"
    assert etcd_messages.txn_of_puts({b"a": b"x", b"b": b"y"}).hex() == one + two


@given(st.integers(0, 2**63 - 1))
def test_varints_come_back(value: int) -> None:
    assert list(fields(b"\x18" + encode_varint(value))) == [(3, value)]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_puts_come_back(key: bytes, value: bytes) -> None:
    assert list(fields(etcd_messages.put_request(key, value))) == [(1, key), (2, value)]


def header(revision: int) -> bytes:
    member = b"\x08" + encode_varint(2**63) + b"\x10" + encode_varint(2**40)
    return encode_field(1, member + b"\x18" + encode_varint(revision) + b"\x20\x02")


def test_a_response_is_read() -> None:
    key_value = encode_field(1, b"key") + b"\x10\x05\x18\x06\x20\x01" + encode_field(5, b"value")
    response = header(41) + encode_field(2, key_value) + b"\x20\x01"
    assert etcd_messages.revision(response) == 41
    assert etcd_messages.value_in_range_response(response) == b"value"


def test_a_missing_key_and_an_empty_value_differ() -> None:
    assert etcd_messages.value_in_range_response(header(1)) is None
    assert etcd_messages.value_in_range_response(header(1) + encode_field(2, encode_field(1, b"key"))) == b""


@pytest.mark.parametrize("broken", ["0a05616263", "0a", "ffffffffffffffffffffff", "0d00000000"])
def test_broken_messages_are_refused(broken: str) -> None:
    with pytest.raises(MessageError):
        list(fields(bytes.fromhex(broken)))


def test_a_response_without_header_is_refused() -> None:
    with pytest.raises(MessageError):
        etcd_messages.revision(b"")
