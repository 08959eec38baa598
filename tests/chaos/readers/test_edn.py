"""The EDN reader: values, lines, and broken text."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.readers.edn import Document, EdnError, hashable, parse


@pytest.mark.parametrize(
    ("text", "value"),
    (
        ("nil", None),
        ("true", True),
        ("-12", -12),
        ("7N", 7),
        ("1.5M", 1.5),
        ("2e3", 2000.0),
        ("1/3", Fraction(1, 3)),
        (":timed-out", ":timed-out"),
        (":jepsen.client/x", ":jepsen.client/x"),
        ("symbol", "symbol"),
        ('"a\\n\\"b\\u00e9 ; no comment"', 'a\n"bé ; no comment'),
        ("\\a", "a"),
        ("\\newline", "\n"),
        ("[1 (2, 3) []]", (1, (2, 3), ())),
        ("{:a 1, :b [2]}", {":a": 1, ":b": (2,)}),
        ("#{1 2}", frozenset({1, 2})),
        ('#inst "2015-01-01"', "2015-01-01"),
        ("#jepsen.Op{:a 1}", {":a": 1}),
        ("[1 #_ 2 #_[3 4] 5]", (1, 5)),
        ("##Inf", "##Inf"),
    ),
)
def test_values(text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "line"),
    (("\n[1", 2), ("1\n]", 2), ("[1)", 1), ('\n\n"open', 3), ("{:a}", 1), ("\n1/0", 2), ("[" * 200, 1), ("\\", 1)),
)
def test_broken_text_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(EdnError) as caught:
        Document(text).forms()
    assert caught.value.line == line


def test_events_of_a_vector_and_loose_ones_know_their_lines() -> None:
    assert list(Document("; first\n[{:a 1}\n\n{:a 2}]\n{:a 3}").events()) == [
        (2, {":a": 1}),
        (4, {":a": 2}),
        (5, {":a": 3}),
    ]


def test_one_value_means_one() -> None:
    with pytest.raises(EdnError, match="one value expected, 2 found"):
        parse("1 2")


def test_maps_become_hashable() -> None:
    assert hash(hashable(parse("[{:a [1 {:b 2}]}]"))) is not None
    assert hashable(parse("{:a 1 :b 2}")) == hashable(parse("{:b 2 :a 1}"))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        Document(text).forms()
    except EdnError as error:
        assert 1 <= error.line <= text.count("\n") + 1
