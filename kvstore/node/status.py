"""A node's report about itself: one JSON document for the shell, `/api/v1/status` and whoever watches."""

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from kvstore.core.ids import METADATA_GROUP, Instant
from kvstore.node.group_host import GroupHost
from kvstore.node.partition_state import PartitionState
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.scrubbing import ScrubStatus
from kvstore.replication.leaderless.exchange import Counts
from kvstore.replication.leaderless.staleness import Measured

if TYPE_CHECKING:
    from kvstore.node.node import Node


class PeerStatus(msgspec.Struct, frozen=True):
    """Another node as this one sees it."""

    up: bool
    heard_ms_ago: int | None
    clock_ahead_ms: int
    suspicion: float
    """How surely it has failed: φ of `placement/suspicion.py`. From 3 on it is asked last."""


class PeerProgress(msgspec.Struct, frozen=True):
    """How far a follower is, as its leader believes."""

    node: str
    pace: str
    match: int
    next: int
    inflight: int
    recovering: bool
    down: bool


class GroupStatus(msgspec.Struct, frozen=True):
    """One replica on this node."""

    group: int
    keyspace: str
    partition: int
    role: str
    leader: str | None
    term: int
    commit: int
    applied: int
    last: int
    log_start: int
    standing: str
    quiesced: bool
    unflushed_rows: int
    followers: list[PeerProgress]
    """What the leader believes of the others; empty on followers."""
    mode: str = "leader"
    replicas: list[str] = []
    """Leaderless: all of them, this one and the others."""
    hints: dict[str, int] = {}
    """Leaderless: keys that are kept in mind for other replicas."""
    hints_dropped: int = 0
    read_repairs: int = 0
    exchanges: int = 0
    """Leaderless: comparisons with other replicas that this one began and that came to their end …"""
    exchanged_keys: int = 0
    """… and keys that they mended, on either side."""
    siblings_max: int = 0
    """Leaderless: the most that a key had here."""
    damaged_rows: int = 0
    staleness: Measured | None = None
    """Leaderless: what reads of two replicas or more found here in the last hour."""


class HintsStatus(msgspec.Struct, frozen=True):
    """What leaderless replicas, and this node as a guest, have for nodes that were away; counts are since the start."""

    waiting: dict[str, int]
    """Keys that replicas here have in mind for others, by target: in memory."""
    kept: dict[str, int]
    """Hints for partitions without a replica here, by target: on disk."""
    returned: int
    dropped: int
    """There was no room for them, or nobody wants them any more: what they told is left to anti-entropy."""
    refused: int
    """Records that were not taken as hints, here or by nodes that were asked to."""


class NodeStatus(msgspec.Struct, frozen=True):
    """The whole report. `healthy` is this node's own view: founded, every group has a leader, every peer is up."""

    node: str
    cluster: str
    timeline: int
    zone: str
    incarnation: str
    founded: bool
    ready: bool
    healthy: bool
    problems: list[str]
    epoch: int
    leads: int
    replicas: int
    requests_open: int
    bytes_open: int
    storage_bytes: int
    storage_bytes_max: int
    clock_ahead_ms: int
    peers: dict[str, PeerStatus]
    hints: HintsStatus
    groups: list[GroupStatus]
    scrub: ScrubStatus


def node_status(node: "Node", now: Instant) -> NodeStatus:
    """What there is to say at this moment."""
    ring = node.ring
    groups = [_group_status(node, host) for host in node.groups.raft_hosts()]
    groups += [_replica_status(node, host, now) for host in node.groups.quorum_hosts()]
    problems = _problems(node)
    return NodeStatus(
        node=node.me,
        cluster=node.config.cluster.id,
        timeline=ring.timeline if ring is not None else 0,
        zone=node.config.node.zone,
        incarnation=f"{node.identity.incarnation:016x}",
        founded=node.identity.founded,
        ready=node.is_ready,
        healthy=not problems,
        problems=problems,
        epoch=ring.epoch if ring is not None else 0,
        leads=sum(group.role == "leader" and group.group != METADATA_GROUP for group in groups),
        replicas=sum(group.group != METADATA_GROUP for group in groups),
        requests_open=node.gate.requests_open,
        bytes_open=node.gate.bytes_open,
        storage_bytes=node.engine.size_bytes(),
        storage_bytes_max=node.config.storage.map_bytes_max,
        clock_ahead_ms=node.gate.clock_ahead_ms,
        peers={
            name: PeerStatus(
                peer.up,
                None if peer.heard_at is None else now.monotonic - peer.heard_at,
                peer.clock_ahead_ms,
                round(peer.suspicion.phi(now.monotonic), 1),
            )
            for name, peer in node.liveness.peers.items()
        },
        hints=hints_status(node),
        groups=groups,
        scrub=node.scrubber.status,
    )


def hints_status(node: "Node") -> HintsStatus:
    """Over all partitions."""
    waiting: Counter[str] = Counter()
    all_hints = [host.replica.hints for host in node.groups.quorum_hosts()]
    for host in node.groups.quorum_hosts():
        waiting.update({peer: host.replica.hints.count(peer) for peer in host.replica.peers})
    budget = node.groups.guests.budget
    return HintsStatus(
        waiting={peer: count for peer, count in sorted(waiting.items()) if count},
        kept={str(owner): count for owner, count in node.groups.guests.hints().items()},
        returned=budget.returned + sum(hints.returned for hints in all_hints),
        dropped=budget.dropped + sum(hints.dropped for hints in all_hints),
        refused=budget.refused + sum(hints.refused for hints in all_hints),
    )


def _group_status(node: "Node", host: GroupHost) -> GroupStatus:
    place = node.ring.place_of(host.group) if node.ring is not None else None
    state = host.state
    return GroupStatus(
        group=host.group,
        keyspace=place.keyspace.name if place is not None else "",
        partition=place.number if place is not None else 0,
        role=host.raft.role.value,
        leader=host.raft.leader,
        term=host.raft.term,
        commit=host.raft.commit,
        applied=state.applied.index if state is not None else 0,
        last=host.raft.last.index,
        log_start=host.raft.log_start.index,
        standing="recovering" if host.place.standing else "voter",
        quiesced=host.raft.quiesced,
        unflushed_rows=state.dirty_rows if isinstance(state, PartitionState) else 0,
        followers=[PeerProgress(*progress) for progress in host.raft.followers()],
    )


def _replica_status(node: "Node", host: QuorumHost, now: Instant) -> GroupStatus:
    """A leaderless replica in the same form: nobody leads, and everything that it knows counts."""
    place = node.ring.place_of(host.group) if node.ring is not None else None
    replica, last = host.replica, host.replica.last.index
    counts = replica.anti_entropy.counts if replica.anti_entropy is not None else Counts()
    return GroupStatus(
        group=host.group,
        keyspace=place.keyspace.name if place is not None else "",
        partition=place.number if place is not None else 0,
        role="replica",
        leader=None,
        term=0,
        commit=last,
        applied=host.state.applied.index,
        last=last,
        log_start=host.state.flushed.index,
        standing="recovering" if replica.is_recovering else "voter",
        quiesced=False,
        unflushed_rows=host.state.dirty_rows,
        followers=[],
        mode="leaderless",
        replicas=sorted([node.me, *replica.peers]),
        hints={peer: count for peer in replica.peers if (count := replica.hints.count(peer))},
        hints_dropped=replica.hints.dropped,
        read_repairs=replica.reads.repairs,
        exchanges=counts.exchanges,
        exchanged_keys=counts.pulled + counts.pushed,
        siblings_max=replica.crowding.most,
        damaged_rows=replica.damaged_rows,
        staleness=replica.reads.staleness.last_hour(now.monotonic),
    )


def _problems(node: "Node") -> list[str]:
    problems = [*node.damage, *node.refused.values()]
    if not node.identity.founded:
        missing = [name for name, peer in node.liveness.peers.items() if not peer.up]
        problems.append(f"waiting for the founding: not heard of {', '.join(missing) or 'nobody'} yet")
    problems += [f"{name} is down" for name, peer in node.liveness.peers.items() if not peer.up]
    without = sum(host.raft.leader is None for host in node.groups.raft_hosts())
    if without:
        problems.append(f"{without} groups have no leader")
    recovering = sum(bool(host.place.standing) for host in node.groups.all())
    if recovering:
        problems.append(f"{recovering} replicas are recovering from the loss of this node's disk")
    if node.gate.full:
        problems.append("the storage limit is reached: only deletes are taken")
    if node.gate.clock_ahead_ms > node.config.limits.clock_ahead_ms_max:
        problems.append(f"this node's clock is {node.gate.clock_ahead_ms} ms ahead of most others")
    return problems
