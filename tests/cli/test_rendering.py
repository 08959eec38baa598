"""Results become bytes: every shape in every format, streams without holding them, footers where they fit."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from kvstore.cli import rendering
from kvstore.cli.rendering import Renderer
from kvstore.cli.results import Bytes, Column, Done, Line, Report, Result, Served, Shape, Table, Text, Value
from kvstore.cli.terminal import Terminal

COLUMNS = (Column("key", Shape.KEY), Column("n", Shape.NUMBER), Column("hidden", for_people=False))


def shown(result: Result, output: str, footer: str = "", columns: int = 40, color: bool = False, **more: Any) -> str:
    out = io.BytesIO()
    terminal = Terminal(io.BytesIO(), out, io.BytesIO(), color=color, columns=columns)
    Renderer(terminal, output, **more).show(result, lambda: footer)
    return out.getvalue().decode()


def table(rows: int = 2) -> Table:
    return Table(columns=COLUMNS, rows=[(b"k%d" % number, number, "x") for number in range(rows)])


SHAPES: list[tuple[Result, dict[str, str]]] = [
    (
        Done(says="OK  done", facts={"a": 1, "list": [1]}, raw="1"),
        {"table": "OK  done\n", "raw": "1\n", "jsonl": '{"a":1,"list":[1]}\n', "csv": "a\n1\n"},
    ),
    (
        Done(says="said", facts={}),
        {"raw": "said\n", "json": "{}\n"},
    ),
    (
        Value(key=b"k", value=b"v", facts={"version": "x"}),
        {
            "table": "v\n",
            "raw": "v\n",
            "jsonl": '{"key":"k","value":"v","version":"x"}\n',
            "csv": "key,value,version\nk,v,x\n",
        },
    ),
    (
        table(),
        {
            "table": "key  n\nk0   0\nk1   1\n(2 rows)\n",
            "raw": "k0\t0\tx\nk1\t1\tx\n",
            "csv": "key,n,hidden\nk0,0,x\nk1,1,x\n",
            "jsonl": '{"key":"k0","n":0,"hidden":"x"}\n{"key":"k1","n":1,"hidden":"x"}\n',
            "json": '[\n  {"key":"k0","n":0,"hidden":"x"},\n  {"key":"k1","n":1,"hidden":"x"}\n]\n',
        },
    ),
    (table(0), {"table": "(nothing)\n", "raw": "", "csv": "key,n,hidden\n", "json": "[]\n", "jsonl": ""}),
    (
        Report(blocks=[Line("head", "good"), table(1)], document={"x": 1, "y": [2]}),
        {
            "table": "head\nkey  n\nk0   0\n",
            "raw": "head\nkey\tn\thidden\nk0\t0\tx\n",
            "jsonl": '{"x":1,"y":[2]}\n',
        },
    ),
    (Report(blocks=[Line("head")], document={"x": 1, "y": [2]}, raw="bare"), {"raw": "bare\n", "csv": "x\n1\n"}),
    (Text(text="words"), dict.fromkeys(("table", "raw", "json", "csv"), "words\n")),
    (Bytes(chunks=[b"a", b"b"]), dict.fromkeys(("table", "raw", "json", "csv"), "ab")),
    (Result(), dict.fromkeys(("table", "raw", "json", "csv"), "")),
]


CASES = [(result, output, expected) for result, formats in SHAPES for output, expected in formats.items()]


@pytest.mark.parametrize(("result", "output", "expected"), CASES)
def test_every_shape_in_every_format(result: Result, output: str, expected: str) -> None:
    assert shown(result, output) == expected


def test_a_table_of_a_report_is_its_csv() -> None:
    assert shown(Report(blocks=[Line("head"), table(1)], document={}), "csv") == "key,n,hidden\nk0,0,x\n"


def test_a_receipt_goes_with_what_was_done() -> None:
    done = Done(says="OK", facts={"a": 1}, served=Served(facts={"node": "n1"}))
    assert json.loads(shown(done, "json")) == {"a": 1, "receipt": {"node": "n1"}}


def test_a_long_table_is_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "TABLE_ROWS_MAX", 2)
    assert shown(table(3), "table") == "key  n\nk0   0\nk1   1\nkey  n\nk2   2\n(3 rows)\n"


def test_rows_are_taken_as_they_are_written() -> None:
    out = io.BytesIO()

    def rows() -> Iterator[tuple[bytes, int, str]]:
        for number in range(3):
            assert out.getvalue().count(b"\n") == number
            yield b"k", number, "x"

    terminal = Terminal(io.BytesIO(), out, io.BytesIO())
    Renderer(terminal, "jsonl").show(Table(columns=COLUMNS, rows=rows()))
    assert out.getvalue().count(b"\n") == 3


def test_expanded_records() -> None:
    assert shown(table(1), "table", expanded=True) == "── 1 ────────────────────\nkey  k0\nn    0\n(1 row)\n"


def test_footers_stand_at_the_right_or_below() -> None:
    assert shown(Done(says="OK"), "table", "1.9 ms", columns=20) == "OK" + " " * 12 + "1.9 ms\n"
    assert shown(Done(says="O" * 18), "table", "1.9 ms", columns=20) == "O" * 18 + "\n" + " " * 14 + "1.9 ms\n"
    assert shown(Value(key=b"k", value=b"a\nb"), "table", "1 ms", columns=8) == "a\nb\n    1 ms\n"
    assert shown(Value(key=b"k", value=b"a", bare=True), "table", "1 ms") == "a"
    assert shown(Done(says="OK"), "raw", "1 ms") == "OK\n"
    assert shown(Done(says="OK"), "table", "1 ms", columns=8, color=True) == "OK  \x1b[2m1 ms\x1b[0m\n"


def test_a_shape_nobody_knows_is_a_mistake() -> None:
    class Strange(Result):
        pass

    for output in ("table", "raw", "json", "csv"):
        with pytest.raises(TypeError, match="Strange"):
            shown(Strange(), output)
