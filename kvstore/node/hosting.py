"""Hosting: making the host of a group from what its rows remember."""

from collections.abc import Callable, Iterable
from random import Random

from kvstore.core.entries import NO_BALLOT, NOTHING, Ballot, Entry
from kvstore.core.errors import ConfigError, Corruption
from kvstore.core.hybrid_clock import HybridClock
from kvstore.core.ids import METADATA_GROUP, ClusterId, GroupId, Index, Instant, Millis, NodeId
from kvstore.node.config import NodeConfig
from kvstore.node.group_host import LogLimits
from kvstore.node.images import Images
from kvstore.node.liveness import Liveness
from kvstore.node.metadata_host import MetadataHost
from kvstore.node.partition_host import AnyRead, PartitionHost
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.tick import Tick
from kvstore.placement.members import NodeInfo
from kvstore.placement.ring import Place, Ring
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle
from kvstore.replication.leaderless.settings import LeaderlessSettings
from kvstore.replication.leaderless.standing_in import stand_ins_of
from kvstore.replication.raft.effects import Standing
from kvstore.replication.raft.replica import RaftReplica
from kvstore.replication.raft.settings import RaftSettings
from kvstore.storage import ballot_box, entry_log
from kvstore.storage import group_places as places
from kvstore.storage.engine import Batch, Engine

RaftHost = MetadataHost | PartitionHost
Host = RaftHost | QuorumHost


class Hosting:
    """What every host of a node needs."""

    def __init__(
        self,
        config: NodeConfig,
        me: NodeId,
        engine: Engine,
        clock: HybridClock,
        rng: Random,
        images: Images,
        forward: Callable[[Tick, int, AnyRead, NodeId], None],
        liveness: Liveness,
    ) -> None:
        self._liveness = liveness
        self._config, self._me, self._engine, self._clock, self._rng = config, me, engine, clock, rng
        self._images, self._forward = images, forward
        self._settings = raft_settings(config)
        self._exchanges = ExchangeSettings(
            interval_ms=Millis(config.leaderless.exchange_interval_ms),
            keys_per_s=config.leaderless.exchange_keys_per_s,
            bytes_per_s=config.leaderless.exchange_bytes_per_s,
        )
        self.throttle = Throttle(self._exchanges)
        self._limits = LogLimits(config.raft.log_entries_max, config.raft.log_bytes_max)

    def metadata_host(
        self, batch: Batch, place: places.GroupPlace, now: Instant, on_change: Callable[[Tick, Index], None]
    ) -> MetadataHost:
        """Group 0's, on every node. Raises Corruption."""
        founders = tuple(NodeId(member.id) for member in self._config.cluster.nodes) or (self._me,)
        raft, place = self._replica(batch, METADATA_GROUP, place, founders, None, now)
        return MetadataHost(
            raft,
            place,
            self._images,
            self._limits,
            me=self._me,
            engine=self._engine,
            cluster=ClusterId(self._config.cluster.id),
            founders=founders_of(self._config),
            rng=self._rng,
            on_change=on_change,
        )

    def partition_host(
        self, batch: Batch, group: GroupId, place: places.GroupPlace, where: Place, now: Instant, ring: Ring
    ) -> PartitionHost | QuorumHost:
        """A partition's, as its keyspace's mode wants it. Raises Corruption if it is alone and its log is damaged."""
        replicas = where.partition.replicas
        if where.keyspace.settings.mode == "leaderless":
            return self._quorum_host(batch, group, place, where, ring)
        raft, place = self._replica(batch, group, place, replicas, replicas[0], now)
        return PartitionHost(
            group,
            raft,
            place,
            self._images,
            self._limits,
            me=self._me,
            where=where,
            engine=self._engine,
            clock=self._clock,
            lease_reads=self._config.raft.lease_reads,
            forward=self._forward,
        )

    def _quorum_host(
        self, batch: Batch, group: GroupId, place: places.GroupPlace, where: Place, ring: Ring
    ) -> QuorumHost:
        """If its log is damaged, what it acknowledged is lost: it begins with nothing, and counts for nothing yet."""
        try:
            return self._opened_quorum_host(group, place, where, ring)
        except Corruption:
            if len(where.partition.replicas) == 1:
                raise
        self._images.doom(batch, place.data)
        entry_log.reset(batch, group)
        return self._opened_quorum_host(group, self.new_place(batch, group, Standing.RECOVERING), where, ring)

    def leaderless_settings(self, where: Place) -> LeaderlessSettings:
        """What replicas and guests of a partition go by."""
        config, settings = self._config.leaderless, where.keyspace.settings
        return LeaderlessSettings(
            settings.w,
            lww=settings.conflicts == "lww",
            retry_ms=Millis(config.retry_ms),
            hints_max=config.hints_max,
        )

    def _opened_quorum_host(self, group: GroupId, place: places.GroupPlace, where: Place, ring: Ring) -> QuorumHost:
        stand_ins = stand_ins_of(ring.nodes, where.partition.replicas)
        host = QuorumHost(
            group,
            place,
            me=self._me,
            where=where,
            engine=self._engine,
            clock=self._clock,
            rng=Random(self._rng.getrandbits(64)),
            settings=self.leaderless_settings(where),
            exchanges=self._exchanges,
            throttle=self.throttle,
            stand_ins=stand_ins,
            slowness=self._liveness.slowness,
        )
        host.replica.down.update(node for node in (*host.replica.peers, *stand_ins) if self._liveness.is_down(node))
        return host

    def new_place(self, batch: Batch, group: GroupId, standing: Standing) -> places.GroupPlace:
        """A place for a group that this node did not hold."""
        place = places.GroupPlace(self._images.new_data_id(), NOTHING, standing)
        places.put_place(batch, group, place)
        return place

    def _replica(
        self,
        batch: Batch,
        group: GroupId,
        place: places.GroupPlace,
        voters: tuple[NodeId, ...],
        preferred: NodeId | None,
        now: Instant,
    ) -> tuple[RaftReplica, places.GroupPlace]:
        """The replica as its rows remember it. If they are damaged, what it promised is lost: it has to recover.

        Then no row of its log is left behind either, which could be taken for the continuation of what comes now.
        """
        try:
            ballot: Ballot = ballot_box.load_ballot(self._engine, group)
            entries: list[Entry] = entry_log.load(self._engine, group, place.log_start.index)
            standing = Standing(int(place.standing))
        except Corruption:
            if len(voters) == 1:
                raise
            ballot, entries, standing = NO_BALLOT, [], Standing.RECOVERING
            place = place.with_standing(standing)
            places.put_place(batch, group, place)
            entry_log.reset(batch, group)
        raft = RaftReplica(
            me=self._me,
            group=group,
            voters=voters,
            settings=self._settings,
            ballot=ballot,
            log_start=place.log_start,
            entries=entries,
            standing=standing,
            now=now.monotonic,
            rng=Random(self._rng.getrandbits(64)),
            preferred_leader=preferred,
        )
        return raft, place


def raft_settings(config: NodeConfig) -> RaftSettings:
    """The replicas' settings from the node's configuration."""
    raft = config.raft
    return RaftSettings(
        heartbeat_ms=raft.heartbeat_ms,  # type: ignore[arg-type]
        election_timeout_ms_min=raft.election_timeout_ms_min,  # type: ignore[arg-type]
        election_timeout_ms_max=raft.election_timeout_ms_max,  # type: ignore[arg-type]
        clock_drift_percent=raft.clock_drift_percent,
        append_bytes_max=raft.append_bytes_max,
        inflight_appends_max=raft.inflight_appends_max,
        lease_reads=raft.lease_reads,
        quiesce_after_ms=raft.quiesce_after_ms or 1 << 40,  # type: ignore[arg-type]
    )


def check_listed(config: NodeConfig, founders: Iterable[str], *, all_of_them: bool = False) -> None:
    """The nodes listed are those that founded the cluster: they vote on its metadata, and another list would make
    another majority. Without `all_of_them` some founders may be unknown yet. Raises ConfigError.
    """
    known, listed = set(founders), {member.id for member in config.cluster.nodes} or {config.node.id}
    if not known <= listed or (all_of_them and known != listed):
        raise ConfigError(
            f"cluster.nodes: expected the nodes that founded the cluster ({', '.join(sorted(known))}), "
            f"got {', '.join(sorted(listed))}: nodes cannot be added or removed by editing the list"
        )


def founders_of(config: NodeConfig) -> tuple[NodeInfo, ...]:
    """The first members as the metadata describes them; an embedded node is alone and has no addresses."""
    if not config.cluster.nodes:
        return (NodeInfo(NodeId(config.node.id), config.node.zone),)
    return tuple(
        NodeInfo(NodeId(member.id), member.zone, member.client, member.http, member.peer)
        for member in config.cluster.nodes
    )
