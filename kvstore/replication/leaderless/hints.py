"""Hints: which keys a replica has missed, so that it gets them when it is back (DeCandia et al. 2007, §4.6).

A coordinator is a replica, too, and has every record itself: a hint is the key, and what is sent is what is known of
it by then. Hints live in memory. When there are too many for a replica, or when their node dies, they are lost, and
anti-entropy finds what they would have told.
"""

from typing import TYPE_CHECKING

from kvstore.core.errors import Corruption
from kvstore.core.ids import Instant, Millis, NodeId
from kvstore.replication.leaderless.effects import Effects
from kvstore.replication.leaderless.messages import Record, Store, Stored

if TYPE_CHECKING:
    from kvstore.replication.leaderless.replica import LeaderlessReplica


class Returning:
    """Hints on their way back."""

    __slots__ = ("keys", "number", "sent_at")

    def __init__(self, number: int, keys: list[bytes], now: Millis) -> None:
        self.number, self.keys, self.sent_at = number, keys, now


class Hints:
    """What one replica has in mind for the others."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._owed: dict[NodeId, dict[bytes, None]] = {}
        self._returning: dict[NodeId, Returning] = {}
        self.overflowed: set[NodeId] = set()
        """Replicas for which hints were dropped: they need anti-entropy."""
        self.made = self.returned = self.dropped = 0
        self.refused = 0
        """Records that nodes did not take as hints for others, and that were no business of ours as hints."""

    def count(self, peer: NodeId) -> int:
        """How many keys are owed to a replica, those on their way included."""
        returning = self._returning.get(peer)
        return len(self._owed.get(peer, ())) + (len(returning.keys) if returning is not None else 0)

    @property
    def is_empty(self) -> bool:
        return not self._owed and not self._returning

    def owe(self, peer: NodeId, records: list[Record]) -> None:
        """These records did not reach that replica."""
        owed = self._owed.setdefault(peer, {})
        for key, _ in records:
            if key in owed:
                continue
            if len(owed) >= self._keys_max:
                self.dropped += 1
                self.overflowed.add(peer)
            else:
                owed[key] = None
                self.made += 1

    def send(self, replica: "LeaderlessReplica", now: Instant, out: Effects) -> None:
        """Give every replica that is up its next few hints: one message at a time, so that it is not flooded."""
        for peer in list(self._owed):
            if peer in replica.down:
                continue
            returning = self._returning.get(peer)
            if returning is not None:
                if now.monotonic - returning.sent_at < replica.settings.store_patience_ms:
                    continue
                self._owed[peer] = {**dict.fromkeys(returning.keys), **self._owed[peer]}  # lost: once more
                del self._returning[peer]
            self._send_some(replica, now, peer, out)

    def _send_some(self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, out: Effects) -> None:
        owed, settings = self._owed[peer], replica.settings
        keys: list[bytes] = []
        records: list[Record] = []
        size = 0
        for key in owed:
            if len(keys) >= settings.batch_records_max or size >= settings.batch_bytes_max:
                break
            keys.append(key)
            try:
                record = replica.table.record(key)
            except Corruption:
                replica.on_damage(key)
                continue
            records.append((key, record))
            size += len(key) + len(record)
        for key in keys:
            del owed[key]
        if records:
            number = replica.next_number()
            self._returning[peer] = Returning(number, keys, now.monotonic)
            out.send.append((peer, Store(number, records)))
        elif not owed:
            del self._owed[peer]

    def on_stored(self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, reply: Stored, out: Effects) -> None:
        """A replica has its hints on disk."""
        returning = self._returning.get(peer)
        if returning is None or returning.number != reply.id:
            return
        del self._returning[peer]
        self.returned += len(returning.keys)
        if not self._owed.get(peer):
            self._owed.pop(peer, None)
        elif peer not in replica.down:
            self._send_some(replica, now, peer, out)

    def forget(self, peer: NodeId) -> None:
        """Anti-entropy has brought that replica up to date."""
        self.overflowed.discard(peer)
