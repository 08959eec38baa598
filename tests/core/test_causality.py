"""Versions of a key: what a write replaces, what a merge keeps, and the laws of merging."""

from itertools import count, permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.causality import (
    UNKNOWN,
    Context,
    Dot,
    Sibling,
    Versions,
    after_write,
    covers,
    decode,
    decode_context,
    descends,
    encode,
    encode_context,
    joined,
    merged,
    newest_only,
    seen_by_writer,
    siblings_in,
)
from kvstore.core.errors import Corruption

ACTORS = 3


class Replicas:
    """Three replicas that write, read and merge as they please: whatever they know can happen."""

    def __init__(self) -> None:
        self.known = [UNKNOWN] * ACTORS
        self.numbers = count(1)
        self.read = UNKNOWN

    def write(self, at: int, context_of: int | None, value: bytes | None) -> None:
        context = {} if context_of is None else self.known[context_of].context
        number = next(self.numbers)
        self.known[at] = after_write(self.known[at], Sibling(at + 1, number, number, value), context)

    def merge(self, at: int, other: int) -> None:
        self.known[at] = merged(self.known[at], self.known[other])


@st.composite
def three(draw: st.DrawFn) -> list[Versions]:
    """What three replicas may know of a key after some writes and merges."""
    replicas = Replicas()
    one = st.integers(0, ACTORS - 1)
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.booleans()):
            replicas.write(draw(one), draw(st.none() | one), draw(st.none() | st.binary(max_size=2)))
        else:
            replicas.merge(draw(one), draw(one))
    return replicas.known


@given(three())
def test_merging_is_commutative_associative_and_idempotent(known: list[Versions]) -> None:
    one, two, other = known
    assert merged(one, two) == merged(two, one)
    assert merged(merged(one, two), other) == merged(one, merged(two, other))
    assert merged(one, one) == one
    assert merged(merged(one, two), two) == merged(one, two)


@given(three())
def test_a_merge_knows_all_that_both_knew(known: list[Versions]) -> None:
    both = merged(known[0], known[1])
    assert both.context == joined(known[0].context, known[1].context)
    assert all(covers(both.context, sibling.dot) for sibling in both.siblings)
    dots = {sibling.dot for sibling in (*known[0].siblings, *known[1].siblings)}
    assert {sibling.dot for sibling in both.siblings} <= dots
    assert list(both.siblings) == sorted(both.siblings, key=lambda each: each.dot)


@given(three())
def test_what_only_one_knows_of_stays(known: list[Versions]) -> None:
    one, two = known[0], known[1]
    for sibling in one.siblings:
        if not covers(two.context, sibling.dot):
            assert sibling in merged(one, two).siblings


@given(three())
def test_a_merge_that_adds_nothing_gives_the_same_object(known: list[Versions]) -> None:
    both = merged(known[0], known[1])
    assert merged(both, known[0]) is both and merged(both, known[1]) is both


@given(three())
def test_the_context_given_to_a_writer_covers_no_sibling_of_others(known: list[Versions]) -> None:
    after = after_write(known[0], Sibling(9, 1, 1, b"mine"), {})
    seen = seen_by_writer(after, Dot(9, 1))
    assert covers(seen, Dot(9, 1))
    assert not any(covers(seen, each.dot) for each in after.siblings if each.actor != 9)
    assert descends(after.context, seen)


@given(three())
def test_bytes_and_back(known: list[Versions]) -> None:
    for versions in known:
        assert decode(encode(versions)) == versions
        assert decode_context(encode_context(versions.context)) == versions.context


@given(three())
def test_siblings_are_counted_unread(known: list[Versions]) -> None:
    assert [siblings_in(encode(each)) for each in known] == [len(each.siblings) for each in known]


def test_equal_knowledge_has_equal_bytes() -> None:
    sibling = Sibling(1, 1, 5, b"v")
    assert encode(Versions({1: 1, 2: 3}, (sibling,))) == encode(Versions({2: 3, 1: 1}, (sibling,)))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", encode(UNKNOWN)[:-1], b"\x92\x90\x91\x01"])
def test_damaged_bytes_are_told(data: bytes) -> None:
    with pytest.raises(Corruption):
        decode(data)


def test_a_write_replaces_what_its_client_had_seen_and_nothing_else() -> None:
    first = after_write(UNKNOWN, Sibling(1, 1, 1, b"a"), {})
    blind = after_write(first, Sibling(1, 2, 2, b"b"), {})
    assert blind.values == [b"a", b"b"]
    seeing = after_write(blind, Sibling(1, 3, 3, b"c"), first.context)
    assert seeing.values == [b"b", b"c"]
    assert after_write(seeing, Sibling(1, 4, 4, None), seeing.context).is_deleted


def test_a_dot_is_used_once() -> None:
    first = after_write(UNKNOWN, Sibling(1, 1, 1, b"a"), {})
    with pytest.raises(AssertionError, match="used already"):
        after_write(first, Sibling(1, 1, 2, b"b"), {})


def test_two_tries_of_one_operation_are_told_as_one() -> None:
    here = after_write(UNKNOWN, Sibling(1, 7, 1, b"x", 5, 9), {})
    there = after_write(UNKNOWN, Sibling(2, 3, 2, b"x", 5, 9), {})
    both = merged(here, there)
    assert [each.dot for each in both.siblings] == [(1, 7), (2, 3)] and both == merged(there, here)
    assert [each.dot for each in both.writes] == [(2, 3)] and both.values == [b"x"]
    assert seen_by_writer(both, Dot(1, 7)) == seen_by_writer(both, Dot(2, 3)) == {1: 7, 2: 3}
    assert not newest_only(both).siblings[1:]


def test_whoever_has_not_seen_a_write_does_not_replace_its_twin() -> None:
    here = after_write(UNKNOWN, Sibling(1, 7, 1, b"x", 5, 9), {})
    there = after_write(UNKNOWN, Sibling(2, 3, 2, b"x", 5, 9), {})
    after = after_write(merged(here, there), Sibling(3, 1, 3, b"y", 6, 1), {})
    context = seen_by_writer(after, Dot(3, 1))
    replaced = after_write(here, Sibling(3, 2, 4, b"z", 6, 2), context)
    assert merged(replaced, after).values == [b"x", b"z"]


def test_the_last_writer_wins() -> None:
    one = after_write(UNKNOWN, Sibling(1, 1, 9, b"late"), {})
    two = after_write(UNKNOWN, Sibling(2, 1, 4, b"early"), {})
    winner = newest_only(merged(one, two))
    assert winner.values == [b"late"] and winner.context == {1: 1, 2: 1}
    assert newest_only(one) is one


def lww_replicas(rng: Random, *, with_contexts: bool) -> tuple[list[Versions], int]:
    """Replicas where the last writer wins, and whose clocks are apart; and the largest stamp that was written."""
    known = [UNKNOWN] * ACTORS
    read: Context = {}
    largest = 0
    for number in range(1, 25):
        at = rng.randrange(ACTORS)
        match rng.choice(("read", "write", "write", "merge")):
            case "read":
                read = known[at].context
            case "write":
                above = max((sibling.stamp for sibling in known[at].siblings), default=0) + 1
                sibling = Sibling(at + 1, number, max(above, number + rng.choice((0, 10))), b"")
                known[at] = newest_only(after_write(known[at], sibling, read if with_contexts else {}))
                largest = max(largest, sibling.stamp)
            case _:
                known[at] = newest_only(merged(known[at], rng.choice(known)))
    return known, largest


def outcomes(known: list[Versions]) -> set[tuple[Sibling, ...]]:
    """What is left of a key, by the order in which replicas hear of each other."""
    return {newest_only(merged(newest_only(merged(a, b)), c)).siblings for a, b, c in permutations(known)}


def test_where_the_last_writer_wins_the_order_of_merges_does_not_matter() -> None:
    for seed in range(300):
        known, largest = lww_replicas(Random(seed), with_contexts=False)
        ((only,),) = outcomes(known)
        assert only.stamp == largest


def test_last_writer_wins_does_not_go_with_contexts() -> None:
    """Why: the order of merges would matter, and everything could be lost."""
    results = [outcomes(lww_replicas(Random(seed), with_contexts=True)[0]) for seed in range(3_000)]
    assert any(len(result) > 1 for result in results)
    assert any(() in result for result in results)
