"""Sloppy quorums on whole nodes: five of them, three hold a replica, the others keep hints on their disks."""

import pytest

from kvstore.core.causality import UNKNOWN, Sibling, Versions, encode
from kvstore.core.ids import GroupId, NodeId
from kvstore.node.config import LeaderlessConfig
from kvstore.node.effects import FrameArrived
from kvstore.node.guest_host import GuestHost
from kvstore.node.requests import DropKeyspaceRequest, Failure, Sloppy, Told, Written
from kvstore.node.status import hints_status
from kvstore.replication.leaderless.messages import NotStored, Store
from kvstore.storage.group_places import load_place
from kvstore.storage.keys import log_range
from tests.node.test_quorum_host import Carts

RECORD = encode(Versions({5: 1}, (Sibling(5, 1, 1, b"v", 0, 0),)))


class Five(Carts):
    """Anti-entropy is too slow to do the work of hints here."""

    def __init__(self, *, guest_hints_max: int = 1_000, partitions: int = 1, **settings: object) -> None:
        self.leaderless = LeaderlessConfig(guest_hints_max=guest_hints_max)
        super().__init__(5, partitions, exchange_ms=3_600_000, **settings)
        place = self.nodes[self.names[0]].groups.place_of(self.group())
        self.a, self.b, self.c = place.partition.replicas
        self.others = [name for name in self.names if name not in place.partition.replicas]

    def guest(self, name: NodeId, key: bytes = b"k") -> GuestHost | None:
        return self.nodes[name].groups.guests.get(self.group(key))

    def kept(self, owner: NodeId, key: bytes = b"k") -> int:
        """Hints for a replica, on all nodes together."""
        guests = [self.guest(name, key) for name in self.nodes]
        return sum(guest.guest.count(owner) for guest in guests if guest is not None)

    def lose(self, *names: NodeId) -> None:
        for name in names:
            self.crash(name)
        self.run(2_000)


@pytest.mark.parametrize("sloppy", [{"sloppy": True}, {}])
def test_with_two_replicas_of_three_down_a_sloppy_write_has_its_quorum(sloppy: dict[str, bool]) -> None:
    five = Five(**sloppy)
    five.lose(five.b, five.c)
    more = {} if sloppy else {"sloppy": Sloppy.YES.value}
    receipt = five.write(five.a, b"k", b"v", **more).receipt
    assert receipt.sloppy and receipt.on_disk >= 2
    five.run(100)
    assert five.kept(five.b) == five.kept(five.c) == 1


def test_a_strict_write_is_refused_then_and_says_who_is_there() -> None:
    five = Five(sloppy=True)
    five.lose(five.b, five.c)
    failure = five.try_to_write(five.a, b"k", b"v", sloppy=Sloppy.NO.value)
    assert isinstance(failure, Failure) and failure.code == "QuorumUnreachable" and failure.definite
    assert f"2 replicas are needed, 1 ({five.a}) is up" in failure.message
    assert five.kept(five.b) == five.kept(five.c) == 0


def test_with_all_replicas_up_nothing_is_sloppy() -> None:
    five = Five(sloppy=True)
    assert not five.write(five.a, b"k", b"v").receipt.sloppy
    assert all(five.guest(name) is None for name in five.nodes)


def test_too_many_down_is_too_many_for_hints_too() -> None:
    five = Five(sloppy=True)
    five.lose(five.b, five.c, five.others[0])
    failure = five.try_to_write(five.a, b"k", b"v", write_quorum=3)
    assert isinstance(failure, Failure) and failure.code == "QuorumUnreachable"
    assert f"2 ({five.a} {five.others[1]}) are up" in failure.message


def test_hints_are_returned_and_nothing_of_the_guest_stays() -> None:
    """Even if the coordinator, with all that it had in mind, is gone."""
    five = Five(sloppy=True, partitions=1)
    five.lose(five.b, five.c)
    for number in range(40):
        five.write(five.a, b"k%d" % number, b"v")
    five.lose(five.a)
    five.start(five.b)
    five.start(five.c)
    five.run(4_000)
    records = [five.records(five.b, b"k%d" % number) for number in range(40)]
    assert all(records) and records == [five.records(five.c, b"k%d" % number) for number in range(40)]
    assert five.read(five.b, b"k7").values == [b"v"]
    assert all(five.guest(name) is None for name in five.others)
    for name in five.others:
        assert load_place(five.engines[name], five.group()) is None
        assert not list(five.engines[name].scan(*log_range(five.group())))
    assert sum(hints_status(five.nodes[name]).returned for name in five.others) == 80


def test_a_guest_that_restarts_has_its_hints() -> None:
    five = Five(sloppy=True)
    five.lose(five.b, five.c)
    for number in range(20):
        five.write(five.a, b"k%d" % number, b"v")
    five.run(100)
    for name in five.others:
        five.crash(name)
        five.start(name)
    five.lose(five.a)
    assert five.kept(five.b) == five.kept(five.c) == 20
    five.start(five.c)
    five.run(3_000)
    assert all(five.records(five.c, b"k%d" % number) for number in range(20))
    assert five.kept(five.c) == 0 and five.kept(five.b) == 20


def test_a_coordinator_that_starts_while_replicas_are_down_asks_stand_ins() -> None:
    """It has never heard the others, so that nobody told it that they went."""
    five = Five(sloppy=True)
    five.lose(five.a, five.b, five.c)
    five.start(five.a)
    five.run(3_000)
    assert five.write(five.a, b"k", b"v").receipt.sloppy


def test_a_full_guest_refuses_and_the_write_that_has_its_quorum_succeeds() -> None:
    five = Five(sloppy=True, guest_hints_max=3)
    five.lose(five.c)
    for number in range(10):
        assert isinstance(five.try_to_write(five.a, b"k%d" % number, b"v"), Written)
    five.run(300)
    assert five.kept(five.c) == 6, "three on each of two guests"
    told = [hints_status(five.nodes[name]) for name in five.others]
    assert [(each.kept, each.dropped) for each in told] == [({five.c: 3}, 7), ({five.c: 3}, 4)]
    assert hints_status(five.nodes[five.a]).waiting == {five.c: 10}
    more = five.try_to_write(five.a, b"more", b"v", write_quorum=3)
    assert isinstance(more, Failure) and more.code == "QuorumNotMet" and not more.definite


def test_hints_beyond_all_limits_are_found_by_anti_entropy() -> None:
    five = Five(sloppy=True, guest_hints_max=0)
    five.lose(five.c)
    five.write(five.a, b"k", b"v")
    assert five.kept(five.c) == 0
    five.start(five.c)
    five.run(20_000)
    assert five.records(five.c) == five.records(five.a) != b""


def test_a_full_disk_takes_no_hints_and_the_write_goes_on() -> None:
    five = Five(sloppy=True)
    five.lose(five.c)
    for name in five.others:
        five.engines[name].size_bytes_max = 1
    five.run(200)
    assert not five.write(five.a, b"k", b"v").receipt.sloppy
    assert five.kept(five.c) == 0 and hints_status(five.nodes[five.others[0]]).dropped == 1


def test_a_dropped_keyspace_drops_its_guests() -> None:
    five = Five(sloppy=True)
    five.lose(five.b, five.c)
    five.write(five.a, b"k", b"v")
    five.run(100)
    group = five.group()
    assert five.kept(five.b) == 1
    assert isinstance(five.answer(five.a, DropKeyspaceRequest("carts"), 5_000), Told)
    five.run(1_000)
    for name in five.others:
        assert five.nodes[name].groups.guests.get(group) is None
        assert load_place(five.engines[name], group) is None
        assert not list(five.engines[name].scan(*log_range(group)))
        assert hints_status(five.nodes[name]).kept == {}


def test_a_keyspace_dropped_while_the_guest_was_down_drops_it_too() -> None:
    five = Five(sloppy=True)
    five.lose(five.c)
    five.write(five.a, b"k", b"v")
    five.run(100)
    group = five.group()
    (guest,) = [name for name in five.others if five.guest(name) is not None]
    five.lose(guest)
    assert isinstance(five.answer(five.a, DropKeyspaceRequest("carts"), 5_000), Told)
    five.start(guest)
    five.run(3_000)
    assert five.nodes[guest].groups.guests.get(group) is None and load_place(five.engines[guest], group) is None


@pytest.mark.parametrize(
    ("to_others", "owner", "why"),
    [
        (True, "n9", "n9 is no replica of these keys: its replicas are "),
        (True, "other", "is no replica of these keys: its replicas are "),
        (False, "n9", "is a replica of these keys itself: it keeps no hints for n9"),
    ],
)
def test_hints_for_unknown_nodes_and_for_those_without_a_replica_are_refused(
    to_others: bool, owner: str, why: str
) -> None:
    five = Five()
    to = five.others[0] if to_others else five.b
    store = Store(5, [(b"k", RECORD)], five.others[1] if owner == "other" else NodeId(owner))
    refusal = refusal_of(five, to, five.group(), store)
    assert why in refusal.why
    assert hints_status(five.nodes[to]).refused == 1 and hints_status(five.nodes[to]).kept == {}
    assert five.read(five.a, b"k") == UNKNOWN


def test_hints_for_a_partition_that_nobody_knows_are_refused() -> None:
    five = Five()
    refusal = refusal_of(five, five.others[0], GroupId(4_000), Store(5, [(b"k", RECORD)], five.c))
    assert "knows no leaderless partition with group 4000" in refusal.why
    assert hints_status(five.nodes[five.others[0]]).refused == 1
    in_leader_mode = GroupId(five.group_of(b"k", "default"))
    outside = next(name for name in five.names if five.nodes[name].groups.get(in_leader_mode) is None)
    refusal = refusal_of(five, outside, in_leader_mode, Store(6, [(b"k", RECORD)], five.c))
    assert "no leaderless partition" in refusal.why


def refusal_of(five: Five, to: NodeId, group: GroupId, store: Store) -> NotStored:
    """What a node says to a hint that it should not take."""
    sender = five.a if to != five.a else five.b
    five.settle()
    frame = FrameArrived(sender, five.incarnations[sender], [(group, store)])
    five.step(to, [frame])
    said = [event for name, event in five.inbox if name == sender and isinstance(event, FrameArrived)]
    (refusal,) = [message for frame in said for _, message in frame.messages if isinstance(message, NotStored)]
    return refusal
