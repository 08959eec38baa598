"""The slow twin of the linearizability checker, obviously right: it tries every order. For a dozen operations."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from chaos.history import Operation, Outcome

State = Hashable
After = tuple[State] | None  # the state, which may itself be None; or None if the operation is not possible
Apply = Callable[[State, Operation], After]

OPTIONAL = "known answer, need not happen"  # a process mark: see `beginning`


def has_order(operations: Sequence[Operation], apply: Apply, initial: State) -> bool:
    """Try all orders that respect real time. Operations of unknown outcome may be left out."""
    operations = [operation for operation in operations if operation.outcome is not Outcome.FAILED]
    tried: set[tuple[frozenset[int], State]] = set()

    def from_here(left: frozenset[int], state: State) -> bool:
        if all(operations[index].outcome is Outcome.UNKNOWN for index in left):
            return True
        if (left, state) in tried:
            return False
        tried.add((left, state))
        first_return = min(returned_at for index in left if (returned_at := operations[index].returned_at) is not None)
        for index in left:
            operation = operations[index]
            if operation.invoked_at <= first_return:
                after = apply(state, operation)
                if after is not None and from_here(left - {index}, after[0]):
                    return True
        return False

    return from_here(frozenset(range(len(operations))), initial)


def assert_is_order(order: Sequence[Operation], apply: Apply, initial: State) -> None:
    """Every step is legal, nothing happens twice, and nothing comes before what had returned when it was invoked."""
    assert len({id(operation) for operation in order}) == len(order), "an operation happens twice"
    state = initial
    for operation in order:
        after = apply(state, operation)
        assert after is not None, f"{operation} is not possible in {state!r}"
        state = after[0]
    for position, earlier in enumerate(order):
        for later in order[position + 1 :]:
            assert later.returned_at is None or later.returned_at >= earlier.invoked_at, f"{later} before {earlier}"


def beginning(operations: Sequence[Operation], end: float, also: Operation | None = None) -> list[Operation]:
    """What returned before `end` (and `also`) as it was; what was open then may have happened, as it was answered."""
    kept = []
    for operation in operations:
        if operation.invoked_at > end:
            continue
        if operation is also or operation.returned_at is None or operation.returned_at < end:
            kept.append(operation)
        elif operation.outcome is Outcome.OK:
            process = (OPTIONAL, operation.process)
            kept.append(replace(operation, process=process, returned_at=None, outcome=Outcome.UNKNOWN))
    return kept


def _answered(operation: Operation) -> bool:
    marked = isinstance(operation.process, tuple) and operation.process[0] == OPTIONAL
    return operation.outcome is Outcome.OK or marked


def register(state: State, operation: Operation) -> After:
    """get, put, delete, cas; written down a second time on purpose."""
    if operation.kind == "get":
        return (state,) if not _answered(operation) or operation.output == state else None
    if operation.kind == "put":
        return (operation.input,)
    if operation.kind == "delete":
        return (None,)
    assert operation.kind == "cas" and isinstance(operation.input, tuple)
    expected, new = operation.input
    swapped = (new,) if state == expected else (state,)
    if not _answered(operation):
        return swapped
    return swapped if operation.output == (state == expected) else None


def string(state: State, operation: Operation) -> After:
    """get, put, append."""
    assert isinstance(state, str)
    if operation.kind == "get":
        return (state,) if not _answered(operation) or operation.output == state else None
    assert isinstance(operation.input, str)
    return (operation.input,) if operation.kind == "put" else (state + operation.input,)


def mutex(state: State, operation: Operation) -> After:
    """acquire, release."""
    if operation.kind == "acquire":
        return ("held",) if state == "free" else None
    return ("free",) if state == "held" else None


def registers(state: State, operation: Operation) -> After:
    """txn over several registers that start at 0."""
    assert isinstance(state, frozenset)
    values = dict(state)
    parts = operation.output if _answered(operation) else operation.input
    assert isinstance(parts, tuple)
    for how, name, value in parts:
        if how == "write":
            values[name] = value
        elif value is not None and values.get(name, 0) != value:
            return None
    return (frozenset((name, value) for name, value in values.items() if value != 0),)
