"""The journal's format: which batch goes which way, and that records come back whole, in order, or not at all."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, Index
from kvstore.core.records import seal
from kvstore.storage import journal
from kvstore.storage.engine import Batch, Operation
from kvstore.storage.journal import Mark, Way, encode_record, load_mark, put_mark, read_records, split, way_of
from kvstore.storage.keys import (
    BALLOT,
    DOOMED,
    FLOOR,
    HISTORY,
    JOURNALED,
    LOG,
    META,
    OUTCOME,
    VALUE,
    ballot_key,
    doomed_key,
    log_key,
    log_range,
    meta_key,
    place_key,
    table_range,
    value_prefix,
)
from kvstore.storage.memory_engine import MemoryEngine

G = GroupId(1)
SALT = 0xA5A5_1234
SIZE = 4_096


def batch_of(*operations: Operation) -> Batch:
    batch = Batch()
    for key, value, end in operations:
        batch.operations.append((key, value, end))
        batch.size_bytes += len(key) + len(value or b"")
    return batch


def put(key: bytes) -> Operation:
    return key, b"value", None


def delete(key: bytes) -> Operation:
    return key, None, None


# ── which way ────────────────────────────────────────────────────────────────────────────────────────────────────────

VOTE, ENTRY, TRUNCATION = put(ballot_key(G)), put(log_key(G, Index(7))), (log_key(G, Index(5)), None, log_range(G)[1])
COMPACTION = (log_range(G)[0], None, log_key(G, Index(3)))
META_ROW, VALUE_ROW, PLACE_ROW = put(meta_key(1)), put(value_prefix(1) + b"key"), put(place_key(G))


@pytest.mark.parametrize(
    ("operations", "way"),
    [
        ([VOTE], Way.JOURNAL),
        ([ENTRY], Way.JOURNAL),
        ([VOTE, TRUNCATION, ENTRY], Way.JOURNAL),
        ([VALUE_ROW, META_ROW], Way.BOTH),
        ([ENTRY, VALUE_ROW], Way.BOTH),
        ([VALUE_ROW, VOTE], Way.BOTH),
        ([put(HISTORY + b"row"), put(OUTCOME + b"row"), ENTRY], Way.BOTH),
        ([table_op for table in (META, VALUE, HISTORY, OUTCOME) for table_op in [(*table_range(table, 9),)]], Way.BOTH),
        ([delete(doomed_key(9)), ENTRY], Way.BOTH),
        ([], Way.ENGINE),
        ([PLACE_ROW], Way.ENGINE),
        ([ENTRY, PLACE_ROW], Way.ENGINE),
        ([COMPACTION, PLACE_ROW], Way.ENGINE),
        ([COMPACTION, VALUE_ROW], Way.ENGINE),
        ([TRUNCATION, META_ROW], Way.ENGINE),
        ([delete(ballot_key(G)), delete(doomed_key(9))], Way.ENGINE),
        ([put(FLOOR)], Way.ENGINE),
        ([put(JOURNALED), VOTE], Way.ENGINE),
        ([put(b"unknown"), VOTE], Way.ENGINE),
        ([put(b""), VOTE], Way.ENGINE),
        ([(b"\xff", None, b"\xff\xff")], Way.ENGINE),
    ],
)
def test_the_tables_say_which_way(operations: list[tuple[bytes, ...]], way: Way) -> None:
    ranges = [each if len(each) == 3 else (each[0], None, each[1]) for each in operations]
    assert way_of(batch_of(*ranges)) is way  # type: ignore[arg-type]
    assert way_of(batch_of(*reversed(ranges))) is way  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [BALLOT, LOG, HISTORY, DOOMED])
def test_a_range_of_more_than_one_table_goes_to_the_data_file(start: bytes) -> None:
    """Part of it would be another's: of the data file while the journal waits, or of the journal."""
    following = bytes([start[0] + 1])
    assert way_of(batch_of((start, None, following))) is not Way.ENGINE
    assert way_of(batch_of((start, None, following + b"\0"))) is Way.ENGINE


def test_halves_keep_order_urgency_and_size() -> None:
    batch = batch_of(VALUE_ROW, VOTE, META_ROW, ENTRY)
    batch.urgent = True
    hot, cold = split(batch)
    assert (hot.operations, cold.operations) == ([VOTE, ENTRY], [VALUE_ROW, META_ROW])
    assert hot.urgent and cold.urgent
    assert hot.size_bytes + cold.size_bytes == batch.size_bytes
    assert hot.size_bytes == batch_of(VOTE, ENTRY).size_bytes


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────

KEYS = st.sampled_from([ballot_key(G), log_key(G, Index(1)), log_key(G, Index(2))])
ANY_OPERATION = st.one_of(
    st.tuples(KEYS, st.binary(max_size=30), st.none()),
    st.tuples(KEYS, st.none(), st.none()),
    st.tuples(KEYS, st.none(), KEYS),
)
RECORDS = st.lists(st.lists(ANY_OPERATION, max_size=4), min_size=1, max_size=6)


def record(number: int, size: int = 20, salt: int = SALT) -> bytes:
    return encode_record(number, operations(number, size), salt)


def operations(number: int, size: int = 20) -> list[Operation]:
    """One log entry: the number is its index."""
    return [(log_key(G, Index(number)), b"%d" % (number % 10) * size, None)]


def written(*rounds: list[bytes], size_bytes: int = SIZE) -> bytes:
    """The file after each of the rounds was written from the beginning."""
    data = bytearray(size_bytes)
    for records in rounds:
        joined = b"".join(records)
        data[: len(joined)] = joined
    return bytes(data)


def found(data: bytes, after: int = 0, salt: int = SALT) -> list[int]:
    """The numbers of the records that are read: they are their log index."""
    records = read_records(data, Mark(after, len(data), salt))
    return [int.from_bytes(each[0][0][5:], "big") for each in records]


@given(RECORDS, st.integers(0, 2**40), st.integers(0, 2**32 - 1))
def test_records_come_back_as_they_were_written(records: list[list[Operation]], after: int, salt: int) -> None:
    data = b"".join(encode_record(after + 1 + place, each, salt) for place, each in enumerate(records))
    assert read_records(data, Mark(after, 0, salt)) == records
    assert read_records(data + bytes(100), Mark(after, 0, salt)) == records


@pytest.mark.parametrize("value", ["text", 5, bytearray(b"b"), memoryview(b"m")])
def test_what_is_no_bytes_is_never_written(value: object) -> None:
    """It might be encoded, and never be decoded again."""
    with pytest.raises(TypeError, match="bytes"):
        encode_record(1, [(b"l", value, None)], SALT)  # type: ignore[list-item]


def test_an_empty_journal_has_no_records() -> None:
    assert found(b"") == found(bytes(10)) == found(bytes(SIZE)) == []


def test_records_the_data_file_has_are_skipped() -> None:
    data = written([record(number) for number in range(1, 6)])
    assert found(data) == [1, 2, 3, 4, 5]
    assert found(data, 3) == [4, 5]
    assert found(data, 5) == found(data, 6) == found(data, 1_000) == []


@pytest.mark.parametrize("rubbish", [b"\0", b"\xff", b"old"])
def test_torn_at_any_byte_only_the_last_record_is_lost(rubbish: bytes) -> None:
    whole = [record(1), record(2), record(3)]
    kept = len(whole[0] + whole[1])
    for torn in range(len(whole[2])):
        data = bytearray(rubbish * SIZE)[:SIZE]
        data[: kept + torn] = b"".join(whole)[: kept + torn]
        assert found(bytes(data)) == [1, 2], torn
        assert found(bytes(data), 2) == [], torn


def test_sectors_of_the_last_record_may_be_written_in_any_order() -> None:
    whole = record(1) + record(2, 300)
    for start in range(60, len(whole)):
        data = bytearray(written([whole]))
        data[start : start + 16] = bytes(16)
        assert found(bytes(data)) == [1] or whole[start : start + 16] == bytes(16)[: len(whole) - start], start


@pytest.mark.parametrize("at", range(1, 4))
def test_damage_before_whole_records_is_told(at: int) -> None:
    records = [record(number) for number in range(1, 6)]
    start = sum(len(each) for each in records[: at - 1])
    for byte in range(len(records[at - 1])):
        data = bytearray(written(records))
        data[start + byte] ^= 1
        with pytest.raises(Corruption, match=f"record {at} of the journal is damaged.*fetches its data"):
            found(bytes(data))
        with pytest.raises(Corruption, match=f"record {at} "):
            found(bytes(data), at - 1)


def test_damage_to_what_the_data_file_has_is_of_no_interest() -> None:
    records = [record(number) for number in range(1, 6)]
    for byte in range(3 * len(records[0])):
        data = bytearray(written(records))
        data[byte] ^= 1
        assert found(bytes(data), 5) == []


def test_the_last_record_damaged_looks_torn() -> None:
    data = bytearray(written([record(1), record(2)]))
    data[70] ^= 1
    assert found(bytes(data)) == [1]


def test_a_body_that_makes_no_sense_is_told() -> None:
    body = b"\xc1"  # no MessagePack begins like this
    data = journal._HEAD.pack(1, len(body), journal._checksum(1, body, SALT)) + body
    with pytest.raises(Corruption, match="record 1 of the journal makes no sense"):
        read_records(data, Mark(0, 0, SALT))


@given(st.lists(st.lists(st.integers(10, 60), min_size=1, max_size=8), min_size=1, max_size=5), st.data())
def test_earlier_rounds_never_come_back(rounds: list[list[int]], data: st.DataObject) -> None:
    """Shorter, longer and equally long records over the old ones, the last of them torn anywhere."""
    number, reached = 0, 0
    encoded: list[list[bytes]] = []
    for sizes in rounds:
        reached = number
        encoded.append([record(number + 1 + place, size) for place, size in enumerate(sizes)])
        number += len(sizes)
    whole = written(*encoded)
    assert found(whole, reached) == list(range(reached + 1, number + 1))
    assert found(whole, number) == []

    last = encoded[-1].pop()
    torn = last[: data.draw(st.integers(0, len(last) - 1))]
    file = written(*encoded[:-1], [*encoded[-1], torn])
    assume(file != whole)  # the rest may have been there already: old bytes that happen to be the same
    assert found(file, reached) == list(range(reached + 1, number))


@pytest.mark.parametrize("size", [20, 60, 5])
def test_an_old_record_right_behind_the_last_one_is_none(size: int) -> None:
    """Equally long records leave the old ones at their places, whole."""
    data = written([record(number) for number in range(1, 11)], [record(11, size), record(12, size)])
    assert found(data, 10) == [11, 12]
    assert found(data, 11) == [12]
    assert found(data, 12) == []


def test_records_of_another_journal_are_none() -> None:
    foreign = [record(number, salt=SALT + 1) for number in range(1, 9)]
    assert found(written(foreign)) == []
    assert found(written(foreign, [record(1), record(2)])) == [1, 2]


def test_a_value_cannot_pass_itself_off_as_a_record() -> None:
    """Whoever may write a value knows the numbers, but not the salt."""
    forged = b"".join(encode_record(number, operations(number), 0) for number in range(1, 9))
    big = encode_record(1, [(log_key(G, Index(1)), forged, None)], SALT)
    for torn in range(len(big)):
        assert found(big[:torn] + bytes(50)) == []


def test_a_journal_of_a_later_time_than_the_data_file_is_told() -> None:
    """The data file was put back from a copy: what the journal held in between is nowhere."""
    with pytest.raises(Corruption, match=r"begins with record 8.*nothing from record 5 on"):
        found(written([record(8), record(9)]), 4)
    assert found(written([record(5), record(6)]), 4) == [5, 6]


def test_a_journal_that_was_cut_off_is_told() -> None:
    data = written([record(1)])
    with pytest.raises(Corruption, match=f"cut off: 100 of {SIZE} bytes"):
        read_records(data[:100], Mark(0, SIZE, SALT))
    assert read_records(data, Mark(0, 100, SALT)) == [operations(1)]


# ── the mark ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_mark_is_a_row() -> None:
    engine = MemoryEngine()
    assert load_mark(engine) is None
    batch = Batch()
    put_mark(batch, Mark(2**40, 64 << 20, SALT))
    engine.commit(batch)
    assert load_mark(engine) == (2**40, 64 << 20, SALT)
    assert [key for key, _ in engine.scan(b"", b"\xff")] == [JOURNALED]


@pytest.mark.parametrize("row", [b"", b"\0" * 24, seal(b"12345678")])
def test_a_damaged_mark_is_told(row: bytes) -> None:
    engine = MemoryEngine()
    engine.commit(batch_of((JOURNALED, row, None)))
    with pytest.raises(Corruption, match="how far the journal was taken over"):
        load_mark(engine)
