"""Tables for people: aligned by what a terminal shows, cut only where it must be."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kvstore.cli.drawing import draw_rows, fitted
from kvstore.cli.results import Column, Shape
from kvstore.cli.terminal import Terminal, visible_length

COLUMNS = (
    Column("key", Shape.KEY),
    Column("value", Shape.VALUE),
    Column("state", Shape.STATE),
    Column("n", Shape.NUMBER),
)
ROWS = [["日本", "x" * 300, "up", "1"], ["k", "é", "2/3 up", "22"], ["k", "", "DOWN (killed)", "-"]]


def terminal(columns: int = 0, color: bool = False) -> Terminal:
    return Terminal(
        io.BytesIO(), io.BytesIO(), io.BytesIO(), stdout_is_terminal=bool(columns), color=color, columns=columns
    )


def test_wide_characters_keep_the_columns_straight() -> None:
    assert b"".join(draw_rows(COLUMNS, ROWS, terminal(columns=40))).decode() == (
        "key   value            state           n\n"
        "日本  xxxxxxxxxxxxxx…  up              1\n"
        "k     é                2/3 up         22\n"
        "k                      DOWN (killed)   -\n"
    )


def test_in_a_pipe_nothing_is_cut() -> None:
    assert b"x" * 300 in b"".join(draw_rows(COLUMNS, ROWS, terminal()))


def test_colours_do_not_move_the_columns() -> None:
    plain, painted = (list(draw_rows(COLUMNS, ROWS, terminal(80, color))) for color in (False, True))
    assert [visible_length(line.decode()) for line in painted] == [visible_length(line.decode()) for line in plain]
    text = b"".join(painted).decode()
    assert "\x1b[32mup\x1b[0m" in text
    assert "\x1b[33m2/3 up\x1b[0m" in text
    assert "\x1b[31;1mDOWN (killed)\x1b[0m" in text
    assert "\x1b[36mk\x1b[0m" in text


@given(
    st.lists(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S"))), min_size=1), st.integers(20, 90)
)
def test_no_line_is_wider_than_the_terminal(values: list[str], width: int) -> None:
    rows = [[value, "up"] for value in values]
    for line in draw_rows((Column("value", Shape.VALUE), Column("state", Shape.STATE)), rows, terminal(width)):
        assert cell_len(line.decode().rstrip("\n")) <= width


@given(st.lists(st.integers(1, 500), min_size=2, max_size=5), st.integers(10, 200))
def test_widths_shrink_no_further_than_they_must(natural: list[int], room: int) -> None:
    widths = fitted(natural, [0, 1], room)
    assert all(wide <= full for wide, full in zip(widths, natural, strict=True))
    assert widths[2:] == natural[2:]
    if sum(natural) <= room:
        assert widths == natural
    else:
        assert sum(widths) >= min(room, sum(natural))
