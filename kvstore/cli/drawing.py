"""Tables for people: columns aligned by what a terminal shows, long keys and values cut to fit.

rich knows how wide a character is. It costs 30 ms, so this module is imported only where a table is drawn. Its own
tables are not used: how they divide the room changes between its versions.
"""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

from kvstore.cli.results import Column, Shape
from kvstore.cli.terminal import Terminal

GAP = "  "
NARROW = 8
"""What may be cut is cut to no less."""
CUT = "…"

_CUTTABLE = (Shape.KEY, Shape.VALUE)
_STATES = {"up": "good", "ok": "good", "DOWN": "bad", "NO": "bad", "paused": "warn", "not": "warn"}


def draw_rows(columns: Sequence[Column], rows: Sequence[Sequence[str]], terminal: Terminal) -> Iterator[bytes]:
    """The lines of a table. Only on a terminal is anything cut."""
    titles = [column.title or column.name for column in columns]
    natural = [max(cell_len(title), *(cell_len(row[at]) for row in rows)) for at, title in enumerate(titles)]
    widths = natural
    if terminal.stdout_is_terminal:
        cuttable = [at for at, column in enumerate(columns) if column.shape in _CUTTABLE]
        widths = fitted(natural, cuttable, terminal.width - len(GAP) * (len(columns) - 1))
    yield _line(terminal, columns, titles, ["faint"] * len(titles), widths)
    for row in rows:
        yield _line(terminal, columns, row, list(map(_style, columns, row)), widths)


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


def _line(
    terminal: Terminal, columns: Sequence[Column], cells: Sequence[str], styles: Sequence[str], widths: Sequence[int]
) -> bytes:
    parts: list[str] = []
    for at, (column, cell, style, width) in enumerate(zip(columns, cells, styles, widths, strict=True)):
        shown = cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + CUT
        blanks = " " * (width - cell_len(shown))
        painted = terminal.paint(shown, style)
        if column.is_right:
            parts.append(blanks + painted)
        else:
            parts.append(painted + (blanks if at < len(cells) - 1 else ""))
    return (GAP.join(parts).rstrip() + "\n").encode("utf-8", "backslashreplace")


def _style(column: Column, cell: str) -> str:
    if column.shape is Shape.KEY:
        return "key"
    return _state_style(cell) if column.shape is Shape.STATE else ""


def _state_style(cell: str) -> str:
    """Of `up`, `DOWN (killed)`, `2/3 up`."""
    first = cell.split(" ")[0]
    up, slash, of = first.partition("/")
    return ("good" if up == of else "warn") if slash else _STATES.get(first, "")
