"""Recording, and what JSON lines bring back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.history import HistoryRecorder, Operation, Outcome, decoded, encoded, to_json_lines
from chaos.readers import read_history


def test_an_operation_is_what_was_asked_and_what_was_seen() -> None:
    recorder = HistoryRecorder()
    put = recorder.invoke("c1", "put", "k", "v", 10)
    get = recorder.invoke("c2", "get", "k", None, 12)
    recorder.ok(put, 15)
    recorder.ok(get, 20, "v")
    assert recorder.operations() == (
        Operation("c1", "put", "k", "v", None, 10, 15, Outcome.OK),
        Operation("c2", "get", "k", None, "v", 12, 20, Outcome.OK),
    )


def test_three_outcomes_and_those_still_open() -> None:
    recorder = HistoryRecorder()
    handles = [recorder.invoke(client, "put", "k", client, client) for client in range(3)]
    recorder.failed(handles[0], 5)
    recorder.unknown(handles[1], 6)
    outcomes = [(operation.outcome, operation.returned_at) for operation in recorder.operations()]
    assert outcomes == [(Outcome.FAILED, 5), (Outcome.UNKNOWN, None), (Outcome.UNKNOWN, None)]
    assert len(recorder) == 3


def test_a_handle_completes_once() -> None:
    recorder = HistoryRecorder()
    handle = recorder.invoke("c", "get", "k", None, 1)
    recorder.unknown(handle, 2)
    with pytest.raises(ValueError, match="not an open operation"):
        recorder.ok(handle, 3, "v")
    with pytest.raises(ValueError, match="not an open operation"):
        recorder.ok(99, 3)


def test_time_does_not_run_backwards() -> None:
    recorder = HistoryRecorder()
    handle = recorder.invoke("c", "get", "k", None, 5)
    with pytest.raises(ValueError, match="before its invocation"):
        recorder.ok(handle, 4, "v")
    with pytest.raises(ValueError, match="before it is invoked"):
        Operation("c", "get", "k", None, "v", 5, 4, Outcome.OK)
    with pytest.raises(ValueError, match="return time"):
        Operation("c", "get", "k", None, None, 5, 6, Outcome.UNKNOWN)


def test_events_are_told_at_once_and_read_back() -> None:
    lines: list[str] = []
    recorder = HistoryRecorder(lines.append)
    handle = recorder.invoke("c", "cas", ("t", 1), (None, b"\x00\xff"), 1)
    assert json.loads(lines[0])["event"] == "invoke"
    recorder.ok(handle, 2, True)
    recorder.failed(recorder.invoke("c", "put", "k", "v", 3), 4)
    recorder.unknown(recorder.invoke("c", "get", "k", None, 5), 6)
    assert read_history("\n".join(lines)).operations == recorder.operations()


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.binary(max_size=4)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    invoked_at = draw(st.integers(0, 100))
    outcome = draw(st.sampled_from(Outcome))
    returned_at = None if outcome is Outcome.UNKNOWN else invoked_at + draw(st.integers(0, 10))
    kind = draw(st.sampled_from(("get", "put")))
    return Operation(draw(values), kind, draw(values), draw(values), draw(values), invoked_at, returned_at, outcome)


@given(st.lists(operations(), max_size=5))
def test_operations_survive_their_json_lines(history: list[Operation]) -> None:
    text = "".join(line + "\n" for line in to_json_lines(history))
    assert read_history(text).operations == tuple(history)


def test_values_without_a_json_form_are_refused() -> None:
    with pytest.raises(TypeError, match="not frozenset"):
        encoded(frozenset({1}))
    with pytest.raises(ValueError, match="scalar"):
        decoded({"a": 1})
    with pytest.raises(ValueError, match="base64"):
        decoded({"base64": "%%%"})


def test_an_operation_says_itself_in_one_line() -> None:
    assert str(Operation(3, "get", "k", None, "v", 1, 2, Outcome.OK)) == "[1, 2] process 3: get 'k' -> 'v'"
    assert str(Operation(3, "put", "k", "v", None, 1, 2, Outcome.OK)) == "[1, 2] process 3: put 'k' 'v' -> ok"
    assert str(Operation(3, "put", None, "v", None, 1, None, Outcome.UNKNOWN)) == "[1, …] process 3: put 'v' -> unknown"
