"""What the rest of a history says about a configuration, before any search: that it is hopeless, or as good as another.

- A call that demands a state needs its lineage: an overwrite (or the start) from which that state can come by updates,
  and a call that produces the state itself. If no such overwrite is invoked before its return, the history is doomed.
- Once all the overwrites have happened, the state must stay able to become the demanded one, and once all the producers
  have happened it must be the demanded one, until the call itself has happened.
- If there is only one of them, the state must not turn away as long as the call is not even invoked.
- A state from which nothing that anyone will still see can come, and which nobody refuses, is as good as any other
  such.
"""

from bisect import bisect_right, insort
from collections.abc import Hashable
from dataclasses import dataclass

from chaos.checkers.model import ANY, NONE, Effect
from chaos.checkers.timeline import Timeline
from chaos.checkers.zones import doomed_by_zones

_SOURCES_MAX = 32  # a call with more of them is hardly ever bound to one
_LATER_MAX = 8  # how many calls not yet invoked are looked at: the ones that return first


@dataclass(frozen=True, slots=True)
class _Tie:
    """A call that demands a state, and all calls of one kind of which one has to happen for it."""

    call: int
    demands: Hashable
    exact: bool  # producers of the state itself; otherwise overwrites from which it can come
    sources: list[tuple[int, int]]  # first moment and call, in order; perhaps later ones too
    since: int  # by this moment all those invoked before the return of the call are invoked


@dataclass(frozen=True, slots=True)
class _Bond:
    """A tie at one moment: as long as the bits are like these, the state must be, or be able to become, `demands`."""

    demands: Hashable
    exact: bool
    debt_bit: int  # the call's own bit if it looks and is open
    done_bit: int  # its own bit if it changes and is open
    sources: int  # bits in `done` of its open sources: if one is not set, the state can still come
    pools: int  # bits in `debt` of pools with sources, likewise


class Foresight:
    """Made from a timeline; asked about every configuration. Without a lineage it has nothing to say."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.doomed_at = None if timeline.lineage is None else doomed_by_zones(timeline)
        self._last_wanted: dict[Hashable, int] = {}  # demanded state -> the last return of a call that demands it
        self._last_refused: dict[Hashable, int] = {}
        self._ties: dict[int, list[_Tie]] = {}  # by call
        self._line_kept_until: dict[Hashable, int] = {}  # state with one source -> when all who demand it are invoked
        self._self_kept_until: dict[Hashable, int] = {}  # state with one producer -> likewise
        self._later: list[tuple[_Tie, ...]] = []  # at each moment, ties that bind calls not yet invoked
        self._bonds: dict[int, tuple[_Bond, ...]] = {}
        self._last_hope: dict[int, int] = {}
        self._could: dict[tuple[int, Hashable], bool] = {}
        self._turns: dict[tuple[int, int], int] = {}
        if timeline.lineage is not None:
            self._note_ends()
            self._find_ties()
            self._look_ahead()

    def may_turn(self, before: int, after: int, at: int) -> bool:
        """False if at this moment the one state must not yet give way to the other."""
        turn = before, after
        since = self._turns.get(turn)
        if since is None:
            since = self._turns[turn] = self._first_turn(before, after)
        return at >= since

    def essence(self, state: int, at: int) -> int:
        """The state, or `nowhere` if at this moment the difference matters to no call any more."""
        last = self._last_hope.get(state)
        if last is None:
            last = self._last_hope[state] = self._find_last_hope(state)
        return state if last >= at else self._timeline.nowhere

    def is_hopeless(self, at: int, state: int, done: int, debt: int) -> bool:
        """True if some call that has to happen no longer can."""
        bonds = self._bonds.get(at)
        if bonds is None:
            bonds = self._bonds[at] = self._find_bonds(at)
        for bond in bonds:
            if (
                debt & bond.debt_bit == bond.debt_bit
                and not done & bond.done_bit
                and done & bond.sources == bond.sources
                and debt & bond.pools == bond.pools
                and not self._answers(state, bond)
            ):
                return True
        return False

    def _answers(self, state: int, bond: _Bond) -> bool:
        if bond.exact:
            return self._timeline.states[state] == bond.demands
        return self._could_become(state, bond.demands)

    def _could_become(self, state: int, wanted: Hashable) -> bool:
        key = state, wanted
        could = self._could.get(key)
        if could is None:
            timeline = self._timeline
            assert timeline.lineage is not None, "there are bonds only with a lineage"
            could = state != timeline.nowhere and timeline.lineage.could_become(timeline.states[state], wanted)
            self._could[key] = could
        return could

    def _note_ends(self) -> None:
        for index, last in self._timeline.last_moment.items():
            call = self._timeline.calls[index]
            if call.demands is not ANY:
                self._last_wanted[call.demands] = max(last, self._last_wanted.get(call.demands, last))
            elif call.refuses is not NONE and call.effect is not Effect.OVERWRITE:
                self._last_refused[call.refuses] = max(last, self._last_refused.get(call.refuses, last))

    def _find_last_hope(self, state: int) -> int:
        """The last moment at which the state makes a difference; -1 if never."""
        timeline = self._timeline
        if timeline.lineage is None or timeline.keep_states:
            return len(timeline.moments)
        if state == timeline.nowhere:
            return -1
        value = timeline.states[state]
        hopes = [self._last_wanted[wanted] for wanted in timeline.lineage.futures(value)]
        return max([self._last_refused.get(value, -1), *hopes])

    def _first_turn(self, before: int, after: int) -> int:
        """When all calls are invoked that demand what can come from the one state only, and not from the other."""
        timeline = self._timeline
        if timeline.lineage is None or before == timeline.nowhere:
            return 0
        value = timeline.states[before]
        since = self._self_kept_until.get(value, 0)
        for wanted in timeline.lineage.futures(value):
            kept_until = self._line_kept_until.get(wanted, 0)
            if kept_until > since and not self._could_become(after, wanted):
                since = kept_until
        return since

    def _find_ties(self) -> None:
        timeline = self._timeline
        assert timeline.lineage is not None, "calls are bound only with a lineage"
        overwrites: dict[Hashable, list[tuple[int, int]]] = {}
        producers: dict[Hashable, list[tuple[int, int]]] = {}
        for first, index in sorted((first, index) for index, first in timeline.first_moment.items()):
            call = timeline.calls[index]
            if call.effect is not Effect.NOTHING and (call.must or index in timeline.pool_of):
                producers.setdefault(call.produces, []).append((first, index))
                if call.effect is Effect.OVERWRITE:
                    overwrites.setdefault(call.produces, []).append((first, index))
        origins = {wanted: timeline.lineage.origins(wanted) for wanted in timeline.wanted}
        lines = {
            wanted: sorted(source for origin in some for source in overwrites.get(origin, ()))
            for wanted, some in origins.items()
            if some is not None and len(some) <= _SOURCES_MAX
        }
        start = timeline.states[timeline.initial]
        for index, last in timeline.last_moment.items():
            demands = timeline.calls[index].demands
            if demands in lines:
                from_start = start in (origins[demands] or ())
                if self._tie(index, demands, False, lines[demands], from_start, self._line_kept_until):
                    self.doomed_at = last if self.doomed_at is None else min(self.doomed_at, last)
            if demands is not ANY and ANY not in producers:
                sources = producers.get(demands, [])
                self._tie(index, demands, True, sources, start == demands, self._self_kept_until)

    def _tie(
        self,
        index: int,
        demands: Hashable,
        exact: bool,
        sources: list[tuple[int, int]],
        from_start: bool,
        kept_until: dict[Hashable, int],
    ) -> bool:
        """Note of which calls one has to happen for this one; True if there is none."""
        last = self._timeline.last_moment[index]
        if len(sources) + from_start == 1:
            kept_until[demands] = max(kept_until.get(demands, 0), self._timeline.first_moment[index])
        count = bisect_right(sources, (last, len(self._timeline.calls)))
        if count <= _SOURCES_MAX:
            since = sources[count - 1][0] if count else 0
            self._ties.setdefault(index, []).append(_Tie(index, demands, exact, sources, since))
        return not count and not from_start

    def _look_ahead(self) -> None:
        """Find for each moment the next calls that are bound but not invoked, where one source does not say it all."""
        starting: dict[int, list[tuple[int, int, _Tie]]] = {}
        number = 0
        for index, ties in self._ties.items():
            first = self._timeline.first_moment[index]
            for tie in ties:
                kept_until = self._self_kept_until if tie.exact else self._line_kept_until
                if tie.since < first and tie.demands not in kept_until:
                    number += 1
                    starting.setdefault(tie.since, []).append((first, number, tie))
        waiting: list[tuple[int, int, _Tie]] = []
        for at in range(len(self._timeline.moments)):
            while waiting and waiting[0][0] <= at:
                waiting.pop(0)
            for entry in starting.get(at, ()):
                insort(waiting, entry)
            self._later.append(tuple(tie for _, _, tie in waiting[:_LATER_MAX]))

    def _find_bonds(self, at: int) -> tuple[_Bond, ...]:
        if not self._ties:
            return ()
        now = self._timeline.moments[at].open_calls
        ties = [tie for index in now for tie in self._ties.get(index, ()) if tie.since <= at]
        return tuple(self._bond(tie, at) for tie in (*ties, *self._later[at]))

    def _bond(self, tie: _Tie, at: int) -> _Bond:
        timeline = self._timeline
        sources = pools = 0
        for first, source in tie.sources:
            if first > timeline.last_moment[tie.call]:
                break
            if source in timeline.pool_of:
                pools |= timeline.pool_of[source].field
            elif timeline.last_moment[source] >= at:
                sources |= timeline.seats[source]
        bit = timeline.seats[tie.call] if timeline.first_moment[tie.call] <= at else 0
        looks = timeline.calls[tie.call].effect is Effect.NOTHING
        return _Bond(tie.demands, tie.exact, bit if looks else 0, 0 if looks else bit, sources, pools)
