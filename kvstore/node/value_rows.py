"""The bytes of a value with its past: what the tables `v` and `h` hold.

    current     v data key    ->  checksum  stamp u64  flags u8  value
    superseded  h data stamp  ->  flags u8  key length u16  key  the current row as it was, checksum and all

A superseded version lives under the stamp of the write that replaced it (unique inside a partition). So the version
before the current one is at `h` of the current one's stamp, the one before that at `h` of *its* stamp, and so on; and
everything superseded before an instant is one range of `h`. A tombstone is a current row without a value; it goes when
its history does. Superseding copies bytes and computes nothing: it happens once per overwrite, on every replica.
"""

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kvstore.core.errors import Corruption
from kvstore.core.records import unseal

_CHECKSUM = Struct(">I")
_CURRENT = Struct(">QB")
_SUPERSEDED = Struct(">BH")
_TOMBSTONE = 1
_BY_TOMBSTONE = 1


class Superseded(NamedTuple):
    """An older version of a key, still packed. `by_tombstone`: its successor was a delete."""

    key: bytes
    record: bytes
    by_tombstone: bool


def pack_current(stamp: int, value: bytes | None) -> bytes:
    """A version of a key; `value` None is a tombstone."""
    body = _CURRENT.pack(stamp, 0) + value if value is not None else _CURRENT.pack(stamp, _TOMBSTONE)
    return _CHECKSUM.pack(crc32(body)) + body


def read_current(record: bytes) -> tuple[int, bytes | None]:
    """(stamp, value or None for a tombstone). Raises Corruption."""
    body = unseal(record, "value")
    stamp, flags = _CURRENT.unpack_from(body)
    return stamp, None if flags & _TOMBSTONE else body[_CURRENT.size :]


def pack_superseded(key: bytes, record: bytes, by_tombstone: bool) -> bytes:
    return _SUPERSEDED.pack(by_tombstone, len(key)) + key + record


def unpack_superseded(row: bytes) -> Superseded:
    """Raises Corruption if the row cannot be cut into its parts; its record is verified when it is read."""
    if len(row) < _SUPERSEDED.size:
        raise Corruption(f"a superseded version of {len(row)} bytes: it is cut short")
    flags, length = _SUPERSEDED.unpack_from(row)
    start = _SUPERSEDED.size + length
    return Superseded(row[_SUPERSEDED.size : start], row[start:], bool(flags & _BY_TOMBSTONE))
