"""The few etcd messages the load needs, written by hand: protobuf without a protobuf library.

Field numbers as published in etcd's `etcdserverpb/rpc.proto` and `mvccpb/kv.proto` (v3). Every field used here is
a varint or length-delimited.
"""

from collections.abc import Iterator, Mapping

PUT_PATH = "/etcdserverpb.KV/Put"
RANGE_PATH = "/etcdserverpb.KV/Range"
TXN_PATH = "/etcdserverpb.KV/Txn"

TXN_PUTS_MAX = 128
"""etcd's default for `--max-txn-ops`."""

_VARINT, _BYTES = 0, 2


def encode_varint(value: int) -> bytes:
    """Base 128, low groups first.

    >>> encode_varint(300).hex()
    'ac02'
    """
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return encode_varint(number << 3 | _BYTES) + encode_varint(len(value)) + value


def put_request(key: bytes, value: bytes) -> bytes:
    """PutRequest: key = 1, value = 2."""
    if len(key) < 0x80 and len(value) < 0x80:  # the shape the load has, at a quarter of the cost
        return b"".join((b"\x0a", _SHORT[len(key)], key, b"\x12", _SHORT[len(value)], value))
    return encode_field(1, key) + encode_field(2, value)


def range_request(key: bytes) -> bytes:
    """RangeRequest for one key: key = 1. `serializable` (7) stays false, so the read is linearizable."""
    return encode_field(1, key)


def txn_of_puts(puts: Mapping[bytes, bytes]) -> bytes:
    """TxnRequest without conditions: success = 2, each a RequestOp whose request_put = 2. Distinct keys by nature."""
    return b"".join(encode_field(2, encode_field(2, put_request(key, value))) for key, value in puts.items())


_SHORT = [bytes((length,)) for length in range(0x80)]


class MessageError(ValueError):
    """Bytes that are not the protobuf message they should be."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in order: number, and an integer or bytes. Raises MessageError."""
    at = 0
    while at < len(message):
        tag, at = _decode_varint(message, at)
        if tag & 7 not in (_VARINT, _BYTES):
            raise MessageError(f"wire type {tag & 7} is not used by etcd here")
        size, at = _decode_varint(message, at)
        if tag & 7 == _VARINT:
            yield tag >> 3, size
            continue
        if at + size > len(message):
            raise MessageError("a field is cut short")
        yield tag >> 3, message[at : at + size]
        at += size


def value_in_range_response(message: bytes) -> bytes | None:
    """The value of the one key asked for, or None if it is missing: RangeResponse.kvs = 2, KeyValue.value = 5."""
    found = _embedded(message, 2)
    return None if found is None else _embedded(found, 5) or b""


def revision(message: bytes) -> int:
    """The store's revision after this request: header = 1 in every response, ResponseHeader.revision = 3."""
    header = _embedded(message, 1)
    if header is None:
        raise MessageError("a response without header")
    return next((value for number, value in fields(header) if number == 3 and isinstance(value, int)), 0)


def _embedded(message: bytes, wanted: int) -> bytes | None:
    return next((value for number, value in fields(message) if number == wanted and isinstance(value, bytes)), None)


def _decode_varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise MessageError("a number is cut short")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MessageError("a number does not end")
