"""kvstore explain: what a keyspace's settings promise, what they do not, and how stale its replicas were found."""

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kvstore.cli.context import Context
from kvstore.cli.formats import counted
from kvstore.cli.registry import Argument, Command, Example, Kind, Parsed
from kvstore.cli.results import Line, Report, Result, Table

if TYPE_CHECKING:
    from kvstore.replication.leaderless.staleness import Measured

ABOUT_COLUMNS = 14
TEXT_COLUMNS = 100


def explain(context: Context, parsed: Parsed) -> Result:
    name = parsed.text("name") or context.connection.keyspace_name(context.settings)
    found = context.client.explain(name)
    columns = min(TEXT_COLUMNS, context.terminal.width)
    blocks: list[Line | Table] = [Line(str(found.info), "strong"), Line()]
    for promise in found.promises:
        mark, style = ("✓", "") if promise.holds else ("!", "warn")
        blocks += [Line(line, style) for line in _paragraph(f"{mark} {promise.about}", promise.text, columns)]
    if found.info.is_leaderless:
        blocks += [Line(), *(Line(line) for line in _said_of(found.measured, columns))]
    document: dict[str, Any] = {
        "keyspace": found.info.name,
        "settings": str(found.info),
        "promises": [{"about": each.about, "holds": each.holds, "text": each.text} for each in found.promises],
    }
    if found.info.is_leaderless:
        measured = found.measured
        document["last_hour"] = {
            "reads": measured.reads,
            "stale": measured.stale,
            "ages_ms": measured.ages,
            "oldest_ms": measured.oldest_ms,
        }
    return Report(blocks=blocks, document=document)


def _paragraph(title: str, text: str, columns: int) -> Iterator[str]:
    """A title, and the text in a column of its own."""
    lines = textwrap.wrap(text, max(30, columns - ABOUT_COLUMNS - 4))
    for nth, line in enumerate(lines):
        yield f"  {(title if nth == 0 else '').ljust(ABOUT_COLUMNS + 2)}{line}"


def _said_of(measured: "Measured", columns: int) -> Iterator[str]:
    """What quorum reads found."""
    if not measured.reads:
        yield from _paragraph(
            "  last hour", "Nothing was measured: no read has asked two replicas or more (read --read quorum).", columns
        )
        return
    share = f"{measured.stale / measured.reads:.2%}"
    text = f"{counted(measured.reads, 'key')} read from two replicas or more, {measured.stale:,} of them ({share}) "
    text += "found a replica that lacked a write"
    if measured.stale:
        text += f", {_span(measured.oldest_ms)} old at most: {', '.join(_spread(measured))}"
    yield from _paragraph("  last hour", f"{text}.", columns)


def _spread(measured: "Measured") -> Iterator[str]:
    from kvstore.replication.leaderless.staleness import BOUNDS_MS, MORE

    for bound in [*map(str, BOUNDS_MS), MORE]:
        count = measured.ages.get(bound, 0)
        if count:
            yield f"{count:,} " + ("older" if bound == MORE else f"up to {_span(int(bound))}")


def _span(ms: int) -> str:
    """
    >>> _span(10), _span(1_500), _span(600_000), _span(3_600_000)
    ('10 ms', '1.5 s', '10 min', '60 min')
    """
    if ms < 1_000:
        return f"{ms} ms"
    return f"{ms / 1_000:.3g} s" if ms < 60_000 else f"{ms / 60_000:.3g} min"


COMMANDS = (
    Command(
        ("explain",),
        "what a keyspace promises with its settings, and what it does not",
        explain,
        section="looking",
        arguments=(
            Argument("name", Kind.KEYSPACE, metavar="KEYSPACE", required=False, help="without it: the current one"),
        ),
        examples=(Example("explain carts"), Example("explain carts -o json | jq .last_hour")),
        about="A ✓ is a promise, a ! something to know before. Of a leaderless keyspace it also tells how stale reads\n"
        "of two replicas or more have found a replica in the last hour; the age is that of the write it lacked.",
    ),
)
