"""The vocabulary of faults: what can be done to a cluster, simulated or real. Frozen words, no behaviour.

A fault that lasts is taken back by its counterpart (Crash by Restart, Pause by Resume, …) or, all at once, by Heal.
"""

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from kvstore.core.ids import GroupId, NodeId
from kvstore.sim.scheduler import Micros

Link = tuple[NodeId, NodeId]
"""From whom to whom: links are cut one way at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFaults:
    """The weather on every link. Delays are drawn evenly between the two bounds, or up to `slow_us_max` for a few."""

    delay_us_min: Micros = 100
    delay_us_max: Micros = 1_000
    slow_per_mille: int = 0
    slow_us_max: Micros = 0
    loss_per_mille: int = 0
    repeat_per_mille: int = 0
    repeat_us_max: Micros = 500_000
    """A repeated frame comes up to so much later."""
    corrupt_per_mille: int = 0
    reset_per_mille: int = 0
    """The connection breaks with this frame: it is lost, and the receiver hears that its peer may be gone."""
    in_order: bool = True
    """Whether the frames of one link keep their order, as in one TCP connection."""


@dataclass(frozen=True, slots=True)
class Weather:
    """From now on the network is like that."""

    network: NetworkFaults


@dataclass(frozen=True, slots=True)
class Partition:
    """Nothing passes these links. `holds`: it is delivered after the cut, as TCP does, instead of lost."""

    shape: str
    links: tuple[Link, ...]
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Mend:
    """Take a partition back."""

    partition: Partition


@dataclass(frozen=True, slots=True)
class Crash:
    """The machines lose power. `torn`: a drawn part of the unsynced writes survives, otherwise none.

    `in_step`: it happens in the middle of carrying out the next step: some of its effects are done, the others never.
    """

    nodes: tuple[NodeId, ...]
    torn: bool = True
    in_step: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """The process is asked to end (SIGTERM): it takes no new requests, hands its leaderships over, and ends."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Restart:
    """Start a node on the machines again, where none runs."""

    nodes: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """The process is stopped (SIGSTOP); frames queue up, clocks run on. `in_step`: in the middle of its next step."""

    node: NodeId
    in_step: bool = False


@dataclass(frozen=True, slots=True)
class Resume:
    """The process goes on as if nothing had happened."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """Each fsync takes a time between these."""

    node: NodeId
    fsync_us_min: Micros
    fsync_us_max: Micros


@dataclass(frozen=True, slots=True)
class ClockJump:
    """The wall clock jumps; back if negative."""

    node: NodeId
    by_ms: int


@dataclass(frozen=True, slots=True)
class ClockDrift:
    """The monotonic clock runs at this rate: microseconds it advances in a true second."""

    node: NodeId
    rate: int


@dataclass(frozen=True, slots=True)
class WipeDisk:
    """The machine loses power and its disk. It comes back empty, as another incarnation."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class BitRot:
    """One bit of one row at rest flips, in a table drawn from these (letters of `kvstore/storage/keys.py`)."""

    node: NodeId
    tables: bytes


@dataclass(frozen=True, slots=True)
class LeaderTransfer:
    """Not a fault but a nuisance: a group's leader is told to hand over; to nobody in particular if `to` is empty."""

    group: GroupId
    to: str = ""


@dataclass(frozen=True, slots=True)
class Heal:
    """Everything that can be taken back is: links, weather, disks, clocks; all nodes run.

    Who was about to end does so, and starts again.
    """


Fault = (
    Weather
    | Partition
    | Mend
    | Crash
    | Stop
    | Restart
    | Pause
    | Resume
    | SlowDisk
    | ClockJump
    | ClockDrift
    | WipeDisk
    | BitRot
    | LeaderTransfer
    | Heal
)


# --- shapes of partitions ---------------------------------------------------------------------------------------------


def between(some: list[NodeId], others: list[NodeId]) -> tuple[Link, ...]:
    """Every link between the two sides, both ways."""
    return tuple(link for a in some for b in others if a != b for link in ((a, b), (b, a)))


def halves(nodes: list[NodeId], rng: Random, holds: bool = False) -> Partition:
    """Two sides of any size that do not hear each other."""
    mixed = rng.sample(nodes, len(nodes))
    cut = rng.randint(1, len(nodes) - 1)
    return Partition("halves", between(mixed[:cut], mixed[cut:]), holds)


def one_way(nodes: list[NodeId], rng: Random, holds: bool = False) -> Partition:
    """One node is heard but hears nobody, or hears everybody and is not heard."""
    (victim, *rest) = rng.sample(nodes, len(nodes))
    links = [(victim, other) for other in rest]
    return Partition("one-way", tuple(links if rng.random() < 0.5 else [(b, a) for a, b in links]), holds)


def bridge(nodes: list[NodeId], rng: Random, holds: bool = False) -> Partition:
    """Two sides that do not hear each other, and one node that hears both."""
    (_, *rest) = rng.sample(nodes, len(nodes))
    middle = len(rest) // 2
    return Partition("bridge", between(rest[:middle], rest[middle:]), holds)


def majority_ring(nodes: list[NodeId], rng: Random, holds: bool = False) -> Partition:
    """Everybody hears a majority, and no two the same one: each hears only its next neighbours on a ring."""
    mixed = rng.sample(nodes, len(nodes))
    reach = (len(nodes) // 2 + 1) // 2  # neighbours on each side that make a majority with oneself
    cut = [
        (a, b)
        for i, a in enumerate(mixed)
        for j, b in enumerate(mixed)
        if reach < min((i - j) % len(mixed), (j - i) % len(mixed))
    ]
    return Partition("majority-ring", tuple(cut), holds)


def isolated(victim: NodeId, nodes: list[NodeId], holds: bool = False) -> Partition:
    """One node hears nobody and is heard by nobody."""
    return Partition("isolated", between([victim], [node for node in nodes if node != victim]), holds)


def chain(nodes: list[NodeId], rng: Random, holds: bool = False) -> Partition:
    """Everybody hears only the one before and the one after."""
    mixed = rng.sample(nodes, len(nodes))
    kept = {link for a, b in pairwise(mixed) for link in ((a, b), (b, a))}
    cut = tuple((a, b) for a in mixed for b in mixed if a != b and (a, b) not in kept)
    return Partition("chain", cut, holds)
