"""SimCluster: machines, links and clocks in one heap, and the faults done to them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from kvstore.core.ids import GroupId, NodeId
from kvstore.node.config import (
    ClusterConfig,
    LeaderlessConfig,
    LimitsConfig,
    ListenConfig,
    MemberConfig,
    NodeConfig,
    RaftConfig,
    SelfConfig,
    StorageConfig,
)
from kvstore.node.effects import FrameArrived, LinkLost
from kvstore.node.requests import TransferRequest
from kvstore.placement.ring import Ring
from kvstore.sim.clock import EVEN, Clock
from kvstore.sim.dice import Dice
from kvstore.sim.faults import (
    BitRot,
    ClockDrift,
    ClockJump,
    Crash,
    Fault,
    Heal,
    LeaderTransfer,
    Mend,
    NetworkFaults,
    Partition,
    Pause,
    Restart,
    Resume,
    SlowDisk,
    Stop,
    Weather,
    WipeDisk,
)
from kvstore.sim.machine import Machine, Unwatched, Watcher
from kvstore.sim.network import Network
from kvstore.sim.scheduler import MILLI, SECOND, Micros, Scheduler, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSettings:
    """What a simulated cluster is like on a good day."""

    seed: str = "0"
    nodes: int = 3
    raft: RaftConfig = field(default_factory=RaftConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    leaderless: LeaderlessConfig = field(default_factory=LeaderlessConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    network: NetworkFaults = field(default_factory=NetworkFaults)
    codec: bool = False
    """Frames go through their bytes."""
    fsync_us: tuple[Micros, Micros] = (200, 3_000)
    step_us: tuple[Micros, Micros] = (10, 200)
    """How long an event waits for its step: what arrives meanwhile goes with it."""
    clock_rates: tuple[int, ...] = ()
    """The rate of each machine's monotonic clock; true clocks where none is given."""
    wall_offsets_ms: tuple[int, ...] = ()


class SimCluster:
    """All machines of one universe. Start it, let it run, do things to it."""

    def __init__(self, settings: SimSettings, watcher: Watcher | None = None, trace: Trace | None = None) -> None:
        self.settings = settings
        self.dice = Dice(settings.seed)
        self.trace = trace or Trace()
        self.scheduler = Scheduler(self.trace)
        self.network = Network(
            self.scheduler, self.dice.stream("network"), settings.network, self._deliver, codec=settings.codec
        )
        self.injected: Counter[str] = Counter()
        self.names = [NodeId(f"n{number}") for number in range(1, settings.nodes + 1)]
        self._watcher = watcher or Unwatched()
        self.machines = {name: self._machine(number, name) for number, name in enumerate(self.names)}
        self._handles = 0

    def _machine(self, number: int, name: NodeId) -> Machine:
        settings = self.settings
        rates, offsets = settings.clock_rates, settings.wall_offsets_ms
        start = self.dice.stream(f"clock {name}").randrange(1, 1000 * SECOND)
        clock = Clock(
            start,
            rates[number] if number < len(rates) else EVEN,
            offsets[number] * MILLI if number < len(offsets) else 0,
        )
        return Machine(
            config_of(settings, self.names, name),
            self.scheduler,
            self.dice,
            self.network,
            clock,
            self._watcher,
            fsync_us=settings.fsync_us,
            step_us=settings.step_us,
        )

    # --- running ------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Micros:
        return self.scheduler.now

    def start(self) -> None:
        """Start all nodes, in the order of their names."""
        self._restart(tuple(self.names))

    def run_for(self, duration: Micros, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, or stop early when `until()` holds; True if it did."""
        return self.scheduler.run_until(self.now + duration, until)

    def _deliver(self, to: NodeId, what: FrameArrived | LinkLost) -> None:
        self.machines[to].receive(what)

    def new_handle(self) -> int:
        """A number for a request of a client."""
        self._handles += 1
        return self._handles

    # --- looking ------------------------------------------------------------------------------------------------------

    def up(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if machine.node is not None]

    @property
    def ring(self) -> Ring | None:
        """The newest ring that any node knows."""
        rings = [machine.node.ring for machine in self.up() if machine.node is not None]
        known = [ring for ring in rings if ring is not None]
        return max(known, key=lambda ring: ring.epoch) if known else None

    def leader_of(self, group: GroupId) -> NodeId | None:
        """Who leads a group; of several that believe it, the one of the latest term."""
        best: tuple[int, NodeId] | None = None
        for machine in self.up():
            host = machine.node.groups.raft_host(group) if machine.node is not None else None
            if host is not None and host.raft.is_leader and (best is None or host.raft.term > best[0]):
                best = (host.raft.term, machine.name)
        return best[1] if best else None

    # --- faults -------------------------------------------------------------------------------------------------------

    def inject(self, fault: Fault) -> None:
        """Do it now. Doing a thing that is done already changes nothing."""
        self.injected[name_of(fault)] += 1
        self.trace.tell(self.now, f"*** {fault}")
        match fault:
            case Weather(network=network):
                self.network.faults = network
            case Partition():
                self.network.cut(fault)
            case Mend(partition=partition):
                self.network.mend(partition)
            case Crash():
                self._crash(fault)
            case Stop(node=node):
                self.machines[node].stop()
            case Restart(nodes=nodes):
                self._restart(nodes)
            case Pause(node=node, in_step=in_step):
                machine = self.machines[node]
                machine.in_next_step(machine.pause) if in_step else machine.pause()
            case Resume(node=node):
                self.machines[node].resume()
            case SlowDisk(node=node, fsync_us_min=low, fsync_us_max=high):
                self.machines[node].disk.fsync_us = (low, high)
            case ClockJump(node=node, by_ms=by_ms):
                self.machines[node].clock.wall_offset += by_ms * MILLI
            case ClockDrift(node=node, rate=rate):
                self.machines[node].set_clock_rate(rate)
            case WipeDisk(node=node):
                self.machines[node].wipe()
            case BitRot(node=node, tables=tables):
                self.machines[node].rot(tables)
            case LeaderTransfer():
                self._transfer(fault)
            case Heal():
                self._heal()
            case _:
                assert_never(fault)

    def _crash(self, fault: Crash) -> None:
        for name in fault.nodes:
            machine = self.machines[name]
            if fault.in_step:
                machine.in_next_step(lambda machine=machine: machine.crash(fault.torn))  # type: ignore[misc]
            else:
                machine.crash(fault.torn)

    def _restart(self, nodes: tuple[NodeId, ...]) -> None:
        for name in nodes:
            if self.machines[name].node is None:
                self.machines[name].start()

    def _transfer(self, fault: LeaderTransfer) -> None:
        leader = self.leader_of(fault.group)
        if leader is not None:
            request = TransferRequest(fault.group, fault.to)
            self.machines[leader].ask(self.new_handle(), request, 1_000, lambda answer: None)

    def _heal(self) -> None:
        self.network.mend_all()
        self.network.faults = NetworkFaults()
        for machine in self.machines.values():
            machine.disk.fsync_us = (200, 3_000)
            machine.clock.wall_offset = 0
            machine.resume()
            if machine.is_stopping:
                machine.end()
            if machine.node is None:
                machine.start()


def name_of(fault: Fault) -> str:
    """What to count a fault as."""
    name = type(fault).__name__
    match fault:
        case Partition(shape=shape):
            return f"Partition {shape}"
        case Crash(nodes=nodes, in_step=in_step):
            return ("Crash in step" if in_step else "Crash") + (" of several" if len(nodes) > 1 else "")
        case Pause(in_step=True):
            return "Pause in step"
    return name


def config_of(settings: SimSettings, names: list[NodeId], name: NodeId) -> NodeConfig:
    """A node's configuration, as its file would say it."""
    members = tuple(
        MemberConfig(id=member, client=f"{member}:1", peer=f"{member}:2", http=f"{member}:3", zone=f"z{number % 3}")
        for number, member in enumerate(names)
    )
    mine = members[names.index(name)]
    return NodeConfig(
        node=SelfConfig(id=name, data="sim", zone=mine.zone),
        cluster=ClusterConfig(id="sim", nodes=members),
        listen=ListenConfig(client=mine.client, peer=mine.peer, http=mine.http),
        raft=settings.raft,
        storage=settings.storage,
        leaderless=settings.leaderless,
        limits=settings.limits,
    )
