"""Checksummed bytes: the one envelope of everything that reaches a disk.

    record := checksum body          checksum: crc32 of body, 4 bytes big-endian

A record that fails its checksum raises Corruption and is never returned in part.
"""

from struct import Struct
from zlib import crc32

from kvstore.core.errors import Corruption

_CHECKSUM = Struct(">I")
CHECKSUM_BYTES = _CHECKSUM.size


def seal(body: bytes) -> bytes:
    """The body with its checksum in front."""
    return _CHECKSUM.pack(crc32(body)) + body


def unseal(record: bytes | memoryview, what: str = "record") -> bytes:
    """The body, verified. Raises Corruption naming `what`."""
    body = bytes(record[CHECKSUM_BYTES:])
    if len(record) < CHECKSUM_BYTES or _CHECKSUM.unpack_from(record)[0] != crc32(body):
        raise Corruption(f"{what} fails its checksum ({len(record)} bytes)")
    return body
