"""Strings per key with put, append and get, as in MIT's key-value labs and porcupine's test histories.

    get      None        -> the string
    put      the string  -> anything
    append   the string  -> anything; it is added at the end

Every key starts as the empty string; a get that answers None found it so.
"""

from collections.abc import Hashable, Iterator, Sequence, Set
from dataclasses import dataclass

from chaos.checkers.lineage import Lineage, PrefixLineage
from chaos.checkers.model import NONE, REFUSED, Call, Effect
from chaos.history import Operation, Outcome


@dataclass(frozen=True, slots=True)
class KvModel:
    """One string."""

    initial: str = ""

    def calls(self, operations: Sequence[Operation]) -> Iterator[Call]:
        """See `chaos.checkers.model.Model.calls`. Failed operations and unanswered gets say nothing.

        An append of unknown outcome whose text nobody ever saw is left out too: it did not happen, or nobody noticed.
        """
        operations = [operation for operation in operations if operation.outcome is not Outcome.FAILED]
        seen = {_seen(operation) for operation in operations if _is_answered_get(operation)}
        for operation in operations:
            must = operation.outcome is Outcome.OK
            if _is_answered_get(operation):
                yield Call(operation, True, ("is", _seen(operation)), Effect.NOTHING, demands=_seen(operation))
            elif operation.kind == "put":
                text = _text(operation, operation.input)
                yield Call(operation, must, ("put", text), Effect.OVERWRITE, refuses=NONE, produces=text)
            elif operation.kind == "append":
                text = _text(operation, operation.input)
                if text and (must or any(text in whole for whole in seen)):
                    yield Call(operation, must, ("append", text), Effect.UPDATE, refuses=NONE)
            elif operation.kind != "get":
                raise ValueError(f"a string has get, put and append, not {operation.kind!r}: {operation}")

    def step(self, state: Hashable, action: Hashable) -> Hashable:
        """See `chaos.checkers.model.Model.step`."""
        match action:
            case ("is", value):
                return state if state == value else REFUSED
            case ("put", value):
                return value
            case ("append", str(value)) if isinstance(state, str):
                return state + value
        raise AssertionError(f"not an action of a string: {action!r}")

    def lineage(self, calls: Sequence[Call], wanted: Set[Hashable], starts: Set[Hashable]) -> Lineage:
        """See `chaos.checkers.model.Model.lineage`. Appends only make a string longer."""
        return PrefixLineage(map(str, wanted), set(map(str, starts)))


def _is_answered_get(operation: Operation) -> bool:
    return operation.kind == "get" and operation.outcome is Outcome.OK


def _seen(operation: Operation) -> str:
    return "" if operation.output is None else _text(operation, operation.output)


def _text(operation: Operation, value: Hashable) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a string is needed, not {value!r}: {operation}")
    return value
