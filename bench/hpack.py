"""HTTP/2 header blocks without a dynamic table: write literals, read what a peer told to do the same writes.

HPACK (RFC 7541) is a stateful compression. A client that announces SETTINGS_HEADER_TABLE_SIZE = 0 and writes
only static entries (section 6.1) and literals without indexing (section 6.2.2) has no state at all: a block can
be made once and sent a million times, and equal blocks received mean equal headers. A load generator needs no more.

Writing knows the few static entries a gRPC request uses. Reading knows none: a field whose name is an index
is skipped, since gRPC's own fields (`grpc-status`, `grpc-message`) are not in the static table.
"""

from collections.abc import Iterable

DYNAMIC_TABLE_INDEX_MIN = 62
"""The static table (RFC 7541, appendix A) ends at 61."""

_STATIC_FIELDS = {(":method", "POST"): 3, (":scheme", "http"): 6}
_STATIC_NAMES = {":authority": 1, ":path": 4, "content-type": 31}

_CODE_BITS = bytes.fromhex(
    # RFC 7541, appendix B: the length of the code of each printable symbol, from the blank to the tilde.
    "06 0a 0a 0c 0d 06 08 0b 0a 0a 08 0b 08 06 06 06 05 05 05 06 06 06 06 06 06 06 07 08 0f 06 0c 0a"
    "0d 06 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 08 07 08 0d 13 0d 0e 06"
    "0f 05 06 05 06 05 06 06 06 05 07 07 06 06 06 05 06 07 06 05 05 06 07 07 07 07 07 0f 0b 0e 0d"
)
"""The code is canonical, so lengths say it all. gRPC percent-encodes everything else in `grpc-message`."""

_NUL_BITS = 13
"""Never sent, yet it takes the first of the codes of 13 bits. No other symbol has so short a code."""


class HeaderBlockError(ValueError):
    """A header block that breaks RFC 7541 or needs the dynamic table we declined."""


def encode_integer(value: int, prefix_bits: int, flags: int = 0) -> bytes:
    """RFC 7541, section 5.1: small numbers in the rest of a byte, larger ones in groups of 7 bits.

    >>> encode_integer(1337, prefix_bits=5).hex()
    '1f9a0a'
    """
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((flags | value,))
    encoded = bytearray((flags | limit,))
    value -= limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_integer(block: bytes, at: int, prefix_bits: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends. HeaderBlockError when the block ends first.

    >>> decode_integer(bytes.fromhex("1f9a0a"), 0, prefix_bits=5)
    (1337, 3)
    """
    limit = (1 << prefix_bits) - 1
    value = _byte(block, at) & limit
    at += 1
    if value < limit:
        return value, at
    for shift in range(0, 35, 7):
        byte = _byte(block, at)
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise HeaderBlockError("an integer does not end")


def encode_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """The fields in the order given, ASCII only, without Huffman coding and without touching a dynamic table.

    >>> encode_block([(":method", "POST"), (":path", "/a"), ("te", "trailers")])
    b'\\x83\\x04\\x02/a\\x00\\x02te\\x08trailers'
    """
    return b"".join(_encode_field(name, value) for name, value in headers)


def _encode_field(name: str, value: str) -> bytes:
    if (name, value) in _STATIC_FIELDS:
        return encode_integer(_STATIC_FIELDS[name, value], prefix_bits=7, flags=0x80)
    if name in _STATIC_NAMES:
        return encode_integer(_STATIC_NAMES[name], prefix_bits=4) + _encode_text(value)
    return b"\x00" + _encode_text(name) + _encode_text(value)


def decode_block(block: bytes) -> dict[str, str]:
    """The fields whose name is spelled out in `block`; those named by the static table are skipped.

    Raises HeaderBlockError when the block is cut short or refers to a dynamic table.
    """
    headers: dict[str, str] = {}
    at = 0
    while at < len(block):
        first = block[at]
        if first & 0x80:  # 6.1 indexed field: name and value from a table
            index, at = decode_integer(block, at, 7)
            _refuse_dynamic(index)
        elif first & 0xE0 == 0x20:  # 6.3 size update: the peer confirms the empty table
            _, at = decode_integer(block, at, 5)
        else:  # 6.2 literal: with indexing (6 bits of index), without, or never (4 bits)
            index, at = decode_integer(block, at, 6 if first & 0x40 else 4)
            _refuse_dynamic(index)
            name = ""
            if index == 0:
                name, at = _decode_text(block, at)
            value, at = _decode_text(block, at)
            if name:
                headers[name] = value
    return headers


def _encode_text(text: str) -> bytes:
    raw = text.encode("ascii")
    return encode_integer(len(raw), prefix_bits=7) + raw


def _decode_text(block: bytes, at: int) -> tuple[str, int]:
    huffman = _byte(block, at) & 0x80
    length, at = decode_integer(block, at, 7)
    raw = block[at : at + length]
    if len(raw) < length:
        raise HeaderBlockError("a string is cut short")
    return (decode_huffman(raw) if huffman else raw.decode("latin-1")), at + length


def _byte(block: bytes, at: int) -> int:
    if at >= len(block):
        raise HeaderBlockError("the block is cut short")
    return block[at]


def _refuse_dynamic(index: int) -> None:
    if index >= DYNAMIC_TABLE_INDEX_MIN:
        raise HeaderBlockError(f"index {index} lies in the dynamic table, which we declined")


def _huffman_codes() -> dict[tuple[int, int], str]:
    """(bits, code) to symbol. Canonical: count up in order of (length, symbol), shift when the length grows."""
    codes: dict[tuple[int, int], str] = {}
    code, bits = 0, 0
    printable = ((length, symbol) for symbol, length in enumerate(_CODE_BITS, start=ord(" ")))
    for length, symbol in sorted([(_NUL_BITS, 0), *printable]):
        code <<= length - bits
        bits = length
        codes[bits, code] = chr(symbol)
        code += 1
    return codes


_SYMBOLS = _huffman_codes()


def decode_huffman(raw: bytes) -> str:
    """RFC 7541, section 5.2, for ASCII; what is left at the end must be fewer than 8 bits, all ones.

    >>> decode_huffman(bytes.fromhex("f1e3c2e5f23a6ba0ab90f4ff"))
    'www.example.com'
    """
    text: list[str] = []
    code, bits = 0, 0
    for byte in raw:
        for shift in range(7, -1, -1):
            code = code << 1 | byte >> shift & 1
            bits += 1
            symbol = _SYMBOLS.get((bits, code))
            if symbol is not None:
                text.append(symbol)
                code, bits = 0, 0
    if bits > 7 or code != (1 << bits) - 1:
        raise HeaderBlockError("a Huffman string ends in the middle of a symbol")
    return "".join(text)
