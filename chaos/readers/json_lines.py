"""Our own recordings: JSON lines of operations or events, as `chaos.history` describes and writes them."""

import json
from collections.abc import Hashable
from dataclasses import replace

from chaos.history import Instant, Operation, Outcome, decoded
from chaos.readers.reading import MalformedHistory, Reading

_OPERATION_FIELDS = {"process", "kind", "key", "input", "output", "invoked_at", "returned_at", "outcome"}
_INVOKE_FIELDS = {"event", "id", "process", "kind", "key", "input", "at"}
_COMPLETION_FIELDS = {"event", "id", "at"}


def read(text: str) -> Reading:
    """Read operations and events. Raises MalformedHistory: our own recordings have no excuse for gaps.

    The last line may be cut short without a newline, as a killed recorder leaves it; it is then passed over and noted.
    """
    operations: list[Operation] = []
    lines: list[int] = []
    begun: dict[object, int] = {}
    notes: tuple[str, ...] = ()
    rows = text.split("\n")
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            _take(_object(row), operations, lines, begun, number)
        except (ValueError, TypeError) as error:
            if number == len(rows) and isinstance(error, json.JSONDecodeError):
                notes = (f"the last line (line {number}) is cut short, ignored",)
                continue
            raise MalformedHistory(number, str(error)) from error
    return Reading("JSON lines", tuple(operations), tuple(lines), None, notes)


def _object(row: str) -> dict[str, object]:
    fields = json.loads(row)
    if not isinstance(fields, dict):
        raise ValueError("an operation or event is a JSON object")
    return fields


def _take(
    fields: dict[str, object], operations: list[Operation], lines: list[int], begun: dict[object, int], number: int
) -> None:
    if "event" not in fields:
        operations.append(_operation(fields))
        lines.append(number)
    elif fields["event"] == "invoke":
        _need(fields, _INVOKE_FIELDS)
        begun[_id(fields)] = len(operations)
        at = _instant(fields["at"])
        asked = decoded(fields["process"]), str(fields["kind"]), decoded(fields["key"]), decoded(fields["input"])
        operations.append(Operation(*asked, None, at, None, Outcome.UNKNOWN))
        lines.append(number)
    else:
        _need(fields, _COMPLETION_FIELDS)
        index = begun.pop(_id(fields), None)
        if index is None:
            raise ValueError(f"operation {fields['id']} is not open")
        operations[index] = _completed(operations[index], fields)


def _operation(fields: dict[str, object]) -> Operation:
    _need(fields, _OPERATION_FIELDS)
    returned_at = fields["returned_at"]
    return Operation(
        decoded(fields["process"]),
        str(fields["kind"]),
        decoded(fields["key"]),
        decoded(fields["input"]),
        decoded(fields["output"]),
        _instant(fields["invoked_at"]),
        None if returned_at is None else _instant(returned_at),
        Outcome(fields["outcome"]),
    )


def _completed(begun: Operation, fields: dict[str, object]) -> Operation:
    outcome = Outcome(fields["event"])
    returned_at = None if outcome is Outcome.UNKNOWN else _instant(fields["at"])
    return replace(begun, output=decoded(fields.get("output")), returned_at=returned_at, outcome=outcome)


def _need(fields: dict[str, object], wanted: set[str]) -> None:
    missing = sorted(wanted - fields.keys())
    if missing:
        raise ValueError(f"missing {', '.join(missing)}")


def _id(fields: dict[str, object]) -> Hashable:
    return decoded(fields["id"])


def _instant(value: object) -> Instant:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a time is a number, not {value!r}")
    return value
