"""Trees: whatever changes they were told, they are as if made anew, and they differ exactly where the keys do."""

import doctest
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.errors import InvalidRequest
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless import merkle
from kvstore.replication.leaderless.merkle import BITS_MAX, BITS_MIN, Tree, bits_for, children, depths_of

KEYS = st.binary(min_size=1, max_size=3)
RECORDS = st.binary(max_size=3)  # empty: nothing is known
MAPS = st.dictionaries(KEYS, RECORDS, max_size=20)
BITS = st.integers(BITS_MIN, BITS_MAX)


def tree_of(records: Mapping[bytes, bytes], bits: int = BITS_MAX) -> Tree:
    tree = Tree(bits)
    for key, record in records.items():
        hashed = key_hash(key)
        tree.change(hashed, 0, record_digest(hashed, record))
    return tree


def slow_hash(records: Mapping[bytes, bytes], depth: int, node: int) -> int:
    """The XOR of the digests of the keys whose hashes end in these bits."""
    found = 0
    for key, record in records.items():
        if key_hash(key) % (1 << depth) == node:
            found ^= record_digest(key_hash(key), record)
    return found


def everything(tree: Tree) -> list[list[int]]:
    return [tree.hashes(depth, range(1 << depth)) for depth in tree.depths]


@given(st.lists(st.tuples(KEYS, RECORDS), max_size=40), BITS)
def test_after_any_changes_the_tree_is_as_if_made_anew(changes: list[tuple[bytes, bytes]], bits: int) -> None:
    tree, known = Tree(bits), dict[bytes, bytes]()
    for key, record in changes:
        hashed = key_hash(key)
        tree.change(hashed, record_digest(hashed, known.get(key, b"")), record_digest(hashed, record))
        known[key] = record
    assert everything(tree) == everything(tree_of(known, bits))
    for key in known:
        for depth in tree.depths:
            node = key_hash(key) % (1 << depth)
            assert tree.hashes(depth, [node]) == [slow_hash(known, depth, node)]


@given(MAPS, MAPS, BITS)
def test_nodes_differ_exactly_above_keys_that_do(
    ours: dict[bytes, bytes], theirs: dict[bytes, bytes], bits: int
) -> None:
    one, other = tree_of(ours, bits), tree_of(theirs, bits)
    differing = [key for key in ours.keys() | theirs.keys() if ours.get(key, b"") != theirs.get(key, b"")]
    for depth in one.depths:
        nodes = range(1 << depth)
        found = {
            n for n, a, b in zip(nodes, one.hashes(depth, nodes), other.hashes(depth, nodes), strict=True) if a != b
        }
        assert found == {key_hash(key) % (1 << depth) for key in differing}


@given(MAPS, BITS)
def test_a_node_is_the_xor_of_its_children(records: dict[bytes, bytes], bits: int) -> None:
    tree = tree_of(records, bits)
    for depth in tree.depths[:-1]:
        for node in range(min(1 << depth, 256)):
            below = tree.below(depth)
            total = 0
            for child in tree.hashes(below, children([node], depth, below)):
                total ^= child
            assert [total] == tree.hashes(depth, [node])


def test_children_are_every_node_below_once() -> None:
    for bits in range(BITS_MIN, BITS_MAX + 1):
        depths = depths_of(bits)
        for depth, below in pairwise(depths):
            assert sorted(children(range(1 << depth), depth, below)) == list(range(1 << below))


def test_equal_records_of_two_keys_do_not_cancel() -> None:
    assert tree_of({b"a": b"same", b"b": b"same"}).root != 0


def test_swapped_records_are_noticed() -> None:
    assert tree_of({b"a": b"1", b"b": b"2"}).root != tree_of({b"a": b"2", b"b": b"1"}).root


def test_what_is_not_known_is_like_what_never_was() -> None:
    assert everything(tree_of({b"a": b""})) == everything(Tree())


def test_a_change_told_twice_stays_wrong() -> None:
    """The weakness the module's text confesses."""
    tree = tree_of({b"a": b"1"})
    tree.change(key_hash(b"a"), 0, record_digest(key_hash(b"a"), b"1"))
    assert tree.root == 0 != tree_of({b"a": b"1"}).root


def test_all_partitions_of_a_keyspace_have_a_bounded_number_of_leaves() -> None:
    for partitions in [1 << n for n in range(13)]:
        assert BITS_MIN <= bits_for(partitions) <= BITS_MAX
        assert partitions << bits_for(partitions) <= 1 << 22


@pytest.mark.parametrize(("depth", "node"), [(7, 0), (17, 0), (8, 256), (16, 1 << 16), (16, 1 << 70)])
def test_there_is_no_such_node(depth: int, node: int) -> None:
    with pytest.raises(InvalidRequest, match="depth"):
        Tree().hashes(depth, [node])


@pytest.mark.parametrize("depth", [1, 16, 40])
def test_there_is_nothing_below(depth: int) -> None:
    with pytest.raises(InvalidRequest, match="nothing below"):
        Tree().below(depth)


def test_its_examples() -> None:
    assert doctest.testmod(merkle).failed == 0
