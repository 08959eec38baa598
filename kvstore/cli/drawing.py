"""Tables for people, drawn by rich. Imported only where one is drawn: rich costs 30 ms."""

import io

from rich.console import Console
from rich.table import Table as Drawing
from rich.text import Text

from kvstore.cli.results import Column, Shape

UNBOUNDED = 100_000
"""Columns of an output that is no terminal: nothing is cut."""

_STATES = {"up": "green", "ok": "green", "leader": "green", "DOWN": "bold red", "paused": "yellow", "-": "dim"}


def draw_rows(columns: list[Column], rows: list[list[str]], width: int, color: bool) -> bytes:
    """The table as bytes. `width` 0: as wide as it needs; else long values are cut with …"""
    drawing = Drawing(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    for column in columns:
        cut = column.shape in (Shape.VALUE, Shape.KEY)
        drawing.add_column(
            Text(column.title or column.name),
            justify="right" if column.is_right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=None,
            min_width=None if cut else max(len(row[len(drawing.columns)]) for row in rows) if rows else None,
        )
    for row in rows:
        drawing.add_row(*(_styled(column, cell) for column, cell in zip(columns, row, strict=True)))
    written = io.StringIO()
    console = Console(
        file=written,
        width=width or UNBOUNDED,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(drawing, crop=bool(width))
    return "".join(line.rstrip() + "\n" for line in written.getvalue().splitlines()).encode("utf-8", "backslashreplace")


def _styled(column: Column, cell: str) -> Text:
    style = {Shape.KEY: "cyan"}.get(column.shape, "")
    if column.shape is Shape.STATE:
        style = _STATES.get(cell.split(" ")[0], "")
    return Text(cell, style=style)
