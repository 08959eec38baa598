"""Several registers under one lock: an operation reads and writes any of them at one instant.

    txn   ((how, register, value), ...)   -> the same with the values read; how is "read" or "write"

A read of None answers any state: the operation did not say what it saw. The registers are one object, so a history is
not split by key; keep such histories small.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from chaos.checkers.model import REFUSED, Call, Effect
from chaos.history import Operation, Outcome

_READ = ("read", "r")
_WRITE = ("write", "w")

Parts = tuple[tuple[str, Hashable, Hashable], ...]


@dataclass(slots=True)
class MultiRegisterModel:
    """All registers together. The state is the registers that differ from where they started, as sorted pairs."""

    start: Mapping[Hashable, Hashable] = field(default_factory=dict)
    start_of_others: Hashable = None

    @property
    def initial(self) -> Hashable:
        return frozenset[tuple[Hashable, Hashable]]()

    def calls(self, operations: Sequence[Operation]) -> Iterator[Call]:
        """See `chaos.checkers.model.Model.calls`."""
        for operation in operations:
            must = operation.outcome is Outcome.OK
            asked = _parts(operation, operation.output if must and operation.output is not None else operation.input)
            parts = tuple(part for part in asked if part[0] == "write" or part[2] is not None)
            writes = any(how == "write" for how, _, _ in parts)
            if operation.outcome is not Outcome.FAILED and parts and (must or writes):
                yield Call(operation, must, parts, Effect.UPDATE if writes else Effect.NOTHING)

    def step(self, state: Hashable, action: Hashable) -> Hashable:
        """See `chaos.checkers.model.Model.step`."""
        assert isinstance(state, frozenset) and isinstance(action, tuple), "the search hands back what it was given"
        values = dict(state)
        for how, register, value in action:
            start = self.start.get(register, self.start_of_others)
            if how == "read":
                if values.get(register, start) != value:
                    return REFUSED
            elif value == start:
                values.pop(register, None)
            else:
                values[register] = value
        return frozenset(values.items())

    def lineage(self, calls: Sequence[Call], wanted: Set[Hashable], starts: Set[Hashable]) -> None:
        """See `chaos.checkers.model.Model.lineage`. An operation may depend on any register: nothing is known."""


def _parts(operation: Operation, value: Hashable) -> Parts:
    if operation.kind != "txn" or not isinstance(value, tuple):
        raise ValueError(f"a multi-register has operations of kind txn with a list of parts: {operation}")
    parts: list[tuple[str, Hashable, Hashable]] = []
    for part in value:
        match part:
            case (str(how), register, wanted) if how.lstrip(":") in (*_READ, *_WRITE):
                parts.append(("read" if how.lstrip(":") in _READ else "write", register, wanted))
            case _:
                raise ValueError(f"not a read or write of one register, {part!r}: {operation}")
    return tuple(parts)
