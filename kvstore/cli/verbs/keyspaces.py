"""kvstore keyspace: create, list, describe and drop the rooms that data lives in."""

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kvstore.cli.context import Context, Refused
from kvstore.cli.formats import size, span
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed
from kvstore.cli.results import Column, Done, Line, Replicas, Report, Result, Shape, Table
from kvstore.cli.settings import ACKS

if TYPE_CHECKING:
    from kvstore.client.records import KeyspaceInfo

CONFLICTS = ("siblings", "lww")
MODES = ("leader", "multileader", "leaderless")

COLUMNS = (
    Column("name"),
    Column("mode"),
    Column("n", Shape.NUMBER),
    Column("partitions", Shape.NUMBER),
    Column("acks"),
    Column("read_quorum", Shape.NUMBER, title="r"),
    Column("write_quorum", Shape.NUMBER, title="w"),
    Column("conflicts"),
    Column("value_bytes_max", Shape.SIZE, title="value up to"),
    Column("history_versions", Shape.NUMBER, title="history"),
    Column("history_seconds", Shape.NUMBER, title="for seconds"),
    Column("sloppy", for_people=False),
    Column("id", Shape.NUMBER, for_people=False),
)


def create(context: Context, parsed: Parsed) -> Result:
    made = context.client.create_keyspace(
        str(parsed.word("name")),
        mode=parsed.text("mode") or "leader",
        replicas=parsed.number("n") or 0,
        partitions=parsed.number("partitions") or 0,
        value_bytes_max=parsed.number("value_bytes_max") or 0,
        history_versions=parsed.number("history_versions"),
        history_seconds=_whole(parsed.seconds("history")),
        acks=parsed.text("wait_for") or "",
        read_quorum=_quorum(parsed, "read_quorum"),
        write_quorum=_quorum(parsed, "write_quorum"),
        sloppy=parsed.flag("hints_count"),
        conflicts=parsed.text("conflicts") or "",
        if_absent=parsed.flag("if_absent"),
    )
    levels = f" r={made.read_quorum} w={made.write_quorum}" if made.is_leaderless else ""
    said = f"OK  keyspace {made.name}: {made.mode} mode, n={made.replicas}{levels}, {made.partitions} partitions"
    return Done(says=said, facts=_facts(made), raw=made.name, notes=_warnings(made))


def _quorum(parsed: Parsed, name: str) -> int:
    """0 if it was not given: a majority."""
    quorum = parsed.number(name)
    if quorum == 0:
        what = name.removesuffix("_quorum")
        raise Refused(
            f"a {what} quorum of 0: a {what} that no replica takes part in means nothing", "leave it out for a majority"
        )
    return quorum or 0


def _warnings(info: "KeyspaceInfo") -> list[str]:
    """What these settings do not promise."""
    from kvstore.client.explaining import settings_of
    from kvstore.placement.promises import warnings_of

    return warnings_of(settings_of(info)) if info.is_leaderless else []


def _warned(warning: str, width: int) -> list[str]:
    return textwrap.wrap(warning, max(40, min(100, width)), initial_indent="  ! ", subsequent_indent="    ")


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _facts(info: Any) -> dict[str, Any]:
    return dict(zip((column.name for column in COLUMNS), _row(info), strict=True))


def _row(info: Any) -> tuple[Any, ...]:
    """What the keyspace's mode does not know is empty."""
    led = (info.acks, None, None, None)
    history: tuple[Any, ...] = (info.history_versions, info.history_seconds, None)
    if info.is_leaderless:
        led = (None, info.read_quorum, info.write_quorum, info.conflicts)
        history = (None, None, info.sloppy)
    return (info.name, info.mode, info.replicas, info.partitions, *led, info.value_bytes_max, *history, info.id)


def keyspace_table(context: Context) -> Table:
    rows = [_row(info) for info in context.client.list_keyspaces()]
    filled = [any(cells) for cells in zip(*rows, strict=True)] or [True] * len(COLUMNS)
    columns = tuple(
        replace(column, for_people=column.for_people and some) for column, some in zip(COLUMNS, filled, strict=True)
    )  # what no keyspace here has is of no interest to people
    return Table(columns=columns, rows=rows, empty="no keyspaces", one="keyspace", many="keyspaces")


def list_all(context: Context, parsed: Parsed) -> Result:
    return keyspace_table(context)


def describe(context: Context, parsed: Parsed) -> Result:
    name = parsed.text("name") or context.connection.keyspace_name(context.settings)
    info = context.client.describe_keyspace(name)
    partitions = context.client.keyspace(name).partitions()
    facts = {
        "mode": info.mode,
        "replicas": f"{info.replicas} of each partition",
        "partitions": str(info.partitions),
        **(_leaderless_facts(info) if info.is_leaderless else _led_facts(info)),
        "values": f"up to {size(info.value_bytes_max)}",
    }
    rows = [(f"p{p.number:02d}", p.leader, Replicas(p.replicas, p.leader), p.group)
            for p in partitions]  # fmt: skip
    columns = (Column("partition"), Column("leader"), Column("replicas", Shape.REPLICAS), Column("group", Shape.NUMBER))
    table = Table(columns=columns, rows=rows)
    lines = [Line(f"  {title.ljust(11)}{fact}") for title, fact in facts.items()]
    layout = [
        {"partition": f"p{p.number:02d}", "leader": p.leader, "replicas": list(p.replicas), "group": p.group}
        for p in partitions
    ]
    lines += [Line(line, "warn") for warning in _warnings(info) for line in _warned(warning, context.terminal.width)]
    return Report(blocks=[Line(info.name, "strong"), *lines, Line(), table], document=_facts(info) | {"layout": layout})


def _led_facts(info: Any) -> dict[str, str]:
    return {
        "acks": f"{info.acks}   (what a write waits for unless it says otherwise)",
        "history": f"up to {info.history_versions} old versions of a key, for {span(info.history_seconds)}",
    }


def _leaderless_facts(info: Any) -> dict[str, str]:
    hints = ", hints for replicas that are down count" if info.sloppy else ""
    conflicts = {"siblings": "concurrent values stay until somebody resolves them", "lww": "the last writer wins"}
    return {
        "read": f"{info.read_quorum} replicas answer, unless a read says otherwise",
        "write": f"{info.write_quorum} replicas have it on disk{hints}, unless a write says otherwise",
        "conflicts": f"{info.conflicts}   ({conflicts.get(info.conflicts, 'not known here')})",
    }


def drop(context: Context, parsed: Parsed) -> Result:
    name = str(parsed.word("name"))
    context.confirm(f"Drop keyspace {name} and all its data? It cannot be undone.")
    context.client.drop_keyspace(name, if_exists=parsed.flag("if_exists"))
    return Done(says=f"OK  keyspace {name} is dropped", facts={"name": name, "dropped": True}, raw=name)


_NAME = Argument("name", Kind.KEYSPACE)

COMMANDS = (
    Command(
        ("keyspace", "create"),
        "create a keyspace",
        create,
        section="keyspaces",
        writes=True,
        arguments=(Argument("name", help="a letter or digit, then up to 63 of A-Z a-z 0-9 _ . -"),),
        options=(
            Option("mode", kind=Kind.CHOICE, choices=MODES, help="how it replicates (default leader)"),
            Option("n", "-n", kind=Kind.NUMBER, help="replicas of each partition (default 3)"),
            Option("partitions", kind=Kind.NUMBER, help="a power of two (default 8)"),
            Option("value_bytes_max", kind=Kind.SIZE, help="the longest value (default 1MiB)"),
            Option("history_versions", kind=Kind.NUMBER, help="old versions kept of each key"),
            Option("history", kind=Kind.DURATION, help="for how long they are kept, as 10m"),
            Option("wait_for", kind=Kind.CHOICE, choices=ACKS, help="what writes wait for that do not say --acks"),
            Option("read_quorum", kind=Kind.NUMBER, help="leaderless: replicas that answer a read (a majority)"),
            Option("write_quorum", kind=Kind.NUMBER, help="leaderless: replicas that have a write (a majority)"),
            Option("hints_count", kind=Kind.FLAG, help="leaderless: hints for replicas that are down count (sloppy)"),
            Option(
                "conflicts",
                kind=Kind.CHOICE,
                choices=CONFLICTS,
                help="leaderless: concurrent values stay as siblings (default), or the last writer wins",
            ),
            Option("if_absent", kind=Kind.FLAG, help="no error if there is one of that name"),
        ),
        examples=(
            Example("keyspace create users --partitions 16"),
            Example("keyspace create carts --mode leaderless --read-quorum 2 --write-quorum 2"),
        ),
    ),
    Command(("keyspace", "list"), "list all keyspaces", list_all, section="keyspaces"),
    Command(
        ("keyspace", "describe"),
        "one keyspace: settings and where its partitions lie",
        describe,
        section="keyspaces",
        arguments=(Argument("name", Kind.KEYSPACE, required=False, help="without it: the current one"),),
    ),
    Command(
        ("keyspace", "drop"),
        "drop a keyspace with all its data; asks first, unless --yes",
        drop,
        section="keyspaces",
        writes=True,
        arguments=(_NAME,),
        options=(Option("if_exists", kind=Kind.FLAG, help="no error if there is none"),),
    ),
)
