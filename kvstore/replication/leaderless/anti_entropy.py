"""Anti-entropy of one replica: its exchanges with the others, made part of its steps.

Before the tree of a replica has counted everything (after each start it begins anew) it says nothing, and who asks it
is not answered.
"""

from collections.abc import Collection
from random import Random
from typing import TYPE_CHECKING, Final, Protocol

from kvstore.core.errors import Corruption
from kvstore.core.ids import Instant, Millis, NodeId
from kvstore.replication.leaderless.comparing import Outcome
from kvstore.replication.leaderless.effects import CompareAsked, Compared, Effects
from kvstore.replication.leaderless.exchange import Counts, Exchanged, Exchanger
from kvstore.replication.leaderless.knowledge import Page
from kvstore.replication.leaderless.merkle import Tree
from kvstore.replication.leaderless.messages import Exchange, Record
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle

if TYPE_CHECKING:
    from kvstore.replication.leaderless.replica import LeaderlessReplica

COUNTED_PER_STEP: Final = 200
"""Records that one step counts into the tree: some 0.5 ms."""
COUNT_MS: Final = 10


class CountedTree(Protocol):
    """The tree of what a replica knows."""

    @property
    def tree(self) -> Tree: ...

    @property
    def is_whole(self) -> bool:
        """Whether everything is counted."""
        ...

    def count(self, limit: int) -> int:
        """Count the next records, `limit` at most; how many were looked at. Raises Corruption."""
        ...

    def page(self, leaves: Collection[int] | None, start: bytes, limit: int) -> Page:
        """See `Knowledge.page`."""
        ...


class Knowing:
    """What a replica knows, as an exchange wants it (see `Knowledge`)."""

    def __init__(self, replica: "LeaderlessReplica", counted: CountedTree) -> None:
        self._replica, self._counted = replica, counted

    @property
    def tree(self) -> Tree:
        return self._counted.tree

    @property
    def is_whole(self) -> bool:
        return self._counted.is_whole

    @property
    def recovering(self) -> bool:
        return self._replica.is_recovering

    def page(self, leaves: Collection[int] | None, start: bytes, limit: int) -> Page:
        return self._counted.page(leaves, start, limit)

    def record(self, key: bytes) -> bytes:
        try:
            return self._replica.table.record(key)
        except Corruption:
            self._replica.on_damage(key)
            return b""

    def merge(self, records: list[Record]) -> None:
        """What meets a damaged row waits for the next exchange; by then the row is mended."""
        for record in records:
            try:
                self._replica.take([record])
            except Corruption:
                self._replica.on_damage(record[0])


class Demanded:
    """Somebody waits for comparisons with these peers."""

    __slots__ = ("deadline", "outcomes", "waiting")

    def __init__(self, peers: Collection[NodeId], deadline: Millis) -> None:
        self.waiting, self.deadline = list(peers), deadline
        self.outcomes: list[Outcome] = []


class AntiEntropy:
    """What one replica does for being equal to the others."""

    def __init__(self, counted: CountedTree, rng: Random, settings: ExchangeSettings, throttle: Throttle) -> None:
        """`throttle` may be shared by all replicas of a node."""
        self._counted, self._rng, self._settings, self._throttle = counted, rng, settings, throttle
        self._exchanger: Exchanger | None = None
        self._demanded: dict[int, Demanded] = {}
        """By the handle of whoever waits."""

    @property
    def counts(self) -> Counts:
        """What was done since the start."""
        return self._exchanger.counts if self._exchanger is not None else Counts()

    def wake_at(self, now: Millis) -> Millis | None:
        """When to call `tick`."""
        if self._exchanger is None or not self._counted.is_whole:
            return Millis(now + COUNT_MS)
        ends = [each.deadline for each in self._demanded.values()]
        if self._exchanger.wake_at is not None:
            ends.append(self._exchanger.wake_at)
        return min(ends, default=None)

    def tick(self, replica: "LeaderlessReplica", now: Instant, out: Effects) -> None:
        """Count a little more, or go on with an exchange."""
        if not self._counted.is_whole:
            self._counted.count(COUNTED_PER_STEP)
        self._take(replica, self._begun(replica, now).time_passed(now), out)
        for handle in [handle for handle, each in self._demanded.items() if each.deadline <= now.monotonic]:
            self._answer(handle, now.monotonic, out)

    def handles(self) -> list[int]:
        """Of the comparisons that are waited for."""
        return list(self._demanded)

    def on_compare_asked(self, replica: "LeaderlessReplica", now: Instant, asked: CompareAsked, out: Effects) -> None:
        """Compare with some of the others as soon as possible."""
        peers = [peer for peer in asked.peers if peer in replica.peers]
        self._demanded[asked.handle] = Demanded(peers, asked.deadline)
        if not peers:
            self._answer(asked.handle, now.monotonic, out)
            return
        exchanger = self._begun(replica, now)
        self._take(replica, exchanger.demand(now, asked.handle, peers=peers, check=asked.check), out)

    def _answer(self, handle: int, now: Millis, out: Effects) -> None:
        """All are over, or it is time; then the others are said to be unfinished."""
        demanded = self._demanded.pop(handle)
        late = [Outcome(peer, now, handle, failed="it did not come to its end in time") for peer in demanded.waiting]
        if late and self._exchanger is not None:
            self._exchanger.forget_demands(handle)
        out.replies.append((handle, Compared(demanded.outcomes + late)))

    def _begun(self, replica: "LeaderlessReplica", now: Instant) -> Exchanger:
        if self._exchanger is None:
            knowing = Knowing(replica, self._counted)
            made = Exchanger(replica.me, replica.peers, knowing, self._settings, self._throttle, self._rng, now)
            for peer in replica.down:
                made.peer_down(now, peer)
            self._exchanger = made
        return self._exchanger

    def hear(self, replica: "LeaderlessReplica", now: Instant, sender: NodeId, message: Exchange, out: Effects) -> None:
        """Another replica asks or answers."""
        self._take(replica, self._begun(replica, now).hear(now, sender, message), out)

    def peer_up(self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, out: Effects) -> None:
        if self._exchanger is not None:
            self._take(replica, self._exchanger.peer_up(now, peer), out)

    def peer_down(self, replica: "LeaderlessReplica", now: Instant, peer: NodeId, out: Effects) -> None:
        if self._exchanger is not None:
            self._take(replica, self._exchanger.peer_down(now, peer), out)

    def _take(self, replica: "LeaderlessReplica", done: Exchanged, out: Effects) -> None:
        out.send += done.send
        for outcome in done.finished:
            if outcome.complete:
                replica.hints.forget(outcome.peer)
            demanded = self._demanded.get(outcome.ticket)
            if demanded is not None and outcome.peer in demanded.waiting:
                demanded.waiting.remove(outcome.peer)
                demanded.outcomes.append(outcome)
                if not demanded.waiting:
                    self._answer(outcome.ticket, outcome.began, out)
