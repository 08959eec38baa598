"""What clients asked and what they saw: operations with three outcomes, a recorder, and their JSON lines.

Nothing here reads a clock. Every instant is a number handed in by the caller, in any unit (the simulator hands in
virtual milliseconds, live clients nanoseconds of a monotonic clock); only the order of instants matters.

JSON lines, one object a line, two shapes that may be mixed in one file:

an operation
    ``{"process": "c1", "kind": "put", "key": "k", "input": "v", "output": null,
    "invoked_at": 3, "returned_at": 9, "outcome": "ok"}``
an event: the invocation, and later at most one completion with the same ``id``
    ``{"event": "invoke", "id": 7, "process": "c1", "kind": "get", "key": "k", "input": null, "at": 3}``
    ``{"event": "ok", "id": 7, "output": "v", "at": 9}``; or ``"failed"`` or ``"unknown"``, then without an output

Keys, inputs and outputs are JSON scalars, bytes as ``{"base64": "..."}``, and lists of these (read back as tuples).
"""

import base64
import binascii
import enum
import json
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace

Instant = int | float


class Outcome(enum.Enum):
    """What the client knows when the call is over. Three answers, not two."""

    OK = "ok"  # it happened, between invocation and return
    FAILED = "failed"  # it certainly did not happen, and never will
    UNKNOWN = "unknown"  # nobody can say: it may have happened, or may yet happen, any time after the invocation


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client. `returned_at` is None exactly when the outcome is unknown: such a call never ends."""

    process: Hashable
    kind: str
    key: Hashable
    input: Hashable
    output: Hashable
    invoked_at: Instant
    returned_at: Instant | None
    outcome: Outcome

    def __post_init__(self) -> None:
        if (self.returned_at is None) != (self.outcome is Outcome.UNKNOWN):
            raise ValueError(f"an operation has a return time unless its outcome is unknown: {self}")
        if self.returned_at is not None and self.returned_at < self.invoked_at:
            raise ValueError(f"an operation cannot return before it is invoked: {self}")

    def __str__(self) -> str:
        key = "" if self.key is None else f" {self.key!r}"
        asked = "" if self.input is None else f" {self.input!r}"
        span = f"[{self.invoked_at}, {'…' if self.returned_at is None else self.returned_at}]"
        return f"{span} process {self.process}: {self.kind}{key}{asked} {self._answer()}"

    def _answer(self) -> str:
        if self.outcome is not Outcome.OK or (self.output is None and self.input is not None):
            return f"-> {self.outcome.value}"
        return f"-> {self.output!r}"


class HistoryRecorder:
    """Collects operations while they happen. One recorder per run, used from one thread or task loop.

    `on_line`, if given, receives each event as a JSON line at once, so that a recording survives the recorder.
    Completing a handle twice, or one never given out, raises ValueError: a history with guesses in it proves nothing.
    """

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._on_line = on_line
        self._operations: list[Operation] = []
        self._open: set[int] = set()

    def invoke(self, process: Hashable, kind: str, key: Hashable, input: Hashable, now: Instant) -> int:
        """Note that a call goes out now; the handle is for its completion."""
        handle = len(self._operations)
        self._operations.append(Operation(process, kind, key, input, None, now, None, Outcome.UNKNOWN))
        self._open.add(handle)
        self._tell(
            {
                "event": "invoke",
                "id": handle,
                "process": encoded(process),
                "kind": kind,
                "key": encoded(key),
                "input": encoded(input),
                "at": now,
            }
        )
        return handle

    def ok(self, handle: int, now: Instant, output: Hashable = None) -> None:
        """The call returned: it happened, and this is what it answered."""
        self._complete(handle, Outcome.OK, now, output)

    def failed(self, handle: int, now: Instant) -> None:
        """A definite error: the call did not happen and never will."""
        self._complete(handle, Outcome.FAILED, now, None)

    def unknown(self, handle: int, now: Instant) -> None:
        """An indefinite error. The operation stays open to the end of the history."""
        self._complete(handle, Outcome.UNKNOWN, now, None)

    def operations(self) -> tuple[Operation, ...]:
        """Everything recorded so far, in order of invocation; calls still open count as unknown."""
        return tuple(self._operations)

    def __len__(self) -> int:
        return len(self._operations)

    def _complete(self, handle: int, outcome: Outcome, now: Instant, output: Hashable) -> None:
        if handle not in self._open:
            raise ValueError(f"handle {handle} is not an open operation")
        begun = self._operations[handle]
        if now < begun.invoked_at:
            raise ValueError(f"operation {handle} cannot complete at {now}, before its invocation: {begun}")
        self._open.remove(handle)
        returned_at = None if outcome is Outcome.UNKNOWN else now
        self._operations[handle] = replace(begun, output=output, returned_at=returned_at, outcome=outcome)
        self._tell({"event": outcome.value, "id": handle, "output": encoded(output), "at": now})

    def _tell(self, event: dict[str, object]) -> None:
        if self._on_line is not None:
            self._on_line(json.dumps(event))


def to_json_lines(operations: Iterable[Operation]) -> Iterator[str]:
    """One line an operation, without the newline. `chaos.readers.json_lines` reads them back."""
    for operation in operations:
        yield json.dumps(
            {
                "process": encoded(operation.process),
                "kind": operation.kind,
                "key": encoded(operation.key),
                "input": encoded(operation.input),
                "output": encoded(operation.output),
                "invoked_at": operation.invoked_at,
                "returned_at": operation.returned_at,
                "outcome": operation.outcome.value,
            }
        )


def encoded(value: Hashable) -> object:
    """A value as JSON can hold it. Raises TypeError for anything but scalars, bytes and tuples of these."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, tuple):
        return [encoded(item) for item in value]
    raise TypeError(f"a history holds scalars, bytes and tuples, not {type(value).__name__}")


def decoded(value: object) -> Hashable:
    """The value `encoded` was given. Raises ValueError for JSON that `encoded` never makes."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return tuple(decoded(item) for item in value)
    if isinstance(value, dict) and value.keys() == {"base64"}:
        try:
            return base64.b64decode(str(value["base64"]), validate=True)
        except binascii.Error as error:
            raise ValueError(f"not base64: {value['base64']!r}") from error
    raise ValueError(f"a value is a scalar, a list or {{'base64': ...}}, not {value!r}")
