"""The nemesis: does to a cluster what its day says, and takes it back, over and over.

It knows mercy with disks (`mercy.py`); everything else may happen at any time, to any number of nodes.
"""

from collections.abc import Callable
from random import Random

from chaos.mercy import Mercy
from chaos.plots import Plotter
from chaos.simulating.day import Day
from chaos.simulating.news import News
from chaos.simulating.watch import Watch
from kvstore.core.ids import METADATA_GROUP, GroupId, NodeId
from kvstore.sim import faults as words
from kvstore.sim.cluster import SimCluster
from kvstore.sim.scheduler import MILLI, SECOND, Micros

Undo = Callable[[], None]

BOREDOM = 2 * SECOND
"""An ambush is given up if nobody comes for so long."""

NEWS = (
    "a role changes",
    "an answer leaves",
    "a ballot is written",
    "a ballot is written",
    "a place is written",
    "a flush ends",
    "an entry is written",
)
"""What an ambush may wait for; `chaos/simulating/news.py` tells."""


class Nemesis:
    """One per universe. `begin` starts it, `rest` ends it; what still lasts then is for Heal to take back."""

    def __init__(self, cluster: SimCluster, day: Day, watch: Watch, churn: Callable[[], None]) -> None:
        self._cluster, self._day, self._watch, self._churn = cluster, day, watch, churn
        self._rng: Random = cluster.dice.stream("faults")
        self._lasting = 0
        self._resting = True
        self._mercy = Mercy(cluster)
        self._plotter = Plotter(cluster, day, watch.grapevine, self._mercy)
        self._bored_at: Micros = 0
        self._lying_in_wait = 0

    def begin(self) -> None:
        self._resting = False
        if self._day.kinds:
            self._wait()

    def rest(self) -> None:
        self._resting = True
        self._watch.grapevine.forget_all()
        self._plotter.rest()

    def _wait(self) -> None:
        gap = self._rng.expovariate(1 / self._day.gap_ms)
        self._cluster.scheduler.after(int(gap * MILLI), "nemesis", "strikes", self._strike)

    def _strike(self) -> None:
        if self._resting:
            return
        if self._lasting < self._day.at_once:
            undo = self._do(self._rng.choice(self._day.kinds))
            if undo is not None:
                self._lasting += 1
                lasting = self._rng.expovariate(1 / self._day.lasting_ms)
                self._cluster.scheduler.after(int(lasting * MILLI), "nemesis", "relents", self._relent, undo)
        self._wait()

    def _relent(self, undo: Undo) -> None:
        if not self._resting:
            self._lasting -= 1
            undo()

    # --- what it does -------------------------------------------------------------------------------------------------

    def _do(self, kind: str) -> Undo | None:
        """Begin a fault; returns how to take it back, or None if there is nothing to take back."""
        inject, rng = self._cluster.inject, self._rng
        match kind:
            case "partition":
                return self._partition(self._some_partition())
            case "isolate leader":
                return self._partition(words.isolated(self._victim(1.0), self._cluster.names, rng.random() < 0.3))
            case "crash" | "crash in step":
                return self._crash(tuple(self._some(0.7)), in_step=kind == "crash in step")
            case "power cut":
                return self._crash(tuple(self._cluster.names), in_step=rng.random() < 0.3)
            case "pause" | "pause in step":
                node = self._victim(0.6)
                inject(words.Pause(node, in_step=kind == "pause in step"))
                return lambda: inject(words.Resume(node))
            case "slow disk":
                return self._slow_disk()
            case "clock jump":
                inject(words.ClockJump(self._victim(0.4), rng.choice((-1, 1)) * rng.choice((5, 500, 9_000, 60_000))))
            case "wipe":
                return self._wipe()
            case "rot":
                self._rot()
            case "stop":
                return self._stop()
            case "transfer":
                inject(words.LeaderTransfer(self._group(), rng.choice(("", *self._cluster.names))))
            case "storm":
                calm = self._day.cluster.network
                inject(words.Weather(self._day.storm))
                return lambda: inject(words.Weather(calm))
            case "churn":
                self._churn()
            case "ambush":
                self._lie_in_wait()
            case "plot":
                self._lasting += 1
                self._plotter.begin(rng.choice(self._day.plots), self._plot_is_over)
        return None

    def _plot_is_over(self) -> None:
        self._lasting -= 1

    # --- ambushes -----------------------------------------------------------------------------------------------------

    def _lie_in_wait(self) -> None:
        """Wait for a certain step of a node, the drawn-th from now, and strike before it is carried out."""
        if self._cluster.now < self._bored_at:
            return
        self._watch.grapevine.forget(self._lying_in_wait)
        self._bored_at = self._cluster.now + BOREDOM
        what = self._rng.choice(NEWS)
        left = self._rng.choice((1, 1, 2, 5, 20))

        def fits(news: News) -> bool:
            nonlocal left
            left -= news.what == what
            return news.what == what and left <= 0

        self._lying_in_wait = self._watch.grapevine.wait(fits, self._spring)

    def _spring(self, news: News) -> None:
        """The node is about to do what was waited for."""
        self._bored_at, node = 0, news.node
        inject, rng = self._cluster.inject, self._rng
        self._cluster.injected["Ambush"] += 1
        match rng.choice(("crash", "crash", "power cut", "isolate", "pause", "slow crash")):
            case "crash":
                undo = self._crash((node,), in_step=True)
            case "power cut":
                others = tuple(name for name in self._cluster.names if name != node)
                inject(words.Crash(others, torn=rng.random() < 0.5))
                undo = self._crash((node,), in_step=True)
                self._take_back_later(lambda: self._restart(others))
            case "isolate":
                undo = self._partition(words.isolated(node, self._cluster.names, rng.random() < 0.5))
            case "pause":
                inject(words.Pause(node, in_step=True))
                undo = lambda: inject(words.Resume(node))  # noqa: E731
            case _:
                undo = self._crash_before_the_disk(node)
        self._take_back_later(undo)

    def _crash_before_the_disk(self, node: NodeId) -> Undo:
        """Everything the step says leaves, but the disk is slow, and the power goes before it is done: everybody's."""
        cluster = self._cluster
        cluster.inject(words.SlowDisk(node, 500_000, 1_000_000))
        soon = self._rng.randint(1, 300) * MILLI
        victims = (node,) if self._rng.random() < 0.5 else tuple(cluster.names)
        crash = words.Crash(victims, torn=False)
        cluster.scheduler.after(soon, "nemesis", "strikes", lambda: None if self._resting else cluster.inject(crash))

        def undo() -> None:
            cluster.inject(words.SlowDisk(node, *self._day.cluster.fsync_us))
            self._restart(victims)

        return undo

    def _take_back_later(self, undo: Undo) -> None:
        lasting = self._rng.expovariate(1 / self._day.lasting_ms)
        act = lambda: None if self._resting else undo()  # noqa: E731
        self._cluster.scheduler.after(int(lasting * MILLI), "nemesis", "relents", act)

    def _partition(self, partition: words.Partition) -> Undo:
        self._cluster.inject(partition)
        return lambda: self._cluster.inject(words.Mend(partition))

    def _some_partition(self) -> words.Partition:
        shapes = (words.halves, words.halves, words.one_way, words.bridge, words.majority_ring, words.chain)
        shape = self._rng.choice(shapes)
        return shape(self._cluster.names, self._rng, self._rng.random() < 0.3)

    def _crash(self, nodes: tuple[NodeId, ...], in_step: bool) -> Undo:
        inject = self._cluster.inject
        inject(words.Crash(nodes, torn=self._rng.random() < 0.7, in_step=in_step))
        return lambda: self._restart(nodes)

    def _restart(self, nodes: tuple[NodeId, ...]) -> None:
        """All at once, or one after the other: who comes back first may know least."""
        inject = self._cluster.inject
        if len(nodes) < 2 or self._rng.random() < 0.4:
            inject(words.Restart(nodes))
            return
        first, *others = self._rng.sample(nodes, len(nodes))
        inject(words.Restart((first,)))
        for node in others:
            self._take_back_later(lambda node=node: inject(words.Restart((node,))))  # type: ignore[misc]

    def _slow_disk(self) -> Undo:
        node, inject = self._victim(0.6), self._cluster.inject
        low, high = self._rng.choice(((10_000, 50_000), (100_000, 500_000), (1_000_000, 4_000_000)))
        inject(words.SlowDisk(node, low, high))
        return lambda: inject(words.SlowDisk(node, *self._day.cluster.fsync_us))

    def _stop(self) -> Undo:
        """An orderly end, cut short if it lasts too long, and a start."""
        cluster, node = self._cluster, self._victim(0.6)
        cluster.inject(words.Stop(node))

        def undo() -> None:
            if cluster.machines[node].is_up:
                cluster.inject(words.Crash((node,), torn=self._rng.random() < 0.5))
            cluster.inject(words.Restart((node,)))

        return undo

    def _rot(self) -> None:
        cluster = self._cluster
        node = self._mercy.rotten or self._victim(0.3)
        if not self._mercy.lets_rot(node):
            return
        tables = self._rng.choice((b"v", b"v", b"h", b"o", b"m", b"l", b"b", b"g", b"vhomlbg"))
        for _ in range(self._rng.choice((1, 1, 5))):
            cluster.inject(words.BitRot(node, tables))

    def _wipe(self) -> Undo | None:
        """A machine gets a new disk."""
        cluster = self._cluster
        node = self._mercy.rotten or self._victim(0.4)
        if not self._mercy.lets_wipe(node):
            return None
        cluster.inject(words.WipeDisk(node))
        return lambda: cluster.inject(words.Restart((node,)))

    # --- to whom ------------------------------------------------------------------------------------------------------

    def _group(self) -> GroupId:
        ring = self._cluster.ring
        groups = [partition.group for keyspace in ring.keyspaces for partition in keyspace.partitions] if ring else []
        return self._rng.choice([METADATA_GROUP, *groups, *groups])

    def _victim(self, leader_share: float) -> NodeId:
        """A node; often the leader of some group."""
        leader = self._cluster.leader_of(self._group())
        if leader is not None and self._rng.random() < leader_share:
            return leader
        return self._rng.choice(self._cluster.names)

    def _some(self, one_share: float) -> list[NodeId]:
        """One node, or a few."""
        if self._rng.random() < one_share:
            return [self._victim(0.5)]
        names = self._cluster.names
        return self._rng.sample(names, self._rng.randint(1, len(names)))
