"""Lines that fit the terminal."""

import io

from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.cli.terminal import Terminal, folded, visible_length


def test_a_line_that_fits_stays_as_it_is() -> None:
    assert folded("  put KEY     write a key", 40) == ["  put KEY     write a key"]


def test_the_second_column_goes_on_below_itself() -> None:
    lines = folded("  keyspace    create | list | drop", 32)
    assert lines == ["  keyspace    create | list |", "              drop"]


def test_prose_goes_on_a_little_to_the_right() -> None:
    assert folded("One word after the other", 12) == ["One word", "  after the", "  other"]


def test_a_word_that_is_too_long_stays_whole() -> None:
    assert folded("a " + "x" * 30 + " b", 12) == ["a", "  " + "x" * 30, "  b"]


@example(["", "", "", "a", "dddd"], 8)
@example([""] * 30, 8)
@example([*[""] * 12, "a"], 8)
@given(st.lists(st.sampled_from(["a", "bb", "\x1b[1mccc\x1b[0m", "dddd", ""]), max_size=40), st.integers(8, 40))
def test_no_word_is_lost_and_no_line_too_long(words: list[str], width: int) -> None:
    line = " ".join(words)
    lines = folded(line, width)
    assert " ".join(lines).split() == line.split()
    assert all(visible_length(part) <= width for part in lines)


def test_nothing_is_folded_in_a_pipe() -> None:
    streams = io.BytesIO(), io.BytesIO(), io.BytesIO()
    text = "word " * 50
    assert Terminal(*streams, columns=20).folded(text) == text
    assert len(Terminal(*streams, stdout_is_terminal=True, columns=20).folded(text).split("\n")) > 10
