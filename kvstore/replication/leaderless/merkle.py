"""A Merkle tree over what a replica knows: one number that is equal if all of it is, and where it is not, where.

Every key has a *digest*: 64 bits, a hash of what is known of it (`placement.hashing.record_digest`), 0 if that is
nothing. A node of the tree stands for all keys whose hashes end in the same bits; its hash is the XOR of their digests.
The root stands for all keys, the 256 nodes below it for those that share their last 8 bits, and so on in steps of 4
bits down to the leaves. (Top bits would not do: they choose the partition, so that within one they are alike.)

    depth    0          8           12          16
    nodes    1 (root)   256         4,096       65,536 leaves: one or two keys each, of 100,000

A change of a record is one XOR of (old digest ^ new digest) into the node of each level: there is nothing to be
recomputed later, not even lazily. That is what is gained by giving inner nodes the XOR of their children, too, where
Merkle's trees (and Riak's, and Cassandra's) have a hash of them.

*Why XOR is sound here.* Each key counts once, and its digest is taken with its own hash as the seed, so two keys never
count alike because they hold the same. If two replicas know different things of some keys, the hashes of a node are
equal only if the digests that differ happen to XOR to 0: with good hashes one time in 2**64, on any level. A hash of
hashes would not lower that. What XOR gives up is resistance against somebody who constructs values so that digests
cancel; MurmurHash does not resist such a person either. Replicas of one cluster trust each other, and a client who did
that would keep its own keys from being repaired.

*What the tree cannot notice:* it is told of changes, it does not look. A row that rotted on disk after it was counted
is not seen (reading it is: records have checksums). A change that was told twice, or with a wrong old digest, leaves
its nodes wrong for good: then leaves differ in which every key is equal, which exchanges count (`Outcome.phantom`), and
the cure is a tree made anew.
"""

from array import array
from collections.abc import Iterable
from typing import Final

from kvstore.core.errors import InvalidRequest

FIRST_BITS: Final = 8
"""Between the root and the first level below it: 256 hashes fit a packet or two."""
STEP_BITS: Final = 4
"""Between two levels further down. A few differing keys make a few differing nodes, and each costs 16 hashes a level:
a larger step sends more, a smaller one asks more often."""
BITS_MIN: Final = 10
BITS_MAX: Final = 16
_BITS_OF_KEYSPACE: Final = 19
_HASH_BYTES: Final = 8


def bits_for(partitions: int) -> int:
    """How deep a tree is: 2**bits leaves, of 8 bytes, so that all partitions of a keyspace have about half a million.

    >>> bits_for(8), bits_for(64), bits_for(4096)
    (16, 13, 10)
    """
    return min(BITS_MAX, max(BITS_MIN, _BITS_OF_KEYSPACE + 1 - partitions.bit_length()))


def depths_of(bits: int) -> tuple[int, ...]:
    """The levels of a tree, from the root to the leaves.

    >>> depths_of(16), depths_of(13)
    ((0, 8, 12, 16), (0, 8, 12, 13))
    """
    return (0, *range(FIRST_BITS, bits, STEP_BITS), bits)


class Tree:
    """The tree of one replica of one partition. Takes 8.5 bytes per leaf, the same empty as full.

    >>> ours, theirs = Tree(10), Tree(10)
    >>> ours.change(0x1234, 0, 7)
    >>> ours.root == theirs.root, theirs.change(0x1234, 0, 7), ours.root == theirs.root
    (False, None, True)
    """

    __slots__ = ("_levels", "_masked", "bits", "depths", "root")

    def __init__(self, bits: int = BITS_MAX) -> None:
        assert BITS_MIN <= bits <= BITS_MAX, f"a tree of {bits} bits"
        self.bits = bits
        self.depths = depths_of(bits)
        self.root = 0
        self._levels = {depth: array("Q", bytes(_HASH_BYTES << depth)) for depth in self.depths[1:]}
        self._masked = [(level, (1 << depth) - 1) for depth, level in self._levels.items()]

    def change(self, hashed: int, old: int, new: int) -> None:
        """What is known of the key with this hash had the digest `old` and has `new`; 0: nothing is known."""
        delta = old ^ new
        self.root ^= delta
        for level, mask in self._masked:
            level[hashed & mask] ^= delta

    def leaf_of(self, hashed: int) -> int:
        """The number of the leaf that a key of this hash is in."""
        return hashed & ((1 << self.bits) - 1)

    def hashes(self, depth: int, nodes: Iterable[int]) -> list[int]:
        """The hashes of these nodes. Raises InvalidRequest if the tree has no such level or node."""
        if depth == 0:
            return [self.root for _ in nodes]
        level = self._levels.get(depth)
        if level is None:
            raise InvalidRequest(f"a tree of {self.bits} bits has no level at depth {depth}")
        try:
            return [level[node] for node in nodes]
        except IndexError as error:
            raise InvalidRequest(f"a node that is not among the {1 << depth} at depth {depth}") from error

    def below(self, depth: int) -> int:
        """The depth of the next level. Raises InvalidRequest if the tree has no level here, or this is the last."""
        try:
            return self.depths[self.depths.index(depth) + 1]
        except (ValueError, IndexError) as error:
            raise InvalidRequest(f"a tree of {self.bits} bits has nothing below depth {depth}") from error


def children(nodes: Iterable[int], depth: int, below: int) -> list[int]:
    """The nodes at depth `below` of the nodes at `depth`, parent by parent.

    >>> children([1, 3], 2, 3)
    [1, 5, 3, 7]
    """
    return [node | more << depth for node in nodes for more in range(1 << (below - depth))]
