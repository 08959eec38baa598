"""Contradictions that need no search: a state that must have lasted, and a call inside that time that denies it.

After Gibbons and Korach, "Testing Shared Memories" (1997). If only one call produces a state, then the state exists
once, without a break. Everyone who demands it is its cluster, with the producer. From the first return in the cluster
to the last invocation in it, if those are in this order, the state was there: that is its zone.

- Zones of two states do not overlap.
- Nothing that changes the state or sees another one lies within a zone, and neither does a whole cluster.
- Only one update leaves such a state.

For values written once, put and get alone, this is the whole truth; with compare-and-set it is a part of it.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from chaos.checkers.model import ANY, Effect
from chaos.checkers.timeline import Timeline

_START = -1  # in place of a call: the state was there at the beginning


@dataclass(slots=True)
class _Cluster:
    """All that must happen while one state lasts. Instants are counted in moments."""

    state: Hashable
    first_return: int = 0  # the moment of the first return; after it the state is there, or was
    first_call: int = _START
    last_invocation: int = -1  # the moment at which the last invocation is open at the earliest
    last_call: int = _START
    leavers: list[int] = field(default_factory=list)

    @property
    def lasts(self) -> bool:
        return self.first_return < self.last_invocation


def doomed_by_zones(timeline: Timeline) -> int | None:
    """A moment whose return no order can satisfy, or None if the zones say nothing against the history."""
    return min(_contradictions(timeline), default=None)


def _contradictions(timeline: Timeline) -> Iterator[int]:
    clusters = _clusters(timeline)
    last = timeline.last_moment
    for cluster in clusters:
        if len(cluster.leavers) > 1:
            yield sorted(last[call] for call in cluster.leavers)[1]
    zones = sorted((cluster for cluster in clusters if cluster.lasts), key=lambda cluster: cluster.first_return)
    for earlier, later in pairwise(zones):
        if later.first_return < earlier.last_invocation:
            yield max(_settled(earlier, timeline), _settled(later, timeline))
            return  # the zones below are taken to lie one after the other
    starts = [zone.first_return for zone in zones]
    for cluster in clusters:
        zone = _around(zones, starts, cluster.last_invocation, cluster.first_return)
        if zone is not None and zone is not cluster:
            yield max(_settled(zone, timeline), _settled(cluster, timeline))
    for index, moment in last.items():
        call = timeline.calls[index]
        zone = _around(zones, starts, timeline.first_moment[index], moment)
        if zone is not None and (
            call.effect is not Effect.NOTHING or call.refuses == zone.state or call.demands not in (ANY, zone.state)
        ):
            yield max(_settled(zone, timeline), moment)


def _around(zones: list[_Cluster], starts: list[int], invocation: int, last_return: int) -> _Cluster | None:
    """The zone that begins before the invocation and ends after the return."""
    position = bisect_left(starts, invocation) - 1
    if position >= 0 and last_return < zones[position].last_invocation:
        return zones[position]
    return None


def _settled(cluster: _Cluster, timeline: Timeline) -> int:
    """The moment by which both calls that bound the zone have returned."""
    return max(timeline.last_moment.get(cluster.first_call, 0), timeline.last_moment.get(cluster.last_call, 0))


def _clusters(timeline: Timeline) -> list[_Cluster]:
    """One for each state that only one call, or the start, produces, if a call that must happen belongs to it."""
    producers: dict[Hashable, list[int]] = {timeline.states[timeline.initial]: [_START]}
    for index, call in enumerate(timeline.calls):
        if call.effect is not Effect.NOTHING:
            producers.setdefault(call.produces, []).append(index)
    if ANY in producers:
        return []
    clusters = {
        state: _begun(state, calls[0], timeline)
        for state, calls in producers.items()
        if len(calls) == 1 and state in timeline.wanted
    }
    for index, moment in timeline.last_moment.items():
        call = timeline.calls[index]
        cluster = clusters.get(call.demands)
        if cluster is not None and call.produces != call.demands:
            if moment < cluster.first_return:
                cluster.first_return, cluster.first_call = moment, index
            if timeline.first_moment[index] > cluster.last_invocation:
                cluster.last_invocation, cluster.last_call = timeline.first_moment[index], index
            if call.effect is Effect.UPDATE:
                cluster.leavers.append(index)
    return list(clusters.values())


def _begun(state: Hashable, producer: int, timeline: Timeline) -> _Cluster:
    """A cluster with its producer alone."""
    if producer == _START:
        return _Cluster(state, first_return=-1, last_invocation=-1)
    first_return = timeline.last_moment.get(producer, len(timeline.moments))
    return _Cluster(state, first_return, producer, timeline.first_moment[producer], producer)
