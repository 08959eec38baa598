"""Sloppy quorums: whom a coordinator asks to keep hints, what counts, and what happens when they cannot."""

import pytest

from kvstore.core.commands import Command, Kind
from kvstore.core.errors import KvError, QuorumNotMet, QuorumUnreachable
from kvstore.core.ids import Millis, NodeId
from kvstore.replication.leaderless.effects import Refused, WriteAsked, WritesAsked
from kvstore.replication.leaderless.messages import NotStored, Store
from kvstore.replication.leaderless.standing_in import stand_ins_of
from tests.replication.leaderless.quorum_lab import Lab

N1, N2, N3, N4, N5 = (NodeId(f"n{i}") for i in range(1, 6))


def five(**more: object) -> Lab:
    """n1 to n3 are the replicas, n4 and n5 have none."""
    return Lab(3, guests=2, **more)  # type: ignore[arg-type]


def stores(lab: Lab) -> list[tuple[NodeId, NodeId]]:
    """Who is asked to keep what for whom."""
    return [(to, message.owner) for _, to, message in lab.wire if isinstance(message, Store)]


def error_of(lab: Lab, handle: int) -> KvError:
    answer = lab.answers[handle]
    assert isinstance(answer, Refused), answer
    return answer.error


def test_the_order_begins_after_the_last_replica() -> None:
    nodes = [N5, N1, N3, N2, N4]
    assert stand_ins_of(nodes, [N1, N2, N3]) == (N4, N5)
    assert stand_ins_of(nodes, [N2, N3, N4]) == (N5, N1)
    assert stand_ins_of(nodes, [N4, N5, N1]) == (N2, N3)
    assert stand_ins_of(nodes, [N1, N2, N3, N4, N5]) == ()


def test_each_missing_replica_has_one_stand_in_and_nobody_two() -> None:
    lab = five()
    lab.crash(N2)
    lab.crash(N3)
    handle = lab.write(N1, b"k", b"v", needed=3, sloppy=True)
    assert stores(lab) == [(N4, N2), (N5, N3)]
    lab.settle()
    wrote = lab.wrote(handle)
    assert wrote.on_disk == 3 and wrote.sloppy
    assert lab.guests[N4].count(N2) == lab.guests[N5].count(N3) == 1


def test_replicas_that_are_enough_are_not_sloppy() -> None:
    lab = five()
    lab.crash(N3)
    handle = lab.write(N1, b"k", b"v", needed=2, sloppy=True)
    assert stores(lab) == [(N2, ""), (N4, N3)]
    lab.deliver(0)
    lab.sync(N1)
    lab.sync(N2)
    lab.deliver(1)
    assert not lab.wrote(handle).sloppy
    lab.settle()
    assert lab.guests[N4].count(N3) == 1, "the hint is kept all the same"


@pytest.mark.parametrize("needed", [2, 3])
def test_a_strict_write_never_counts_a_stand_in(needed: int) -> None:
    lab = five()
    lab.crash(N2)
    lab.crash(N3)
    refused = lab.write(N1, b"k", b"v", needed=needed)
    error = error_of(lab, refused)
    assert isinstance(error, QuorumUnreachable) and error.definite
    assert not lab.wire, "nobody was asked"


def test_a_strict_write_under_way_does_not_count_hints_for_those_that_die() -> None:
    lab = five()
    handle = lab.write(N1, b"k", b"v", needed=2)
    lab.crash(N2)
    lab.crash(N3)
    lab.settle()
    error = error_of(lab, handle)
    assert isinstance(error, QuorumNotMet) and not error.definite
    assert not any(guest.count(owner) for guest in lab.guests.values() for owner in lab.names)
    assert lab.replicas[N1].hints.count(N2) == lab.replicas[N1].hints.count(N3) == 1


def test_a_strict_write_that_travels_with_a_sloppy_one_counts_replicas_only() -> None:
    lab = five()
    strict, sloppy = (
        WriteAsked(handle, 7, [Command(handle, Kind.PUT.value, b"k%d" % handle, b"v")], 2, Millis(9_000), handle == 92)
        for handle in (91, 92)
    )
    lab.hear(N1, WritesAsked([strict, sloppy]))
    lab.sync(N1)
    lab.crash(N2)
    lab.crash(N3)
    lab.settle()
    assert lab.wrote(92).sloppy and lab.wrote(92).on_disk == 2
    error = error_of(lab, 91)
    assert isinstance(error, QuorumNotMet) and (error.facts["got"], error.facts["replicas"]) == (1, "n1")


def test_a_sloppy_write_under_way_finds_stand_ins_for_those_that_die() -> None:
    lab = five()
    handle = lab.write(N1, b"k", b"v", needed=2, sloppy=True)
    lab.crash(N2)
    lab.crash(N3)
    lab.settle()
    assert lab.wrote(handle).sloppy and lab.wrote(handle).on_disk >= 2


def test_another_one_stands_in_for_a_stand_in_that_dies() -> None:
    lab = five()
    lab.crash(N2)
    lab.crash(N3)
    lab.crash(N5)
    handle = lab.write(N1, b"k", b"v", needed=2, sloppy=True)
    assert stores(lab) == [(N4, N2)]
    lab.start(N5)
    lab.crash(N4)
    assert (N5, N2) in stores(lab)
    lab.settle()
    assert lab.wrote(handle).sloppy and lab.guests[N5].count(N2) == 1


def test_with_too_few_nodes_left_it_is_said_who_is_there() -> None:
    lab = five()
    for name in (N2, N3, N4):
        lab.crash(name)
    error = error_of(lab, lab.write(N1, b"k", b"v", needed=3, sloppy=True))
    assert isinstance(error, QuorumUnreachable) and error.definite
    assert error.facts["got"] == 2 and "n5" in str(error)


def test_a_lost_hint_is_sent_again() -> None:
    lab = five()
    lab.crash(N2)
    lab.crash(N3)
    handle = lab.write(N1, b"k", b"v", sloppy=True)
    lab.drop(to=N4)
    lab.drop(to=N5)
    lab.run(500)
    assert lab.wrote(handle).sloppy


def test_a_full_stand_in_refuses_and_another_one_is_asked() -> None:
    lab = five(guest_hints_max=1)
    lab.crash(N3)
    lab.write(N1, b"a", b"v", needed=3, sloppy=True)
    lab.settle()
    second = lab.write(N1, b"b", b"v", needed=3, sloppy=True)
    lab.settle()
    assert lab.wrote(second).sloppy and lab.guests[N5].count(N3) == 1
    assert lab.replicas[N1].hints.refused == 1
    third = lab.write(N1, b"c", b"v", needed=2, sloppy=True)
    lab.settle()
    assert not lab.wrote(third).sloppy, "a write that has its quorum succeeds, whatever becomes of the hint"
    fourth = lab.write(N1, b"d", b"v", needed=3, sloppy=True)
    lab.settle()
    assert isinstance(error_of(lab, fourth), QuorumNotMet)


def test_a_replica_keeps_no_hints_for_others_and_says_why() -> None:
    lab = five()
    lab.write(N1, b"k", b"v")
    (store,) = [message for _, to, message in lab.wire if to == N2 and isinstance(message, Store)]
    lab.wire = [(N1, N2, Store(store.id + 1, store.records, N3))]
    lab.deliver()
    (refusal,) = [message for _, _, message in lab.wire if isinstance(message, NotStored)]
    assert refusal.id == store.id + 1 and "n2 is a replica of these keys itself" in refusal.why
    assert lab.replicas[N2].hints.refused == 1
    assert not lab.tables[N2].rows


def test_hints_are_returned_by_whoever_keeps_them() -> None:
    """Also when the coordinator that had them in mind is gone."""
    lab = five()
    lab.crash(N3)
    for number in range(30):
        lab.write(N1, b"k%d" % number, b"v", needed=3, sloppy=True)
    lab.settle()
    lab.crash(N1)
    lab.crash(N2)
    lab.start(N3)
    lab.run(500)
    assert len(lab.tables[N3].rows) == 30
    assert lab.tables[N3].rows == lab.tables[N1].rows
    assert lab.guests[N4].count(N3) == 0 and lab.guests[N4].is_done
