"""kvstore cluster: tending leaderless keyspaces by hand: compare and mend their replicas, see whose hints wait."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kvstore.cli.cluster_view import in_order
from kvstore.cli.context import Context
from kvstore.cli.formats import counted
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed
from kvstore.cli.results import Column, Line, Report, Result, Shape, Table

if TYPE_CHECKING:
    from kvstore.client.tending import Comparison, Scrubbing

DIFFERENT = 1
NOT_ALL = 5

# ── repair ───────────────────────────────────────────────────────────────────────────────────────────────────────────

PAIR_COLUMNS = (
    Column("keyspace"),
    Column("partition"),
    Column("asker", title="replica"),
    Column("peer", title="with"),
    Column("result", Shape.STATE),
    Column("differing", Shape.NUMBER, title="differ"),
    Column("pulled", Shape.NUMBER),
    Column("pushed", Shape.NUMBER),
    Column("bytes", Shape.SIZE),
    Column("ms", Shape.NUMBER),
    Column("skipped", Shape.NUMBER, for_people=False),
    Column("failed", for_people=False),
)


def repair(context: Context, parsed: Parsed) -> Result:
    check = parsed.flag("check")
    pairs = context.client.repair(
        parsed.text("name") or "", partition=parsed.number("partition"), check=check, **_patience(context)
    )
    rows = [_pair_row(pair, check) for pair in pairs]
    table = Table(columns=PAIR_COLUMNS, rows=rows, one="pair", many="pairs")
    failed = [pair for pair in pairs if pair.failed]
    differing = sum(pair.differing for pair in pairs)
    blocks: list[Line | Table] = [table, Line()] if pairs else []
    blocks.append(_verdict(pairs, check))
    blocks += [Line(f"  {why}", "warn") for why in sorted({_why(pair) for pair in failed})]
    document = {
        "check": check,
        "complete": not failed,
        "differing": differing,
        "pairs": [dict(zip((column.name for column in PAIR_COLUMNS), row, strict=True)) for row in rows],
    }
    code = NOT_ALL if failed else DIFFERENT if check and differing else 0
    return Report(blocks=blocks, document=document, exit_code=code)


def _pair_row(pair: "Comparison", check: bool) -> tuple[Any, ...]:
    result = "equal" if pair.equal else "DIFFERENT" if check else "mended"
    figures: tuple[int | None, ...] = (pair.differing, pair.pulled, pair.pushed, pair.bytes, pair.ms, pair.skipped)
    if pair.failed:
        result = "NOT COMPARED"
        figures = figures if pair.differing else (None,) * len(figures)
    return (pair.keyspace, f"p{pair.partition:02d}", pair.asker, pair.peer, result, *figures, pair.failed or None)


def _verdict(pairs: "list[Comparison]", check: bool) -> Line:
    if not pairs:
        return Line("no two replicas to compare: there is no leaderless keyspace, or one replica of each partition")
    equal, failed = sum(pair.equal for pair in pairs), sum(bool(pair.failed) for pair in pairs)
    differing = sum(pair.differing for pair in pairs)
    said = [f"{counted(equal, 'pair')} equal"]
    if differing:
        moved = sum(pair.pulled + pair.pushed for pair in pairs)
        said.append(f"{counted(differing, 'key')} differ, nothing was changed" if check
                    else f"{counted(differing, 'key')} differed, {moved:,} brought up to date")  # fmt: skip
    skipped = sum(pair.skipped for pair in pairs)
    if skipped:
        said.append(f"{skipped:,} left alone: they were just being written")
    if failed:
        said.append(f"{counted(failed, 'pair')} NOT COMPARED")
    return Line(" · ".join(said), "bad" if failed else "warn" if check and differing else "good")


def _why(pair: "Comparison") -> str:
    return pair.failed if pair.failed.endswith("is down") else str(pair)


# ── scrub ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SCRUB_COLUMNS = (
    Column("node"),
    Column("result", Shape.STATE),
    Column("rows", Shape.NUMBER),
    Column("bytes", Shape.SIZE),
    Column("damaged", Shape.NUMBER),
    Column("mending", Shape.NUMBER),
    Column("ms", Shape.NUMBER),
    Column("failed", for_people=False),
)


def scrub(context: Context, parsed: Parsed) -> Result:
    found = context.client.scrub(parsed.text("node") or "", **_patience(context))
    rows = [_scrub_row(node) for node in found]
    failed, damaged = [node for node in found if node.failed], sum(node.damaged for node in found)
    read = sum(node.rows for node in found)
    found_damage = f"{damaged:,} damaged" if damaged else "all sound"
    said = f"{counted(read, 'row')} read, {found_damage}"
    blocks: list[Line | Table] = [Table(columns=SCRUB_COLUMNS, rows=rows, one="node", many="nodes"), Line()]
    blocks.append(Line(said, "bad" if damaged else "good"))
    if damaged:
        blocks.append(Line("  what is mending comes from other replicas: see status, or scrub again", "warn"))
    blocks += [Line(f"  {node.node}: {node.failed}", "warn") for node in failed]
    document = {
        "complete": not failed,
        "damaged": damaged,
        "nodes": [dict(zip((column.name for column in SCRUB_COLUMNS), row, strict=True)) for row in rows],
    }
    return Report(blocks=blocks, document=document, exit_code=NOT_ALL if failed else DIFFERENT if damaged else 0)


def _scrub_row(node: "Scrubbing") -> tuple[Any, ...]:
    if node.failed:
        return (node.node, "NOT READ", None, None, None, None, None, node.failed)
    result = "DAMAGED" if node.damaged else "sound"
    return (node.node, result, node.rows, node.bytes, node.damaged, node.mending, node.ms, None)


# ── hints ────────────────────────────────────────────────────────────────────────────────────────────────────────────

HINT_COLUMNS = (
    Column("node"),
    Column("target", title="keeps for"),
    Column("waiting", Shape.NUMBER),
    Column("kept", Shape.NUMBER),
)


def hints(context: Context, parsed: Parsed) -> Result:
    answered = [report for report in context.client.status().nodes if "groups" in report]
    reports = sorted(answered, key=lambda report: in_order(report["node"]))
    rows = [row for report in reports for row in _hint_rows(report)]
    totals = {name: sum(report["hints"][name] for report in reports) for name in ("returned", "dropped", "refused")}
    table = Table(columns=HINT_COLUMNS, rows=rows, one="line", many="lines")
    said = f"{totals['returned']:,} returned, {totals['dropped']:,} dropped since the nodes started"
    blocks: list[Line | Table] = [table, Line()] if rows else [Line("no hints wait")]
    blocks.append(Line(said, "warn" if totals["dropped"] else "faint"))
    if totals["dropped"]:
        blocks.append(Line("  comparisons bring what was dropped; kvstore cluster repair does it at once", "warn"))
    named = [dict(zip((column.name for column in HINT_COLUMNS), row, strict=True)) for row in rows]
    return Report(blocks=blocks, document={"hints": named} | totals)


def _hint_rows(report: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    found = report["hints"]
    for target in sorted({*found["waiting"], *found["kept"]}):
        yield report["node"], target, found["waiting"].get(target, 0), found["kept"].get(target, 0)


def _patience(context: Context) -> dict[str, Any]:
    """--timeout, if it was given."""
    return {} if context.settings.timeout is None else {"timeout": context.settings.timeout}


COMMANDS = (
    Command(
        ("cluster", "hints"),
        "what nodes keep for others that were away",
        hints,
        section="looking",
        examples=(Example("cluster hints"),),
        about="Waiting: keys that replicas have in mind for another replica, in memory. Kept: records on the disk of\n"
        "a node that holds no replica, because too few replicas were up (sloppy). Both go back when the node is.",
    ),
    Command(
        ("cluster", "scrub"),
        "read every row on the nodes' disks; other replicas mend damaged ones",
        scrub,
        section="looking",
        arguments=(Argument("node", Kind.NODE, required=False, help="without it: every node"),),
        examples=(Example("cluster scrub"), Example("cluster scrub n2 --timeout 10m")),
        about="Nodes do this once a day by themselves ([storage] scrub_interval_s, scrub_bytes_per_s). One that is\n"
        "not done within 60 s, or --timeout, goes on; status tells what it finds.\n"
        "Exit code 0: all rows are sound; 1: some were damaged; 5: a node was down or is not done.",
    ),
    Command(
        ("cluster", "repair"),
        "compare the replicas of leaderless keyspaces now, and mend what differs",
        repair,
        section="looking",
        arguments=(Argument("name", Kind.KEYSPACE, "KEYSPACE", required=False, help="without it: all of them"),),
        options=(
            Option("partition", kind=Kind.NUMBER, help="only the one with this number"),
            Option("check", kind=Kind.FLAG, help="compare, and change nothing"),
        ),
        examples=(Example("cluster repair"), Example("cluster repair carts --partition 3 --check")),
        about="Replicas compare themselves in the background, too; this does not wait for it. Each pair is compared:\n"
        "pulled is what the first learnt, pushed what the second did. It takes 60 s at most, or --timeout.\n"
        "Exit code 0: all are equal, or were made so; 1: --check found differences; 5: some could not be compared.",
    ),
)
