"""A kind of bad day, drawn from a seed: which cluster, which limits, which load, and which faults at which rates.

Swarm testing (Groce et al., ISSTA 2012): a uniform mix of everything hides bugs, so each seed draws first what it will
do at all. Many days are quiet in most respects and terrible in one.
"""

from dataclasses import dataclass, replace
from math import isqrt
from random import Random

from kvstore.node.config import KIB, MIB, LimitsConfig, RaftConfig, StorageConfig
from kvstore.placement.keyspaces import Settings
from kvstore.sim.client import Habits
from kvstore.sim.clock import EVEN
from kvstore.sim.cluster import SimSettings
from kvstore.sim.faults import NetworkFaults

KEYSPACE = "sim"
KINDS = (
    "partition",
    "isolate leader",
    "crash",
    "crash in step",
    "power cut",
    "pause",
    "pause in step",
    "slow disk",
    "clock jump",
    "wipe",
    "transfer",
    "storm",
    "churn",
    "ambush",
    "plot",
    "stop",
    "rot",
)
"""What the nemesis can do; a day has a few of them."""


PLOTS = ("coup", "reigns", "sleeper", "late answers", "usurper", "handover", "deposed", "amnesia", "hasty")
"""Faults in several acts (`chaos/plots.py`); a day that has plots has a few of them."""

LEASE_PLOTS = ("sleeper", "late answers", "usurper", "handover", "deposed", "deposed")
"""Those that are about who may still answer reads; some days have nothing else, and long timeouts."""

ELECTION_PLOTS = ("coup", "coup", "reigns", "amnesia")
"""Those that are about who may lead at all; some days have nothing else."""

NEEDS_OTHERS = ("partition", "isolate leader", "wipe", "transfer", "plot", "rot")
"""What makes no sense on a lone node, or leaves nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The clients' work."""

    clients: int
    lanes: int
    """Calls that one client has under way side by side."""
    pause_ms: int
    """Mean time between an answer and the next call."""
    reader_pause_ms: int
    """Beside each node lives one who only reads, and only there, with this pause; nobody does if 0."""
    keys: int
    pairs: int
    """Pairs of keys that are only ever written together."""
    value_bytes: int
    mix: tuple[tuple[str, int], ...]
    """Weights of the kinds of calls."""
    acks_all_per_mille: int
    habits: Habits
    own_quorums_per_mille: int = 0
    """Leaderless: how often a call names its own quorum, and whether it may be sloppy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Everything a seed decides before anything happens."""

    seed: int
    cluster: SimSettings
    keyspace: Settings
    keeps_default_keyspace: bool
    load: Load
    kinds: tuple[str, ...]
    plots: tuple[str, ...]
    gap_ms: int
    """Mean time between two faults."""
    lasting_ms: int
    """Mean time until one is taken back: about as long as an election takes, or much less, or much more."""
    at_once: int
    """Faults that may last at the same time."""
    faults_from_start: bool
    """Before the cluster has formed."""
    storm: NetworkFaults

    @property
    def is_leaderless(self) -> bool:
        return self.keyspace.mode == "leaderless"

    def __str__(self) -> str:
        cluster, raft, load, keyspace = self.cluster, self.cluster.raft, self.load, self.keyspace
        sloppy = " sloppy" if keyspace.sloppy else ""
        quorums = f" R {keyspace.r} W {keyspace.w}{sloppy} {keyspace.conflicts}" if self.is_leaderless else ""
        if self.is_leaderless:
            quorums += f", {cluster.leaderless}"
        plots = f"({', '.join(self.plots)}) " if "plot" in self.kinds else ""
        return (
            f"seed {self.seed}: {cluster.nodes} nodes, "
            f"{keyspace.partitions} partitions x {keyspace.replicas}{quorums}, "
            f"beat {raft.heartbeat_ms} election {raft.election_timeout_ms_min}-{raft.election_timeout_ms_max} ms, "
            f"{'lease' if raft.lease_reads else 'no lease'}, drift {raft.clock_drift_percent} %, "
            f"log {raft.log_entries_max} chunk {raft.snapshot_chunk_bytes}, quiesce {raft.quiesce_after_ms}, "
            f"flush {cluster.storage.flush_rows_max} rows {cluster.storage.flush_interval_ms} ms "
            f"slices {cluster.storage.flush_slice_rows}, "
            f"{'codec, ' if cluster.codec else ''}{load.clients}x{load.lanes} clients every {load.pause_ms} ms, "
            f"readers every {load.reader_pause_ms} ms, on "
            f"{load.keys}+{load.pairs}x2 keys; faults: {', '.join(self.kinds) or 'none'} "
            f"{plots}every {self.gap_ms} ms for {self.lasting_ms} ms, {self.at_once} at once; {cluster.network}"
        )


def draw_day(seed: int) -> Day:
    """The day of a seed."""
    rng = Random(f"{seed}/day")
    nodes = rng.choice((1, 3, 3, 3, 3, 3, 3, 5, 5, 5))
    raft = drawn_raft(rng)
    network = drawn_network(rng)
    kinds = _kinds(rng, nodes)
    plots = tuple(rng.sample(PLOTS, rng.randint(1, 4)))
    theme = rng.random() if nodes > 1 else 1.0
    if theme < 0.15:
        kinds, plots = ("plot",), tuple(rng.sample(ELECTION_PLOTS, 2))
    elif theme < 0.35:
        kinds, plots, raft = ("plot",), tuple(rng.sample(LEASE_PLOTS, 2)), _raft_of_leases(rng, raft)
    gaps = (30, 100, 300) if kinds[:1] in (("ambush",), ("plot",)) else (100, 400, 1_000, 3_000)
    cluster = SimSettings(
        seed=str(seed),
        nodes=nodes,
        raft=raft,
        storage=drawn_storage(rng),
        limits=LimitsConfig(queue_requests_max=rng.choice((2, 50_000, 50_000, 50_000))),
        network=network,
        codec=rng.random() < 0.2,
        fsync_us=rng.choice(((50, 300), (200, 3_000), (200, 3_000), (2_000, 15_000))),
        step_us=rng.choice(((0, 5), (10, 200), (10, 200), (100, 3_000))),
        clock_rates=drawn_rates(rng, nodes, raft.clock_drift_percent),
        wall_offsets_ms=drawn_offsets(rng, nodes),
    )
    return Day(
        seed=seed,
        cluster=cluster,
        keyspace=_keyspace(rng, nodes),
        keeps_default_keyspace=rng.random() < 0.15,
        load=_load(rng),
        kinds=kinds,
        plots=plots,
        gap_ms=rng.choice(gaps),
        lasting_ms=max(20, raft.election_timeout_ms_max * rng.choice((1, 5, 10, 10, 20, 50)) // 10),
        at_once=rng.choice((1, 1, 1, 2) if kinds[:1] == ("plot",) else (1, 1, 2, 3)),
        faults_from_start=rng.random() < 0.2,
        storm=drawn_storm(rng),
    )


def drawn_raft(rng: Random) -> RaftConfig:
    beat = rng.choice((20, 30, 50, 100))
    low = max(50, beat * rng.choice((2, 3, 5, 10)))
    return RaftConfig(
        heartbeat_ms=beat,
        election_timeout_ms_min=low,
        election_timeout_ms_max=low + max(2, low * rng.choice((1, 5, 10, 20)) // 10),
        lease_reads=rng.random() < 0.75,
        clock_drift_percent=rng.choice((0, 5, 10, 30, 30)),
        append_bytes_max=rng.choice((KIB, KIB, 16 * KIB, MIB)),
        inflight_appends_max=rng.choice((1, 4, 64)),
        snapshot_chunk_bytes=rng.choice((KIB, KIB, 4 * KIB, MIB)),
        quiesce_after_ms=rng.choice((0, 100, 300, 1_000, 5_000)),
        log_entries_max=rng.choice((16, 16, 50, 200, 10_000)),
    )


def _raft_of_leases(rng: Random, raft: RaftConfig) -> RaftConfig:
    """Time enough between the end of one leadership and the next for somebody to notice that both last."""
    low = raft.heartbeat_ms * rng.choice((5, 10))
    high = low + low * rng.choice((1, 1, 10, 20)) // 10
    drift = rng.choice((10, 30, 30))
    return replace(raft, election_timeout_ms_min=low, election_timeout_ms_max=high, clock_drift_percent=drift)


def drawn_storage(rng: Random) -> StorageConfig:
    return StorageConfig(
        flush_rows_max=rng.choice((1, 5, 50, 2_000)),
        flush_slice_rows=rng.choice((1, 3, 20, 500)),
        flush_interval_ms=rng.choice((1, 20, 200, 1_000)),
        unflushed_bytes_max=rng.choice((64 * KIB, 64 * MIB)),
        history_collect_interval_ms=rng.choice((10, 100, 1_000)),
        history_collect_rows_max=rng.choice((1, 10, 1_000)),
    )


def drawn_network(rng: Random) -> NetworkFaults:
    low, high = rng.choice(((50, 200), (100, 1_000), (100, 1_000), (500, 8_000), (5_000, 12_000)))
    in_order = rng.random() < 0.6
    slow_us_max = rng.choice((20_000, 200_000, 2_000_000))
    return NetworkFaults(
        delay_us_min=low,
        delay_us_max=high,
        slow_per_mille=rng.choice((0, 0, 5, 30)),
        slow_us_max=min(slow_us_max, 200_000) if in_order else slow_us_max,  # a slow frame holds up those behind it
        loss_per_mille=rng.choice((0, 0, 0, 5, 20, 100)),
        repeat_per_mille=rng.choice((0, 0, 0, 10, 100)),
        repeat_us_max=rng.choice((5_000, 500_000, 3_000_000)),
        corrupt_per_mille=rng.choice((0, 0, 0, 5, 30)),
        reset_per_mille=rng.choice((0, 0, 0, 2, 20)),
        in_order=in_order,
    )


def drawn_storm(rng: Random) -> NetworkFaults:
    """Weather that a day may have for a while."""
    return NetworkFaults(
        delay_us_min=rng.choice((100, 5_000)),
        delay_us_max=rng.choice((10_000, 100_000, 400_000)),
        slow_per_mille=rng.choice((0, 100)),
        slow_us_max=3_000_000,
        loss_per_mille=rng.choice((0, 100, 300, 500)),
        repeat_per_mille=rng.choice((0, 200)),
        repeat_us_max=3_000_000,
        corrupt_per_mille=rng.choice((0, 100)),
        in_order=rng.random() < 0.3,
    )


def drawn_rates(rng: Random, nodes: int, drift_percent: int) -> tuple[int, ...]:
    """Monotonic clocks that run apart by at most what the configuration allows; often by exactly that."""
    if rng.random() < 0.25:
        return ()
    slow = isqrt(EVEN * EVEN * (100 - drift_percent) // 100) + 1  # slow / fast = 1 - drift
    fast = slow * 100 // (100 - drift_percent)
    style = rng.random()
    if style < 0.4:
        late = rng.randrange(nodes)
        return tuple(slow if number == late else fast for number in range(nodes))
    if style < 0.7:
        return tuple(rng.choice((slow, fast)) for _ in range(nodes))
    return tuple(rng.randint(slow, max(slow, fast)) for _ in range(nodes))


def drawn_offsets(rng: Random, nodes: int) -> tuple[int, ...]:
    spread = rng.choice((0, 0, 50, 3_000))
    return tuple(rng.randint(-spread, spread) for _ in range(nodes))


def _keyspace(rng: Random, nodes: int) -> Settings:
    return Settings(
        KEYSPACE,
        replicas=nodes if nodes < 5 else rng.choice((3, 5)),
        partitions=rng.choice((1, 1, 2, 4)),
        history_versions=rng.choice((0, 1, 3, 16)),
        history_seconds=rng.choice((0, 1, 600)),
        acks=rng.choice(("majority", "majority", "majority", "all")),
    )


def _load(rng: Random) -> Load:
    mix = [("get", 5), ("put", 4), ("cas", 3), ("delete", 1), ("many", 1), ("pair", 2), ("pair read", 2)]
    mix += [
        ("follower read", rng.choice((0, 3))),
        ("leader read", rng.choice((0, 1))),
        ("weak put", rng.choice((0, 1))),
    ]
    if rng.random() < 0.2:
        mix = [(kind, weight) for kind, weight in mix if weight and rng.random() < 0.5] or [("put", 1), ("get", 1)]
    return Load(
        clients=rng.choice((1, 2, 3, 5)),
        lanes=rng.choice((1, 1, 2, 4)),
        pause_ms=rng.choice((2, 20, 50, 100, 300)),
        reader_pause_ms=rng.choice((0, 5, 10, 20, 60)),
        keys=rng.choice((1, 2, 3, 6)),
        pairs=rng.choice((1, 2)),
        value_bytes=rng.choice((0, 0, 100, 1_500, 1_500)),
        mix=tuple(mix),
        acks_all_per_mille=rng.choice((0, 0, 100)),
        habits=Habits(
            try_ms=rng.choice((60, 200, 500, 1_500)),
            call_ms=rng.choice((800, 3_000, 6_000)),
            backoff_ms_max=rng.choice((2, 50, 200)),
            loss_per_mille=rng.choice((0, 0, 10, 50)),
            repeat_per_mille=rng.choice((0, 0, 20, 100)),
            wrong_node_per_mille=rng.choice((0, 100, 500)),
        ),
    )


def _kinds(rng: Random, nodes: int) -> tuple[str, ...]:
    """One kind alone, ambushes or plots with little else, or any mixture."""
    possible = [kind for kind in KINDS if nodes > 1 or kind not in NEEDS_OTHERS]
    style = rng.random()
    if style < 0.1:
        return (rng.choice(possible),)
    if style < 0.65:
        main = "plot" if style < 0.45 and nodes > 1 else "ambush"
        return tuple(dict.fromkeys((main, *rng.sample(possible, rng.choice((0, 0, 1, 2))))))
    share = rng.choice((0.2, 0.4, 0.7))
    return tuple(kind for kind in possible if rng.random() < share)
