"""A lock nobody owns: acquire is possible only while it is free, release only while it is held."""

from collections.abc import Hashable, Iterator, Sequence, Set
from dataclasses import dataclass

from chaos.checkers.lineage import Lineage, SwapLineage
from chaos.checkers.model import REFUSED, Call, Effect
from chaos.history import Operation, Outcome

FREE, HELD = "free", "held"
_MOVES = {"acquire": (FREE, HELD), "release": (HELD, FREE)}


@dataclass(frozen=True, slots=True)
class MutexModel:
    """One lock. Who releases it is not looked at, as in knossos."""

    initial: Hashable = FREE

    def calls(self, operations: Sequence[Operation]) -> Iterator[Call]:
        """See `chaos.checkers.model.Model.calls`."""
        for operation in operations:
            if operation.kind not in _MOVES:
                raise ValueError(f"a mutex has acquire and release, not {operation.kind!r}: {operation}")
            if operation.outcome is not Outcome.FAILED:
                before, after = _MOVES[operation.kind]
                yield Call(
                    operation,
                    operation.outcome is Outcome.OK,
                    operation.kind,
                    Effect.UPDATE,
                    demands=before,
                    produces=after,
                )

    def step(self, state: Hashable, action: Hashable) -> Hashable:
        """See `chaos.checkers.model.Model.step`."""
        before, after = _MOVES[str(action)]
        return after if state == before else REFUSED

    def lineage(self, calls: Sequence[Call], wanted: Set[Hashable], starts: Set[Hashable]) -> Lineage:
        """See `chaos.checkers.model.Model.lineage`."""
        return SwapLineage(_MOVES.values(), wanted, starts)
