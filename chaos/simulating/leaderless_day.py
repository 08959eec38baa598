"""A kind of bad day for a leaderless keyspace: which quorums, sloppy or strict, siblings or last writer wins."""

from random import Random

from chaos.simulating.day import (
    KEYSPACE,
    NEEDS_OTHERS,
    Day,
    Load,
    drawn_network,
    drawn_offsets,
    drawn_raft,
    drawn_rates,
    drawn_storage,
    drawn_storm,
)
from kvstore.node.config import LeaderlessConfig, LimitsConfig
from kvstore.placement.keyspaces import Settings
from kvstore.sim.client import Habits
from kvstore.sim.cluster import SimSettings

LEADERLESS_KINDS = (
    "partition",
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
    "storm",
    "churn",
    "ambush",
    "stop",
)
"""What the nemesis can do where nobody leads; a day has a few of them."""

QUORUMS = {
    1: ((1, 1),),
    3: ((2, 2), (2, 2), (2, 2), (1, 3), (3, 1), (2, 3), (3, 3), (1, 1), (1, 2)),
    5: ((3, 3), (3, 3), (3, 3), (2, 4), (4, 2), (1, 5), (1, 1), (2, 2), (2, 3)),
}
"""(R, W) of a keyspace, by its replicas; most of them overlap."""


def draw_leaderless_day(seed: int) -> Day:
    """The day of a seed."""
    rng = Random(f"{seed}/leaderless day")
    nodes = rng.choice((1, 3, 3, 3, 3, 3, 3, 5, 5, 5))
    raft = drawn_raft(rng)
    return Day(
        seed=seed,
        cluster=SimSettings(
            seed=f"{seed}/leaderless",
            nodes=nodes,
            raft=raft,
            storage=drawn_storage(rng),
            leaderless=_leaderless(rng),
            limits=LimitsConfig(queue_requests_max=rng.choice((2, 50_000, 50_000, 50_000))),
            network=drawn_network(rng),
            codec=rng.random() < 0.2,
            fsync_us=rng.choice(((50, 300), (200, 3_000), (200, 3_000), (2_000, 15_000))),
            step_us=rng.choice(((0, 5), (10, 200), (10, 200), (100, 3_000))),
            clock_rates=drawn_rates(rng, nodes, raft.clock_drift_percent),
            wall_offsets_ms=drawn_offsets(rng, nodes),
        ),
        keyspace=_keyspace(rng, nodes),
        keeps_default_keyspace=rng.random() < 0.15,
        load=_load(rng),
        kinds=_kinds(rng, nodes),
        plots=(),
        gap_ms=rng.choice((30, 100, 400, 1_000, 3_000)),
        lasting_ms=rng.choice((20, 100, 300, 1_000, 3_000)),
        at_once=rng.choice((1, 1, 2, 3)),
        faults_from_start=rng.random() < 0.2,
        storm=drawn_storm(rng),
    )


def _leaderless(rng: Random) -> LeaderlessConfig:
    return LeaderlessConfig(
        retry_ms=rng.choice((20, 100, 200)),
        hints_max=rng.choice((0, 2, 100_000, 100_000)),
        guest_hints_max=rng.choice((1, 50, 100_000)),
        exchange_interval_ms=rng.choice((100, 500, 2_000, 10_000)),
        exchange_keys_per_s=rng.choice((20, 1_000, 20_000)),
    )


def _keyspace(rng: Random, nodes: int) -> Settings:
    replicas = nodes if nodes < 5 else rng.choice((3, 3, 5))
    read_quorum, write_quorum = rng.choice(QUORUMS[replicas])
    return Settings(
        KEYSPACE,
        mode="leaderless",
        replicas=replicas,
        partitions=rng.choice((1, 1, 2, 4)),
        read_quorum=read_quorum,
        write_quorum=write_quorum,
        sloppy=replicas > 1 and rng.random() < 0.3,
        conflicts=rng.choice(("siblings", "siblings", "siblings", "lww")),
    )


def _load(rng: Random) -> Load:
    mix = [("read", 5), ("write", 4), ("update", 4), ("delete", 1), ("many", 1), ("many read", 1)]
    mix += [("blind write", rng.choice((0, 1, 2))), ("sweep", rng.choice((0, 0, 0, 1)))]
    if rng.random() < 0.2:
        mix = [(kind, weight) for kind, weight in mix if weight and rng.random() < 0.5] or [("update", 1), ("read", 1)]
    return Load(
        clients=rng.choice((1, 2, 3, 5)),
        lanes=rng.choice((1, 1, 2, 4)),
        pause_ms=rng.choice((10, 20, 50, 100, 300)),
        reader_pause_ms=rng.choice((0, 0, 10, 20, 60)),
        keys=rng.choice((1, 2, 3, 6, 30)),
        pairs=0,
        value_bytes=rng.choice((0, 0, 100, 1_500)),
        mix=tuple(mix),
        acks_all_per_mille=0,
        own_quorums_per_mille=rng.choice((0, 0, 100, 500)),
        habits=Habits(
            try_ms=rng.choice((60, 200, 500, 1_500)),
            call_ms=rng.choice((800, 3_000, 6_000)),
            backoff_ms_max=rng.choice((2, 50, 200)),
            loss_per_mille=rng.choice((0, 0, 10, 50)),
            repeat_per_mille=rng.choice((0, 0, 20, 100)),
            wrong_node_per_mille=rng.choice((100, 1_000, 1_000, 1_000)),
        ),
    )


def _kinds(rng: Random, nodes: int) -> tuple[str, ...]:
    """One kind alone, or any mixture."""
    possible = [kind for kind in LEADERLESS_KINDS if nodes > 1 or kind not in NEEDS_OTHERS]
    if rng.random() < 0.25:
        return (rng.choice(possible),)
    share = rng.choice((0.15, 0.3, 0.6))
    return tuple(kind for kind in possible if rng.random() < share)
