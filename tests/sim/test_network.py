"""The simulated network does what its faults say, at the rates they say."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from kvstore.core.ids import Incarnation, Millis, NodeId
from kvstore.node.effects import NODE_LEVEL, Addressed, FrameArrived, LinkLost, Pulse
from kvstore.sim.faults import NetworkFaults, Partition
from kvstore.sim.network import HELD_FRAMES_MAX, Network
from kvstore.sim.scheduler import SECOND, Scheduler, Trace

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def pulse(number: int) -> list[Addressed]:
    return [(NODE_LEVEL, Pulse(Incarnation(1), number, Millis(0), True, Incarnation(0)))]


class Lab:
    """A network, and what arrived where, and when."""

    def __init__(self, faults: NetworkFaults, codec: bool = False) -> None:
        self.scheduler = Scheduler(Trace())
        self.network = Network(self.scheduler, Random(1), faults, self._deliver, codec=codec)
        self.arrived: list[tuple[int, NodeId, int]] = []
        self.lost_links: list[tuple[NodeId, NodeId]] = []

    def _deliver(self, to: NodeId, what: FrameArrived | LinkLost) -> None:
        if isinstance(what, LinkLost):
            self.lost_links.append((what.peer, to))
            return
        (_, message) = what.messages[0]
        assert isinstance(message, Pulse)
        self.arrived.append((self.scheduler.now, to, message.boot))

    def send(self, count: int, sender: NodeId = A, to: NodeId = B, first: int = 0) -> None:
        for number in range(first, first + count):
            self.network.send(sender, Incarnation(1), to, pulse(number))

    def run(self, seconds: int = 60) -> list[int]:
        self.scheduler.run_until(self.scheduler.now + seconds * SECOND)
        return [number for _, _, number in self.arrived]


def test_a_good_network_loses_nothing_and_keeps_the_order() -> None:
    lab = Lab(NetworkFaults(delay_us_min=100, delay_us_max=5_000))
    lab.send(500)
    assert lab.run() == list(range(500))
    assert all(100 <= at <= 5_000 for at, _, _ in lab.arrived)


@pytest.mark.parametrize("per_mille", [0, 50, 500, 1000])
def test_loss_rate(per_mille: int) -> None:
    lab = Lab(NetworkFaults(loss_per_mille=per_mille))
    lab.send(4_000)
    lost = 4_000 - len(lab.run())
    assert lost == lab.network.counts["lost"] == pytest.approx(4 * per_mille, abs=100 if 0 < per_mille < 1000 else 0)


def test_frames_overtake_each_other_if_they_may() -> None:
    lab = Lab(NetworkFaults(delay_us_max=10_000, in_order=False))
    lab.send(300)
    heard = lab.run()
    assert heard != sorted(heard)
    assert sorted(heard) == list(range(300))


def test_repeated_frames_come_again_later() -> None:
    lab = Lab(NetworkFaults(repeat_per_mille=200, repeat_us_max=2_000_000))
    lab.send(1_000)
    copies = Counter(lab.run())
    assert set(copies.values()) == {1, 2}
    assert sum(copies.values()) - 1_000 == lab.network.counts["repeated"] == pytest.approx(200, abs=60)


def test_few_frames_are_very_slow() -> None:
    lab = Lab(NetworkFaults(delay_us_max=1_000, slow_per_mille=100, slow_us_max=1_000_000, in_order=False))
    lab.send(1_000)
    lab.run()
    slow = [at for at, _, _ in lab.arrived if at > 1_000]
    assert len(slow) == pytest.approx(100, abs=40)
    assert max(slow) > 500_000


@pytest.mark.parametrize("codec", [False, True])
def test_a_flipped_bit_is_never_heard(codec: bool) -> None:
    lab = Lab(NetworkFaults(corrupt_per_mille=1000), codec)
    lab.send(3_000)
    assert lab.run() == []
    assert lab.network.counts["corrupted"] == 3_000
    assert set(lab.lost_links) == {(A, B)}, "a connection that garbles is ended"
    assert lab.network.counts["accepted although corrupted"] == 0


def test_a_flipped_bit_is_heard_if_nobody_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    from kvstore.wire import frames

    def crc32(data: Any) -> int:
        return 0

    monkeypatch.setattr(frames, "crc32", crc32)
    lab = Lab(NetworkFaults(corrupt_per_mille=1000))
    lab.send(3_000)
    assert lab.network.counts["accepted although corrupted"] > 0


def test_frames_survive_their_bytes() -> None:
    lab = Lab(NetworkFaults(), codec=True)
    lab.send(50)
    assert lab.run() == list(range(50))


def test_a_cut_link_loses_what_is_sent_and_what_is_on_its_way() -> None:
    lab = Lab(NetworkFaults(delay_us_min=1_000, delay_us_max=1_000))
    partition = Partition("test", ((A, B),))
    lab.send(1)
    lab.network.cut(partition)
    lab.send(1, first=1)
    lab.send(1, to=C, first=2)
    lab.send(1, sender=B, to=A, first=3)
    assert lab.run() == [2, 3]
    lab.network.mend(partition)
    lab.send(1, first=4)
    assert lab.run() == [2, 3, 4]


def test_a_cut_that_holds_delivers_later_and_not_without_end() -> None:
    lab = Lab(NetworkFaults())
    partition = Partition("test", ((A, B),), holds=True)
    lab.network.cut(partition)
    lab.send(HELD_FRAMES_MAX + 50)
    assert lab.run() == []
    lab.network.mend(partition)
    assert lab.run() == list(range(HELD_FRAMES_MAX))


def test_a_link_cut_twice_needs_mending_twice() -> None:
    lab = Lab(NetworkFaults())
    first, second = Partition("one", ((A, B),)), Partition("two", ((A, B), (A, C)))
    lab.network.cut(first)
    lab.network.cut(second)
    lab.network.mend(first)
    assert lab.network.is_cut(A, B)
    lab.network.mend(first)  # it is mended already
    assert lab.network.is_cut(A, B)
    lab.network.mend_all()
    assert not lab.network.is_cut(A, B)


def test_a_connection_that_breaks_loses_the_frame_and_is_heard_of() -> None:
    lab = Lab(NetworkFaults(reset_per_mille=100))
    lab.send(1_000)
    assert 1_000 - len(lab.run()) == len(lab.lost_links) == pytest.approx(100, abs=40)


def test_nobody_hears_of_a_broken_connection_through_a_cut() -> None:
    lab = Lab(NetworkFaults())
    lab.network.cut(Partition("test", ((A, B),)))
    lab.network.reset(A, B)
    lab.run()
    assert lab.lost_links == []
