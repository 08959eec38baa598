"""Import and export files: what was written is read back, and what is wrong is named by its line."""

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.cli.interchange import BadLine, Pair, format_of, read_pairs, write_pairs

PAIRS = st.lists(st.tuples(st.binary(), st.binary() | st.text(st.characters(codec="utf-8")).map(str.encode)))
AWKWARD = [(b'{"b64":"AA=="}', b'{"b64": "AA=="}'), (b"key", b"value"), (b"\xff", b'a"b,c\r\nd\re\n'), (b"", b"\0")]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@given(pairs=PAIRS)
@example(pairs=AWKWARD)
@example(pairs=[])
def test_what_was_exported_is_imported(form: str, pairs: list[tuple[bytes, bytes]]) -> None:
    file = io.BytesIO(b"".join(write_pairs(pairs, form)))
    found = list(read_pairs(file, form))
    assert [(pair.key, pair.value) for pair in found if isinstance(pair, Pair)] == pairs
    assert len(found) == len(pairs)


def test_jsonl_looks_like_this() -> None:
    written = b"".join(write_pairs([(b"user:1", "Grüße".encode()), (b"\xff", b"")], "jsonl"))
    assert written.decode() == '{"key":"user:1","value":"Grüße"}\n{"key":{"b64":"/w=="},"value":""}\n'


def test_csv_looks_like_this() -> None:
    written = b"".join(write_pairs([(b"user:1", b'{"a": 1}'), (b"k", b"\xff")], "csv"))
    assert written.decode() == 'key,value\nuser:1,"{""a"": 1}"\nk,"{""b64"":""/w==""}"\n'


def test_other_json_stands_for_its_text() -> None:
    line = b'{"key": "k", "value": {"name": "Ada", "age": 36}}\n'
    assert list(read_pairs([line], "jsonl")) == [Pair(1, b"k", b'{"name":"Ada","age":36}')]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"nonsense\n", "not JSON"),
        (b'{"key": "\xff"}\n', "not JSON"),
        (b"[1]\n", "expected an object"),
        (b'{"key": "k"}\n', "value missing"),
        (b"{}\n", "key and value missing"),
        (b'{"key": 1, "value": ""}\n', "the key must be text"),
        (b'{"key": {"b64": "*"}, "value": ""}\n', "base64"),
    ],
)
def test_wrong_json_lines_are_named(line: bytes, why: str) -> None:
    good = b'{"key": "k", "value": "v"}\n'
    first, bad, last = read_pairs([good, b"\n", line, good], "jsonl")
    assert (first, last) == (Pair(1, b"k", b"v"), Pair(4, b"k", b"v"))
    assert isinstance(bad, BadLine)
    assert bad.line == 3
    assert why in bad.why.lower() or why in bad.why


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (b"k\n", "expected 2 cells"),
        (b"a,b,c\n", "expected 2 cells"),
        (b"k,\xff\n", "not UTF-8"),
        (b'k,"{""b64"":""*""}"\n', "base64"),
        (b'k,"a"b\n', "not CSV"),
    ],
)
def test_wrong_csv_rows_are_named(row: bytes, why: str) -> None:
    found = list(read_pairs([b"key,value\n", b'a,"one\n', b'two"\n', row, b"k,v\n"], "csv"))
    assert found[0] == Pair(2, b"a", b"one\ntwo")
    assert isinstance(found[1], BadLine)
    assert found[1].line == 4
    assert why in found[1].why
    assert found[2:] == [Pair(5, b"k", b"v")]


def test_the_format_comes_from_the_name() -> None:
    assert [format_of("a.CSV", None), format_of("a.csv", "jsonl"), format_of("-", None)] == ["csv", "jsonl", "jsonl"]
