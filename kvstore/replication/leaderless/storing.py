"""Storing: records on their way to the disks of the replicas, and whoever waits for enough of them.

One `Store` goes to every replica that is up. It is sent again while somebody waits and it is not answered. Afterwards,
and to those that are down, a hint is owed (`hints.py`); for those that are down stand-ins are asked as well, if they
may count (`standing_in.py`).
"""

from typing import TYPE_CHECKING, Protocol

from kvstore.core.ids import Index, Instant, Millis, NodeId
from kvstore.replication.leaderless.effects import Effects
from kvstore.replication.leaderless.messages import NotStored, Record, Store, Stored
from kvstore.replication.leaderless.standing_in import StandIns

if TYPE_CHECKING:
    from kvstore.replication.leaderless.replica import LeaderlessReplica


class Waiter(Protocol):
    """Who waits until records are on enough disks."""

    is_write: bool

    def handles(self) -> list[int]:
        """Of what clients still wait for."""
        ...

    def on_progress(self, replica: "LeaderlessReplica", now: Instant, storing: "Storing", out: Effects) -> bool:
        """A replica has them, or can not be expected to. True once nothing more is waited for."""
        ...


class Storing:
    """Some records, and who has them."""

    __slots__ = ("begun_at", "index", "number", "owed", "records", "sent_at", "stand_ins", "stored", "waiter")

    def __init__(
        self, number: int, records: list[Record], index: Index, now: Millis, waiter: Waiter, *, sloppy: bool
    ) -> None:
        self.number, self.records, self.index = number, records, index
        self.stored: set[NodeId] = set()
        """Replicas that have them on disk."""
        self.owed: set[NodeId] = set()
        """Replicas that were asked to and have not answered."""
        self.begun_at = self.sent_at = now
        self.waiter: Waiter | None = waiter
        self.stand_ins: StandIns | None = StandIns() if sloppy else None
        """None if only replicas count, to whoever waits."""

    def count(self, *, sloppy: bool) -> int:
        """How many have them on disk: replicas, and to those who want it so (`sloppy`) stand-ins as well."""
        return len(self.stored) + (len(self.stand_ins.kept) if sloppy and self.stand_ins is not None else 0)

    def names(self, *, sloppy: bool) -> list[str]:
        """The same by name; a stand-in with the replica that it keeps them for."""
        kept = self.stand_ins.kept if sloppy and self.stand_ins is not None else {}
        return [*sorted(self.stored), *sorted(f"{name} for {owner}" for name, owner in kept.items())]

    @property
    def is_over(self) -> bool:
        """Nobody has yet to answer."""
        return not self.owed and (self.stand_ins is None or not self.stand_ins.asked)

    def possible(self, down: set[NodeId], *, sloppy: bool) -> int:
        """How many have them or may yet say so."""
        asked = len(self.stand_ins.asked) if sloppy and self.stand_ins is not None else 0
        return self.count(sloppy=sloppy) + len(self.owed - down) + asked


class Deliveries:
    """Everything that one replica has on its way."""

    def __init__(self) -> None:
        self._open: dict[int, Storing] = {}
        self._unpersisted: list[Storing] = []
        """Those whose log entry is not on our own disk, in the order of the log."""
        self.writes_awaited = 0
        """Of all those of writes that somebody waits for."""

    def __len__(self) -> int:
        return len(self._open)

    def handles(self) -> list[int]:
        """Of the writes that are waited for."""
        waiters = [storing.waiter for storing in self._open.values()]
        return [handle for waiter in waiters if waiter is not None and waiter.is_write for handle in waiter.handles()]

    def begin(
        self,
        replica: "LeaderlessReplica",
        now: Instant,
        records: list[Record],
        targets: tuple[NodeId, ...],
        waiter: Waiter,
        out: Effects,
        *,
        sloppy: bool = False,
    ) -> None:
        """Send records to these replicas. Our own disk counts as well, as soon as it has all we appended so far.

        `sloppy`: stand-ins are asked, too, for those that are down.
        """
        storing = Storing(replica.next_number(), records, replica.log_index, now.monotonic, waiter, sloppy=sloppy)
        self._open[storing.number] = storing
        self.writes_awaited += waiter.is_write
        message = Store(storing.number, records)
        for peer in targets:
            if peer in replica.down:
                self._miss(replica, storing, peer, out)
            else:
                storing.owed.add(peer)
                out.send.append((peer, message))
        if storing.index > replica.persisted:
            storing.owed.add(replica.me)
            self._unpersisted.append(storing)
        else:
            self._has(replica, now, storing, replica.me, out)

    @staticmethod
    def _miss(replica: "LeaderlessReplica", storing: Storing, owner: NodeId, out: Effects) -> None:
        """That replica does not get them now."""
        replica.hints.owe(owner, storing.records)
        if storing.stand_ins is not None and storing.waiter is not None:
            storing.stand_ins.ask(replica, storing.number, storing.records, owner, out)

    def on_persisted(self, replica: "LeaderlessReplica", now: Instant, index: Index, out: Effects) -> None:
        """Our own disk has the log up to there."""
        done = 0
        for storing in self._unpersisted:
            if storing.index > index:
                break
            done += 1
            self._has(replica, now, storing, replica.me, out)
        del self._unpersisted[:done]

    def on_stored(self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, reply: Stored, out: Effects) -> bool:
        """A replica's disk has them. False if that is none of ours."""
        storing = self._open.get(reply.id)
        if storing is None:
            return False
        if peer in storing.owed:
            self._has(replica, now, storing, peer, out)
        elif storing.stand_ins is not None and storing.stand_ins.keeps(peer):
            self._tell(replica, now, storing, out)
            self._close(storing)
        return True

    def on_not_stored(
        self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, reply: NotStored, out: Effects
    ) -> None:
        """A node does not stand in: another one may."""
        storing = self._open.get(reply.id)
        owner = storing.stand_ins.leaves(peer) if storing is not None and storing.stand_ins is not None else None
        if storing is not None and owner is not None:
            replica.hints.refused += len(storing.records)
            self._stand_in_again(replica, now, storing, owner, out)

    def _stand_in_again(
        self, replica: "LeaderlessReplica", now: Instant, storing: Storing, owner: NodeId, out: Effects
    ) -> None:
        assert storing.stand_ins is not None, "one of them has just left"
        if storing.waiter is not None:
            storing.stand_ins.ask(replica, storing.number, storing.records, owner, out)
        self._tell(replica, now, storing, out)
        self._close(storing)

    def _has(self, replica: "LeaderlessReplica", now: Instant, storing: Storing, who: NodeId, out: Effects) -> None:
        storing.owed.discard(who)
        storing.stored.add(who)
        self._tell(replica, now, storing, out)
        self._close(storing)

    def _close(self, storing: Storing) -> None:
        if storing.is_over:
            self._open.pop(storing.number, None)

    def _tell(self, replica: "LeaderlessReplica", now: Instant, storing: Storing, out: Effects) -> None:
        waiter = storing.waiter
        if waiter is not None and waiter.on_progress(replica, now, storing, out):
            storing.waiter = None
            self.writes_awaited -= waiter.is_write

    def on_down(self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, out: Effects) -> None:
        """That node will not answer: a replica is owed a hint, another may stand in for a stand-in."""
        for storing in list(self._open.values()):
            if peer in storing.owed:
                storing.owed.discard(peer)
                self._miss(replica, storing, peer, out)
                self._tell(replica, now, storing, out)
                self._close(storing)
            elif storing.stand_ins is not None and (owner := storing.stand_ins.leaves(peer)) is not None:
                self._stand_in_again(replica, now, storing, owner, out)

    def tick(self, replica: "LeaderlessReplica", now: Instant, out: Effects) -> None:
        """Ask again; in the end, owe a hint."""
        settings = replica.settings
        for storing in list(self._open.values()):
            if now.monotonic - storing.sent_at < settings.retry_ms:
                continue
            storing.sent_at = now.monotonic
            self._tell(replica, now, storing, out)
            late = now.monotonic - storing.begun_at >= settings.store_patience_ms
            for peer in sorted(storing.owed - {replica.me}):
                if late and storing.waiter is None:
                    storing.owed.discard(peer)
                    replica.hints.owe(peer, storing.records)
                elif storing.waiter is not None:
                    out.send.append((peer, Store(storing.number, storing.records)))
            if storing.stand_ins is not None and storing.waiter is not None:
                storing.stand_ins.ask_again(storing.number, storing.records, out)
            elif storing.stand_ins is not None and late:
                storing.stand_ins.asked.clear()
            self._close(storing)
