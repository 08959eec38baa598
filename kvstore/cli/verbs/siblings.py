"""Keys with several values: the verbs that show them and put one in their place."""

from typing import Any

from kvstore.cli.conflicts import sibling_document, sibling_table
from kvstore.cli.context import Context, Refused
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed
from kvstore.cli.results import Done, Report, Result
from kvstore.cli.verbs.data import done
from kvstore.core.errors import NotFound


def show(context: Context, parsed: Parsed) -> Result:
    record = _found(context, parsed)
    context.saw_key(record.key)
    return Report(blocks=[sibling_table(record)], document=sibling_document(context, record))


def _found(context: Context, parsed: Parsed) -> Any:
    """The record of the key, which exists. Raises NotFound."""
    key = context.key(parsed.word("key"))
    record = context.db.read(key)
    if not record.exists:
        raise NotFound(f"there is no key {context.key_text(key)}", key=key)
    return record


def resolve(context: Context, parsed: Parsed) -> Result:
    pick, value = parsed.number("pick"), parsed.words("value")
    if pick is None and not value:
        raise Refused("which value shall it be?", "resolve KEY --pick N takes one of siblings KEY, --value V another")
    given = context.value(value[0]) if value else b""
    record = _found(context, parsed)
    if pick is not None:
        if not 1 <= pick <= len(record.siblings):
            raise Refused(f"there is no sibling {pick}: {context.key_text(record.key)} has {len(record.siblings)}")
        given = record.siblings[pick - 1].value
    written = context.db.write(record.key, given, context=record)
    result = done(context, record.key, written)
    shown = context.value_text(given)
    return Done(says=f"OK  {shown}", facts=result.facts, raw=result.raw, served=result.served)


COMMANDS = (
    Command(
        ("siblings",),
        "the values of a key that were written at the same time",
        show,
        section="data",
        arguments=(Argument("key", Kind.KEY),),
        examples=(Example("siblings cart:42"), Example("siblings cart:42 -o json | jq .siblings[0].value")),
        about=(
            "In leaderless keyspaces writers who have not seen each other's values leave siblings; none is lost. With\n"
            "-o json each has its version, and the key one that stands for all, which put --context takes."
        ),
    ),
    Command(
        ("resolve",),
        "put one value in the place of all siblings of a key",
        resolve,
        section="data",
        writes=True,
        arguments=(Argument("key", Kind.KEY),),
        options=(
            Option("pick", kind=Kind.NUMBER, group="which", help="the sibling with that number in `siblings KEY`"),
            Option("value", kind=Kind.VALUE, metavar="V|-|@FILE", group="which", help="this value"),
        ),
        examples=(Example("resolve cart:42 --pick 2"), Example('resolve cart:42 --value \'{"milk": 1, "tea": 2}\'')),
        about="What somebody writes meanwhile is not replaced, but stays as a sibling.",
    ),
)
