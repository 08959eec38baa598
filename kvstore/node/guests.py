"""Guests: all the hints that a node keeps for partitions of which it is no replica (sloppy quorums)."""

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from kvstore.core.entries import NOTHING
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, Index, NodeId
from kvstore.node.effects import PeerMessage
from kvstore.node.guest_host import GUEST, GuestHost
from kvstore.node.tick import Tick
from kvstore.placement.ring import Place, Ring
from kvstore.replication.leaderless.guest import Guest, GuestBudget
from kvstore.replication.leaderless.messages import NotStored, Store
from kvstore.replication.leaderless.pace import Throttle
from kvstore.replication.leaderless.settings import LeaderlessSettings
from kvstore.storage import entry_log
from kvstore.storage import group_places as places
from kvstore.storage.engine import Batch, Engine


class Guests:
    """Opened when the first hint for a partition comes, and gone when the last one has been returned."""

    def __init__(
        self,
        me: NodeId,
        engine: Engine,
        budget: GuestBudget,
        throttle: Throttle,
        rng: Random,
        settings_of: Callable[[Place], LeaderlessSettings],
        is_up: Callable[[NodeId], bool],
    ) -> None:
        self._me, self._engine, self._rng = me, engine, rng
        self.budget = budget
        """Shared by all of them."""
        self._throttle, self._settings_of, self._is_up = throttle, settings_of, is_up
        self._hosts: dict[GroupId, GuestHost] = {}

    def __iter__(self) -> Iterator[GuestHost]:
        return iter(self._hosts.values())

    def get(self, group: GroupId) -> GuestHost | None:
        return self._hosts.get(group)

    def hints(self) -> dict[NodeId, int]:
        """How many are kept for each owner."""
        return dict(sorted(Counter(self.budget.records).items()))

    # ── opening and closing ──────────────────────────────────────────────────────────────────────────────────────

    def open(self, batch: Batch, found: dict[GroupId, places.GroupPlace], ring: Ring | None) -> None:
        """At a start: those that the disk knows, unless their keyspace was dropped."""
        for group, place in found.items():
            where = ring.place_of(group) if ring is not None else None
            try:
                if where is None:
                    raise Corruption("nobody owns these hints")
                self._open(group, place, where)
            except Corruption:  # what we acknowledged is lost, as with a lost disk: anti-entropy brings it
                entry_log.reset(batch, group)
                places.delete_place(batch, group)

    def _open(self, group: GroupId, place: places.GroupPlace, where: Place, *, is_new: bool = False) -> GuestHost:
        replicas = where.partition.replicas
        guest = Guest(
            me=self._me,
            replicas=replicas,
            up={node for node in replicas if self._is_up(node)},
            settings=self._settings_of(where),
            budget=self.budget,
            throttle=self._throttle,
            log_start=Index(place.log_start.index),
            rng=Random(self._rng.getrandbits(64)),
        )
        host = GuestHost(group, place, guest, None if is_new else self._engine)
        self._hosts[group] = host
        return host

    def follow(self, batch: Batch, ring: Ring) -> list[GroupId]:
        """Drop those whose keyspace is gone; which."""
        gone = [group for group in self._hosts if ring.place_of(group) is None]
        for group in gone:
            self._hosts.pop(group).remove(batch)
        return gone

    def take_leave(self, batch: Batch) -> list[GroupId]:
        """Remove those that have returned everything; which."""
        done = [group for group, host in self._hosts.items() if host.guest.is_done]
        for group in done:
            self._hosts.pop(group).remove(batch)
        return done

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def host_for(self, tick: Tick, group: GroupId, sender: NodeId, message: PeerMessage, where: Place | None) -> None:
        """Take a hint for a partition that this node knows no host of. Anything else was for another life of ours."""
        if not isinstance(message, Store) or not message.owner:
            return
        if where is None or where.keyspace.settings.mode != "leaderless":
            self.budget.refused += len(message.records)
            why = f"{self._me} knows no leaderless partition with group {group}: it keeps no hints for {message.owner}"
            tick.send(group, sender, NotStored(message.id, why))
            return
        place = places.GroupPlace(data=0, log_start=NOTHING, standing=GUEST)
        places.put_place(tick.batch, group, place)
        self._open(group, place, where, is_new=True)

    def note_space(self) -> None:
        """Whether there is room on the disk for more."""
        self.budget.disk_full = self._engine.is_full()
