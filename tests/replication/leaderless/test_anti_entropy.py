"""Anti-entropy on whole nodes: what neither hints nor reads brought, the next comparison does, and nothing else."""

import pytest

from kvstore.core.ids import NodeId
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.quorum_tree import QuorumTree
from kvstore.replication.leaderless.exchange import Counts
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
