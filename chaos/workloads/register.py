"""A register per key: get, put, delete, compare-and-set. Operations, model, and a generator with unique values.

Operations (`kind`, `input` -> `output`); absence is None:

    get | read     None               -> the value seen
    put | write    the value          -> anything
    delete         None               -> anything
    cas            (expected, new)    -> True: swapped; False: it ran, and the value was not the expected one

Compare-and-set by version is the same operation: values are unique, so the value seen together with a version stands
for that version, and "only if absent" expects None. A client that compares versions writes the value into the history.
"""

from collections.abc import Hashable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from random import Random

from chaos.checkers.lineage import Lineage, SwapLineage
from chaos.checkers.model import NONE, REFUSED, Call, Effect
from chaos.history import Operation, Outcome

_GET = ("get", "read")
_PUT = ("put", "write", "delete")


@dataclass(frozen=True, slots=True)
class RegisterModel:
    """One register. Its state is its value."""

    initial: Hashable = None

    def calls(self, operations: Sequence[Operation]) -> Iterator[Call]:
        """See `chaos.checkers.model.Model.calls`. Failed operations and unanswered gets say nothing."""
        for operation in operations:
            if operation.outcome is Outcome.FAILED:
                continue
            must = operation.outcome is Outcome.OK
            if operation.kind in _GET:
                if must:
                    seen = operation.output
                    yield Call(operation, True, ("is", seen), Effect.NOTHING, demands=seen)
            elif operation.kind in _PUT:
                value = written_value(operation)
                yield Call(operation, must, ("put", value), Effect.OVERWRITE, refuses=NONE, produces=value)
            elif operation.kind == "cas":
                yield from _swap(operation, must)
            else:
                raise ValueError(f"a register has no operation {operation.kind!r}: {operation}")

    def step(self, state: Hashable, action: Hashable) -> Hashable:
        """See `chaos.checkers.model.Model.step`."""
        match action:
            case ("is", value):
                return state if state == value else REFUSED
            case ("is not", value):
                return state if state != value else REFUSED
            case ("put", value):
                return value
            case ("swap", expected, new):
                return new if state == expected else REFUSED
        raise AssertionError(f"not an action of a register: {action!r}")

    def lineage(self, calls: Sequence[Call], wanted: Set[Hashable], starts: Set[Hashable]) -> Lineage:
        """See `chaos.checkers.model.Model.lineage`. Only a compare-and-set builds on what was there."""
        swaps = ((call.demands, call.produces) for call in calls if call.effect is Effect.UPDATE)
        return SwapLineage(swaps, wanted, starts)


def is_write(operation: Operation) -> bool:
    """True for what changes the register if it happens; false for a compare-and-set that found another value."""
    return operation.kind in _PUT or (operation.kind == "cas" and operation.output is not False)


def written_value(write: Operation) -> Hashable:
    """What the register holds after the write."""
    if write.kind == "cas":
        return _pair(write)[1]
    return None if write.kind == "delete" else write.input


def _swap(operation: Operation, must: bool) -> Iterator[Call]:
    expected, new = _pair(operation)
    if must and operation.output is False:
        yield Call(operation, True, ("is not", expected), Effect.NOTHING, refuses=expected)
    elif expected != new:
        yield Call(operation, must, ("swap", expected, new), Effect.UPDATE, demands=expected, produces=new)
    elif must:
        yield Call(operation, True, ("is", expected), Effect.NOTHING, demands=expected)


def _pair(operation: Operation) -> tuple[Hashable, Hashable]:
    match operation.input:
        case (expected, new):
            return expected, new
    raise ValueError(f"a compare-and-set needs two values, the expected and the new one: {operation}")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client is to ask next."""

    kind: str
    key: str
    input: Hashable


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How often each operation is drawn, relative to the others."""

    get: int = 5
    put: int = 3
    cas: int = 3
    delete: int = 1


@dataclass(slots=True)
class RegisterWorkload:
    """Draws requests for concurrent clients. Every written value is unique in the run: "process.number".

    A compare-and-set expects what its process saw last under that key, so that it succeeds now and then; tell the
    workload with `saw`. It owns no dice: the same `Random` draws the same requests.
    """

    keys: tuple[str, ...]
    mix: Mix = Mix()
    _written: dict[Hashable, int] = field(default_factory=dict)
    _seen: dict[tuple[Hashable, str], Hashable] = field(default_factory=dict)

    def next_request(self, process: Hashable, rng: Random) -> Request:
        """The next thing this process asks."""
        key = rng.choice(self.keys)
        weights = (self.mix.get, self.mix.put, self.mix.cas, self.mix.delete)
        kind = rng.choices(("get", "put", "cas", "delete"), weights)[0]
        if kind == "put":
            return Request(kind, key, self._unique_value(process))
        if kind == "cas":
            return Request(kind, key, (self._seen.get((process, key)), self._unique_value(process)))
        return Request(kind, key, None)

    def saw(self, process: Hashable, key: str, value: Hashable) -> None:
        """The process learnt the value of the key: by a get, or by a put or compare-and-set that was acknowledged."""
        self._seen[process, key] = value

    def _unique_value(self, process: Hashable) -> str:
        number = self._written[process] = self._written.get(process, 0) + 1
        return f"{process}.{number}"
