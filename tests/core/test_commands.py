"""Commands come back as they went; what is no command is refused, with the reason, before anybody keeps it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.commands import (
    Command,
    CommandBatch,
    Condition,
    EntryPayload,
    Kind,
    Result,
    check_command,
    check_key,
    decode_batch,
    decode_payload,
    decode_results,
    encode,
)
from kvstore.core.errors import EmptyKey, InvalidRequest, KeyTooLarge, KvError, MalformedFrame, ValueTooLarge
from kvstore.core.limits import KEY_BYTES_MAX

U63 = st.integers(0, (1 << 63) - 1)
COMMANDS = st.builds(
    Command, U63, st.sampled_from(Kind).map(int), st.binary(max_size=20), st.binary(max_size=20),
    st.sampled_from(Condition).map(int), U63,
)  # fmt: skip
BATCHES = st.builds(CommandBatch, U63, U63, st.booleans(), st.lists(COMMANDS, max_size=5))
PAYLOADS = st.builds(EntryPayload, U63, st.lists(st.binary(max_size=20), max_size=5))
RESULTS = st.lists(st.builds(Result, st.integers(0, 3), U63, U63))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=8) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(BATCHES)
def test_a_batch_comes_back(batch: CommandBatch) -> None:
    assert decode_batch(encode(batch)) == batch


@given(PAYLOADS)
def test_an_entry_comes_back_with_its_batches_untouched(payload: EntryPayload) -> None:
    assert decode_payload(encode(payload)) == payload


@given(RESULTS)
def test_results_come_back(results: list[Result]) -> None:
    assert decode_results(encode(results)) == results


def test_results_may_be_told_by_plain_tuples_with_or_without_their_end() -> None:
    assert decode_results(encode([(0, 5), (2, 7, 9)])) == [Result(0, 5, 0), Result(2, 7, 9)]


@given(st.binary() | ANYTHING.map(msgspec.msgpack.encode))
def test_garbage_is_malformed_or_means_something(data: bytes) -> None:
    """Nothing but MalformedFrame comes out, and what is taken is what would be written."""
    for decode in (decode_batch, decode_results):
        try:
            meant = decode(data)
        except MalformedFrame as error:
            assert str(error).startswith("not a ")
        else:
            assert decode(encode(meant)) == meant


@given(BATCHES, st.data())
def test_a_cut_batch_is_malformed(batch: CommandBatch, data: st.DataObject) -> None:
    whole = encode(batch)
    with pytest.raises(MalformedFrame, match="not a command batch"):
        decode_batch(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_older_bytes_without_the_new_fields_still_decode() -> None:
    old = msgspec.msgpack.encode([1, 0, False, [[1, 0, b"key"]]])
    assert decode_batch(old).commands == [Command(1, 0, b"key")]


def test_bytes_with_fields_of_a_newer_version_still_decode() -> None:
    new = msgspec.msgpack.encode([1, 0, False, [[1, 0, b"key", b"", 0, 0, b"", "new"]], "newer"])
    assert decode_batch(new).commands == [Command(1, 0, b"key")]


REFUSED: list[tuple[Command, type[KvError], str]] = [
    (Command(1, Kind.PUT, b""), EmptyKey, "at least one byte"),
    (Command(1, Kind.PUT, b"k" * (KEY_BYTES_MAX + 1)), KeyTooLarge, "481 bytes, at most 480"),
    (Command(1, Kind.PUT, b"k", b"v" * 11), ValueTooLarge, "11 bytes, this keyspace allows 10"),
    (Command(1, 2, b"k"), InvalidRequest, "kind 2 with condition 0 does not exist"),
    (Command(1, -1, b"k"), InvalidRequest, "kind -1"),
    (Command(1, Kind.PUT, b"k", b"", 3), InvalidRequest, "condition 3"),
]


@pytest.mark.parametrize(("command", "kind", "words"), REFUSED)
def test_what_makes_no_sense_is_refused(command: Command, kind: type[KvError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        check_command(command, value_bytes_max=10)
    assert caught.value.definite


def test_the_limits_themselves_are_allowed() -> None:
    check_command(Command(0, Kind.PUT, b"k" * KEY_BYTES_MAX, b"v" * 10, Condition.STAMP, 1), value_bytes_max=10)
    check_key(b"\0")


@pytest.mark.parametrize("sequence", [-1, -(1 << 63), 1 << 63, (1 << 64) - 1])
def test_an_operation_number_that_no_row_could_hold_is_refused(sequence: int) -> None:
    """It would pass the log and then stop every replica at the same entry."""
    with pytest.raises(InvalidRequest, match="operation number"):
        check_command(Command(sequence, Kind.PUT, b"k"), value_bytes_max=10)
