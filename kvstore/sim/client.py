"""A client in the universe: it asks a node, waits, follows leaders, and retries what is safe to retry.

It lives beside one node, its home: what cuts the home off from a node cuts the client off, too. Requests and answers
can be lost, late, or doubled on the way. A retry carries the same operation id, so it may follow an attempt of which
nobody knows how it ended.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kvstore.core.ids import GroupId, NodeId
from kvstore.node.requests import Answer, Failure, ReadLevel, ReadRequest, Request
from kvstore.sim.cluster import SimCluster
from kvstore.sim.dice import happens
from kvstore.sim.scheduler import MILLI, Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How patient a client is, and how good its connection."""

    try_ms: int = 500
    """After so long without an answer it gives an attempt up."""
    call_ms: int = 3_000
    """After so long it gives the whole call up."""
    backoff_ms_max: int = 50
    loss_per_mille: int = 0
    repeat_per_mille: int = 0
    wrong_node_per_mille: int = 100
    """How often it asks any node instead of the leader it knows."""
    stays_at_home: bool = False
    """It only ever asks the node it lives beside, whoever leads."""


class Call:
    """One call: perhaps several attempts."""

    __slots__ = ("attempt", "copies", "deadline", "done", "is_over", "open", "request", "tries")

    def __init__(self, request: Request, deadline: Micros, done: Callable[["Call", Answer | None], None]) -> None:
        self.request, self.deadline, self.done = request, deadline, done
        self.attempt = 0
        self.tries = 0
        self.copies = 0
        """How many requests have left for it: one with each try, and those that the network doubled."""
        self.open: set[int] = set()
        """Attempts that may have happened, or may yet happen, as far as the client can know."""
        self.is_over = False

    @property
    def maybe(self) -> bool:
        """Whether it may have happened although the last word was a refusal."""
        return bool(self.open)


class SimClient:
    """One client. Calls may be under way side by side; `done(call, answer)` ends each, `None` if nobody answered."""

    def __init__(self, cluster: SimCluster, name: str, home: NodeId, habits: Habits) -> None:
        self.name, self.home, self.habits = name, home, habits
        self._cluster = cluster
        self._rng = cluster.dice.stream(f"client {name}")
        self._leaders: dict[GroupId, NodeId] = {}

    def call(self, request: Request, done: Callable[[Call, Answer | None], None], call_ms: int | None = None) -> Call:
        """Begin a call."""
        limit = self.habits.call_ms if call_ms is None else call_ms
        call = Call(request, self._cluster.now + limit * MILLI, done)
        self._try(call)
        return call

    # --- attempts -----------------------------------------------------------------------------------------------------

    def _try(self, call: Call) -> None:
        if call.is_over:
            return
        cluster, habits = self._cluster, self.habits
        left_ms = (call.deadline - cluster.now) // MILLI
        if left_ms <= 0:
            self._end(call, None)
            return
        node = self._choose(call)
        call.tries += 1
        call.attempt = attempt = cluster.new_handle()
        call.open.add(attempt)
        cluster.scheduler.after(
            min(habits.try_ms, left_ms) * MILLI, self.name, "patience", self._lose_patience, call, attempt, node
        )
        if cluster.network.is_cut(self.home, node) or happens(self._rng, habits.loss_per_mille):
            return
        call.copies += 1
        delay = cluster.network.faults.delay_us_min + self._rng.randint(0, 1_000)
        cluster.scheduler.after(delay, node, f"asked by {self.name}", self._arrive, call, attempt, node, left_ms)
        if happens(self._rng, habits.repeat_per_mille):
            later = delay + self._rng.randint(0, 1_000_000)
            again = cluster.new_handle()
            call.copies += 1
            cluster.scheduler.after(
                later, node, f"asked again by {self.name}", self._arrive, call, again, node, left_ms
            )

    def _choose(self, call: Call) -> NodeId:
        """A replica for a follower's read; else the leader we know of, now and then anybody."""
        request = call.request
        if isinstance(request, ReadRequest) and request.level == ReadLevel.FOLLOWER:
            ring = self._cluster.ring
            place = ring.place_of(request.group) if ring is not None else None
            if place is not None:
                return self._rng.choice(place.partition.replicas)
        if self.habits.stays_at_home:
            return self.home
        leader = self._leaders.get(request.group)
        if leader is None or happens(self._rng, self.habits.wrong_node_per_mille):
            return self._rng.choice(self._cluster.names)
        return leader

    def _arrive(self, call: Call, attempt: int, node: NodeId, left_ms: int) -> None:
        """The request is at the node, or at its closed door."""
        machine = self._cluster.machines[node]
        machine.ask(attempt, call.request, left_ms, lambda answer: self._return(call, attempt, node, answer))

    def _return(self, call: Call, attempt: int, node: NodeId, answer: Answer | None) -> None:
        """The answer leaves the node, or the connection breaks."""
        cluster = self._cluster
        if cluster.network.is_cut(node, self.home) or happens(self._rng, self.habits.loss_per_mille):
            return
        delay = cluster.network.faults.delay_us_min + self._rng.randint(0, 1_000)
        cluster.scheduler.after(delay, self.name, f"answer of {node}", self._on_answer, call, attempt, node, answer)

    # --- endings ------------------------------------------------------------------------------------------------------

    def _lose_patience(self, call: Call, attempt: int, node: NodeId) -> None:
        if call.is_over or call.attempt != attempt:
            return
        if self._leaders.get(call.request.group) == node:
            del self._leaders[call.request.group]
        self._retry(call)

    def _retry(self, call: Call) -> None:
        backoff = self._rng.randint(1, max(1, self.habits.backoff_ms_max)) * MILLI
        call.attempt = 0
        self._cluster.scheduler.after(backoff, self.name, "retry", self._try, call)

    def _on_answer(self, call: Call, attempt: int, node: NodeId, answer: Answer | None) -> None:
        if isinstance(answer, Failure) and answer.definite:
            call.open.discard(attempt)
        if call.is_over:
            return
        if answer is not None and not isinstance(answer, Failure):
            if isinstance(call.request, ReadRequest) and call.request.level == ReadLevel.FOLLOWER:
                self._end(call, answer)
                return
            self._leaders[call.request.group] = node
            self._end(call, answer)
        elif attempt == call.attempt:
            self._on_failure(call, node, answer)

    def _on_failure(self, call: Call, node: NodeId, failure: Failure | None) -> None:
        if self._leaders.get(call.request.group) == node:
            del self._leaders[call.request.group]
        if failure is None:
            self._retry(call)
            return
        leader = failure.error().facts.get("leader")
        if leader in self._cluster.machines:
            self._leaders[call.request.group] = NodeId(leader)
        if failure.retryable:
            self._retry(call)
        else:
            self._end(call, failure)

    def _end(self, call: Call, answer: Answer | None) -> None:
        call.is_over = True
        call.done(call, answer)
