"""The bytes of a value with its past: what the tables `v` and `h` hold.

    current     v data key       ->  checksum  stamp u64  flags u8  n u8  n x superseder u64  value
    superseded  h data stamp     ->  checksum  stamp u64  flags u8  key length u16  key  value

A superseded version lives under the stamp of the write that replaced it (unique inside a partition), and the current
row lists the last few of those stamps, newest first. So an older version is one lookup away, the whole past of a key
is a handful of them, and everything older than an instant is one range of `h`. A tombstone is a current row without a
value; it goes when its history does.
"""

from struct import Struct
from typing import NamedTuple

from kvstore.core.records import CHECKSUM_BYTES, seal, unseal

_CURRENT = Struct(">QBB")
_SUPERSEDED = Struct(">QBH")
_TOMBSTONE = 1
_BY_TOMBSTONE = 2
"""Set on a superseded version whose successor was a delete: when it goes, the tombstone may go too."""


class Current(NamedTuple):
    """The current version of a key; `value` None is a tombstone."""

    stamp: int
    value: bytes | None
    superseders: tuple[int, ...]


class Superseded(NamedTuple):
    """An older version of a key."""

    stamp: int
    key: bytes
    value: bytes | None
    by_tombstone: bool


def pack_current(stamp: int, value: bytes | None, superseders: tuple[int, ...]) -> bytes:
    flags = _TOMBSTONE if value is None else 0
    past = b"".join(superseder.to_bytes(8, "big") for superseder in superseders) if superseders else b""
    return seal(_CURRENT.pack(stamp, flags, len(superseders)) + past + (value or b""))


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


def pack_superseded(stamp: int, key: bytes, value: bytes | None, by_tombstone: bool) -> bytes:
    flags = (_TOMBSTONE if value is None else 0) | (_BY_TOMBSTONE if by_tombstone else 0)
    return seal(_SUPERSEDED.pack(stamp, flags, len(key)) + key + (value or b""))


def unpack_superseded(record: bytes) -> Superseded:
    """Raises Corruption."""
    body = unseal(record, "superseded version")
    stamp, flags, length = _SUPERSEDED.unpack_from(body)
    start = _SUPERSEDED.size + length
    key = body[_SUPERSEDED.size : start]
    return Superseded(stamp, key, None if flags & _TOMBSTONE else body[start:], bool(flags & _BY_TOMBSTONE))


VALUE_OVERHEAD_BYTES = CHECKSUM_BYTES + _CURRENT.size
