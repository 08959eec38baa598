"""Frames between machines: delayed, lost, repeated, overtaken, corrupted, or held up by a cut.

A frame is what one step of a node says to one peer. Usually it travels by reference; with `codec` on, and always when
it is to be corrupted, it goes through the bytes of `kvstore.wire`, whose checksum has to turn a flipped bit into loss.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import Incarnation, NodeId
from kvstore.node.effects import Addressed, FrameArrived, LinkLost
from kvstore.sim.dice import between, happens
from kvstore.sim.faults import Link, NetworkFaults, Partition
from kvstore.sim.scheduler import Micros, Scheduler
from kvstore.wire.frames import FrameReader, decode_messages, encode_frame

HELD_FRAMES_MAX = 200
"""What a cut link keeps for later: a socket buffer is finite."""


class Network:
    """All links. `deliver(to, what)` is called when a frame arrives, or the news that a connection broke."""

    def __init__(
        self,
        scheduler: Scheduler,
        rng: Random,
        faults: NetworkFaults,
        deliver: Callable[[NodeId, FrameArrived | LinkLost], None],
        *,
        codec: bool = False,
    ) -> None:
        self._scheduler, self._rng, self._deliver = scheduler, rng, deliver
        self.faults = faults
        self.codec = codec
        self.delay_of: Callable[[Sequence[Addressed]], Micros] | None = None
        """How long a frame with these messages takes, instead of what the weather says: for models of delays."""
        self.counts: Counter[str] = Counter()
        self._cuts: Counter[Link] = Counter()
        self._partitions: list[Partition] = []
        self._held: dict[Link, list[FrameArrived]] = {}
        self._latest: dict[Link, Micros] = {}

    # --- cuts ---------------------------------------------------------------------------------------------------------

    def cut(self, partition: Partition) -> None:
        self._partitions.append(partition)
        self._cuts.update(partition.links)

    def mend(self, partition: Partition) -> None:
        """Take one partition back. What the links held is sent on, unless another partition still cuts them."""
        if partition not in self._partitions:
            return
        self._partitions.remove(partition)
        self._cuts.subtract(partition.links)
        for link in partition.links:
            if not self.is_cut(*link):
                for frame in self._held.pop(link, ()):
                    self._post(link, frame)

    def mend_all(self) -> None:
        for partition in list(self._partitions):
            self.mend(partition)

    def is_cut(self, sender: NodeId, receiver: NodeId) -> bool:
        return self._cuts[sender, receiver] > 0

    def _holds(self, link: Link) -> bool:
        return all(partition.holds for partition in self._partitions if link in partition.links)

    # --- frames -------------------------------------------------------------------------------------------------------

    def send(self, sender: NodeId, incarnation: Incarnation, to: NodeId, messages: list[Addressed]) -> None:
        """Let a frame try its luck."""
        self.counts["sent"] += 1
        frame = FrameArrived(sender, incarnation, messages)
        if self.is_cut(sender, to):
            self._stop((sender, to), frame)
            return
        faults, rng = self.faults, self._rng
        if happens(rng, faults.loss_per_mille):
            self.counts["lost"] += 1
            return
        if happens(rng, faults.reset_per_mille):
            self.reset(sender, to)
            return
        if happens(rng, faults.corrupt_per_mille):
            self._send_corrupted((sender, to), frame)
            return
        if self.codec:
            frame = FrameArrived(sender, incarnation, _decoded(encode_frame(messages)))
        self._post((sender, to), frame)
        if happens(rng, faults.repeat_per_mille):
            self.counts["repeated"] += 1
            later = rng.randint(0, faults.repeat_us_max)
            self._scheduler.after(later, to, f"repeated from {sender}", self._arrive, (sender, to), frame)

    def _stop(self, link: Link, frame: FrameArrived) -> None:
        self.counts["cut"] += 1
        held = self._held.setdefault(link, [])
        if self._holds(link) and len(held) < HELD_FRAMES_MAX:
            held.append(frame)

    def _send_corrupted(self, link: Link, frame: FrameArrived) -> None:
        """One to three neighbouring bits of the frame's bytes are flipped. What still decodes is delivered as it is."""
        self.counts["corrupted"] += 1
        data = bytearray(encode_frame(list(frame.messages)))
        position = self._rng.randrange(len(data))
        data[position] ^= self._rng.choice((1, 2, 4, 8, 16, 32, 64, 128, 3, 7, 255))
        try:
            messages = _decoded(bytes(data))
        except MalformedFrame:
            self.reset(*link)
            return
        if messages:
            self.counts["accepted although corrupted"] += 1
            self._post(link, FrameArrived(frame.sender, frame.incarnation, messages))

    def reset(self, sender: NodeId, receiver: NodeId) -> None:
        """The connection on which the sender speaks to the receiver breaks; the receiver hears of it."""
        self.counts["reset"] += 1
        self._scheduler.after(self.delay(), receiver, f"link lost to {sender}", self._break, sender, receiver)

    def _break(self, sender: NodeId, receiver: NodeId) -> None:
        if not self.is_cut(sender, receiver):
            self._deliver(receiver, LinkLost(sender))

    def _post(self, link: Link, frame: FrameArrived) -> None:
        at = self._scheduler.now + (self.delay() if self.delay_of is None else self.delay_of(frame.messages))
        if self.faults.in_order:
            at = max(at, self._latest.get(link, 0))
            self._latest[link] = at
        self._scheduler.post(at, link[1], f"frame from {link[0]}", self._arrive, link, frame)

    def delay(self) -> Micros:
        """How long something takes under the present weather."""
        faults = self.faults
        if happens(self._rng, faults.slow_per_mille):
            return between(self._rng, faults.delay_us_max, max(faults.delay_us_max, faults.slow_us_max))
        return between(self._rng, faults.delay_us_min, faults.delay_us_max)

    def _arrive(self, link: Link, frame: FrameArrived) -> None:
        if self.is_cut(*link):
            self._stop(link, frame)
            return
        self._deliver(link[1], frame)


def _decoded(data: bytes) -> list[Addressed]:
    """The messages of a frame's bytes; none if a part is missing. Raises MalformedFrame."""
    return [message for frame in FrameReader().feed(data) for message in decode_messages(frame)]
