"""A replica that has become slow is not asked while others are enough: nobody waits for it, nor until it is down."""

import pytest

from kvstore.core.ids import Instant, Millis, NodeId
from kvstore.node.effects import Addressed, FrameArrived
from kvstore.node.requests import PageFound, PageRequest, ReadRequest
from kvstore.node.status import node_status
from kvstore.placement.suspicion import SLOW
from kvstore.replication.leaderless.messages import Fetch, FetchPage
from tests.node.test_quorum_host import Carts


class Slowed(Carts):
    """One node can be made slow: what it says comes late."""

    def __init__(self, count: int = 3) -> None:
        self.slow: NodeId | None = None
        self.late: list[tuple[int, NodeId, FrameArrived]] = []
        self.asked: list[NodeId] = []
        """Who was asked what it knows."""
        super().__init__(count)
        self.run(2_000)

    def _send(self, name: NodeId, peer: NodeId, messages: list[Addressed]) -> None:
        self.asked += [peer for _, message in messages if isinstance(message, Fetch | FetchPage)]
        if name == self.slow:
            self.late.append((self.now + 500, peer, FrameArrived(name, self.incarnations[name], list(messages))))
        else:
            super()._send(name, peer, messages)

    def step(self, name: NodeId, events: list) -> None:  # type: ignore[type-arg]
        due = [each for each in self.late if each[0] <= self.now]
        self.late = [each for each in self.late if each[0] > self.now]
        self.inbox.extend((peer, frame) for _, peer, frame in due)
        super().step(name, events)

    def suspicion(self, at: NodeId, of: NodeId) -> float:
        return node_status(self.nodes[at], self.instant()).peers[of].suspicion


@pytest.mark.parametrize("slow", ["n2", "n3"])
def test_reads_are_routed_around_a_slow_node_before_it_is_declared_dead(slow: str) -> None:
    carts = Slowed()
    n1, slow_one = carts.names[0], NodeId(slow)
    carts.write(n1, b"k", b"v")
    carts.run(500)
    carts.slow = slow_one
    carts.run(400)
    assert carts.nodes[n1].liveness.is_up(slow_one), "nobody has given it up"
    assert carts.suspicion(n1, slow_one) >= SLOW > 1 > carts.suspicion(n1, other_than(n1, slow_one, carts))
    carts.asked.clear()
    before = carts.now
    for _ in range(3):
        assert carts.read(n1, b"k").values == [b"v"]
        assert isinstance(carts.answer(n1, PageRequest(carts.group(), b"")), PageFound)
    assert carts.now == before, "at once, by those that are not slow"
    assert set(carts.asked) == {other_than(n1, slow_one, carts)}


def other_than(one: NodeId, two: NodeId, carts: Slowed) -> NodeId:
    (other,) = [name for name in carts.names if name not in (one, two)]
    return other


def test_a_slow_node_is_asked_when_the_others_are_not_enough() -> None:
    carts = Slowed()
    n1, n2 = carts.names[0], carts.names[1]
    carts.write(n1, b"k", b"v")
    carts.run(500)
    carts.slow = n2
    carts.run(400)
    assert carts.read(n1, b"k", read_quorum=3).values == [b"v"]
    assert n2 in carts.asked


def test_a_node_that_is_quick_again_is_asked_as_before() -> None:
    carts = Slowed()
    n1, n2 = carts.names[0], carts.names[1]
    carts.slow = n2
    carts.run(400)
    carts.slow = None
    carts.run(1_000)
    assert carts.suspicion(n1, n2) < 1
    carts.asked.clear()
    carts.read(n1, b"k")
    assert carts.asked == [carts.nodes[n1].groups.quorum_host(carts.group()).replica.peers[0]]  # type: ignore[union-attr]


def test_requests_are_passed_on_to_a_replica_that_is_not_slow() -> None:
    carts = Slowed(4)
    replicas = carts.nodes[carts.names[0]].groups.place_of(carts.group()).partition.replicas
    (outside,) = [name for name in carts.names if name not in replicas]
    carts.write(replicas[0], b"k", b"v", write_quorum=3)
    carts.slow = replicas[0]
    carts.run(400)
    before = carts.now
    handle = carts.ask(outside, ReadRequest(carts.group(), [b"k"]))
    carts.settle()
    assert handle in carts.answers and carts.now == before


def test_nobody_is_suspected_while_all_is_well() -> None:
    carts = Slowed()
    for _ in range(20):
        carts.run(90)
        for name in carts.names:
            now = Instant(Millis(carts.now), Millis(carts.now))
            assert all(peer.suspicion < 1 for peer in node_status(carts.nodes[name], now).peers.values())
