"""Storing: records on their way to the disks of the replicas, and whoever waits for enough of them.

One `Store` goes to every replica that is up. It is sent again while somebody waits and it is not answered. Afterwards,
and to those that are down, a hint is owed (`hints.py`).
"""

from typing import TYPE_CHECKING, Protocol

from kvstore.core.ids import Index, Instant, Millis, NodeId
from kvstore.replication.leaderless.effects import Effects
from kvstore.replication.leaderless.messages import Record, Store, Stored

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

    __slots__ = ("begun_at", "index", "number", "owed", "records", "sent_at", "stored", "waiter")

    def __init__(self, number: int, records: list[Record], index: Index, now: Millis, waiter: Waiter) -> None:
        self.number, self.records, self.index = number, records, index
        self.stored: set[NodeId] = set()
        """Replicas that have them on disk."""
        self.owed: set[NodeId] = set()
        """Replicas that were asked to and have not answered."""
        self.begun_at = self.sent_at = now
        self.waiter: Waiter | None = waiter

    def possible(self, down: set[NodeId]) -> int:
        """How many replicas have them or may yet say so."""
        return len(self.stored) + len(self.owed - down)


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
    ) -> None:
        """Send records to these replicas. Our own disk counts as well, as soon as it has all we appended so far."""
        storing = Storing(replica.next_number(), records, replica.log_index, now.monotonic, waiter)
        self._open[storing.number] = storing
        self.writes_awaited += waiter.is_write
        message = Store(storing.number, records)
        for peer in targets:
            if peer in replica.down:
                replica.hints.owe(peer, records)
            else:
                storing.owed.add(peer)
                out.send.append((peer, message))
        if storing.index > replica.persisted:
            storing.owed.add(replica.me)
            self._unpersisted.append(storing)
        else:
            self._has(replica, now, storing, replica.me, out)

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
        return True

    def _has(self, replica: "LeaderlessReplica", now: Instant, storing: Storing, who: NodeId, out: Effects) -> None:
        storing.owed.discard(who)
        storing.stored.add(who)
        self._tell(replica, now, storing, out)
        if not storing.owed:
            self._open.pop(storing.number, None)

    def _tell(self, replica: "LeaderlessReplica", now: Instant, storing: Storing, out: Effects) -> None:
        waiter = storing.waiter
        if waiter is not None and waiter.on_progress(replica, now, storing, out):
            storing.waiter = None
            self.writes_awaited -= waiter.is_write

    def on_down(self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, out: Effects) -> None:
        """That replica will not answer: it is owed a hint."""
        for storing in [storing for storing in self._open.values() if peer in storing.owed]:
            storing.owed.discard(peer)
            replica.hints.owe(peer, storing.records)
            self._tell(replica, now, storing, out)
            if not storing.owed:
                del self._open[storing.number]

    def tick(self, replica: "LeaderlessReplica", now: Instant, out: Effects) -> None:
        """Ask again; in the end, owe a hint."""
        settings = replica.settings
        for storing in list(self._open.values()):
            if now.monotonic - storing.sent_at < settings.retry_ms:
                continue
            storing.sent_at = now.monotonic
            self._tell(replica, now, storing, out)
            late = now.monotonic - storing.begun_at >= settings.store_patience_ms
            for peer in [peer for peer in storing.owed if peer != replica.me]:
                if late and storing.waiter is None:
                    storing.owed.discard(peer)
                    replica.hints.owe(peer, storing.records)
                elif storing.waiter is not None:
                    out.send.append((peer, Store(storing.number, storing.records)))
            if not storing.owed:
                del self._open[storing.number]
