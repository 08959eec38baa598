"""Cells: what goes out can come back, and numbers look as people expect."""

import csv
import io

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.cli import formats
from kvstore.cli.results import Column, Replicas, Shape
from kvstore.core.errors import InvalidRequest

ANY = st.binary() | st.text(st.characters(codec="utf-8")).map(str.encode)


@given(ANY)
@example(b'{"b64":"AA=="}')
def test_bytes_come_back_from_json_and_csv(data: bytes) -> None:
    assert formats.bytes_from(msgspec.json.decode(msgspec.json.encode(formats.json_bytes(data)))) == data
    assert formats.bytes_from_csv(formats.csv_bytes(data)) == data


@given(ANY, st.sampled_from(formats.KEY_FORMATS))
def test_keys_come_back_from_every_key_format(key: bytes, key_format: str) -> None:
    if key_format == "text":
        assert formats.key_from(key.decode("utf-8", "surrogateescape"), "text") == key
    else:
        assert formats.key_from(formats.key_text(key, key_format), key_format) == key


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_reader_of_csv_understands_our_rows(cells: list[str]) -> None:
    text = formats.csv_row(cells).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [cells]


@pytest.mark.parametrize(("text", "key_format"), [("xyz", "hex"), ("abc", "hex"), ("a", "base64"), ("?", "base64")])
def test_a_key_in_the_wrong_format_is_refused(text: str, key_format: str) -> None:
    with pytest.raises(InvalidRequest, match=f"is not {key_format}, as --key-format {key_format} asks for"):
        formats.key_from(text, key_format)


CELLS = [  # shape, cell, for people, in lines, in CSV, in JSON
    (Shape.KEY, b"a\tb", "a\\tb", "a\\tb", "a\tb", "a\tb"),
    (Shape.VALUE, b"\\", "\\", "\\\\", "\\", "\\"),
    (Shape.VALUE, b"\xff", "\\xff", "\\xff", '{"b64":"/w=="}', {"b64": "/w=="}),
    (Shape.NUMBER, 1234567, "1,234,567", "1234567", "1234567", 1234567),
    (Shape.NUMBER, 1234.56, "1,234.6", "1234.56", "1234.56", 1234.56),
    (Shape.MILLIS, 1.23456, "1.2 ms", "1.235", "1.235", 1.235),
    (Shape.SIZE, 4_300_000, "4.1 MiB", "4300000", "4300000", 4300000),
    (Shape.TEXT, True, "yes", "yes", "yes", True),
    (Shape.STATE, "up", "up", "up", "up", "up"),
    (Shape.REPLICAS, Replicas(("n1", "n2", "n3"), "n2", ("n3",)), "n1 n2* (n3)", "n1 n2* (n3)", "n1 n2 n3",
     ["n1", "n2", "n3"]),
    (Shape.TEXT, None, "-", "", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "cell", "people", "lines", "in_csv", "programs"), CELLS)
def test_cells(shape: Shape, cell: object, people: str, lines: str, in_csv: str, programs: object) -> None:
    column = Column("x", shape)
    assert formats.for_people(column, cell, "text") == people
    assert formats.for_lines(column, cell, "text") == lines
    assert formats.for_csv(column, cell, "text") == in_csv
    assert formats.for_programs(column, cell, "text") == programs


def test_times_are_local_for_people_and_utc_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    column, cell = Column("x", Shape.TIME), 1_700_000_000_123
    assert formats.for_programs(column, cell, "text") == "2023-11-14T22:13:20.123Z"
    assert formats.for_people(column, cell, "text").endswith(".123")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.042, "0.04 ms"), (1.94, "1.9 ms"), (9.99, "10.0 ms"), (12.4, "12 ms"), (1240, "1.24 s")]
)
def test_durations(value: float, shown: str) -> None:
    assert formats.millis(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (999, "999 B"), (4096, "4 KiB"), (1 << 20, "1 MiB"), (15_000_000, "14 MiB"), (3 << 40, "3.0 TiB")],
)
def test_sizes(value: int, shown: str) -> None:
    assert formats.size(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(4, "4 s"), (200, "3 min 20 s"), (600, "10 min"), (7500, "2 h 5 min"), (270_000, "3 d 3 h")]
)
def test_spans(seconds: float, shown: str) -> None:
    assert formats.span(seconds) == shown


def test_counted() -> None:
    assert [formats.counted(1, "key"), formats.counted(2000, "key"), formats.counted(2, "entry", "entries")] == [
        "1 key",
        "2,000 keys",
        "2 entries",
    ]


@given(ANY)
def test_a_value_on_its_own_screen_keeps_its_lines(data: bytes) -> None:
    shown = formats.text_of(data)
    assert shown.count("\n") == data.count(b"\n")
    assert all(char.isprintable() or char in "\n\t" for char in shown)
