"""Tables for people, drawn by rich. Imported only where one is drawn: rich costs 30 ms."""

import io
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Drawing
from rich.text import Text

from kvstore.cli.results import Column, Shape

UNBOUNDED = 100_000
"""Columns of an output that is no terminal: nothing is cut."""
GAP = 2
NARROW = 8
"""What may be cut is cut to no less."""

_CUTTABLE = (Shape.KEY, Shape.VALUE)
_STATES = {"up": "green", "ok": "green", "DOWN": "bold red", "NO": "bold red", "starting": "yellow", "paused": "yellow"}


def draw_rows(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, color: bool) -> bytes:
    """The table as bytes. `width` 0: as wide as it needs; else long keys and values are cut with …"""
    titles = [column.title or column.name for column in columns]
    natural = [max(cell_len(title), *(cell_len(row[at]) for row in rows)) for at, title in enumerate(titles)]
    cuttable = [at for at, column in enumerate(columns) if column.shape in _CUTTABLE]
    widths = fitted(natural, cuttable, (width or UNBOUNDED) - GAP * (len(columns) - 1))
    drawing = Drawing(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    for column, title, wide in zip(columns, titles, widths, strict=True):
        drawing.add_column(
            Text(title), justify="right" if column.is_right else "left", no_wrap=True, overflow="ellipsis", width=wide
        )
    for row in rows:
        drawing.add_row(*map(_styled, columns, row))
    return _printed(drawing, sum(widths) + GAP * len(columns), color)


def fitted(natural: Sequence[int], cuttable: Sequence[int], room: int) -> list[int]:
    """Widths that fit into the room, if cutting the cuttable columns can do it: the widest of them first.

    >>> fitted([4, 500, 6], [0, 1], 40)
    [4, 30, 6]
    """
    widths = list(natural)
    for at in sorted(cuttable, key=lambda at: -natural[at]):
        excess = sum(widths) - room
        if excess > 0:
            widths[at] = max(min(widths[at], NARROW), widths[at] - excess)
    return widths


def _printed(drawing: Drawing, width: int, color: bool) -> bytes:
    written = io.StringIO()
    console = Console(
        file=written,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(drawing)
    return "".join(line.rstrip() + "\n" for line in written.getvalue().split("\n")[:-1]).encode(
        "utf-8", "backslashreplace"
    )


def _styled(column: Column, cell: str) -> Text:
    if column.shape is Shape.KEY:
        return Text(cell, style="cyan")
    return Text(cell, style=_state_style(cell) if column.shape is Shape.STATE else "")


def _state_style(cell: str) -> str:
    """Of `up`, `DOWN (killed)`, `2/3 up`."""
    first = cell.split(" ")[0]
    up, slash, of = first.partition("/")
    return ("green" if up == of else "yellow") if slash else _STATES.get(first, "")
