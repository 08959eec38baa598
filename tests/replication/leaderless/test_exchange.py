"""When replicas are compared, what silence and nonsense lead to, and that everybody converges."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.core.causality import encode
from kvstore.core.ids import Instant, Millis, NodeId
from kvstore.replication.leaderless.exchange import Exchanger, size_of
from kvstore.replication.leaderless.messages import (
    CompareTrees,
    FetchHashes,
    HashesFetched,
    LeavesListed,
    ListLeaves,
    Pull,
    Pulled,
    Repair,
    Repaired,
    TreesCompared,
)
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle
from tests.replication.leaderless.exchange_lab import N1, N2, N3, START, Lab, Map, filled, key, union, versions_of
from tests.wire.messages import LEADERLESS


@settings(max_examples=15)
@given(seed=st.integers(0, 1 << 30), count=st.integers(2, 5))
def test_everybody_converges_on_schedule(seed: int, count: int) -> None:
    lab = Lab(count, seed, loss=0.1, doubling=0.1, lateness=0.1, interval_ms=3_000, retry_ms=1_000)
    for position, name in enumerate(lab.names):
        lab.fill([name], {key(i): versions_of(position + 1, i + 1) for i in range(position, 100, 3)})
    known = union(lab)
    lab.run(120_000)
    assert lab.is_converged
    assert lab.maps[N1].records == known
    assert sum(each.counts.refused for each in lab.exchangers.values()) == 0


def test_without_loss_nothing_is_repaired_twice() -> None:
    """Five replicas on their schedules: exchanges do not overlap, so that nobody is sent what another just sent."""
    for seed in range(10):
        lab = Lab(5, seed, interval_ms=500)
        for position, name in enumerate(lab.names):
            lab.fill([name], {key(i): versions_of(position + 1, i + 1) for i in range(position, 200, 4)})
        lab.run(60_000)
        assert lab.is_converged
        assert sum(each.counts.false_repairs for each in lab.exchangers.values()) == 0


def test_who_lost_its_disk_knows_when_it_has_everything() -> None:
    lab = filled(300, count=3, interval_ms=10_000_000)
    lab.fill([N1], {b"young": versions_of(2, 1, stamp_ms=START + 10_000)})
    wiped = Map()
    wiped.recovering = True
    lab.maps[N3] = wiped
    lab.exchangers[N3] = lab._made(N3)
    lab.now = 5_000
    exchanger = lab.exchangers[N3]
    lab.carry_out(N3, exchanger.recover(lab.instant))
    while not exchanger.has_synced(Millis(5_000)):
        lab.one()
    assert lab.maps[N3].records == lab.maps[N1].records
    assert set(exchanger.synced) == {N1, N2}
    assert lab.now < 30_000


def test_matching_another_that_recovers_proves_nothing() -> None:
    lab = filled(0)
    lab.maps[N1].recovering = lab.maps[N2].recovering = True
    (outcome,) = lab.demand()
    assert outcome.peer_recovering
    assert not lab.exchangers[N1].has_synced(Millis(0))


def test_a_check_is_no_sync_but_an_equal_pair_is() -> None:
    lab = filled(10)
    lab.demand(check=True)
    assert not lab.exchangers[N1].has_synced(Millis(0))
    lab.demand()
    assert lab.exchangers[N1].has_synced(Millis(0))
    assert not lab.exchangers[N1].has_synced(Millis(lab.now + 1))


def test_a_question_is_repeated_and_then_given_up() -> None:
    lab = filled(10, loss=1.0)
    (outcome,) = lab.demand()
    assert outcome.failed == "n2 does not answer"
    assert lab.sent == lab.settings.tries_max
    assert lab.now == lab.settings.tries_max * lab.settings.timeout_ms
    assert lab.exchangers[N1].counts.given_up == 1
    lab.loss = 0
    lab.run(lab.settings.retry_ms * 2)
    assert lab.exchangers[N1].counts.exchanges == 1


def test_a_peer_that_is_down_is_not_asked() -> None:
    lab = filled(10)
    exchanger = lab.exchangers[N1]
    lab.carry_out(N1, exchanger.peer_down(lab.instant, N2))
    assert exchanger.wake_at is None
    (outcome,) = lab.demand()
    assert outcome.failed == "n2 is down"
    lab.carry_out(N1, exchanger.peer_up(lab.instant, N2))
    lab.run(lab.settings.after_up_ms * 2)
    assert exchanger.counts.exchanges == 1


def test_going_down_ends_what_is_under_way() -> None:
    lab = filled(10)
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 5))
    lab.carry_out(N1, lab.exchangers[N1].peer_down(lab.instant, N2))
    assert [(o.ticket, o.failed) for _, o in lab.outcomes] == [(5, "n2 is down")]


def test_one_exchange_at_a_time() -> None:
    lab = filled(10, count=3)
    for position, name in enumerate(lab.names):
        lab.fill([name], {b"own": versions_of(5 + position, 1)})
    for name in (N1, N2, N3):
        lab.carry_out(name, lab.exchangers[name].demand(lab.instant, 1))
    lab.run(30_000)
    assert lab.is_converged
    assert [o.failed for _, o in lab.outcomes if o.ticket] == [""] * 6
    assert sum(each.counts.false_repairs for each in lab.exchangers.values()) == 0


def test_strangers_are_not_answered() -> None:
    lab = filled(10)
    assert lab.exchangers[N2].hear(lab.instant, NodeId("n9"), CompareTrees(1, 10, 0)).send == []


BAD_ANSWERS = [
    (1, TreesCompared(0, 10, hashes=[1, 2]), "2 hashes for 256 nodes"),
    (1, Repaired(0, 0), ""),
    (2, HashesFetched(0, [1]), "1 hashes for"),
    (4, LeavesListed(0, [], [], b""), ""),
    (5, Pulled(0, []), "0 records for 1 keys"),
    (5, Pulled(0, [b"x"] * 3), "3 records for 1 keys"),
    (5, Pulled(0, [b"no versions"]), "these are no versions of a key"),
    (6, Repaired(0, 9), "9 repaired by 2 records"),
]


@pytest.mark.parametrize(("nth", "bad", "failed"), BAD_ANSWERS)
def test_an_answer_that_makes_no_sense_harms_nobody(
    nth: int, bad: TreesCompared | HashesFetched | Pulled, failed: str
) -> None:
    """The nth answer is replaced: the exchange fails or goes on, and the next one mends everything."""
    lab = filled(10)
    lab.fill([N1], {b"a": versions_of(2, 1), key(1): versions_of(2, 2)})
    lab.fill([N2], {key(1): versions_of(3, 2)})
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    answers = 0
    while not lab.outcomes:
        if lab.wire and lab.wire[0][2] == N2:
            answers += 1
            if answers == nth:
                at, number, sender, to, message = lab.wire.pop()
                forged = type(bad)(message.id, *[getattr(bad, f) for f in bad.__struct_fields__[1:]])
                lab.wire.append((at, number, sender, to, forged))
        lab.one()
    assert answers >= nth
    assert failed in lab.outcomes[0][1].failed and bool(failed) == bool(lab.outcomes[0][1].failed)
    lab.demand()
    assert lab.is_converged
    assert not lab.wire


def test_a_listing_that_does_not_go_on_is_not_waited_for() -> None:
    lab = filled(10, page_keys=3)
    lab.fill([N1], {b"a": versions_of(2, 1)})
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    while not lab.outcomes:
        if lab.wire and isinstance(lab.wire[0][4], LeavesListed):
            at, number, sender, to, message = lab.wire.pop()
            lab.wire.append((at, number, sender, to, LeavesListed(message.id, [], [], key(3))))
        lab.one()
    assert "a listing from" in lab.outcomes[0][1].failed


def test_only_who_was_asked_can_answer() -> None:
    lab = filled(10, count=3)
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    _, _, _, to, question = lab.wire.pop()
    assert to == N2
    lab.carry_out(N1, lab.exchangers[N1].hear(lab.instant, N3, TreesCompared(question.id, 10, equal=True)))
    assert lab.outcomes == []
    lab.carry_out(N1, lab.exchangers[N1].hear(lab.instant, N2, TreesCompared(question.id, 10, equal=True)))
    assert [outcome.peer for _, outcome in lab.outcomes] == [N2]


def test_a_demand_that_waits_ends_when_its_peer_goes_down() -> None:
    lab = filled(10, count=3)
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    lab.carry_out(N1, lab.exchangers[N1].peer_down(lab.instant, N3))
    assert [(outcome.peer, outcome.failed) for _, outcome in lab.outcomes] == [(N3, "n3 is down")]


def test_losing_the_disk_forgets_who_was_matched() -> None:
    lab = filled(10)
    lab.demand()
    assert lab.exchangers[N1].has_synced(Millis(0))
    lab.exchangers[N1].recover(lab.instant)
    assert not lab.exchangers[N1].has_synced(Millis(0))


def test_looking_at_keys_is_throttled_too() -> None:
    """A thousand keys are looked at for one that differs: as many as a hundred that are sent."""
    lab = filled(1_000, keys_per_s=100, page_keys=100)
    lab.fill([N2], {key(5): versions_of(2, 1)})
    lab.demand()
    assert 1_000 < lab.now < 2_500


def test_what_others_do_delays_a_question() -> None:
    """The throttle is that of all replicas of a node."""
    lab = filled(10)
    lab.exchangers[N1]._throttle.charge(Millis(0), 0, lab.settings.bytes_per_s * 7)
    lab.demand()
    assert 7_000 <= lab.now < 7_100


def test_an_answer_that_was_not_asked_for_is_ignored() -> None:
    lab = filled(10)
    for answer in (TreesCompared(7, 10), Pulled(7, [b"x"]), Repaired(7, 1), LeavesListed(7, [b"k"], [1], b"")):
        assert lab.exchangers[N1].hear(lab.instant, N2, answer).send == []


def test_a_repair_that_comes_twice_is_answered_twice_alike() -> None:
    lab = filled(10)
    repair = Repair(7, [(b"new", encode(versions_of(2, 1)))])
    answers = [lab.exchangers[N2].hear(lab.instant, N1, repair).send for _ in range(2)]
    assert answers == [[(N1, Repaired(7, 1))]] * 2


def test_the_throttle_stretches_an_exchange() -> None:
    times = []
    for keys_per_s in (100_000, 1_000):
        lab = filled(0, keys_per_s=keys_per_s, page_keys=100)
        lab.fill([N2], {key(i): versions_of(1, i + 1) for i in range(1_000)})
        lab.demand()
        assert lab.is_converged
        times.append(lab.now)
    assert times[0] < 1_000 < 1_400 < times[1] < 3_000


def test_bytes_are_throttled_too() -> None:
    lab = filled(0, bytes_per_s=10_000, settle_ms=0, batch_bytes=1_000)
    lab.fill([N2], {key(i): versions_of(1, i + 1, b"x" * 1_000) for i in range(50)})
    lab.demand()
    assert 5_000 < lab.now < 10_000


def test_exchanges_are_spread_and_repeated() -> None:
    lab = filled(10, interval_ms=1_000)
    lab.run(20_000)
    assert 15 <= lab.exchangers[N1].counts.exchanges <= 30
    assert lab.exchangers[N2].counts.exchanges == 0, "of a pair, the smaller name asks"


def test_an_exchanger_alone_has_nothing_to_do() -> None:
    settings_, now = ExchangeSettings(), Instant(Millis(0), Millis(0))
    alone = Exchanger(N1, [], Map(), settings_, Throttle(settings_), Random(0), now)
    assert alone.wake_at is None
    assert alone.demand(now, 1).finished == []
    assert alone.has_synced(Millis(0))


@given(st.one_of(LEADERLESS[kind] for kind in (CompareTrees, FetchHashes, ListLeaves, Pull, Repaired, Pulled)))
def test_sizes_grow_with_what_is_in_a_message(message: CompareTrees | FetchHashes | ListLeaves | Pull) -> None:
    assert size_of(message) >= 16


def test_it_tells_what_it_did() -> None:
    lab = filled(10)
    lab.fill([N2], {b"new": versions_of(2, 1)})
    lab.demand()
    assert str(lab.exchangers[N1]) == "1 exchanges, 0 equal, 1 pulled, 0 pushed, 0 false"


def test_a_tree_that_does_not_count_everything_yet_is_not_compared() -> None:
    lab = filled(10)
    lab.fill([N2], {b"new": versions_of(2, 1)})
    lab.maps[N1].is_whole = False
    assert lab.exchangers[N1].wake_at is None
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    assert lab.sent == 0
    lab.maps[N1].is_whole, lab.maps[N2].is_whole = True, False
    lab.run(5_000)
    assert lab.outcomes == []
    lab.maps[N2].is_whole = True
    lab.run(5_000)
    assert [outcome.ticket for _, outcome in lab.outcomes] == [1]
    assert lab.is_converged


@pytest.mark.parametrize("broken", [N1, N2])
def test_a_tree_that_is_made_anew_ends_what_is_under_way(broken: NodeId) -> None:
    lab = filled(10)
    lab.fill([N2], {b"new": versions_of(2, 1)})
    lab.carry_out(N1, lab.exchangers[N1].demand(lab.instant, 1))
    for _ in range(4):
        lab.one()
    assert lab.exchangers[N1].wake_at is not None
    lab.maps[broken].is_whole = False
    while not lab.outcomes:
        lab.one()
    assert [outcome.failed for _, outcome in lab.outcomes] == [
        "our own tree is being made anew" if broken == N1 else "n2 does not answer"
    ]
