"""Our own recordings; what is whole is covered by tests/chaos/test_history.py."""

import pytest

from chaos.readers import MalformedHistory, read_history

INVOKE = '{"event": "invoke", "id": 1, "process": "c", "kind": "put", "key": "k", "input": 1, "at": 5}\n'
OPERATION = (
    '{"process": "c", "kind": "get", "key": "k", "input": null, "output": 1, "invoked_at": 6, "returned_at": 7, '
    '"outcome": "ok"}\n'
)


def test_operations_and_events_may_be_mixed() -> None:
    reading = read_history(INVOKE + OPERATION + '{"event": "ok", "id": 1, "output": null, "at": 9}\n')
    assert [(one.kind, one.returned_at) for one in reading.operations] == [("put", 9), ("get", 7)]
    assert reading.lines == (1, 2)


def test_a_last_line_cut_short_is_noted() -> None:
    reading = read_history(OPERATION + INVOKE + '{"event": "ok", "i')
    assert len(reading.operations) == 2
    assert reading.notes == ("the last line (line 3) is cut short, ignored",)


@pytest.mark.parametrize(
    ("bad", "because"),
    (
        ('{"event": "ok", "i', "Expecting|Unterminated"),
        ("[1]", "JSON object"),
        ('{"event": "ok", "id": 2, "at": 1}', "operation 2 is not open"),
        ('{"event": "ok", "id": 1, "at": 4}', "before it is invoked"),
        ('{"event": "nonsense", "id": 1, "at": 9}', "nonsense"),
        ('{"event": "ok", "id": 1, "at": "noon"}', "a time is a number"),
        ('{"process": "c"}', "missing input, invoked_at"),
        ('{"event": "invoke", "id": 2}', "missing at"),
        (OPERATION.strip().replace('"ok"', '"unknown"'), "return time"),
        (OPERATION.strip().replace("null", '{"a": 1}'), "a value is"),
    ),
)
def test_gaps_are_refused_with_their_line(bad: str, because: str) -> None:
    with pytest.raises(MalformedHistory, match=f"^line 2: .*({because})"):
        read_history(f"{INVOKE}{bad}\n")
