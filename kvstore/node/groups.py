"""All replicas a node hosts: opening them from their rows, following the ring, and what concerns them all."""

from collections import deque
from collections.abc import Callable, Iterator
from random import Random

from kvstore.core.errors import NotReady, UnknownKeyspace
from kvstore.core.hybrid_clock import HybridClock
from kvstore.core.ids import METADATA_GROUP, GroupId, Index, Instant, Millis, NodeId
from kvstore.node.config import NodeConfig
from kvstore.node.effects import PeerMessage
from kvstore.node.guest_host import GUEST, GuestHost
from kvstore.node.guests import Guests
from kvstore.node.hosting import Host, Hosting, RaftHost, check_listed
from kvstore.node.images import Images
from kvstore.node.liveness import Liveness
from kvstore.node.metadata import Metadata
from kvstore.node.metadata_host import MetadataHost
from kvstore.node.partition_host import AnyRead, PartitionHost
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.recovery_floor import load_floor, put_floor
from kvstore.node.tick import Tick
from kvstore.placement.ring import Place, Ring
from kvstore.replication.leaderless.guest import GuestBudget
from kvstore.replication.raft.effects import Standing, TransferLeadership
from kvstore.storage import entry_log
from kvstore.storage import group_places as places
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.keys import ballot_key

GATHER_COMMANDS = 128
GATHER_MS = 3
"""Long enough for a commit on one disk after the other, short beside a network between cities."""


class Groups:
    """The node's hosts by group."""

    def __init__(
        self,
        config: NodeConfig,
        me: NodeId,
        engine: Engine,
        clock: HybridClock,
        rng: Random,
        forward: Callable[[Tick, int, AnyRead, NodeId], None],
        liveness: Liveness,
    ) -> None:
        self._config, self._me, self._engine, self._rng = config, me, engine, rng
        self._images = Images(engine, config.raft.snapshot_chunk_bytes, places.next_data_id(engine))
        self._hosting = Hosting(config, me, engine, clock, rng, self._images, forward, liveness)
        budget = GuestBudget(config.leaderless.guest_hints_max, config.leaderless.guest_bytes_max)
        self.guests = Guests(
            me, engine, budget, self._hosting.throttle, rng, self._hosting.leaderless_settings, liveness.is_up
        )
        self._hosts: dict[GroupId, Host] = {}
        self._touched: dict[GroupId, Host | GuestHost] = {}
        self._gathering: dict[GroupId, PartitionHost | QuorumHost] = {}
        self._proposed: deque[PartitionHost | QuorumHost] = deque()
        self._proposed_at = Millis(0)
        self.gathered_commands = 0
        """Commands that wait for their entries."""
        self._dirtied: list[Host] = []
        self._dropped: deque[tuple[Index, GroupId, places.GroupPlace]] = deque()
        """Groups that are gone, by the index in group 0's log that says so: their rows go when that is flushed."""
        self.ring: Ring | None = None
        self._floor: Index | None = None
        self._reclaimed = 0

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, now: Instant, *, wiped: bool, batch: Batch) -> None:
        """Open group 0 and every partition that the disk knows; what that changes on disk goes into the batch.

        Raises Corruption if group 0 cannot be read, ConfigError if the cluster was founded with other nodes.
        """
        found = dict(places.load_places(self._engine))
        guests = {group: found.pop(group) for group, place in list(found.items()) if int(place.standing) == GUEST}
        self._floor = load_floor(self._engine)
        for group, place in found.items():
            if place.staging:  # the replica begins an interrupted image anew
                self._images.doom(batch, place.staging)
                found[group] = place.with_staging(0)
                places.put_place(batch, group, found[group])
        if METADATA_GROUP not in found:
            standing = Standing.RECOVERING if wiped else Standing.VOTER
            found[METADATA_GROUP] = self._hosting.new_place(batch, METADATA_GROUP, standing)
        host = self._hosting.metadata_host(batch, found[METADATA_GROUP], now, self._follow_ring)
        self._add(METADATA_GROUP, host, host.raft.voters)
        if host.metadata.epoch:
            check_listed(self._config, [node.id for node in host.metadata.nodes], all_of_them=True)
            self.ring = host.metadata.ring()
            wanted = self.ring.groups_on(self._me)
            for group in [group for group in found if group not in wanted and group < host.metadata.next_group]:
                if group != METADATA_GROUP:
                    self._remove_rows(batch, group, found[group])
            for group in wanted:
                where = self.ring.place_of(group)
                if group not in found:  # it died between an image that told of the group and the group's own rows
                    found[group] = self._hosting.new_place(batch, group, self._standing_after(None))
                if where is not None:
                    host_of_it = self._hosting.partition_host(batch, group, found[group], where, now, self.ring)
                    self._add(group, host_of_it, where.partition.replicas)
        self.guests.open(batch, guests, self.ring)
        self._touched.update((host.group, host) for host in self.guests)

    def _add(self, group: GroupId, host: Host, voters: tuple[NodeId, ...]) -> None:
        host.voters = voters
        self._hosts[group] = host
        self._touched[group] = host

    # ── following the ring ───────────────────────────────────────────────────────────────────────────────────────

    def _follow_ring(self, tick: Tick, told_upto: Index) -> None:
        """Open the partitions that came to this node, drop those that are gone, by decisions after that index."""
        metadata = self.metadata
        if metadata.epoch == 0:
            return
        self.ring = ring = metadata.ring()
        wanted = ring.groups_on(self._me)
        for group in wanted:
            where = ring.place_of(group)
            if group not in self._hosts and where is not None:
                place = places.load_place(self._engine, group)
                if place is None:
                    place = self._hosting.new_place(tick.batch, group, self._standing_after(told_upto))
                host = self._hosting.partition_host(tick.batch, group, place, where, tick.now, ring)
                self._add(group, host, where.partition.replicas)
        kept = {METADATA_GROUP, *wanted}
        state = self._zero.state
        assert state is not None, "the ring was just read from it"
        for group in [group for group in self._hosts if group not in kept]:
            self._drop(tick, group, state.applied.index)
        for group in self.guests.follow(tick.batch, ring):
            self._touched.pop(group, None)

    def _standing_after(self, told_upto: Index | None) -> Standing:
        """How a replica begins of which we first hear in a change after this index (None: we do not know when).

        After the loss of our disk it may be one that we had before, unless its group is certainly younger.
        """
        recovering = int(self._zero.place.standing) == Standing.RECOVERING
        may_be_old = self._floor is not None and (told_upto is None or told_upto < self._floor)
        return Standing.RECOVERING if recovering or may_be_old else Standing.VOTER

    def _drop(self, tick: Tick, group: GroupId, decided_at: Index) -> None:
        host = self._hosts.pop(group)
        assert not isinstance(host, MetadataHost), "group 0 is never dropped"
        host.abandon(tick, UnknownKeyspace("the keyspace was dropped"))
        self._images.close_all(group)
        self._dropped.append((decided_at, group, host.place))
        self._touched.pop(group, None)
        self._gathering.pop(group, None)

    def _remove_dropped(self, tick: Tick) -> None:
        """Not before the ring on disk is without them: after a restart they would be opened with no memory of votes."""
        state = self._zero.state
        while self._dropped and state is not None and self._dropped[0][0] <= state.flushed.index:
            _, group, place = self._dropped.popleft()
            self._remove_rows(tick.batch, group, place)

    def _remove_rows(self, batch: Batch, group: GroupId, place: places.GroupPlace) -> None:
        self._images.doom(batch, place.data)
        if place.staging:
            self._images.doom(batch, place.staging)
        entry_log.reset(batch, group)
        batch.delete(ballot_key(group))
        places.delete_place(batch, group)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _zero(self) -> MetadataHost:
        host = self._hosts[METADATA_GROUP]
        assert isinstance(host, MetadataHost), "group 0 holds the metadata"
        return host

    @property
    def metadata(self) -> Metadata:
        host = self._hosts.get(METADATA_GROUP)
        return host.metadata if isinstance(host, MetadataHost) else Metadata()

    def get(self, group: GroupId) -> Host | None:
        return self._hosts.get(group)

    def all(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    def raft_hosts(self) -> Iterator[RaftHost]:
        """Group 0 and the partitions in leader mode."""
        return (host for host in self._hosts.values() if not isinstance(host, QuorumHost))

    def quorum_hosts(self) -> Iterator[QuorumHost]:
        """The partitions in leaderless mode."""
        return (host for host in self._hosts.values() if isinstance(host, QuorumHost))

    def raft_host(self, group: GroupId) -> RaftHost | None:
        """The host of a group that has, or may have, a leader."""
        host = self._hosts.get(group)
        return None if isinstance(host, QuorumHost) else host

    def quorum_host(self, group: GroupId) -> QuorumHost | None:
        """The host of a leaderless partition."""
        host = self._hosts.get(group)
        return host if isinstance(host, QuorumHost) else None

    def partition(self, group: GroupId) -> PartitionHost | QuorumHost | None:
        """The host of a partition."""
        host = self._hosts.get(group)
        return None if isinstance(host, MetadataHost) else host

    def place_of(self, group: GroupId) -> Place:
        """Raises NotReady if the group may be younger than the ring we know, UnknownKeyspace if it is gone."""
        if self.ring is None:
            raise NotReady("the node does not know the ring yet")
        place = self.ring.place_of(group)
        if place is None and group >= self.metadata.next_group:  # numbers are never used twice
            raise NotReady(f"the node does not know group {group} yet")
        if place is None:
            raise UnknownKeyspace(f"there is no partition with group {group}: the keyspace was dropped", group=group)
        return place

    def touch(self, group: GroupId) -> Host | None:
        """The host, which this tick will finish."""
        host = self._hosts.get(group)
        if host is not None:
            self._touched[group] = host
        return host

    def touch_guest(self, group: GroupId) -> GuestHost | None:
        """The hints that this node keeps for a group's replicas, which this tick will finish."""
        guest = self.guests.get(group)
        if guest is not None:
            self._touched[group] = guest
        return guest

    def receive(self, tick: Tick, group: GroupId, sender: NodeId, message: PeerMessage) -> None:
        """A message for a group: for its host here, or a hint for one of its replicas."""
        host = self.touch(group)
        if host is not None:
            host.receive(tick, sender, message)  # type: ignore[arg-type]  # node-level ones are named so
            return
        if group not in self._hosts and self.guests.get(group) is None:
            where = self.ring.place_of(group) if self.ring is not None else None
            self.guests.host_for(tick, group, sender, message, where)
        guest = self.touch_guest(group)
        if guest is not None:
            guest.receive(tick, sender, message)  # type: ignore[arg-type]  # a guest passes over what is not for it

    def take_dirtied(self) -> list[Host]:
        """Hosts that this tick touched and that have applied something that is not on disk."""
        dirtied, self._dirtied = self._dirtied, []
        return dirtied

    def take_touched(self) -> list[Host | GuestHost]:
        touched, self._touched = list(self._touched.values()), {}
        return touched

    # ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, tick: Tick, *, disk_is_busy: bool) -> None:
        """Let every group that this tick touched propose and answer."""
        may_propose = self._may_propose(tick, disk_is_busy)
        if may_propose:
            self.gathered_commands = 0
        if may_propose and self._gathering:
            self._touched.update(self._gathering)
            self._gathering.clear()
        for group, host in list(self._touched.items()):
            if isinstance(host, PartitionHost | QuorumHost):
                if host.finish(tick, may_propose=may_propose):
                    self._proposed.append(host)
                    self._proposed_at = tick.now.monotonic
                if host.has_waiting:
                    self._gathering[group] = host
            elif isinstance(host, MetadataHost):
                host.finish(tick)
            if not isinstance(host, GuestHost) and host.dirty_since is not None:
                self._dirtied.append(host)
        if METADATA_GROUP in self._touched:
            self._keep_floor(tick, self._zero)
            self._remove_dropped(tick)

    def _may_propose(self, tick: Tick, disk_is_busy: bool) -> bool:
        """Whether writes become log entries now, or gather for the next ones.

        They gather while the disk has enough to do, since an entry could not be written any sooner; and while the
        entries proposed before are not decided, or on too few disks, for `GATHER_MS` or `GATHER_COMMANDS` at most. So
        all partitions that a node leads, or coordinates, propose at the same time, and share the frames, commits and
        wake-ups of three nodes; a single writer never waits.
        """
        while self._proposed and not self._proposed[0].has_proposed:
            self._proposed.popleft()
        if disk_is_busy:
            return False
        enough = self.gathered_commands >= GATHER_COMMANDS
        return not self._proposed or enough or tick.now.monotonic - self._proposed_at >= GATHER_MS

    def propose_at(self, now: Millis) -> Millis | None:
        """When gathering ends; None if nothing gathers, or only the disk is waited for."""
        end = Millis(self._proposed_at + GATHER_MS)
        return end if self._gathering and end > now else None

    def _keep_floor(self, tick: Tick, host: MetadataHost) -> None:
        """When group 0 has recovered, remember up to where it may tell us of replicas that we had before the loss."""
        if host.stood_up:
            host.stood_up = False
            self._floor = host.raft.last.index
            put_floor(tick.batch, self._floor)

    def peer_up(self, tick: Tick, peer: NodeId, *, restarted: bool = False) -> None:
        """News of a peer, for every group it is in."""
        for host in self._touch_those_of(peer):
            host.on_peer_up(tick, peer, restarted=restarted)

    def peer_down(self, tick: Tick, peer: NodeId) -> None:
        """The same."""
        for host in self._touch_those_of(peer):
            host.on_peer_down(tick, peer)

    def _touch_those_of(self, peer: NodeId) -> list[Host | GuestHost]:
        found: dict[GroupId, Host | GuestHost] = {
            group: host
            for group, host in self._hosts.items()
            if peer in (host.neighbours if isinstance(host, QuorumHost) else host.voters)
        }
        found.update((host.group, host) for host in self.guests if peer in host.guest.replicas)
        self._touched.update(found)
        return list(found.values())

    def hand_over(self, tick: Tick) -> None:
        """Give every leadership away."""
        for host in list(self.raft_hosts()):
            if host.raft.is_leader and len(host.voters) > 1:
                self._touched[host.group] = host
                host.hear(tick, TransferLeadership())

    def reclaim(self, tick: Tick, *, full: bool) -> None:
        """One group's old versions and one slice of a doomed state; of every group's, while the disk is full."""
        groups = list(self._hosts)
        self._reclaimed = (self._reclaimed + 1) % len(groups)
        for group in groups if full else groups[self._reclaimed : self._reclaimed + 1]:
            self._hosts[group].reclaim(tick, full=full)
        if self._images.has_doomed:
            self._images.remove_some(tick.rows)
        self.guests.note_space()
        for group in self.guests.take_leave(tick.batch):
            self._touched.pop(group, None)
