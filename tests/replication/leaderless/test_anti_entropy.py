"""Anti-entropy on whole nodes: what neither hints nor reads brought, the next comparison does, and nothing else."""

import contextlib
from random import Random

import pytest

from kvstore.core.ids import NodeId
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.quorum_tree import QuorumTree
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless.exchange import Counts
from kvstore.replication.leaderless.merkle import Tree
from kvstore.storage.engine import Batch
from kvstore.storage.keys import value_prefix
from tests.node.test_quorum_host import N1, N2, N3, Carts

LATER_MS = 12_000
"""Each pair is compared in between."""


def host(carts: Carts, name: NodeId) -> QuorumHost:
    found = carts.nodes[name].groups.quorum_host(carts.group())
    assert found is not None
    return found


def counts(carts: Carts, name: NodeId) -> Counts:
    anti_entropy = host(carts, name).replica.anti_entropy
    assert anti_entropy is not None
    return anti_entropy.counts


def tree(carts: Carts, name: NodeId) -> QuorumTree:
    found = host(carts, name).state.tree
    assert isinstance(found, QuorumTree)
    return found


def part(carts: Carts, keys: int = 30) -> None:
    """n1 alone has the keys: the others were away, and n1 has forgotten that it owes them."""
    for name in (N2, N3):
        carts.crash(name)
    carts.run(2_000)
    for number in range(keys):
        carts.write(N1, b"k%d" % number, b"v")
    carts.crash(N1)
    for name in (N1, N2, N3):
        carts.start(name)
    carts.run(1_000)
    assert carts.records(N1, b"k0") != b"" == carts.records(N2, b"k0")


@pytest.fixture
def carts() -> Carts:
    return Carts(write_quorum=1, read_quorum=1)


def test_what_hints_forgot_is_found_by_comparing(carts: Carts) -> None:
    part(carts)
    carts.run(LATER_MS)
    for name in (N2, N3):
        assert all(carts.records(name, b"k%d" % n) == carts.records(N1, b"k%d" % n) != b"" for n in range(30))
    assert counts(carts, N1).pushed + counts(carts, N2).pushed + counts(carts, N2).pulled == 60
    assert sum(counts(carts, name).false_repairs for name in carts.names) == 0


def test_what_was_mended_is_on_disk(carts: Carts) -> None:
    part(carts)
    carts.run(LATER_MS)
    carts.crash(N2)
    carts.start(N2)
    carts.run(100)
    assert carts.records(N2, b"k7") == carts.records(N1, b"k7") != b""


def test_replicas_that_are_equal_repair_nothing(carts: Carts) -> None:
    for number in range(30):
        carts.write(N1, b"k%d" % number, b"v")
    carts.run(LATER_MS)
    told = counts(carts, N1)
    assert told.exchanges == told.equal >= 2
    assert (told.differing, told.given_up, told.phantom) == (0, 0, 0)


def test_a_tree_is_the_same_after_a_restart_with_rows_and_log(carts: Carts) -> None:
    for number in range(600):
        carts.write(N1, b"k%d" % number, b"v")
        if number == 300:
            carts.run(2_000)
    carts.run(200)
    before = tree(carts, N1).tree.root
    carts.crash(N1)
    carts.start(N1)
    carts.run(1_000)
    assert tree(carts, N1).is_whole
    assert tree(carts, N1).tree.root == before != 0


def test_a_damaged_row_is_mended_and_the_tree_with_it(carts: Carts) -> None:
    for number in range(30):
        carts.write(N1, b"k%d" % number, b"v")
    carts.run(3_000)
    batch = Batch()
    batch.put(value_prefix(host(carts, N2).place.data) + b"k7", b"rotten")
    carts.engines[N2].commit(batch)
    carts.crash(N2)
    carts.start(N2)
    carts.run(LATER_MS)
    carts.read(N2, b"k7", read_quorum=1)
    carts.run(2_000)
    assert carts.records(N2, b"k7") == carts.records(N1, b"k7") != b""
    assert all(tree(carts, name).is_whole for name in carts.names)
    assert len({tree(carts, name).tree.root for name in carts.names}) == 1
    assert sum(counts(carts, name).phantom for name in carts.names) == 0


def test_writing_all_the_time_makes_nothing_to_repair(carts: Carts) -> None:
    """A few hot keys among others, from all three nodes, over many exchanges: what differs was only under way."""
    for number in range(1_500):
        carts.write(carts.names[number % 3], b"k%d" % (number % 7 if number % 2 else number), b"v%d" % number)
        carts.run(10)
    told = [counts(carts, name) for name in carts.names]
    assert sum(each.exchanges for each in told) >= 10
    assert sum(each.false_repairs + each.pulled + each.pushed for each in told) == 0


def recount(carts: Carts, name: NodeId) -> Tree:
    """The tree that the replica's records have, made anew."""
    made = Tree(tree(carts, name).tree.bits)
    records, upto = host(carts, name).state.page(b"", b"", 0, 1 << 24)
    assert upto == b""
    for key, record in records:
        made.change(key_hash(key), 0, record_digest(key_hash(key), record))
    return made


def disturb(carts: Carts, dice: Random) -> None:
    """Some writes, or a crash, or starts; now and then one node is cut off, or not any more."""
    up = [name for name in carts.names if name in carts.nodes]
    chance = dice.random()
    if chance < 0.8:
        for _ in range(dice.randrange(1, 6)):
            value = None if dice.random() < 0.15 else b"v%d" % dice.randrange(1_000)
            with contextlib.suppress(KeyError):  # no answer in time
                carts.try_to_write(dice.choice(up), b"k%d" % dice.randrange(30), value)
    elif chance < 0.9 and len(up) > 1:
        carts.crash(dice.choice(up))
    else:
        for name in carts.names:
            if name not in carts.nodes:
                carts.start(name)
    if dice.random() < 0.1:
        carts.cut = set() if carts.cut else {dice.choice(carts.names)}
    carts.run(dice.choice([10, 50, 300, 1_500]))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happened_all_become_equal_and_trees_are_as_if_made_anew(seed: int) -> None:
    dice = Random(seed)
    carts = Carts(write_quorum=dice.choice([1, 2]), read_quorum=1, conflicts=dice.choice(["siblings", "lww"]))
    for _ in range(60):
        disturb(carts, dice)
    carts.cut = set()
    for name in carts.names:
        if name not in carts.nodes:
            carts.start(name)
    carts.run(20_000)
    for name in carts.names:
        assert tree(carts, name).is_whole
        assert tree(carts, name).tree.root == recount(carts, name).root != 0
        told = counts(carts, name)
        assert (told.false_repairs, told.phantom, told.refused) == (0, 0, 0)
    assert len({tree(carts, name).tree.root for name in carts.names}) == 1
