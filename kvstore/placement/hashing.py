"""From a key to its partition: one hash function, fixed for ever, and its top bits.

The hash is MurmurHash3 x64 128 (Austin Appleby, public domain) with seed 0; its first 64 bits, unsigned, are the key's
hash. Data on disk and clients of any language depend on it: it can never change for an existing cluster.
"""

from typing import Final

from mmh3 import mmh3_x64_128_utupledigest

from kvstore.core.errors import InvalidRequest
from kvstore.core.ids import PartitionId
from kvstore.core.limits import PARTITIONS_MAX

HASH_BITS: Final = 64
_SEED_MASK: Final = (1 << 32) - 1


def key_hash(key: bytes) -> int:
    """The key's place between 0 and 2**64 - 1."""
    # Not mmh3.hash64: its `signed=False` is ignored when given by position (5.3), and it is slower by keyword.
    return mmh3_x64_128_utupledigest(key)[0]


def record_digest(hashed: int, record: bytes) -> int:
    """64 bits that are equal if two replicas hold the same record of the key with this hash; 0 for an empty record.

    The low half of the key's hash is the seed, so that equal records of two keys have different digests.
    """
    return mmh3_x64_128_utupledigest(record, hashed & _SEED_MASK)[0] if record else 0


def digest_change(key: bytes, before: bytes, after: bytes) -> tuple[int, int]:
    """The key's hash, and the digests of both records by XOR: in one call, for who writes.

    >>> hashed = key_hash(b"k")
    >>> digest_change(b"k", b"", b"r") == (hashed, record_digest(hashed, b"r"))
    True
    """
    hashed: int = mmh3_x64_128_utupledigest(key)[0]
    seed = hashed & _SEED_MASK
    new: int = mmh3_x64_128_utupledigest(after, seed)[0] if after else 0
    return hashed, new ^ mmh3_x64_128_utupledigest(before, seed)[0] if before else new


def partition_of_hash(hashed: int, partitions: int) -> PartitionId:
    """The partition a hash falls into: its top log2(partitions) bits. `partitions` must be a power of two."""
    return PartitionId(hashed >> (HASH_BITS + 1 - partitions.bit_length()))


def partition_of(key: bytes, partitions: int) -> PartitionId:
    """The partition that holds a key. `partitions` must be a power of two (see `check_partitions`)."""
    return PartitionId(mmh3_x64_128_utupledigest(key)[0] >> (HASH_BITS + 1 - partitions.bit_length()))


def check_partitions(partitions: int) -> None:
    """Raises InvalidRequest unless the number is a power of two between 1 and PARTITIONS_MAX."""
    if not 1 <= partitions <= PARTITIONS_MAX or partitions & (partitions - 1):
        raise InvalidRequest(f"{partitions} partitions: must be a power of two from 1 to {PARTITIONS_MAX}")
