"""Which states can become which by updates alone: what makes a hopeless configuration recognisable early.

An overwrite can make any state of any other, but an update (compare-and-set, append) builds on the state before it. So
a state that somebody will see has a lineage: some overwrite, or the start, and updates from there. Answers here ignore
time and may err on the side of "yes, it could".
"""

from bisect import bisect_left
from collections.abc import Collection, Hashable, Iterable, Iterator, Set
from typing import Protocol

_ANCESTORS_MAX = 128  # of one state; with more, it could come from anywhere


class Lineage(Protocol):
    """Made for one history: `wanted` are the states its calls demand, `starts` those its overwrites leave."""

    def could_become(self, state: Hashable, wanted: Hashable) -> bool:
        """True if updates alone might lead from the state to the wanted one, or they are equal."""
        ...

    def origins(self, wanted: Hashable) -> Collection[Hashable] | None:
        """The starts that could become the wanted state; None if they are too many to say."""
        ...

    def futures(self, state: Hashable) -> Iterable[Hashable]:
        """All wanted states that this one could become."""
        ...


class SwapLineage:
    """Lineage where every update swaps one known state for another."""

    def __init__(
        self, swaps: Iterable[tuple[Hashable, Hashable]], wanted: Iterable[Hashable], starts: Set[Hashable]
    ) -> None:
        self._starts = starts
        before: dict[Hashable, dict[Hashable, None]] = {}
        for old, new in swaps:
            before.setdefault(new, {})[old] = None
        self._ancestors = {state: _ancestors(state, before) for state in dict.fromkeys(wanted)}
        self._vague = [state for state, ancestors in self._ancestors.items() if ancestors is None]
        self._futures: dict[Hashable, list[Hashable]] = {}
        for state, ancestors in self._ancestors.items():
            for ancestor in ancestors or ():
                self._futures.setdefault(ancestor, []).append(state)

    def could_become(self, state: Hashable, wanted: Hashable) -> bool:
        """See Lineage."""
        ancestors = self._ancestors[wanted]
        return ancestors is None or state in ancestors

    def origins(self, wanted: Hashable) -> Collection[Hashable] | None:
        """See Lineage."""
        ancestors = self._ancestors[wanted]
        return None if ancestors is None else [state for state in ancestors if state in self._starts]

    def futures(self, state: Hashable) -> Iterable[Hashable]:
        """See Lineage."""
        return [*self._futures.get(state, ()), *self._vague]


def _ancestors(state: Hashable, before: dict[Hashable, dict[Hashable, None]]) -> dict[Hashable, None] | None:
    """The state and all it can come from, nearest first; None if those are too many to be worth it."""
    found: dict[Hashable, None] = {state: None}
    queue = [state]
    for reached in queue:
        for older in before.get(reached, ()):
            if older not in found:
                found[older] = None
                queue.append(older)
        if len(found) > _ANCESTORS_MAX:
            return None
    return found


class PrefixLineage:
    """Lineage of strings that updates only make longer."""

    def __init__(self, wanted: Iterable[str], starts: Set[str]) -> None:
        self._wanted = sorted(set(wanted))
        self._starts = starts
        self._start_lengths = sorted({len(start) for start in starts})

    def could_become(self, state: Hashable, wanted: Hashable) -> bool:
        """See Lineage."""
        return str(wanted).startswith(str(state))

    def origins(self, wanted: Hashable) -> Collection[Hashable] | None:
        """See Lineage."""
        text = str(wanted)
        beginnings = (text[:length] for length in self._start_lengths if length <= len(text))
        return [beginning for beginning in beginnings if beginning in self._starts]

    def futures(self, state: Hashable) -> Iterator[Hashable]:
        """See Lineage. The strings with one beginning are neighbours in the alphabet."""
        beginning = str(state)
        for position in range(bisect_left(self._wanted, beginning), len(self._wanted)):
            if not self._wanted[position].startswith(beginning):
                break
            yield self._wanted[position]
