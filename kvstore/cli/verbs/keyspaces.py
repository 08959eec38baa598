"""kvstore keyspace: create, list, describe and drop the rooms that data lives in."""

from typing import Any

from kvstore.cli.context import Context
from kvstore.cli.formats import size, span
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed
from kvstore.cli.results import Column, Done, Line, Replicas, Report, Result, Shape, Table
from kvstore.cli.settings import ACKS

MODES = ("leader", "multileader", "leaderless")

COLUMNS = (
    Column("name"),
    Column("mode"),
    Column("n", Shape.NUMBER),
    Column("partitions", Shape.NUMBER),
    Column("acks"),
    Column("value_bytes_max", Shape.SIZE, title="value up to"),
    Column("history_versions", Shape.NUMBER, title="history"),
    Column("history_seconds", Shape.NUMBER, title="for seconds"),
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
        if_absent=parsed.flag("if_absent"),
    )
    said = f"OK  keyspace {made.name}: {made.mode} mode, n={made.replicas}, {made.partitions} partitions"
    return Done(says=said, facts=_facts(made), raw=made.name)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _facts(info: Any) -> dict[str, Any]:
    return dict(zip((column.name for column in COLUMNS), _row(info), strict=True))


def _row(info: Any) -> tuple[Any, ...]:
    return (
        info.name,
        info.mode,
        info.replicas,
        info.partitions,
        info.acks,
        info.value_bytes_max,
        info.history_versions,
        info.history_seconds,
        info.id,
    )


def keyspace_table(context: Context) -> Table:
    rows = [_row(info) for info in context.client.list_keyspaces()]
    return Table(columns=COLUMNS, rows=rows, empty="no keyspaces", one="keyspace", many="keyspaces")


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
        "acks": f"{info.acks}   (what a write waits for unless it says otherwise)",
        "values": f"up to {size(info.value_bytes_max)}",
        "history": f"up to {info.history_versions} old versions of a key, for {span(info.history_seconds)}",
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
    return Report(blocks=[Line(info.name, "strong"), *lines, Line(), table], document=_facts(info) | {"layout": layout})


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
            Option("if_absent", kind=Kind.FLAG, help="no error if there is one of that name"),
        ),
        examples=(Example("keyspace create carts --partitions 16"),),
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
