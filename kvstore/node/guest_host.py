"""GuestHost: a leaderless partition's hints on a node without a replica of it, their log on disk."""

from kvstore.core.entries import LogEnd
from kvstore.core.ids import GroupId, Millis, NodeId
from kvstore.node.tick import Tick
from kvstore.replication.leaderless.effects import PeerDown, PeerUp, Persisted, Received, TimePassed
from kvstore.replication.leaderless.guest import LOG_TERM, Guest, GuestEvent
from kvstore.replication.leaderless.messages import Message
from kvstore.storage import entry_log
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.group_places import GroupPlace, delete_place, put_place

GUEST = 2
"""What a group's place says when we keep hints and are no replica; see `quorum_host.py` for what else there is.

Such a place has no data id: all there is of a guest is its log.
"""


class GuestHost:
    """See the module."""

    def __init__(self, group: GroupId, place: GroupPlace, guest: Guest, engine: Engine | None) -> None:
        """Without an engine it begins with nothing: what that still shows may be of an earlier guest, whose removal is
        on its way to the disk. Raises Corruption if the log is damaged.
        """
        self.group, self.place, self.guest = group, place, guest
        self.wake_at: Millis | None = Millis(0)
        for entry in entry_log.load(engine, group, place.log_start.index) if engine is not None else ():
            guest.replay(entry)

    def hear(self, tick: Tick, event: GuestEvent) -> None:
        """Step the guest and take its effects into the tick."""
        effects = self.guest.step(tick.now, event)
        if effects.append:
            entry_log.append(tick.batch, self.group, effects.append, None)
            tick.log_ends[self.group] = self.guest.log_end
        if effects.compact is not None:
            self.place = self.place.with_log_start(LogEnd(LOG_TERM, effects.compact))
            put_place(tick.batch, self.group, self.place)
            entry_log.compact(tick.batch, self.group, effects.compact)
        for peer, message in effects.send:
            tick.send(self.group, peer, message)
        for peer, message in effects.promise:
            tick.vow(self.group, peer, message)
        self.wake_at = effects.wake_at

    def receive(self, tick: Tick, sender: NodeId, message: Message) -> None:
        self.hear(tick, Received(sender, message))

    def on_persisted(self, tick: Tick, end: LogEnd) -> None:
        """Our log is on disk up to this entry."""
        self.hear(tick, Persisted(end))

    def on_peer_up(self, tick: Tick, peer: NodeId, *, restarted: bool) -> None:
        """A node is heard (again). One that restarted has forgotten what it was sent."""
        if restarted:
            self.hear(tick, PeerDown(peer))
        self.hear(tick, PeerUp(peer))

    def on_peer_down(self, tick: Tick, peer: NodeId) -> None:
        self.hear(tick, PeerDown(peer))

    def on_time(self, tick: Tick) -> None:
        """The instant `wake_at` has come."""
        self.hear(tick, TimePassed())

    def remove(self, batch: Batch) -> None:
        """Nothing of it stays."""
        self.guest.drop()
        entry_log.reset(batch, self.group)
        delete_place(batch, self.group)
