"""bigkeys: which keys hold the most bytes, found by looking at them."""

import heapq
from collections.abc import Iterator

from kvstore.cli.context import Context
from kvstore.cli.formats import counted, size
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed
from kvstore.cli.results import Column, Line, Report, Result, Shape, Table

SAMPLES = 10_000
SHOWN = 20


class Census:
    """How many keys there were and how many bytes they hold."""

    def __init__(self) -> None:
        self.keys = self.bytes = 0

    def watch(self, rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[int, bytes]]:
        for key, value in rows:
            self.keys += 1
            self.bytes += len(key) + len(value)
            yield len(value), key


def bigkeys(context: Context, parsed: Parsed) -> Result:
    given = parsed.number("samples")
    limit = SAMPLES if given is None else given
    prefix = context.key(parsed.words("prefix")[0]) if "prefix" in parsed else b""
    context.note(f"looking at {f'the first {limit:,}' if limit else 'all'} keys ...")
    census = Census()
    largest = heapq.nlargest(SHOWN, census.watch(context.db.scan(prefix, limit=limit, resolver="lww")))
    more = bool(limit) and census.keys == limit
    for _, key in largest:
        context.saw_key(key)
    mean = census.bytes // census.keys if census.keys else 0
    said = f"{counted(census.keys, 'key')} with {size(census.bytes)}, {size(mean)} each on average"
    said += "; there may be more: --samples 0 looks at all" if more else ""
    rows = [(key, length) for length, key in largest]
    columns = (Column("key", Shape.KEY), Column("bytes", Shape.SIZE, title="value"))
    table = Table(columns=columns, rows=rows, one="key", many="keys")
    document = {
        "keys": census.keys,
        "bytes": census.bytes,
        "largest": [{"key": context.json_key(key), "bytes": length} for key, length in rows],
    }
    return Report(blocks=[Line(said), Line(), table] if rows else [Line(said)], document=document)


COMMANDS = (
    Command(
        ("bigkeys",),
        "which keys hold the most bytes",
        bigkeys,
        section="looking",
        arguments=(Argument("prefix", Kind.KEY, required=False, help="keys that begin so; all without it"),),
        options=(
            Option(
                "samples", kind=Kind.NUMBER, metavar="N", help=f"look at so many keys, 0 for all (default {SAMPLES:,})"
            ),
        ),
        examples=(Example("bigkeys"), Example("bigkeys user: --samples 0 -o json")),
        about="It reads the values, in the order of their keys, of siblings the newest. A scan is not a snapshot.",
    ),
)
