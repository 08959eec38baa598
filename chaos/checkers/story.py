"""Why a history is not linearizable, told as briefly as it can be: the shortest beginning that is not.

The search that finds a history invalid looks ahead and may give up long before the call that has no place. So the
story is found by searching again, in beginnings of the history: everything that had returned by some moment must have
happened, everything then open may have. If a beginning is not linearizable, then no longer one is.
"""

from collections.abc import Hashable
from dataclasses import replace

from chaos.checkers.foresight import Foresight
from chaos.checkers.model import Model
from chaos.checkers.search import Search
from chaos.checkers.timeline import Timeline
from chaos.checkers.verdict import Story

_STEPS_MAX = 20_000  # for one beginning
_STEPS_ALL_MAX = 100_000  # for all of them: a story is worth a few seconds, not more


def story_of(key: Hashable, model: Model, timeline: Timeline, works: int, doomed_at: int | None) -> Story:
    """The story of an invalid history.

    works: a number of returns that some order is known to satisfy; doomed_at: the first return known to be impossible
    if any. Where the steps run out, a beginning counts as one that works: the operation blamed is then a later one than
    need be, but that there is no order up to its return is still proven.
    """
    fails = len(timeline.moments) if doomed_at is None else doomed_at + 1
    works = min(works, fails - 1)
    stride, steps = 1, 0
    while fails - works > 1 and steps < _STEPS_ALL_MAX:
        # Near the end that is better known first, in longer and longer strides; once overshot, by halves.
        probe = max(works + 1, fails - stride) if doomed_at is not None else min(works + stride, fails - 1)
        search = _search(model, timeline, probe)
        fails_here = search.run(_is_spent) is False
        steps += search.steps
        overshot = fails_here == (doomed_at is None)
        if fails_here:
            fails = probe
        else:
            works = probe
        stride = max(1, (fails - works) // 2) if overshot else 2 * stride
    return _tell(key, model, timeline, fails - 1)


def _search(model: Model, timeline: Timeline, returns: int, *, keep_states: bool = False) -> Search:
    """A search in the beginning of a history in which that many calls have returned."""
    calls = [
        call if timeline.last_moment.get(index, returns) < returns else replace(call, must=False)
        for index, call in enumerate(timeline.calls)
        if timeline.first_moment[index] <= returns
    ]
    beginning = Timeline(model, calls, keep_states=keep_states)
    return Search(beginning, Foresight(beginning))


def _tell(key: Hashable, model: Model, timeline: Timeline, stuck_at: int) -> Story:
    ending = _search(model, timeline, stuck_at, keep_states=True)
    if not ending.run(_is_spent, every_end=True):
        ending = _search(model, timeline, stuck_at)
        ending.run(_is_spent)
    stuck = timeline.moments[stuck_at].returning
    placed = ending.order()
    known = {id(operation) for operation in placed}
    open_then = [
        call.operation
        for index, call in enumerate(timeline.calls)
        if index != stuck
        and timeline.first_moment[index] <= stuck_at <= timeline.last_moment.get(index, stuck_at)
        and not (not call.must and (index not in timeline.pool_of or id(call.operation) in known))
    ]
    return Story(
        key=key,
        placed=tuple(placed),
        states=tuple(ending.final_values()),
        stuck=timeline.calls[stuck].operation,
        concurrent=tuple(open_then),
    )


def _is_spent(steps: int) -> bool:
    return steps > _STEPS_MAX
