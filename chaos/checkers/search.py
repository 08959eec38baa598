"""The search for an order: depth first over the moments of a timeline, remembering what is no better than before.

Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with Lowe's memory of configurations and just-in-time
linearization ("Testing for Linearizability", 2017): a call is given its place only when the next return forces it.
Beyond these, and the foresight of `chaos.checkers.foresight`:

- A call that only looks gets its place at the first state that answers it: an obligation less, and nothing changed.
- Between two configurations at one moment, with the same state and the same open changes behind them, the one with
  fewer debts (lookers unanswered, optional calls used up) can do all the other can. Only undominated ones are followed.
- Of open calls that do the same, the one that returns first goes first.
- An optional call is placed only if the call right after it depends on it; otherwise leaving it out is as good.
"""

from collections.abc import Callable, Hashable
from typing import NamedTuple

from chaos.checkers.foresight import Foresight
from chaos.checkers.timeline import Timeline
from chaos.history import Operation

_STEPS_BETWEEN_LOOKS = 256  # how often the budget is asked: every few milliseconds

# The path before, a moment, and what was placed there: one call, or (if that is -1) the debtors with these bits.
Path = tuple["Path", int, int, int] | None


class Configuration(NamedTuple):
    """Where one order stands: it wants the call returning at the moment to happen now."""

    at: int
    state: int
    done: int  # open changes that have happened
    debt: int  # open lookers and idle overwrites that have not happened, and optional calls used up
    bare: bool  # the last call was an optional one that nobody has noticed yet
    path: Path


class Search:
    """One search for an order of everything that must happen."""

    def __init__(self, timeline: Timeline, foresight: Foresight) -> None:
        self._timeline = timeline
        self._foresight = foresight
        self._end = len(timeline.moments)
        self._seen: list[dict[tuple[int, int, bool], list[int]]] = [{} for _ in range(self._end)]
        self._stack: list[Configuration] = []
        self._next_look = _STEPS_BETWEEN_LOOKS
        self.steps = 0  # configurations remembered
        self.deepest = 0  # how many calls have returned in the longest order
        self._final_states: dict[int, None] = {}  # where the orders end that were found, in order of discovery
        self._path: Path = None

    def run(self, exhausted: Callable[[int], bool], every_end: bool = False) -> bool | None:
        """True if there is an order, False if there is none, None if `exhausted(steps)` came true first.

        With `every_end` it goes on after the first order, to find all states in which orders end.
        """
        moments = self._timeline.moments
        debt = moments[0].fresh_debt if moments else 0
        self._arrive(0, self._timeline.initial, 0, debt, False, None)
        while self._stack and (every_end or not self._final_states):
            if self.steps >= self._next_look:
                self._next_look = self.steps + _STEPS_BETWEEN_LOOKS
                if exhausted(self.steps):
                    return True if self._final_states else None
            self._branch(self._stack.pop())
        return bool(self._final_states)

    def order(self) -> list[Operation]:
        """The operations of the first order found, first to last; nothing if none was found."""
        order: list[int] = []
        path = self._path
        while path is not None:
            path, at, call, bits = path
            if call >= 0:
                order.append(call)
            else:
                order.extend(debtor for bit, debtor in self._timeline.moments[at].debtors if bit & bits)
        return [self._timeline.calls[index].operation for index in reversed(order)]

    def final_values(self) -> list[Hashable]:
        """The states in which the orders found end, as the model knows them."""
        return [self._timeline.states[state] for state in self._final_states]

    def _branch(self, now: Configuration) -> None:
        """Try every next call. What is pushed last is tried first: the returning call, then others, optional ones last.

        After an unnoticed optional call no overwrite may follow: without that call the outcome would be the same.
        """
        at, state, done, debt, bare, _ = now
        timeline = self._timeline
        moment = timeline.moments[at]
        for pool, elders in timeline.guesses_at(moment):
            used = debt & pool.field
            taken = (used << 1 | pool.low_bit) & ~used & pool.field & moment.available
            if taken and done & elders == elders and not (bare and pool.overwrites):
                after = timeline.step(state, pool.action)
                hides = pool.overwrites and debt & moment.idle
                if after >= 0 and (after != state or hides):
                    call = pool.members[used.bit_count()]
                    self._place(now, call, pool.overwrites, after, done, debt | taken, True)
        for call, action, overwrites, bit, elders in moment.choices:
            if not done & bit and done & elders == elders and not (bare and overwrites):
                after = timeline.step(state, action)
                if after >= 0:
                    owed = debt if bit else debt & ~moment.bit  # without a bit in `done` it is the idle returning call
                    self._place(now, call, overwrites, after, done | bit, owed, False)

    def _place(
        self, now: Configuration, call: int, overwrites: bool, after: int, done: int, debt: int, optional: bool
    ) -> None:
        if after != now.state and not self._foresight.may_turn(now.state, after, now.at):
            return
        path = now.path
        if overwrites:
            hidden = debt & self._timeline.moments[now.at].idle
            if hidden:
                debt ^= hidden
                path = (path, now.at, -1, hidden)
        self._arrive(now.at, after, done, debt, optional, (path, now.at, call, 0))

    def _arrive(self, at: int, state: int, done: int, debt: int, bare: bool, path: Path) -> None:
        """Answer every looker that this state answers, let return what has happened, and queue what is left to do."""
        timeline = self._timeline
        moments = timeline.moments
        while at < self._end:
            moment = moments[at]
            answered = debt & timeline.satisfied_by(moment, state)
            if answered:
                debt ^= answered
                path = (path, at, -1, answered)
                bare = False
            if moment.changes:
                if not done & moment.bit:
                    break
                done ^= moment.bit
            elif debt & moment.bit:
                break
            at += 1
            if at < self._end:
                debt |= moments[at].fresh_debt
        self.deepest = max(self.deepest, at)
        if at == self._end:
            if not self._final_states:
                self._path = path
            self._final_states[state] = None
            return
        state = self._foresight.essence(state, at)
        if not self._foresight.is_hopeless(at, state, done, debt) and self._is_news(at, state, done, debt, bare):
            self.steps += 1
            self._stack.append(Configuration(at, state, done, debt, bare, path))

    def _is_news(self, at: int, state: int, done: int, debt: int, bare: bool) -> bool:
        """Remember the configuration, unless one at least as good has been here."""
        seen = self._seen[at]
        if bare and any(not known & ~debt for known in seen.get((state, done, False), ())):
            return False
        known_debts = seen.get((state, done, bare))
        if known_debts is None:
            seen[state, done, bare] = [debt]
            return True
        for known in known_debts:
            if not known & ~debt:
                return False
        known_debts[:] = [known for known in known_debts if debt & ~known]
        known_debts.append(debt)
        return True
