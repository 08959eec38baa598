"""Whatever two replicas knew, in the end both know all of it, by few messages, and none of them for nothing."""

import doctest
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.core.causality import Versions, encode, merged
from kvstore.core.ids import NodeId
from kvstore.placement.hashing import key_hash
from kvstore.replication.leaderless import comparing
from kvstore.replication.leaderless.merkle import Tree
from kvstore.replication.leaderless.messages import HashesFetched, ListLeaves, Pull, Pulled, Repair
from tests.replication.leaderless.exchange_lab import N1, N2, START, Lab, filled, key, union, versions_of


def test_equal_replicas_exchange_one_hash() -> None:
    lab = filled(500)
    (outcome,) = lab.demand()
    assert lab.sent == 2
    assert (outcome.failed, outcome.differing, outcome.leaves) == ("", 0, 0)
    assert outcome.bytes < 100
    assert lab.exchangers[N1].counts.equal == 1


def test_both_sides_are_mended() -> None:
    lab = filled(500)
    lab.fill([N1], {b"ours": versions_of(2, 1), key(3): versions_of(2, 2)})
    lab.fill([N2], {b"theirs": versions_of(3, 1), key(4): versions_of(3, 2)})
    lab.fill([N1], {b"both": versions_of(2, 3)})
    lab.fill([N2], {b"both": versions_of(3, 3)})
    known = union(lab)
    (outcome,) = lab.demand()
    assert lab.maps[N1].records == lab.maps[N2].records == known
    assert (outcome.differing, outcome.pulled, outcome.pushed, outcome.false_repairs) == (5, 4, 4, 0)
    assert outcome.complete and outcome.phantom == 0
    (again,) = lab.demand()
    assert again.differing == 0


def test_who_is_behind_is_not_asked_for_what_it_lacks() -> None:
    """n2 has an older version: it is sent ours, after one look at its own."""
    lab = filled(10)
    newer = Versions({1: 1, 2: 1}, versions_of(2, 1).siblings)
    lab.fill([N1], {key(0): newer})
    (outcome,) = lab.demand()
    assert (outcome.pulled, outcome.pushed, outcome.false_repairs) == (0, 1, 0)
    assert lab.maps[N2].record(key(0)) == encode(newer)


def test_checking_only_counts() -> None:
    lab = filled(100)
    lab.fill([N2], {key(i): versions_of(2, i + 1) for i in range(90, 130)})
    before = dict(lab.maps[N1].records), dict(lab.maps[N2].records)
    (outcome,) = lab.demand(check=True)
    assert (outcome.differing, outcome.pulled, outcome.pushed) == (40, 0, 0)
    assert before == (lab.maps[N1].records, lab.maps[N2].records)
    assert not outcome.complete


@pytest.mark.parametrize("wiped", [N1, N2])
def test_an_empty_replica_is_filled(wiped: NodeId) -> None:
    lab = filled(3_000, page_keys=100, pull_keys=70, batch_bytes=1_000)
    lab.maps[wiped].tree, lab.maps[wiped].records = Tree(10), {}
    (outcome,) = lab.demand()
    assert lab.is_converged
    assert outcome.pulled + outcome.pushed == outcome.differing == 3_000
    assert outcome.false_repairs == 0


def test_few_differences_among_many_keys_cost_little() -> None:
    lab = filled(20_000, bits=16)
    lab.fill([N2], {key(i): versions_of(2, i + 1) for i in range(0, 20_000, 400)})
    (outcome,) = lab.demand()
    assert lab.is_converged
    assert outcome.differing == outcome.pulled == 50
    assert outcome.bytes < 40_000
    assert lab.sent < 50


KEYS = st.sampled_from([bytes([letter]) * length for letter in b"abcdef" for length in (1, 2, 480)])


WRITES = st.lists(st.tuples(KEYS, st.integers(1, 2), st.binary(max_size=20) | st.none()), max_size=30)


@settings(max_examples=60)
@given(ours=WRITES, theirs=WRITES, seed=st.integers(0, 1 << 30), lossy=st.booleans(), recovering=st.booleans())
def test_any_two_maps_become_their_union(
    ours: list[tuple[bytes, int, bytes | None]],
    theirs: list[tuple[bytes, int, bytes | None]],
    seed: int,
    lossy: bool,
    recovering: bool,
) -> None:
    """Through loss, doubling and lateness, within a bounded number of messages."""
    chances = {"loss": 0.2, "doubling": 0.2, "lateness": 0.1} if lossy else {}
    lab = Lab(2, seed, page_keys=4, pull_keys=2, batch_bytes=100, hashes_max=256, **chances)  # type: ignore[arg-type]
    lab.maps[N1].recovering = recovering
    for name, writes, actor in ((N1, ours, 2), (N2, theirs, 3)):
        for counter, (name_of_key, shared, value) in enumerate(writes):
            mine = merged(versions_of(actor, counter + 1, value), versions_of(1, shared))
            lab.maps[name].merge([(name_of_key, encode(mine))])
    known = union(lab)
    for _ in range(30):
        (outcome,) = lab.demand()
        if not outcome.failed:
            break
    assert lab.maps[N1].records == lab.maps[N2].records == known
    assert outcome.false_repairs == 0 or lossy
    assert lab.sent < 5_000


def test_what_arrives_within_a_moment_is_not_repaired() -> None:
    lab = filled(100)
    lab.fill([N1], {b"under way": versions_of(2, 1, stamp_ms=START)})
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    while lab.now < 100:
        lab.one()
        lab.now += 1
    lab.fill([N2], {b"under way": versions_of(2, 1, stamp_ms=START)})
    lab.run(2_000)
    assert [(o.leaves, o.differing, o.pushed) for _, o in lab.outcomes] == [(0, 0, 0)]


def test_a_young_record_is_left_to_its_coordinator() -> None:
    """Its leaf is listed because of an old difference; or because it is always different, and the exchange thorough."""
    lab = filled(100)
    lab.fill([N1], {b"young": versions_of(2, 1, stamp_ms=START + 500), b"old": versions_of(2, 2)})
    lab.fill([N2], {b"young, too": versions_of(3, 1, stamp_ms=START + 500), key(5): versions_of(3, 2)})
    lab.fill([N2], {b"young, too": versions_of(3, 3, stamp_ms=START + 500)})
    lab.fill([N1], {b"young, too": versions_of(2, 9, stamp_ms=0)})
    (outcome,) = lab.demand()
    assert (outcome.differing, outcome.pulled, outcome.pushed, outcome.skipped) == (4, 1, 2, 2)
    assert not outcome.complete
    assert b"young" not in lab.maps[N2].records


def test_under_steady_writing_nothing_is_repaired_for_nothing() -> None:
    """Each write reaches the other replica 20 ms late; one of them never does, and that is repaired."""
    lab = filled(1_000, bits=16, interval_ms=2_000)
    dice, late = Random(1), list[tuple[int, bytes, Versions]]()
    counter, next_write = 0, 0
    while lab.now < 60_000:
        while next_write <= lab.now:
            counter += 1
            name = key(dice.randrange(1_000)) if counter != 1_000 else b"lost"
            versions = versions_of(7, counter, stamp_ms=START + next_write)
            lab.maps[N1].merge([(name, encode(versions))])
            if counter != 1_000:
                late.append((next_write + 20, name, versions))
            next_write += 10
        while late and late[0][0] <= lab.now:
            _, name, versions = late.pop(0)
            lab.maps[N2].merge([(name, encode(versions))])
        if min(at for at in (lab.exchangers[N1].wake_at, next_write) if at is not None) < next_write or lab.wire:
            lab.one()
        else:
            lab.now = next_write
    told = lab.exchangers[N1].counts
    assert told.exchanges > 10
    assert (told.pushed, told.pulled, told.false_repairs) == (1, 0, 0)


def test_trees_of_different_depth_do_not_fit() -> None:
    lab = filled(10)
    lab.maps[N2].tree = Tree(12)
    (outcome,) = lab.demand()
    assert outcome.failed == "n2 makes no sense: its tree has 12 bits, ours has 10"


def test_a_tree_that_was_told_wrong_is_noticed() -> None:
    lab = filled(10)
    lab.maps[N2].tree.change(17, 0, 5)
    (outcome,) = lab.demand()
    assert (outcome.leaves, outcome.differing, outcome.phantom) == (1, 0, 1)


def hot(lab: Lab) -> Callable[[], None]:
    """A key that is another at each look, on n1 alone."""
    counter = 1_000

    def written() -> None:
        nonlocal counter
        counter += 1
        lab.maps[N1].merge([(b"hot", encode(versions_of(9, counter)))])

    return written


def test_a_leaf_that_changes_all_the_time_is_listed_now_and_then() -> None:
    """Not as a rule, for it differs by what is under way; but each eighth time, for it may hide an old difference."""
    lab = filled(100, interval_ms=2_000)
    write = hot(lab)
    while not lab.outcomes or lab.outcomes[-1][1].pushed == 0:
        write()
        lab.one()
    told = [(outcome.skipped, outcome.pushed) for _, outcome in lab.outcomes]
    assert told == [(1, 0)] * (lab.settings.thorough_every - 1) + [(0, 1)]


# ── how much at once ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_messages_are_as_long_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "NAMED_LEAVES_MAX", 3)
    lab = filled(0, page_keys=50, pull_keys=20, batch_bytes=500, hashes_max=256)
    lab.fill([N1], {b"a%d" % i: versions_of(2, i + 1) for i in range(100)})
    lab.fill([N2], {b"b%d" % i: versions_of(3, i + 1) for i in range(100)})
    lab.demand()
    assert lab.is_converged
    repairs = [sum(len(record) for _, record in each.records) for each in lab.said if isinstance(each, Repair)]
    assert len(repairs) > 3 and max(repairs) <= 500
    assert max(sum(map(len, each.records)) for each in lab.said if isinstance(each, Pulled)) <= 500
    assert max(len(each.hashes) for each in lab.said if isinstance(each, HashesFetched)) <= 256
    listings = [place for place, each in enumerate(lab.said) if isinstance(each, ListLeaves)]
    pulls = [place for place, each in enumerate(lab.said) if isinstance(each, Pull)]
    assert pulls[0] < listings[-1], "mended before everything is listed"
    named = [each.leaves for each in lab.said if isinstance(each, ListLeaves)]
    assert named == [[]] * len(listings), "all leaves, for so many need not be named"


def test_few_leaves_are_named() -> None:
    lab = filled(100)
    lab.fill([N2], {b"new": versions_of(3, 1)})
    lab.demand()
    assert [each.leaves for each in lab.said if isinstance(each, ListLeaves)] == [
        [lab.maps[N1].tree.leaf_of(key_hash(b"new"))]
    ]


# ── false repairs ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("late", "where", "kind"), [(N2, N1, Repair), (N1, N2, Pull)])
def test_what_arrives_while_it_is_being_repaired_is_a_false_repair(
    late: NodeId, where: NodeId, kind: type[Repair] | type[Pull]
) -> None:
    """An old record comes by another way between the question and the answer."""
    lab = filled(100)
    lab.fill([where], {b"news": versions_of(3, 1)})
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    while not lab.outcomes:
        if lab.wire and isinstance(lab.wire[-1][-1], kind) and b"news" not in lab.maps[late].records:
            if kind is Pull:  # answered, and then it arrives
                lab.one()
            lab.fill([late], {b"news": versions_of(3, 1)})
        lab.one()
    told = lab.exchangers[N1].counts
    assert (told.false_repairs, told.pulled, told.pushed) == (1, 0, 0)


def test_who_recovers_waits_for_nothing() -> None:
    lab = filled(100)
    lab.maps[N1].recovering = True
    write = hot(lab)
    lab.fill([N2], {b"young": versions_of(3, 1, stamp_ms=START)})
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    while not lab.outcomes:
        write()
        lab.one()
    assert lab.now < lab.settings.settle_ms
    assert lab.outcomes[0][1].complete
    assert lab.maps[N1].record(b"young")


def test_the_examples() -> None:
    assert doctest.testmod(comparing).failed == 0
