"""Results become bytes on standard output: for people on a terminal, as lines in a pipe, or as JSON and CSV.

rich is imported to draw a table for people and for nothing else: it costs 30 ms.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from kvstore.cli import formats
from kvstore.cli.results import Bytes, Column, Done, Line, Report, Result, Served, Shape, Table, Text, Value
from kvstore.cli.terminal import Terminal, visible_length

TABLE_ROWS_MAX = 1_000
"""A longer table is drawn in parts, each with its own column widths, so that a stream needs no memory."""

Row = tuple[Any, ...]
Cell = Callable[[Column, Any, str], Any]
Footer = Callable[[], str]


class Renderer:
    """Shows results in one format on one terminal."""

    def __init__(self, terminal: Terminal, output: str, key_format: str = "text", expanded: bool = False) -> None:
        self.terminal = terminal
        self.output = output
        self.key_format = key_format
        self.expanded = expanded
        self.null = "-"

    def show(self, result: Result, footer: Footer = str) -> None:
        """Write the result. `footer` is asked when all else is written; it is said dimly at the right, to people."""
        if type(result) is Result:
            return  # it has said all there is by itself
        if self.output == "table":
            self._for_people(result, footer)
        elif isinstance(result, Bytes):
            self.terminal.write_all(result.chunks)
        elif isinstance(result, Text):
            self.terminal.say(result.text)
        elif self.output == "raw":
            self.terminal.write_all(self._lines(result))
        elif self.output == "csv":
            self.terminal.write_all(self._csv(result))
        else:
            self.terminal.write_all(self._json(result))
        self.terminal.flush()

    # ── for people ──────────────────────────────────────────────────────────────────────────────────────────────

    def _for_people(self, result: Result, footer: Footer) -> None:
        match result:
            case Done(says=says):
                self._say_with_footer(says, footer())
            case Value():
                self._value(result, footer())
            case Table():
                count = self.draw(result)
                self._say_with_footer(self.terminal.paint(count, "faint"), footer())
            case Report(blocks=blocks):
                for block in blocks:
                    self._block(block)
                self._say_with_footer("", footer())
            case Text(text=text):
                self.terminal.say(text)
            case Bytes(chunks=chunks):
                self.terminal.write_all(chunks)
            case _:
                raise TypeError(f"{type(result).__name__} cannot be shown")

    def _say_with_footer(self, text: str, footer: str) -> None:
        if not footer:
            if text:
                self.terminal.say(text)
            return
        gap = self.terminal.width - visible_length(text) - len(footer)
        if gap < 2 and text:
            self.terminal.say(text)
            text, gap = "", self.terminal.width - len(footer)
        self.terminal.say(text + " " * max(gap, 0) + self.terminal.paint(footer, "faint"))

    def _value(self, result: Value, footer: str) -> None:
        if result.bare:
            self.terminal.write(result.value)
            return
        text = formats.text_of(result.value)
        if "\n" in text:
            self.terminal.say(text)
            text = ""
        self._say_with_footer(text, footer)

    def _block(self, block: Line | Table) -> None:
        if isinstance(block, Line):
            self.terminal.say(self.terminal.paint(block.text, block.style))
        else:
            self.draw(block)

    def draw(self, table: Table) -> str:
        """Write the table; returns what is to be said below it: how many rows there were."""
        columns = [at for at, column in enumerate(table.columns) if column.for_people]
        rows, count = iter(table.rows), 0
        while part := list(islice(rows, TABLE_ROWS_MAX)):
            cells = [[self._person_cell(table.columns[at], row[at]) for at in columns] for row in part]
            shown = [table.columns[at] for at in columns]
            self._draw_records(shown, cells, count) if self.expanded else self._draw_rows(shown, cells)
            count += len(part)
        if not count:
            return f"({table.empty})"
        return f"({formats.counted(count, table.one, table.many)})"

    def _person_cell(self, column: Column, cell: Any) -> str:
        return self.null if cell is None else formats.for_people(column, cell, self.key_format)

    def _draw_rows(self, columns: list[Column], cells: list[list[str]]) -> None:
        from kvstore.cli.drawing import draw_rows

        self.terminal.write_all(draw_rows(columns, cells, self.terminal))

    def _draw_records(self, columns: list[Column], cells: list[list[str]], before: int) -> None:
        longest = max(len(column.title or column.name) for column in columns)
        for number, row in enumerate(cells, before + 1):
            self.terminal.say(self.terminal.paint(f"── {number} " + "─" * 20, "faint"))
            for column, cell in zip(columns, row, strict=True):
                self.terminal.say(
                    f"{self.terminal.paint((column.title or column.name).ljust(longest), 'faint')}  {cell}"
                )

    # ── for programs ────────────────────────────────────────────────────────────────────────────────────────────

    def _lines(self, result: Result) -> Iterator[bytes]:
        match result:
            case Done(raw=raw, says=says):
                yield f"{raw or says}\n".encode()
            case Value(value=value, bare=bare):
                yield value if bare else value + b"\n"
            case Table():
                for row in result.rows:
                    yield ("\t".join(self._cells(result, row, formats.for_lines)) + "\n").encode(
                        "utf-8", "backslashreplace"
                    )
            case Report(raw=str(raw)):
                yield f"{raw}\n".encode()
            case Report(blocks=blocks):
                yield from self._plain_blocks(blocks)
            case _:
                raise TypeError(f"{type(result).__name__} cannot be shown as lines")

    def _plain_blocks(self, blocks: Iterable[Line | Table]) -> Iterator[bytes]:
        for block in blocks:
            if isinstance(block, Line):
                yield f"{block.text}\n".encode()
            else:
                yield ("\t".join(column.name for column in block.columns) + "\n").encode()
                yield from self._lines(block)

    def _csv(self, result: Result) -> Iterator[bytes]:
        columns, rows = self._as_rows(result)
        yield formats.csv_row([column.name for column in columns])
        for row in rows:
            yield formats.csv_row(
                [formats.for_csv(c, cell, self.key_format) for c, cell in zip(columns, row, strict=True)]
            )

    def _json(self, result: Result) -> Iterator[bytes]:
        if isinstance(result, Table):
            yield from self._json_rows(result)
            return
        document = self._document(result)
        yield msgspec.json.encode(document) if self.output == "jsonl" else pretty(document)
        yield b"\n"

    def _json_rows(self, table: Table) -> Iterator[bytes]:
        names = [column.name for column in table.columns]
        objects = (dict(zip(names, self._cells(table, row, formats.for_programs), strict=True)) for row in table.rows)
        if self.output == "jsonl":
            for record in objects:
                yield msgspec.json.encode(record) + b"\n"
            return
        before = b"["
        for record in objects:
            yield before + b"\n  " + msgspec.json.encode(record)
            before = b","
        yield b"[]\n" if before == b"[" else b"\n]\n"

    def _document(self, result: Result) -> Any:
        match result:
            case Done(facts=facts):
                return facts | receipt_of(result.served)
            case Value(key=key, value=value, facts=facts):
                shown = formats.for_programs(Column("key", Shape.KEY), key, self.key_format)
                return {"key": shown, "value": formats.json_bytes(value)} | facts
            case Report(document=document):
                return document
            case _:
                raise TypeError(f"{type(result).__name__} is not a document")

    def _as_rows(self, result: Result) -> tuple[tuple[Column, ...], Iterable[Row]]:
        """The result as a table, for CSV."""
        match result:
            case Table(columns=columns, rows=rows):
                return columns, rows
            case Value(key=key, value=value, facts=facts):
                names = tuple(Column(name) for name in facts)
                row = (key, value, *facts.values())
                return (Column("key", Shape.KEY), Column("value", Shape.VALUE), *names), [row]
            case Report(blocks=blocks) if tables := [block for block in blocks if isinstance(block, Table)]:
                return tables[0].columns, tables[0].rows
            case Done(facts=facts) | Report(document=dict(facts)):
                flat = {name: fact for name, fact in facts.items() if not isinstance(fact, dict | list)}
                return tuple(Column(name) for name in flat), [tuple(flat.values())]
            case _:
                raise TypeError(f"{type(result).__name__} has no rows")

    def _cells(self, table: Table, row: Row, look: Cell) -> list[Any]:
        return [look(column, cell, self.key_format) for column, cell in zip(table.columns, row, strict=True)]


def receipt_of(served: Served | None) -> dict[str, Any]:
    return {"receipt": served.facts} if served is not None and served.facts else {}


def pretty(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2)
