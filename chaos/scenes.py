"""What a plot knows, waits for and can do. The plots themselves are in `plots.py`."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from random import Random

from chaos.mercy import Mercy
from chaos.simulating.day import Day
from chaos.simulating.news import News
from kvstore.core.commands import Command, Kind, batch_of, encode
from kvstore.core.ids import METADATA_GROUP, GroupId, NodeId
from kvstore.node.requests import Acks, ReadRequest, Request, WriteRequest
from kvstore.sim import faults as words
from kvstore.sim.cluster import SimCluster
from kvstore.sim.scheduler import MILLI, SECOND, Micros


@dataclass(frozen=True, slots=True)
class Cue:
    """What a plot waits for: the first news that `fits`, but no longer than its patience."""

    patience: Micros
    fits: Callable[[News], bool] | None = None


Act = Generator[Cue, News | None, None]


class Scene:
    """What one plot knows and can do."""

    def __init__(self, cluster: SimCluster, day: Day, mercy: Mercy, rng: Random) -> None:
        self.cluster, self.rng, self._mercy = cluster, rng, mercy
        self.inject = cluster.inject
        raft = day.cluster.raft
        self.beat: Micros = raft.heartbeat_ms * MILLI
        self.loyalty: Micros = raft.election_timeout_ms_min * MILLI
        self.journey: Micros = 2 * day.cluster.network.delay_us_max
        self.election: Micros = raft.election_timeout_ms_max * MILLI
        self.undo: list[Callable[[], None]] = []
        self.be_about(self._some_group())
        self._client, self._writes = rng.getrandbits(62), 0
        self._fsync_us = day.cluster.fsync_us

    def _some_group(self) -> GroupId:
        ring = self.cluster.ring
        groups = [partition.group for keyspace in ring.keyspaces for partition in keyspace.partitions] if ring else []
        if not groups or self.rng.random() < 0.1:
            return METADATA_GROUP
        return self.rng.choice(groups)

    def be_about(self, group: GroupId) -> None:
        """Play in this group."""
        place = self.cluster.ring.place_of(group) if self.cluster.ring is not None else None
        self.group, self._place = group, place
        self.voters = list(place.partition.replicas) if place is not None else self.cluster.names

    @property
    def leader(self) -> NodeId | None:
        """Who leads the plot's group."""
        return self.cluster.leader_of(self.group)

    def others(self, *nodes: NodeId) -> list[NodeId]:
        """All other voters, in any order."""
        rest = [name for name in self.voters if name not in nodes]
        return self.rng.sample(rest, len(rest))

    # --- cues ---------------------------------------------------------------------------------------------------------

    def after(self, low: float, high: float) -> Cue:
        """A time, in election timeouts."""
        return Cue(int(self.rng.uniform(low, high) * self.election))

    def when(self, what: str, patience: float, *, by: NodeId | None = None, not_by: NodeId | None = None) -> Cue:
        """News of the group, by one node, or by any but one; patience in election timeouts."""

        def fits(news: News) -> bool:
            if news.what != what or news.group != self.group or news.node == not_by:
                return False
            return by is None or news.node == by

        return Cue(int(patience * self.election), fits)

    # --- deeds --------------------------------------------------------------------------------------------------------

    def cut(self, partition: words.Partition) -> Callable[[], None]:
        """Cut links; returns how to mend them, which is done at the end in any case."""
        self.inject(partition)
        return self._once(words.Mend(partition))

    def _once(self, fault: words.Fault) -> Callable[[], None]:
        """To be done later, or at the end, and not twice."""
        done = False

        def do() -> None:
            nonlocal done
            if not done:
                done = True
                self.inject(fault)

        self.undo.append(do)
        return do

    def isolate(self, node: NodeId, holds: bool = False) -> Callable[[], None]:
        return self.cut(words.isolated(node, self.cluster.names, holds))

    def one_way(self, links: list[tuple[NodeId, NodeId]], holds: bool) -> Callable[[], None]:
        return self.cut(words.Partition("one-way", tuple(links), holds))

    def pause(self, node: NodeId) -> Callable[[], None]:
        self.inject(words.Pause(node))
        return self._once(words.Resume(node))

    def crash(self, *nodes: NodeId) -> Callable[[], None]:
        """What is not on disk is lost, mostly."""
        self.inject(words.Crash(nodes, torn=self.rng.random() < 0.2))
        return self._once(words.Restart(nodes))

    def wipe(self, node: NodeId) -> Callable[[], None] | None:
        """None if another disk is missed already."""
        if not self._mercy.lets_wipe(node):
            return None
        self.inject(words.WipeDisk(node))
        return self._once(words.Restart((node,)))

    def let_answers_repeat(self) -> None:
        """For the rest of the plot, many frames come twice."""
        calm = self.cluster.network.faults
        self.inject(words.Weather(replace(calm, repeat_per_mille=400, repeat_us_max=6 * self.beat)))
        self._once(words.Weather(calm))

    def let_disk_hang(self, node: NodeId) -> Callable[[], None]:
        self.inject(words.SlowDisk(node, 2 * self.election, 2 * self.election + SECOND))
        return self._once(words.SlowDisk(node, *self._fsync_us))

    # --- bystanders ---------------------------------------------------------------------------------------------------

    def bustle(self, old: NodeId, elections: float) -> Act:
        """For so long somebody writes to whoever leads now, and somebody beside the old leader reads there."""
        end = self.cluster.now + int(elections * self.election)
        while self.cluster.now < end:
            leader = self.leader
            if leader is not None and leader != old:
                self.write(leader)
            self.read(old)
            yield Cue(max(2 * MILLI, self.election // 50))

    def read(self, node: NodeId) -> None:
        self._ask(node, lambda key: ReadRequest(self.group, [key]))

    def write(self, node: NodeId) -> None:
        self._writes += 1
        command = self._writes

        def request(key: bytes) -> WriteRequest:
            batch = batch_of(self._client, 0, [Command(command, Kind.PUT, key, b"bystander")])
            return WriteRequest(self.group, encode(batch), Acks.MAJORITY)

        self._ask(node, request)

    def _ask(self, node: NodeId, request: Callable[[bytes], Request]) -> None:
        """A request for a key of the group, if it has any; whoever asks does not wait for the answer."""
        if self._place is None:
            return
        keyspace, number, _ = self._place
        key = next(key for key in _KEYS if keyspace.partition_of(key) == number)
        self.cluster.machines[node].ask(self.cluster.new_handle(), request(key), 1_000, lambda answer: None)


_KEYS = [f"bystander{number}".encode() for number in range(200)]
