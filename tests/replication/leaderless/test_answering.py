"""What a replica answers depends on the question alone; what makes no sense is not answered."""

import pytest

from kvstore.core.causality import encode
from kvstore.core.ids import Millis
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless.answering import answer_to
from kvstore.replication.leaderless.messages import (
    Answer,
    CompareTrees,
    FetchHashes,
    HashesFetched,
    LeavesListed,
    ListLeaves,
    Pull,
    Pulled,
    Question,
    Repair,
    Repaired,
    TreesCompared,
)
from kvstore.replication.leaderless.pace import ExchangeSettings
from tests.replication.leaderless.exchange_lab import N1, N2, START, Map, filled, key, versions_of

NONSENSE = [
    FetchHashes(1, 8, [256], 10),
    FetchHashes(1, 8, [0], 12),
    FetchHashes(1, 10, [0], 8),
    FetchHashes(1, 0, [0] * 1_000, 10),
]


@pytest.mark.parametrize("question", NONSENSE)
def test_a_question_that_makes_no_sense_is_counted_and_not_answered(question: FetchHashes) -> None:
    lab = filled(10)
    out = lab.exchangers[N2].hear(lab.instant, N1, question)
    assert out.send == []
    assert lab.exchangers[N2].counts.refused == 1


def answer(known: Map, question: Question, **changed: int) -> Answer:
    return answer_to(question, known, ExchangeSettings(**changed), Millis(START))  # type: ignore[arg-type]


def known(keys: int, stamp_ms: int = 0) -> Map:
    found = Map()
    for i in range(keys):
        found.put(key(i), versions_of(1, i + 1, b"x" * 100, stamp_ms))
    return found


def test_the_hashes_of_nodes_and_of_what_is_below_them() -> None:
    ours = known(50)
    assert answer(ours, FetchHashes(1, 0, [0], 0)) == HashesFetched(1, [ours.tree.root])
    assert answer(ours, FetchHashes(1, 0, [0], 8)) == HashesFetched(1, ours.tree.hashes(8, range(256)))
    assert answer(ours, FetchHashes(1, 8, [7, 3], 10)) == HashesFetched(
        1, ours.tree.hashes(10, [7, 263, 519, 775, 3, 259, 515, 771])
    )


def test_a_listing_ends_where_it_stopped_looking() -> None:
    ours = known(50)
    first = answer(ours, ListLeaves(1, [], b"", 20))
    assert isinstance(first, LeavesListed)
    assert (first.keys, first.upto) == ([key(i) for i in range(20)], key(20))
    last = answer(ours, ListLeaves(1, [], key(40), 20))
    assert isinstance(last, LeavesListed)
    assert (last.keys, last.upto) == ([key(i) for i in range(40, 50)], b"")
    assert answer(ours, ListLeaves(1, [], b"", 1 << 30), page_keys=5).upto == key(5)  # type: ignore[union-attr]


def test_a_listing_is_of_the_leaves_that_were_named() -> None:
    ours = known(50)
    leaf = ours.tree.leaf_of(key_hash(key(7)))
    listed = answer(ours, ListLeaves(1, [leaf], b"", 100))
    assert isinstance(listed, LeavesListed)
    assert key(7) in listed.keys and len(listed.keys) < 5


def test_pulled_is_what_the_asker_lacks_as_much_as_fits() -> None:
    ours = known(10)
    digest = record_digest(key_hash(key(1)), ours.record(key(1)))
    keys = [b"unknown", key(1), key(2), key(3), key(4)]
    pulled = answer(ours, Pull(1, keys, [0, digest, 0, 7, 0]), batch_bytes=250)
    assert pulled == Pulled(1, [b"", b"", ours.record(key(2)), ours.record(key(3))])
    assert answer(ours, Pull(1, [key(2), key(3)], [0, 0]), batch_bytes=1) == Pulled(1, [ours.record(key(2))])


def test_what_is_young_is_pulled_only_by_who_recovers() -> None:
    ours = known(1, stamp_ms=START)
    assert answer(ours, Pull(1, [key(0)], [0])) == Pulled(1, [b""])
    assert answer(ours, Pull(1, [key(0)], [0], young=True)) == Pulled(1, [ours.record(key(0))])


def test_a_repair_counts_what_it_changed() -> None:
    ours = known(2)
    news = [(key(0), ours.record(key(0))), (b"new", encode(versions_of(2, 1)))]
    assert answer(ours, Repair(1, news)) == Repaired(1, 1)
    assert answer(ours, Repair(2, news)) == Repaired(2, 0)


def test_a_tree_of_another_depth_is_told_and_nothing_else() -> None:
    assert answer(known(5), CompareTrees(1, 12, 0)) == TreesCompared(1, 10)
