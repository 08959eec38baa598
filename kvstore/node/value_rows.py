"""The bytes of a value with its past: what the tables `v` and `h` hold.

    current     v data key    ->  checksum  stamp u64  flags u8  behind u16  value
    superseded  h data stamp  ->  flags u8  key length u16  key  the current row as it was, checksum and all

A superseded version lives under the stamp of the write that replaced it (unique inside a partition). So the version
before the current one is at `h` of the current one's stamp, the one before that at `h` of *its* stamp, and so on; and
everything superseded before an instant is one range of `h`. A tombstone is a current row without a value; it goes when
its history does. `behind` is how many superseded versions may lie behind this one: counted up at every overwrite, too
high once time has removed some, and at most `BEHIND_MAX`. Superseding copies bytes and computes nothing: it happens
once per overwrite, on every replica.
"""

from itertools import repeat
from operator import add
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kvstore.core.errors import Corruption
from kvstore.core.records import CHECKSUM_BYTES, unseal

_CHECKSUM = Struct(">I")
_CURRENT = Struct(">QBH")
_SUPERSEDED = Struct(">BH")
_BEHIND = Struct(">H")
_BEHIND_AT = CHECKSUM_BYTES + 9
_TOMBSTONE = 1
_BY_TOMBSTONE = 1

BEHIND_MAX = 0xFFFF
"""Who has more behind it says so many."""


class Superseded(NamedTuple):
    """An older version of a key, still packed. `by_tombstone`: its successor was a delete."""

    key: bytes
    record: bytes
    by_tombstone: bool


def pack_current(stamp: int, value: bytes | None, behind: int = 0) -> bytes:
    """A version of a key; `value` None is a tombstone."""
    body = _CURRENT.pack(stamp, 0, behind) + value if value is not None else _CURRENT.pack(stamp, _TOMBSTONE, behind)
    return crc32(body).to_bytes(CHECKSUM_BYTES, "big") + body


def pack_currents(
    stamps: list[int], values: list[bytes | None], behind: list[int], *, with_tombstones: bool
) -> list[bytes]:
    """The same for many; three quarters of the time if there are surely no tombstones."""
    if with_tombstones:
        return list(map(pack_current, stamps, values, behind))
    bodies: list[bytes] = list(map(add, map(_CURRENT.pack, stamps, repeat(0), behind), values))
    return list(map(add, map(_CHECKSUM.pack, map(crc32, bodies)), bodies))


def read_current(record: bytes) -> tuple[int, bytes | None]:
    """(stamp, value or None for a tombstone). Raises Corruption."""
    body = unseal(record, "value")
    stamp, flags, _ = _CURRENT.unpack_from(body)
    return stamp, None if flags & _TOMBSTONE else body[_CURRENT.size :]


def behind_of(record: bytes) -> int:
    """How many versions may lie behind this one, by a row that nobody has verified: good for guessing only."""
    return int(_BEHIND.unpack_from(record, _BEHIND_AT)[0]) if len(record) >= _BEHIND_AT + _BEHIND.size else 0


def pack_superseded(key: bytes, record: bytes, by_tombstone: bool) -> bytes:
    return _SUPERSEDED.pack(by_tombstone, len(key)) + key + record


def unpack_superseded(row: bytes) -> Superseded:
    """Raises Corruption if the row cannot be cut into its parts; its record is verified when it is read."""
    if len(row) < _SUPERSEDED.size:
        raise Corruption(f"a superseded version of {len(row)} bytes: it is cut short")
    flags, length = _SUPERSEDED.unpack_from(row)
    start = _SUPERSEDED.size + length
    return Superseded(row[_SUPERSEDED.size : start], row[start:], bool(flags & _BY_TOMBSTONE))
