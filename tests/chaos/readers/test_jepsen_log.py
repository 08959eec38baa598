"""Porcupine's etcd logs, with their source's rules."""

from collections.abc import Hashable

import pytest

from chaos.history import Outcome
from chaos.readers import MalformedHistory, Reading, read_history


def read(*events: str, tab: str = "\t") -> Reading:
    return read_history("\n".join("INFO  jepsen.util - " + event.replace(" | ", tab) for event in events) + "\n")


@pytest.mark.parametrize(
    ("asked", "heard", "output", "outcome"),
    (
        ("read | nil", "ok | :read | 3", 3, Outcome.OK),
        ("read | nil", "ok | :read | nil", None, Outcome.OK),
        ("read | nil", "fail | :read | :timed-out", None, Outcome.FAILED),
        ("read | nil", "info | :read | :timed-out", None, Outcome.UNKNOWN),
        ("write | 2", "ok | :write | 2", None, Outcome.OK),
        ("write | 2", "info | :write | :timed-out", None, Outcome.UNKNOWN),
        ("write | 2", "fail | :write | :timed-out", None, Outcome.UNKNOWN),
        ("cas | [1 2]", "ok | :cas | [1 2]", True, Outcome.OK),
        ("cas | [1 2]", "fail | :cas | [1 2]", False, Outcome.OK),
        ("cas | [1 2]", "fail | :cas | :timed-out", None, Outcome.UNKNOWN),
        ("cas | [nil 2]", "info | :cas | :timed-out", None, Outcome.UNKNOWN),
    ),
)
def test_what_each_completion_means(asked: str, heard: str, output: Hashable, outcome: Outcome) -> None:
    (operation,) = read(f"4 | :invoke | :{asked}", f"4 | :{heard}").operations
    assert (operation.output, operation.outcome) == (output, outcome)


def test_an_open_call_stays_open_and_the_register_starts_absent() -> None:
    reading = read("4 | :invoke | :write | 1")
    assert reading.operations[0].outcome is Outcome.UNKNOWN
    assert reading.start is None


def test_spaces_and_other_line_ends_do_as_well() -> None:
    asked = "2014-06-01 12:00:00,123 INFO  jepsen.util - 1   :invoke :cas    [1 2]\r\n"
    (operation,) = read_history(f"{asked}\r\nINFO jepsen.util - 1 :ok :cas [1 2]\r\n").operations
    assert (operation.input, operation.output) == ((1, 2), True)


def test_lines_about_other_things_are_passed_over() -> None:
    text = (
        "INFO  jepsen.core - starting\n"
        "INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n"
        "WARN  jepsen.core - java.net.ConnectException: refused\n"
        "\tat java.net.Socket.connect(Socket.java)\n"
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
    )
    reading = read_history(text)
    assert len(reading.operations) == 1
    assert reading.lines == (5,)
    assert reading.notes == ("4 lines about other things than operations (first: line 1)",)


@pytest.mark.parametrize(
    "bad",
    (
        "INFO  jepsen.util - 3\t:ok\t:read",
        "INFO  jepsen.util - 3\t:perhaps\t:read\tnil",
        "INFO  jepsen.util - 3\t:ok\t:append\t1",
        "INFO  jepsen.util - 3\t:invoke\t:cas\t[1 2",
        "3\t:ok\t:read\t1",
        "whatever",
    ),
)
def test_broken_lines_are_refused_with_their_number(bad: str) -> None:
    with pytest.raises(MalformedHistory, match=r"^line 2: "):
        read_history(f"INFO  jepsen.util - 3\t:invoke\t:read\tnil\n{bad}\n")
