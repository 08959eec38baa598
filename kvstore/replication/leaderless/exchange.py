"""Exchanger: when a replica is compared with which other, who speaks, and what is done about silence.

Of each pair the replica with the smaller name asks, on a schedule; who has lost its disk asks everybody, and so does
who is told to (`demand`). A replica takes part in one exchange at a time, asking or asked, and tells others that it is
busy unless they are equal to it: two exchanges side by side would find the same differences and mend them twice.

There is one question under way at a time, with a number of its own; only the answer to it counts, so that what comes
late or twice does no harm. A question without an answer is asked again, and after some tries the exchange is given up:
nothing has to be undone, the next one begins anew. The throttle makes every question wait until the work so far has
been paid for.
"""

from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

import msgspec

from kvstore.core.errors import Corruption, InvalidRequest
from kvstore.core.ids import Instant, Millis, NodeId
from kvstore.replication.leaderless.answering import answer_to
from kvstore.replication.leaderless.comparing import Comparison, Outcome, Pause, Steps, Unfit
from kvstore.replication.leaderless.knowledge import Knowledge
from kvstore.replication.leaderless.messages import (
    Answer,
    CompareTrees,
    Exchange,
    FetchHashes,
    HashesFetched,
    LeavesListed,
    ListLeaves,
    Pull,
    Pulled,
    Question,
    Repair,
    Repaired,
    TreesCompared,
)
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle

ANSWER_TO: Final[dict[type[Question], type[Answer]]] = {
    CompareTrees: TreesCompared,
    FetchHashes: HashesFetched,
    ListLeaves: LeavesListed,
    Pull: Pulled,
    Repair: Repaired,
}


class Counts(msgspec.Struct):
    """Of the exchanges that this replica began, since it started."""

    exchanges: int = 0
    """That came to their end."""
    equal: int = 0
    """… and found nothing to mend."""
    given_up: int = 0
    differing: int = 0
    pulled: int = 0
    pushed: int = 0
    false_repairs: int = 0
    phantom: int = 0
    bytes: int = 0
    refused: int = 0
    """Questions and answers of others that made no sense."""

    def add(self, outcome: Outcome) -> None:
        """One more has ended."""
        self.exchanges += not outcome.failed
        self.equal += not outcome.failed and outcome.differing == 0
        self.given_up += bool(outcome.failed)
        for name in ("differing", "pulled", "pushed", "false_repairs", "phantom", "bytes"):
            setattr(self, name, getattr(self, name) + getattr(outcome, name))


class Exchanged(msgspec.Struct):
    """What a step of the exchanger wants done. `send` may leave at once: nothing in it promises a disk anything."""

    send: list[tuple[NodeId, Exchange]] = []
    finished: list[Outcome] = []
    """Exchanges that this replica began and that are over."""


class Demand(NamedTuple):
    """Somebody wants this peer compared, not before `at`."""

    peer: NodeId
    ticket: int
    check: bool
    at: Millis


class _Talk:
    """The exchange that we began: its coroutine, and what we wait for until `at`."""

    __slots__ = ("at", "comparison", "demand", "outcome", "question", "steps", "tries")

    def __init__(self, comparison: Comparison, demand: Demand | None) -> None:
        self.comparison, self.outcome, self.demand = comparison, comparison.outcome, demand
        self.steps: Steps[None] = comparison.run()
        self.question: Question | None = None
        self.tries = 0
        self.at = Millis(0)


class _Served(NamedTuple):
    """Whose questions we answer, until it has been silent for a while."""

    peer: NodeId
    until: Millis


class Exchanger:
    """Anti-entropy of one replica. It owns no clock and no dice but those handed in; `wake_at` says when to call."""

    def __init__(
        self,
        me: NodeId,
        peers: Sequence[NodeId],
        ours: Knowledge,
        settings: ExchangeSettings,
        throttle: Throttle,
        rng: Random,
        now: Instant,
    ) -> None:
        """`throttle` may be shared by all replicas of a node."""
        assert me not in peers, f"{me} is no peer of its own"
        self.counts = Counts()
        self.synced: dict[NodeId, Millis] = {}
        """When the latest exchange began after which we knew everything that this peer then knew."""
        self._me, self._peers, self._ours = me, tuple(peers), ours
        self._settings, self._throttle, self._rng = settings, throttle, rng
        self._number = rng.getrandbits(60)
        self._down: set[NodeId] = set()
        self._due = {peer: Millis(now.monotonic + rng.randrange(settings.interval_ms)) for peer in peers}
        self._nth = dict.fromkeys(peers, 0)
        self._demands: list[Demand] = []
        self._talk: _Talk | None = None
        self._served: _Served | None = None
        self._repaired: dict[NodeId, Repaired] = {}
        """Our latest answer to a Repair of each peer: one that comes twice is not counted as false."""

    def __str__(self) -> str:
        told = self.counts
        return (
            f"{told.exchanges} exchanges, {told.equal} equal, {told.pulled} pulled, {told.pushed} pushed, "
            f"{told.false_repairs} false"
        )

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, now: Instant, sender: NodeId, message: Exchange) -> Exchanged:
        """Another replica asks or answers. What makes no sense is counted and dropped."""
        out = Exchanged()
        if sender not in self._peers:
            self.counts.refused += 1
        elif isinstance(message, CompareTrees | FetchHashes | ListLeaves | Pull | Repair):
            self._answer(now, sender, message, out)
        else:
            self._take_answer(now, sender, message, out)
        return self._went_on(now, out)

    def time_passed(self, now: Instant) -> Exchanged:
        """The clock moved. Harmless when early."""
        return self._went_on(now, Exchanged())

    def peer_up(self, now: Instant, peer: NodeId) -> Exchanged:
        """A node can be reached (again): it is compared soon."""
        self._down.discard(peer)
        if peer in self._due:
            soon = Millis(now.monotonic + self._around(self._settings.after_up_ms))
            self._due[peer] = min(self._due[peer], soon)
        return self._went_on(now, Exchanged())

    def peer_down(self, now: Instant, peer: NodeId) -> Exchanged:
        """A node was not heard from for a while: what we have under way with it is given up."""
        out = Exchanged()
        self._down.add(peer)
        if self._talk is not None and self._talk.outcome.peer == peer:
            self._finish(now, f"{peer} is down", out)
        if self._served is not None and self._served.peer == peer:
            self._served = None
        self._refuse_demands(now, out)
        return self._went_on(now, out)

    def demand(
        self, now: Instant, ticket: int, *, peers: Sequence[NodeId] | None = None, check: bool = False
    ) -> Exchanged:
        """Compare with these of the others (None: with each) now, thoroughly; `check`: and repair nothing.

        Each ends with an Outcome that has this ticket, at once a failed one if the peer is down.
        """
        out = Exchanged()
        wanted = [peer for peer in self._peers if peers is None or peer in peers]
        self._demands += [Demand(peer, ticket, check, now.monotonic) for peer in wanted]
        self._refuse_demands(now, out)
        return self._went_on(now, out)

    def forget_demands(self, ticket: int) -> None:
        """Nobody waits for them any more. One that is under way goes on."""
        self._demands = [demand for demand in self._demands if demand.ticket != ticket]

    def recover(self, now: Instant) -> Exchanged:
        """`ours.recovering` has become true: compare with everybody as soon as possible, and forget who we matched."""
        self.synced.clear()
        self._due = dict.fromkeys(self._peers, now.monotonic)
        return self._went_on(now, Exchanged())

    def has_synced(self, since: Millis) -> bool:
        """Whether we know everything that every peer knew at some moment after that."""
        return all(self.synced.get(peer, Millis(-1)) >= since for peer in self._peers)

    @property
    def wake_at(self) -> Millis | None:
        """When to call `time_passed`; None: not before something else happens, or `ours` becomes whole."""
        if self._talk is not None:
            return self._talk.at
        if not self._ours.is_whole:
            return None
        wishes = [demand.at for demand in self._demands]
        wishes += [due for peer, due in self._due.items() if self._may_begin_with(peer)]
        if not wishes:
            return None
        return max(min(wishes), self._served.until) if self._served is not None else min(wishes)

    # ── answering ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, now: Instant, sender: NodeId, question: Question, out: Exchanged) -> None:
        if not self._ours.is_whole and not isinstance(question, Pull | Repair):
            if isinstance(question, CompareTrees):
                out.send.append((sender, TreesCompared(question.id, self._ours.tree.bits, busy=True)))
            return
        before = self._repaired.get(sender)
        if isinstance(question, Repair) and before is not None and before.id == question.id:
            out.send.append((sender, before))
            return
        try:
            answer = answer_to(question, self._ours, self._settings, now.wall)
        except (InvalidRequest, Corruption):
            self.counts.refused += 1
            return
        if isinstance(answer, Repaired):
            self._repaired[sender] = answer
        if isinstance(answer, TreesCompared) and not answer.equal and self._is_busy_for(now, sender):
            answer = TreesCompared(answer.id, answer.bits, busy=True, recovering=answer.recovering)
        elif not (isinstance(answer, TreesCompared) and answer.equal):
            until = Millis(now.monotonic + self._settings.timeout_ms + self._settings.settle_ms)
            self._served = _Served(sender, until)
        out.send.append((sender, answer))

    def _is_busy_for(self, now: Instant, sender: NodeId) -> bool:
        served = self._served
        return self._talk is not None or (served is not None and served.peer != sender and now.monotonic < served.until)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _may_begin_with(self, peer: NodeId) -> bool:
        return peer not in self._down and (self._me < peer or self._ours.recovering)

    def _went_on(self, now: Instant, out: Exchanged) -> Exchanged:
        """Begin what is due, and do what an exchange under way waits for."""
        while True:
            if self._talk is None and not self._begin(now):
                return out
            talk = self._talk
            assert talk is not None, "one has begun"
            if now.monotonic < talk.at:
                return out
            if talk.question is None:
                self._resume(now, talk, None, out)
            elif talk.tries == self._settings.tries_max:
                self._finish(now, f"{talk.outcome.peer} does not answer", out)
            elif self._throttle.free_at > now.monotonic and not talk.tries:
                talk.at = self._throttle.free_at
            else:
                self._ask(now, talk, talk.question, out)

    def _begin(self, now: Instant) -> bool:
        """Start an exchange, if one is due and we are not taking part in one. The first step is taken by the caller."""
        if not self._ours.is_whole:
            return False
        if self._served is not None:
            if now.monotonic < self._served.until:
                return False
            self._served = None
        demand = next((each for each in self._demands if each.at <= now.monotonic), None)
        if demand is not None:
            self._demands.remove(demand)
            peer = demand.peer
        else:
            due = [(at, peer) for peer, at in self._due.items() if at <= now.monotonic and self._may_begin_with(peer)]
            if not due:
                return False
            peer = min(due)[1]
        self._nth[peer] += 1
        thorough = demand is not None or self._nth[peer] % self._settings.thorough_every == 0
        outcome = Outcome(peer, now.monotonic)
        if demand is not None:
            outcome.ticket, outcome.check = demand.ticket, demand.check
        self._talk = _Talk(Comparison(self._ours, self._settings, outcome, thorough=thorough), demand)
        return True

    def _ask(self, now: Instant, talk: _Talk, question: Question, out: Exchanged) -> None:
        talk.tries += 1
        talk.at = Millis(now.monotonic + self._settings.timeout_ms)
        talk.outcome.bytes += size_of(question)
        out.send.append((talk.outcome.peer, question))

    def _take_answer(self, now: Instant, sender: NodeId, answer: Answer, out: Exchanged) -> None:
        talk = self._talk
        if talk is None or talk.question is None or not talk.tries:
            return
        if (talk.outcome.peer, talk.question.id) != (sender, answer.id):
            return
        if not isinstance(answer, ANSWER_TO[type(talk.question)]):
            self.counts.refused += 1
            return
        nbytes = size_of(talk.question) + size_of(answer)
        talk.outcome.bytes += size_of(answer)
        self._resume(now, talk, answer, out)
        self._throttle.charge(now.monotonic, talk.comparison.cost, nbytes)
        talk.comparison.cost = 0.0

    def _resume(self, now: Instant, talk: _Talk, answer: Answer | None, out: Exchanged) -> None:
        """One step of the coroutine: what to wait for, or how it ended."""
        talk.comparison.wall = now.wall
        if not self._ours.is_whole:
            self._finish(now, "our own tree is being made anew", out)
            return
        try:
            step = talk.steps.send(answer)
        except StopIteration:
            self._finish(now, "", out)
            return
        except (Unfit, Corruption) as error:
            self.counts.refused += 1
            self._finish(now, f"{talk.outcome.peer} makes no sense: {error}", out)
            return
        talk.tries = 0
        if isinstance(step, Pause):
            talk.question, talk.at = None, Millis(now.monotonic + step.ms)
            return
        self._number += 1
        talk.question, talk.at = msgspec.structs.replace(step, id=self._number), now.monotonic

    def _finish(self, now: Instant, failed: str, out: Exchanged) -> None:
        """It is over: count, tell, and say when the next one is due."""
        talk, self._talk = self._talk, None
        assert talk is not None, "something was under way"
        talk.steps.close()
        outcome, settings = talk.outcome, self._settings
        outcome.failed, outcome.ms = failed, now.monotonic - outcome.began
        if outcome.busy:
            again = Millis(now.monotonic + self._around(settings.busy_ms))
            if talk.demand is not None:
                self._demands.append(talk.demand._replace(at=again))
            else:
                self._due[outcome.peer] = again
            return
        self.counts.add(outcome)
        out.finished.append(outcome)
        if outcome.complete and not outcome.peer_recovering:
            self.synced[outcome.peer] = outcome.began
        if not outcome.check:
            wait = settings.retry_ms if failed else settings.interval_ms
            self._due[outcome.peer] = Millis(now.monotonic + self._around(wait))

    def _refuse_demands(self, now: Instant, out: Exchanged) -> None:
        for demand in [each for each in self._demands if each.peer in self._down]:
            self._demands.remove(demand)
            failed = f"{demand.peer} is down"
            out.finished.append(Outcome(demand.peer, now.monotonic, demand.ticket, demand.check, failed))

    def _around(self, ms: Millis) -> int:
        """A quarter less or more: so that not all replicas of a node do the same at once."""
        return max(1, ms * self._rng.randrange(75, 126) // 100)


def size_of(message: Exchange) -> int:
    """About how many bytes it takes on the wire."""
    match message:
        case TreesCompared() | HashesFetched():
            return 16 + 8 * len(message.hashes)
        case FetchHashes():
            return 16 + 3 * len(message.nodes)
        case ListLeaves():
            return 16 + 3 * len(message.leaves) + len(message.start)
        case LeavesListed() | Pull():
            return 16 + 10 * len(message.keys) + sum(map(len, message.keys))
        case Pulled():
            return 16 + sum(3 + len(record) for record in message.records)
        case Repair():
            return 16 + sum(6 + len(key) + len(record) for key, record in message.records)
        case CompareTrees() | Repaired():
            return 24
