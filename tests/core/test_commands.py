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
    PutBatch,
    Result,
    Run,
    WriteBatch,
    batch_of,
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
ROWS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5)
PUT_BATCHES = st.builds(
    lambda client, first, rows: PutBatch(client, 0, first, [key for key, _ in rows], [value for _, value in rows]),
    U63, U63, ROWS,
)  # fmt: skip
BATCHES: st.SearchStrategy[WriteBatch] = PUT_BATCHES | st.builds(
    CommandBatch, U63, U63, st.booleans(), st.lists(COMMANDS, max_size=5)
)
PAYLOADS = st.builds(EntryPayload, U63, st.lists(st.binary(max_size=20), max_size=5))
RESULTS = st.lists(st.builds(Result, st.integers(0, 3), U63, U63))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=8) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(BATCHES)
def test_a_batch_comes_back(batch: WriteBatch) -> None:
    assert decode_batch(encode(batch)) == batch


@given(U63, st.lists(COMMANDS, min_size=1, max_size=5), st.booleans())
def test_the_shortest_batch_means_the_same(client: int, commands: list[Command], atomic: bool) -> None:
    batch = batch_of(client, 3, commands, atomic=atomic)
    assert (batch.client, batch.answered_below, batch.atomic, batch.commands) == (client, 3, atomic, commands)
    assert (len(batch), batch.first, batch.last) == (len(commands), commands[0].sequence, commands[-1].sequence)


@given(PUT_BATCHES)
def test_puts_by_columns_say_of_themselves_what_their_commands_say(puts: PutBatch) -> None:
    general = CommandBatch(puts.client, puts.answered_below, False, puts.commands)
    assert len(puts) == len(general) and puts.keys == general.keys
    if puts.keys:
        assert (puts.first, puts.last) == (general.first, general.last)
        assert (puts.is_foregone, puts.frees) == (general.is_foregone, general.frees)
        assert (batch_of(puts.client, 0, puts.commands)) == puts
        told = []
        for batch in (puts, general):
            try:
                batch.check(10)
            except KvError as error:
                told.append(str(error))
        assert told == [] or told[0] == told[1]


@pytest.mark.parametrize(
    "odd",
    [
        Command(8, Kind.DELETE, b"k"),
        Command(8, Kind.PUT, b"k", b"v", Condition.ABSENT),
        Command(9, Kind.PUT, b"k", b"v"),
        Command(8, Kind.PUT, b"k", b"v", context=b"seen"),
    ],
)
def test_one_that_is_no_plain_put_makes_a_general_batch(odd: Command) -> None:
    plain = Command(7, Kind.PUT, b"k", b"v")
    assert isinstance(batch_of(1, 0, [plain]), PutBatch)
    assert isinstance(batch_of(1, 0, [plain, odd]), CommandBatch)
    assert isinstance(batch_of(1, 0, [plain], atomic=True), CommandBatch)


def test_columns_of_different_lengths_are_malformed() -> None:
    with pytest.raises(MalformedFrame, match="2 keys with 1 values"):
        decode_batch(msgspec.msgpack.encode([1, 5, 0, 7, [b"a", b"b"], [b"v"]]))


def test_a_run_says_the_same_as_its_results() -> None:
    run = Run(70, 3)
    assert decode_results(encode(run)) == [Result(0, 70), Result(0, 71), Result(0, 72)]
    assert list(run) == [(0, 70), (0, 71), (0, 72)] and len(run) == 3


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
def test_a_cut_batch_is_malformed(batch: WriteBatch, data: st.DataObject) -> None:
    whole = encode(batch)
    with pytest.raises(MalformedFrame, match="not a command batch"):
        decode_batch(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_older_bytes_without_the_new_fields_still_decode() -> None:
    old = msgspec.msgpack.encode([0, 1, 0, False, [[1, 0, b"key"]]])
    assert decode_batch(old).commands == [Command(1, 0, b"key")]


def test_bytes_with_fields_of_a_newer_version_still_decode() -> None:
    new = msgspec.msgpack.encode([0, 1, 0, False, [[1, 0, b"key", b"", 0, 0, b"", "new"]], "newer"])
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
