"""How keys with several values are shown."""

from typing import Any

from kvstore.cli.context import Context
from kvstore.cli.formats import counted, iso_time, json_bytes
from kvstore.cli.results import Column, Line, Report, Shape, Table
from kvstore.cli.words import quote

UNRESOLVED = 4
COLUMNS = (
    Column("#", Shape.NUMBER),
    Column("value", Shape.VALUE),
    Column("written", Shape.TIME),
    Column("version", for_people=False),
)


def has_conflict(record: Any) -> bool:
    return len(record.siblings) > 1


def warning(context: Context, key: bytes, count: int) -> str:
    return f"! {context.key_text(key)} has {counted(count, 'sibling')}"


def sibling_table(record: Any) -> Table:
    rows = [
        (number, one.value, one.version.wall, str(one.version)) for number, one in enumerate(record.siblings, start=1)
    ]
    return Table(columns=COLUMNS, rows=rows, one="sibling", many="siblings")


def conflict_report(context: Context, record: Any) -> Report:
    """What `get` shows instead of a value."""
    key = quote(record.key) if context.settings.key_format == "text" else context.key_text(record.key)
    blocks: list[Line | Table] = [
        Line(warning(context, record.key, len(record.siblings)), "warn"),
        sibling_table(record),
        Line(f"resolve {key} --pick N | --value V"),
    ]
    return Report(blocks=blocks, document=sibling_document(context, record), exit_code=UNRESOLVED)


def sibling_document(context: Context, record: Any) -> dict[str, Any]:
    siblings = [
        {"value": json_bytes(one.value), "written": iso_time(one.version.wall), "version": str(one.version)}
        for one in record.siblings
    ]
    return {"key": context.json_key(record.key), "version": str(record.version), "siblings": siblings}
