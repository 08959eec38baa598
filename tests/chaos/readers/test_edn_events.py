"""Knossos' and porcupine's EDN events, with their sources' rules and their gaps."""

import pytest

from chaos.history import Outcome
from chaos.readers import MalformedHistory, Reading, read_history


def event(process: object, type_: str, f: str, value: object = "nil", rest: str = "") -> str:
    return f"{{:process {process}, :type :{type_}, :f :{f}, :value {value}{rest}}}"


def read(*events: str) -> Reading:
    return read_history("[" + "\n".join(events) + "]")


def test_outcomes() -> None:
    reading = read(
        event(1, "invoke", "write", 3),
        event(2, "invoke", "cas", "[1 2]"),
        event(3, "invoke", "cas", "[3 4]"),
        event(1, "ok", "write", 3),
        event(2, "fail", "cas", "[1 2]"),
        event(3, "ok", "cas", "[3 4]"),
        event(4, "invoke", "write", 9),
        event(4, "info", "write", 9),
        event(5, "invoke", "read"),
    )
    told = [(one.kind, one.input, one.output, one.outcome) for one in reading.operations]
    assert told == [
        ("write", 3, None, Outcome.OK),
        ("cas", (1, 2), None, Outcome.FAILED),
        ("cas", (3, 4), True, Outcome.OK),
        ("write", 9, None, Outcome.UNKNOWN),
        ("read", None, None, Outcome.UNKNOWN),
    ]
    assert reading.start == 0
    assert reading.lines == (1, 2, 3, 7, 9)


def test_a_completed_read_of_nil_says_nothing_but_a_get_does() -> None:
    reading = read(event(1, "invoke", "read"), event(1, "ok", "read"), event(1, "invoke", "get"), event(1, "ok", "get"))
    assert [one.outcome for one in reading.operations] == [Outcome.UNKNOWN, Outcome.OK]


def test_a_swap_of_nil_is_one_of_nil_for_nil() -> None:
    assert read(event(1, "invoke", "cas")).operations[0].input == (None, None)


def test_keys_separate_objects() -> None:
    reading = read_history(event(1, "invoke", "get", "nil", ' :key "7"') + event(1, "ok", "get", '"x y"', ' :key "7"'))
    assert (reading.operations[0].key, reading.operations[0].output) == ("7", "x y")


def test_what_is_no_client_is_passed_over() -> None:
    reading = read(event(":nemesis", "info", "start"), event('"n1"', "info", "x"), event(1, "invoke", "read"))
    assert len(reading.operations) == 1
    assert reading.notes == ("2 events of processes that are not clients (first: line 1)",)


def test_completions_of_nothing_are_noted() -> None:
    write = event(1, "invoke", "write", 1), event(1, "info", "write", 1)
    reading = read(*write, event(1, "ok", "write", 1), event(2, "info", "read"))
    assert [one.outcome for one in reading.operations] == [Outcome.UNKNOWN]
    assert reading.notes == ("2 completions without an open operation, ignored (first: line 3)",)


def test_a_second_invocation_leaves_the_first_open() -> None:
    reading = read(event(1, "invoke", "write", 1), event(1, "invoke", "write", 2), event(1, "ok", "write", 2))
    assert [(one.input, one.outcome) for one in reading.operations] == [(1, Outcome.UNKNOWN), (2, Outcome.OK)]
    assert "which stays open" in reading.notes[0]


@pytest.mark.parametrize(
    ("bad", "because"),
    (
        ("[1 2]", "an event is a map"),
        ("{:type :ok, :f :read}", "an event needs :process"),
        ("{:process 1, :f :read}", "an event needs :type"),
        (event(1, "maybe", "read"), "not :maybe"),
        (event(9, "ok", "write", 1), "completes write but its open operation"),
    ),
)
def test_broken_events_are_refused_with_their_line(bad: str, because: str) -> None:
    with pytest.raises(MalformedHistory, match=f"^line 2: .*{because}"):
        read(event(9, "invoke", "read"), bad)
