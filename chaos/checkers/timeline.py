"""A history cut into moments, one for each return, with all the search asks of a moment precomputed.

Between two returns nothing is forced, so the search only stops at returns: "by now this call must have happened".
At each moment two small ints describe what happened: bits are handed out to calls while they are open and taken back
when they return, so there are no more bits than calls open at once, however long the history.

Calls that may or may not have happened never return. Those that do the same are interchangeable and form a pool, of
which only the number used counts; what nobody could notice is left out.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chaos.checkers.model import ANY, NONE, REFUSED, Call, Effect, Model
from chaos.history import Instant


@dataclass(frozen=True, slots=True)
class Pool:
    """Interchangeable calls that may have happened. The lowest n bits of `field` set: n of them were used."""

    members: tuple[int, ...]  # calls in order of invocation
    low_bit: int
    field: int
    action: int
    overwrites: bool
    produces: Hashable


class Choice(NamedTuple):
    """An open call that changes the state and may be placed next."""

    call: int
    action: int
    overwrites: bool
    bit: int  # in `done`; 0 for an idle overwrite, whose bit is in `debt`
    elders: int  # bits in `done` of calls that do the same and return before it: if it can go first, so can they


class Guess(NamedTuple):
    """A pool from which a call may be taken next."""

    pool: Pool
    elders: int  # bits in `done` of open calls that do the same and must happen: they go first


@dataclass(slots=True)
class Moment:
    """One call returns: before that it must have taken effect.

    A call's bit is in `done`, set once it happened, if it changes the state in a way somebody may notice; otherwise in
    `debt`, cleared once it happened.
    """

    returning: int
    bit: int
    changes: bool  # the returning call's bit is in `done`
    choices: tuple[Choice, ...]  # the returning call, if it changes anything, comes last
    lookers: tuple[tuple[int, int], ...]  # bit in `debt`, action
    debtors: tuple[tuple[int, int], ...]  # bit in `debt`, call: lookers and idle overwrites
    fresh_debt: int  # bits of debtors invoked since the moment before
    idle: int  # bits of idle overwrites
    available: int  # members of pools invoked so far
    open_calls: tuple[int, ...]
    satisfied: dict[int, int] = field(default_factory=dict)  # state -> bits of lookers it answers
    guesses: tuple[Guess, ...] | None = None  # made at the first visit


class Timeline:
    """Moments and pools of the calls of one key, with states and actions numbered from 0.

    All states that no call demands, refuses or makes a demanded one of are one state, `nowhere`, unless `keep_states`
    is set by somebody who wants to know them.
    """

    def __init__(self, model: Model, calls: Sequence[Call], *, keep_states: bool = False) -> None:
        self._model = model
        self.calls = calls
        self.keep_states = keep_states
        self.states: list[Hashable] = []
        self._state_numbers: dict[Hashable, int] = {}
        self._actions: list[Call] = []  # one call of each action
        self._action_numbers: dict[Hashable, int] = {}
        self._steps: list[dict[int, int]] = []

        must = [call for call in calls if call.must]
        self.wanted = {call.demands: None for call in must if call.demands is not ANY}
        self.starts = {model.initial, *(call.produces for call in calls if call.effect is Effect.OVERWRITE)}
        refusals = [call.refuses for call in must if call.demands is ANY and call.effect is not Effect.OVERWRITE]
        self._refused = {refused for refused in refusals if refused is not NONE}
        opaque = any(
            call.refuses is ANY and call.demands is ANY and call.effect is not Effect.OVERWRITE for call in calls
        )
        self.lineage = None if opaque else model.lineage(calls, self.wanted.keys(), self.starts)
        self.states.append(NONE)
        self.nowhere = 0
        self.initial = self.number_of(model.initial)

        self.pools = self._pools()
        self.pool_of = {index: pool for pool in self.pools for index in pool.members}
        self.seats: dict[int, int] = {}  # call that must happen -> its bit, in `debt` or in `done`
        self.first_moment: dict[int, int] = {}  # call -> the first moment at which it is open
        self.last_moment: dict[int, int] = {}  # call that must happen -> the moment of its return
        self.moments: list[Moment] = []
        self._idle = {
            index
            for index, call in enumerate(calls)
            if call.must and call.effect is Effect.OVERWRITE and not self._is_noticeable(call)
        }
        self._cut()

    def number_of(self, state: Hashable) -> int:
        """A small int for the state, the same for equal states."""
        number = self._state_numbers.get(state)
        if number is None:
            if self.keep_states or state in self._refused or self._has_future(state):
                number = len(self.states)
                self.states.append(state)
            else:
                number = self.nowhere
            self._state_numbers[state] = number
        return number

    def step(self, state: int, action: int) -> int:
        """The number of the next state, or -1 if the action is refused."""
        known = self._steps[action]
        after = known.get(state)
        if after is None:
            after = known[state] = self._first_step(state, self._actions[action])
        return after

    def satisfied_by(self, moment: Moment, state: int) -> int:
        """The bits of all open lookers that this state answers."""
        bits = moment.satisfied.get(state)
        if bits is None:
            bits = 0
            for bit, action in moment.lookers:
                if self.step(state, action) >= 0:
                    bits |= bit
            moment.satisfied[state] = bits
        return bits

    def guesses_at(self, moment: Moment) -> tuple[Guess, ...]:
        """The pools from which a call, just then, could make a difference to anyone open."""
        if moment.guesses is None:
            some = [pool for pool in self.pools if pool.low_bit & moment.available]
            watching = [self.calls[index] for index in moment.open_calls]
            watching += [self.calls[pool.members[0]] for pool in some]
            wanted = {call.demands for call in watching if call.effect is not Effect.OVERWRITE}
            if ANY not in wanted:
                some = [pool for pool in some if pool.produces is ANY or pool.produces in wanted]
            elders: dict[int, int] = {}
            for choice in moment.choices:
                elders[choice.action] = elders.get(choice.action, 0) | choice.bit
            moment.guesses = tuple(Guess(pool, elders.get(pool.action, 0)) for pool in some)
        return moment.guesses

    def _first_step(self, state: int, call: Call) -> int:
        if call.effect is Effect.OVERWRITE:
            return self.number_of(call.produces)
        if state == self.nowhere:
            return state if call.demands is ANY else -1
        result = self._model.step(self.states[state], call.action)
        return -1 if result is REFUSED else self.number_of(result)

    def _is_noticeable(self, call: Call) -> bool:
        """False if no call could tell that this one happened, except those that overwrite what it did."""
        return bool(self._refused) or call.produces is ANY or self._has_future(call.produces)

    def _has_future(self, state: Hashable) -> bool:
        return self.lineage is None or any(True for _ in self.lineage.futures(state))

    def _action_of(self, call: Call) -> Hashable:
        """The same for calls that do the same, as far as anyone will notice."""
        if call.effect is Effect.NOTHING or call.produces is ANY:
            return call.action
        return call.effect, call.demands, self.number_of(call.produces)

    def _number_of_action(self, call: Call) -> int:
        action = self._action_of(call)
        number = self._action_numbers.get(action)
        if number is None:
            number = self._action_numbers[action] = len(self._actions)
            self._actions.append(call)
            self._steps.append({})
        return number

    def _pools(self) -> tuple[Pool, ...]:
        members: dict[Hashable, list[int]] = {}
        for _, index in sorted((call.operation.invoked_at, index) for index, call in enumerate(self.calls)):
            call = self.calls[index]
            if not call.must and call.effect is not Effect.NOTHING and self._is_noticeable(call):
                members.setdefault(self._action_of(call), []).append(index)
        pools = []
        low_bit = 1
        for indexes in members.values():
            call = self.calls[indexes[0]]
            beyond = low_bit << len(indexes)
            action = self._number_of_action(call)
            overwrites = call.effect is Effect.OVERWRITE
            pools.append(Pool(tuple(indexes), low_bit, beyond - low_bit, action, overwrites, call.produces))
            low_bit = beyond
        return tuple(pools)

    def _events(self) -> list[tuple[Instant, bool, int]]:
        """Invocations and returns (True) in order of time. Intervals are closed: at one instant invocations come first.

        Two calls that touch in one instant may then happen in either order. A recorder that stamps both with one tick
        has seen no more than that, and an order that is not certain must not make a history invalid.
        """
        events: list[tuple[Instant, bool, int]] = []
        for index, call in enumerate(self.calls):
            events.append((call.operation.invoked_at, False, index))
            if call.must:
                assert call.operation.returned_at is not None, "a call that must happen has returned"
                events.append((call.operation.returned_at, True, index))
        return sorted(events)

    def _cut(self) -> None:
        """Walk through invocations and returns in order, and note a moment at each return."""
        changers, debtors = _Seats(1), _Seats(1 + sum(pool.field for pool in self.pools))
        pool_entries = {pool.low_bit: pool.low_bit for pool in self.pools}
        available = fresh_debt = 0
        seated: dict[int, bool] = {}  # open calls that must happen: is the bit in `done`?
        for _, returns, index in self._events():
            call = self.calls[index]
            if returns:
                self.last_moment[index] = len(self.moments)
                self.moments.append(self._moment(index, seated, available, fresh_debt))
                (changers if seated.pop(index) else debtors).give_back(self.seats[index])
                fresh_debt = 0
                continue
            self.first_moment[index] = len(self.moments)
            if index in self.pool_of:
                pool = self.pool_of[index]
                available |= pool_entries[pool.low_bit]
                pool_entries[pool.low_bit] <<= 1
            elif call.must:
                seated[index] = call.effect is not Effect.NOTHING and index not in self._idle
                bit = self.seats[index] = (changers if seated[index] else debtors).take()
                fresh_debt |= 0 if seated[index] else bit

    def _moment(self, index: int, seated: dict[int, bool], available: int, fresh_debt: int) -> Moment:
        choices: list[Choice] = []
        lookers: list[tuple[int, int]] = []
        elders: dict[int, int] = {}  # by action
        idle = 0
        for other, changes in sorted(seated.items(), key=self._return_of):
            call, bit = self.calls[other], self.seats[other]
            action = self._number_of_action(call)
            if changes or (other == index and other in self._idle):
                own, before = bit if changes else 0, elders.get(action, 0)
                choices.append(Choice(other, action, call.effect is Effect.OVERWRITE, own, before if changes else 0))
                elders[action] = before | own
            if other in self._idle:
                idle |= bit
            elif not changes:
                lookers.append((bit, action))
        choices.sort(key=lambda choice: choice.call == index)
        return Moment(
            returning=index,
            bit=self.seats[index],
            changes=seated[index],
            choices=tuple(choices),
            lookers=tuple(lookers),
            debtors=tuple((self.seats[other], other) for other, changes in seated.items() if not changes),
            fresh_debt=fresh_debt,
            idle=idle,
            available=available,
            open_calls=tuple(seated),
        )

    def _return_of(self, open_call: tuple[int, bool]) -> tuple[Instant, int]:
        """In which order open calls will return."""
        returned_at = self.calls[open_call[0]].operation.returned_at
        assert returned_at is not None, "a call that must happen has returned"
        return returned_at, open_call[0]


class _Seats:
    """Bits handed out and taken back; the lowest free one first, so that the ints stay small."""

    def __init__(self, lowest: int) -> None:
        self._next = lowest
        self._free: list[int] = []

    def take(self) -> int:
        if self._free:
            bit = min(self._free)
            self._free.remove(bit)
            return bit
        bit = self._next
        self._next <<= 1
        return bit

    def give_back(self, bit: int) -> None:
        self._free.append(bit)
