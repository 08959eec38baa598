"""What a reader hands over, how it says that a file is broken, and how events become operations."""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from chaos.history import Operation, Outcome


class MalformedHistory(ValueError):
    """The file is not a history. The message names the line, counted from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Reading:
    """A history as read. Times of sources without a usable clock are the positions of the events in the file."""

    source: str
    operations: tuple[Operation, ...] = ()
    lines: tuple[int, ...] = ()  # where each operation was invoked
    start: Hashable = None  # the value at which this source's registers start
    notes: tuple[str, ...] = ()  # what was passed over, and why


# What a completion means: (kind, input, completion type, its value) to outcome and output.
Rule = Callable[[str, Hashable, str, Hashable], tuple[Outcome, Hashable]]


@dataclass(slots=True)
class Pairing:
    """Joins each completion to the open invocation of its process.

    Recordings made while things break have gaps. What cannot mislead is passed over and noted: a completion of nothing
    (the operation was settled before, or never began), an invocation by a process that has one open (that one stays
    open for ever).
    """

    rule: Rule
    _operations: list[Operation] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)
    _open: dict[Hashable, int] = field(default_factory=dict)
    _events: int = 0
    _oddities: Counter[str] = field(default_factory=Counter)
    _first_seen: dict[str, int] = field(default_factory=dict)

    def invoke(self, process: Hashable, kind: str, key: Hashable, value: Hashable, line: int) -> None:
        """A process asks something."""
        if process in self._open:
            self.pass_over("invocations by a process with an open operation, which stays open", line)
        self._events += 1
        self._open[process] = len(self._operations)
        self._operations.append(Operation(process, kind, key, value, None, self._events, None, Outcome.UNKNOWN))
        self._lines.append(line)

    def complete(self, process: Hashable, kind: str, type_: str, value: Hashable, line: int) -> None:
        """A process hears something: type_ is ok, fail or info."""
        index = self._open.pop(process, None)
        if index is None:
            self.pass_over("completions without an open operation, ignored", line)
            return
        begun = self._operations[index]
        if begun.kind != kind:
            raise MalformedHistory(
                line,
                f"process {process} completes {kind} but its open operation (line {self._lines[index]}) "
                f"is {begun.kind}",
            )
        self._events += 1
        try:
            outcome, output = self.rule(kind, begun.input, type_, value)
        except ValueError as error:
            raise MalformedHistory(line, str(error)) from error
        returned_at = None if outcome is Outcome.UNKNOWN else self._events
        self._operations[index] = replace(begun, output=output, returned_at=returned_at, outcome=outcome)

    def pass_over(self, what: str, line: int) -> None:
        """Something in the file says nothing about the object."""
        self._oddities[what] += 1
        self._first_seen.setdefault(what, line)

    def reading(self, source: str, start: Hashable) -> Reading:
        """All of it."""
        notes = tuple(
            f"{count} {what} (first: line {self._first_seen[what]})" for what, count in self._oddities.items()
        )
        return Reading(source, tuple(self._operations), tuple(self._lines), start, notes)
