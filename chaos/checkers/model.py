"""What the linearizability checker must know of an object: its states, and what each call does to them.

A model translates recorded operations into calls. That is where the outcomes get their meaning: a failed operation is
left out, one that answered must happen, one of unknown outcome may. What the model says about a call beyond `action`
only makes the search faster, but it is believed: a wrong word makes wrong verdicts.
"""

import enum
from collections.abc import Hashable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from chaos.checkers.lineage import Lineage
from chaos.history import Operation


class Special(enum.Enum):
    """Answers that are no states."""

    REFUSED = "the call is not possible in this state"
    ANY = "no single state can be named"
    NONE = "no state at all"


REFUSED = Special.REFUSED
ANY = Special.ANY
NONE = Special.NONE


class Effect(enum.Enum):
    """What a call can do to the state, if it is possible at all."""

    NOTHING = "it only looks"
    OVERWRITE = "it is possible in every state and always leaves the same one"
    UPDATE = "what it leaves depends on the state before"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation as the model sees it. Two calls with equal `action` do the same in every state.

    must: it certainly happened. Otherwise it may have happened, at any time from its invocation on, or never.
    demands: the only state in which it is possible, or ANY.
    refuses: if it demands ANY, the only state in which it is not possible, or NONE, or ANY.
    produces: the state it leaves, or ANY. An overwrite has to name it.
    """

    operation: Operation
    must: bool
    action: Hashable
    effect: Effect
    demands: Hashable = ANY
    refuses: Hashable = ANY
    produces: Hashable = ANY


class Model(Protocol):
    """The whole specification of one object with one key."""

    @property
    def initial(self) -> Hashable:
        """The state before the first operation."""
        ...

    def calls(self, operations: Sequence[Operation]) -> Iterable[Call]:
        """The calls that say something about the state, of one key. Raises ValueError for an operation it lacks."""
        ...

    def step(self, state: Hashable, action: Hashable) -> Hashable:
        """The state after the action, or REFUSED."""
        ...

    def lineage(self, calls: Sequence[Call], wanted: Set[Hashable], starts: Set[Hashable]) -> Lineage | None:
        """Which states can become which by the updates among the calls; None if the model cannot tell."""
        ...
