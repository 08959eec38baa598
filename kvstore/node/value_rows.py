"""The bytes of a value with its past: what the tables `v` and `h` hold.

    current     v data key    ->  checksum  stamp u64  flags u8  n u8  n x superseder u64  value
    superseded  h data stamp  ->  flags u8  key length u16  key  the current row as it was, checksum and all

A superseded version lives under the stamp of the write that replaced it (unique inside a partition), and the current
row lists the last few of those stamps, newest first. So an older version is one lookup away, the whole past of a key
is a handful of them, and everything older than an instant is one range of `h`. A tombstone is a current row without a
value; it goes when its history does. Superseding copies bytes and computes nothing: it happens once per overwrite, on
every replica.
"""

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kvstore.core.errors import Corruption
from kvstore.core.records import CHECKSUM_BYTES, unseal

_CURRENT = Struct(">QBB")
_SEALED = Struct(">IQBB")
_SUPERSEDED = Struct(">BH")
_TOMBSTONE = 1
_BY_TOMBSTONE = 1


class Current(NamedTuple):
    """A version of a key; `value` None is a tombstone."""

    stamp: int
    value: bytes | None
    superseders: tuple[int, ...]


class Superseded(NamedTuple):
    """An older version of a key, still packed. `by_tombstone`: its successor was a delete."""

    key: bytes
    record: bytes
    by_tombstone: bool


def pack_current(stamp: int, value: bytes | None, superseders: tuple[int, ...] | list[int]) -> bytes:
    head = _CURRENT.pack(stamp, value is None, len(superseders))
    if superseders:
        head += b"".join([superseder.to_bytes(8, "big") for superseder in superseders])
    body = head if value is None else head + value
    return crc32(body).to_bytes(CHECKSUM_BYTES, "big") + body


def unpack_current(record: bytes) -> Current:
    """Raises Corruption."""
    body = unseal(record, "value")
    stamp, flags, count = _CURRENT.unpack_from(body)
    start = _CURRENT.size + 8 * count
    past = tuple(int.from_bytes(body[at : at + 8], "big") for at in range(_CURRENT.size, start, 8))
    return Current(stamp, None if flags & _TOMBSTONE else body[start:], past)


def read_current(record: bytes) -> tuple[int, bytes | None]:
    """(stamp, value or None for a tombstone): the short form for the read path. Raises Corruption."""
    body = unseal(record, "value")
    stamp, flags, count = _CURRENT.unpack_from(body)
    return stamp, None if flags & _TOMBSTONE else body[_CURRENT.size + 8 * count :]


def superseders_of(record: bytes) -> tuple[int, ...]:
    """The stamps a row lists, unverified: whoever reads a version verifies that version."""
    _, _, _, count = _SEALED.unpack_from(record)
    if not count:
        return ()
    at = _SEALED.size
    return tuple(int.from_bytes(record[at + 8 * i : at + 8 * i + 8], "big") for i in range(count))


def pack_superseded(key: bytes, record: bytes, by_tombstone: bool) -> bytes:
    return _SUPERSEDED.pack(by_tombstone, len(key)) + key + record


def unpack_superseded(row: bytes) -> Superseded:
    """Raises Corruption if the row cannot be cut into its parts; its record is verified when it is read."""
    if len(row) < _SUPERSEDED.size:
        raise Corruption(f"a superseded version of {len(row)} bytes: it is cut short")
    flags, length = _SUPERSEDED.unpack_from(row)
    start = _SUPERSEDED.size + length
    return Superseded(row[_SUPERSEDED.size : start], row[start:], bool(flags & _BY_TOMBSTONE))
