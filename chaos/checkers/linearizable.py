"""Is there an order of all operations, each between its invocation and its return, that one untroubled copy would give?

Linearizability is local (Herlihy and Wing, 1990): a history is linearizable exactly if the operations of every key are,
so each key is searched alone. The search is exponential at worst; `steps_max` bounds memory (about half a kilobyte a
step) and `out_of_time` lets the caller bound time, since there is no clock in here. Beyond the bound the answer is
unknown.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from chaos.checkers.foresight import Foresight
from chaos.checkers.model import Model
from chaos.checkers.search import Search
from chaos.checkers.story import story_of
from chaos.checkers.timeline import Timeline
from chaos.checkers.verdict import Answer, Verdict
from chaos.history import Operation

STEPS_MAX = 2_000_000  # a minute or so, and up to a gigabyte


def check(
    operations: Iterable[Operation],
    model: Model,
    *,
    steps_max: int = STEPS_MAX,
    out_of_time: Callable[[], bool] | None = None,
) -> Verdict:
    """Judge a history, key by key, the smallest key first; the first key found invalid ends the check.

    `out_of_time` is asked every few hundred steps. Raises ValueError for an operation the model does not know.
    """
    budget = _Budget(steps_max, out_of_time)
    open_questions: list[str] = []
    for key, group in sorted(by_key(operations).items(), key=lambda item: len(item[1])):
        verdict = _check_key(key, group, model, budget)
        if verdict.answer is Answer.INVALID:
            return verdict
        open_questions.extend(verdict.findings)
    answer = Answer.UNKNOWN if open_questions else Answer.VALID
    return Verdict(answer, tuple(open_questions), steps=budget.steps)


def by_key(operations: Iterable[Operation]) -> dict[Hashable, list[Operation]]:
    """The operations of each key, in their order."""
    groups: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        groups.setdefault(operation.key, []).append(operation)
    return groups


def order_of(operations: Iterable[Operation], model: Model, *, steps_max: int = STEPS_MAX) -> list[Operation] | None:
    """A witness: one legal order of the operations of one key. None if there is none or it was not found in time.

    Operations of unknown outcome appear only where the order needs them; those that say nothing do not appear.
    """
    timeline = Timeline(model, tuple(model.calls(list(operations))))
    search = Search(timeline, Foresight(timeline))
    if not search.run(lambda steps: steps >= steps_max):
        return None
    return search.order()


@dataclass(slots=True)
class _Budget:
    """What is left for all keys together."""

    steps_max: int
    out_of_time: Callable[[], bool] | None
    steps: int = 0
    reason: str = ""

    def is_spent(self, steps_here: int) -> bool:
        if self.steps + steps_here >= self.steps_max:
            self.reason = f"no answer within {self.steps_max} steps"
        elif self.out_of_time is not None and self.out_of_time():
            self.reason = f"no answer within the time limit, after {self.steps + steps_here} steps"
        return bool(self.reason)


def _check_key(key: Hashable, operations: list[Operation], model: Model, budget: _Budget) -> Verdict:
    timeline = Timeline(model, tuple(model.calls(operations)))
    foresight = Foresight(timeline)
    deepest = 0
    if foresight.doomed_at is None:
        search = Search(timeline, foresight)
        found = None if budget.is_spent(0) else search.run(budget.is_spent)
        budget.steps += search.steps
        if found:
            return Verdict(Answer.VALID, steps=budget.steps)
        if found is None:
            return Verdict(Answer.UNKNOWN, (f"{_named(key)}{budget.reason}",), steps=budget.steps)
        deepest = search.deepest
    story = story_of(key, model, timeline, deepest, foresight.doomed_at)
    return Verdict(Answer.INVALID, (f"{_named(key)}no place for {story.stuck}",), story, budget.steps)


def _named(key: Hashable) -> str:
    return "" if key is None else f"key {key!r}: "
