"""Words of a shell line: what is quoted comes back, what is open waits, what is wrong is named."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.cli.words import Misquoted, Unfinished, Word, escape, printable, quote, split, typed, unescape, word_of


def words(text: str) -> list[str]:
    return [str(word) for word in split(text).words]


@given(st.lists(st.binary(), min_size=1))
@example([b"-x", b"@file", b"<<END", b"|", b"it's", b"{", b"", b"#", b"\\", b" "])
def test_quoted_words_come_back(datas: list[bytes]) -> None:
    line = split(" ".join(map(quote, datas)))
    assert [word.data for word in line.words] == datas
    assert line.pipe is None


@given(st.text(st.characters(codec="utf-8")))
def test_text_in_double_quotes_comes_back(text: str) -> None:
    assert words(f'"{escape(text.encode(), special=chr(34))}"') == [text]


@given(st.binary())
def test_escaped_bytes_are_one_printable_line(data: bytes) -> None:
    shown = escape(data)
    assert shown.isprintable()
    assert unescape(shown).encode("utf-8", "surrogateescape") == data


@given(st.text())
def test_any_line_is_words_or_a_named_reason(text: str) -> None:
    try:
        split(text)
    except (Misquoted, Unfinished) as reason:
        assert str(reason)
    typed(text)  # never raises


SPLIT = [
    ("put user:1 Ada", ["put", "user:1", "Ada"]),
    ("  put\tuser:1\n Ada ", ["put", "user:1", "Ada"]),
    ("put k 'Ada Lovelace'", ["put", "k", "Ada Lovelace"]),
    (r"put k 'a\nb'", ["put", "k", r"a\nb"]),
    (r'put k "a\nb\t\x41\0\"\\"', ["put", "k", 'a\nb\tA\0"\\']),
    ("put k it's", ["put", "k", "it's"]),
    ('put k a"b c', ["put", "k", 'a"b', "c"]),
    ('put k {"name": "Ada", "tags": ["}", 1]}', ["put", "k", '{"name": "Ada", "tags": ["}", 1]}']),
    ("put {tag}:1 [1, 2]", ["put", "{tag}:1", "[1, 2]"]),
    ('put k {"a":\n 1}', ["put", "k", '{"a":\n 1}']),
    ('scan --from="a b" --to=c', ["scan", "--from=a b", "--to=c"]),
    ("put k ''", ["put", "k", ""]),
    ("put k <<END\none\ntwo \nEND", ["put", "k", "one\ntwo "]),
    ("put k <<END\nEND", ["put", "k", ""]),
    ("put k <<END after", ["put", "k", "<<END", "after"]),
    ("local pause 1|2", ["local", "pause", "1|2"]),
    ("Grüße 日本", ["Grüße", "日本"]),
]


@pytest.mark.parametrize(("text", "expected"), SPLIT)
def test_split(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "command", "pipe"),
    [
        ("get user:1 | jq .name", ["get", "user:1"], "jq .name"),
        ("get 'a | b' | sort | uniq", ["get", "a | b"], "sort | uniq"),
        ("get a|b", ["get", "a|b"], None),
    ],
)
def test_pipes(text: str, command: list[str], pipe: str | None) -> None:
    line = split(text)
    assert [str(word) for word in line.words] == command
    assert line.pipe == pipe


@pytest.mark.parametrize(
    ("text", "waiting_for"),
    [
        ("put k 'open", "the closing '"),
        ('put k "open \\"', 'the closing "'),
        ('put k {"a": [1', "the closing ]"),
        ('put k {"a": "', 'the closing "'),
        ("put k <<END\none", "a line with END alone"),
        ("put k <<END", "a line with END alone"),
    ],
)
def test_open_lines_say_what_would_close_them(text: str, waiting_for: str) -> None:
    with pytest.raises(Unfinished) as unfinished:
        split(text)
    assert unfinished.value.waiting_for == waiting_for


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r'put k "\q"', r"\q is not an escape"),
        (r'put k "\x4"', "two hexadecimal digits"),
        ("put k 'a'b", "must be followed by a space"),
        ("put k <<END\nEND\nmore", "nothing may follow"),
    ],
)
def test_wrong_lines_say_why(text: str, reason: str) -> None:
    with pytest.raises(Misquoted, match=reason.replace("\\", "\\\\")):
        split(text)


def test_quoted_words_are_marked() -> None:
    assert [word.quoted for word in split("put '@x' @x \"-\" <<E\nE").words] == [False, True, False, True, True]


def test_quote_prefers_bare_words() -> None:
    assert [quote(data) for data in (b"user:1", b"it's", "Grüße".encode())] == ["user:1", "it's", "Grüße"]
    assert [quote(data) for data in (b"", b"-x", b"@f", b"a b", b"\xff")] == ['""', '"-x"', '"@f"', '"a b"', r'"\xff"']


def test_printable_keeps_backslashes() -> None:
    assert printable(rb'{"a": "\n"}' + b"\n\x01\xc3\x28") == r'{"a": "\n"}\n\x01\xc3('


@pytest.mark.parametrize(
    ("text", "before", "begun", "quoted"),
    [
        ("", [], "", ""),
        ("ge", [], "ge", ""),
        ("get ", ["get"], "", ""),
        ("get us", ["get"], "us", ""),
        ("get 'a b", ["get"], "a b", "'"),
        ('get "a', ["get"], "a", '"'),
        ("get 'a' ", ["get", "a"], "", ""),
        ('put k {"a": 1', ["put", "k"], '{"a": 1', ""),
    ],
)
def test_half_typed_lines(text: str, before: list[str], begun: str, quoted: str) -> None:
    now = typed(text)
    assert ([str(word) for word in now.words], now.begun, now.quote, now.piped) == (before, begun, quoted, False)


def test_behind_a_pipe_nothing_is_ours() -> None:
    assert typed("get a | jq .na").piped


def test_words_are_bytes() -> None:
    assert word_of(b"a\xff").data == b"a\xff"
    assert isinstance(Word("x"), str)
