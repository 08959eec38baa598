"""Keys hash as the published test vectors say, and partitions are the top bits."""

import json
from pathlib import Path

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.errors import InvalidRequest
from kvstore.core.limits import PARTITIONS_MAX
from kvstore.placement.hashing import check_partitions, key_hash, partition_of, partition_of_hash, record_digest

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "hashing" / "murmur3_x64_128.json"
POWERS = st.sampled_from([1 << n for n in range(13)])


# Known answers of the reference implementation, seed 0: the first 64 bits of the 128.
KNOWN = [
    (b"", 0x0000000000000000),
    (b"hello, world", 0x342FAC623A5EBC8E),
    (b"The quick brown fox jumps over the lazy dog.", 0xCD99481F9EE902C9),
]


@pytest.mark.parametrize(("key", "expected"), KNOWN)
def test_known_keys(key: bytes, expected: int) -> None:
    assert key_hash(key) == expected


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared test vectors are not beside this checkout")
def test_published_vectors() -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert sum(vector["seed"] == 0 for vector in vectors) >= 3
    for vector in vectors:
        data, first = bytes.fromhex(vector["data_hex"]), int(vector["murmur3_x64_128"][0], 16)
        assert mmh3.mmh3_x64_128_utupledigest(data, vector["seed"])[0] == first
        if vector["seed"] == 0:
            assert key_hash(data) == first


@given(st.binary(max_size=480), POWERS)
def test_a_partition_is_the_top_bits_of_the_hash(key: bytes, partitions: int) -> None:
    by_bits = int(f"{key_hash(key):064b}"[: partitions.bit_length() - 1] or "0", 2)
    assert partition_of(key, partitions) == by_bits
    assert 0 <= by_bits < partitions


@given(st.binary(max_size=480))
def test_twice_the_partitions_split_each_in_two(key: bytes) -> None:
    assert partition_of(key, 16) == partition_of(key, 32) // 2


def test_the_ends_of_the_hash_range() -> None:
    assert partition_of_hash(0, 8) == 0
    assert partition_of_hash(2**64 - 1, 8) == 7
    assert partition_of_hash(2**64 - 1, 1) == 0
    assert partition_of_hash(2**61, 8) == 1
    assert partition_of_hash(2**61 - 1, 8) == 0


def test_keys_spread_evenly() -> None:
    held = [0] * 8
    for number in range(8_000):
        held[partition_of(f"user:{number}".encode(), 8)] += 1
    assert min(held) > 900
    assert max(held) < 1_100


@pytest.mark.parametrize("partitions", [1, 2, 8, 1024, PARTITIONS_MAX])
def test_powers_of_two_are_accepted(partitions: int) -> None:
    check_partitions(partitions)


@pytest.mark.parametrize("partitions", [-8, 0, 3, 6, 1000, 2 * PARTITIONS_MAX])
def test_other_numbers_are_refused(partitions: int) -> None:
    with pytest.raises(InvalidRequest, match=f"{partitions} partitions: must be a power of two from 1 to"):
        check_partitions(partitions)


def test_a_digest_is_of_a_record_and_its_key() -> None:
    assert record_digest(7, b"record") == mmh3.mmh3_x64_128_utupledigest(b"record", 7)[0]
    assert record_digest(7 + (1 << 32), b"record") == record_digest(7, b"record") != record_digest(8, b"record")
    assert record_digest(7, b"") == 0
