"""Keys and values: get, put, del, scan."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from kvstore.cli.conflicts import UNRESOLVED, conflict_report, has_conflict, warning
from kvstore.cli.context import Context, Refused
from kvstore.cli.formats import counted, iso_time
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed
from kvstore.cli.results import Column, Done, Result, Served, Shape, Table, Value
from kvstore.core.errors import NotFound

SCAN_LIMIT = 100
DELETE_BATCH = 500
AGE_UNKNOWN = (1 << 32) - 1
"""What a receipt says for a bound that the replica cannot give: it has lost its leader."""

KEY, VALUE = Column("key", Shape.KEY), Column("value", Shape.VALUE)
VERSION, WRITTEN = Column("version"), Column("written", Shape.TIME)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def get(context: Context, parsed: Parsed) -> Result:
    keys = [context.key(word) for word in parsed.words("keys")]
    if len(keys) == 1:
        return _get_one(context, keys[0], parsed)
    if parsed.flag("raw"):
        raise Refused("--raw writes the bytes of one value, but there are several keys", "leave --raw out")
    found = context.db.read_many(keys)
    if parsed.flag("meta"):
        return _records(context, [found[key] for key in keys])
    rows = [(key, _content(found[key])) for key in keys]
    return _unresolved(context, Table(columns=(KEY, VALUE), rows=rows, one="key", many="keys"), found.values())


def _content(record: Any) -> bytes | None:
    """Its value; None if there is none, or more than one."""
    return None if has_conflict(record) else record.value


def _unresolved(context: Context, table: Table, records: Iterable[Any]) -> Table:
    """The table, with a word on each key that has siblings, and the exit code that says so."""
    found = [record for record in records if has_conflict(record)]
    table.notes += [warning(context, record.key, len(record.siblings)) for record in found]
    table.exit_code = UNRESOLVED if found else 0
    return table


def _get_one(context: Context, key: bytes, parsed: Parsed) -> Result:
    record = context.db.read(key)
    if has_conflict(record):
        if parsed.flag("raw") or context.output in ("raw", "csv"):
            record.value  # noqa: B018 - raises ConflictError: a pipe gets one value or none
        return conflict_report(context, record)
    if record.version is None or record.value is None:
        raise NotFound(f"there is no key {context.key_text(key)}", key=key)
    served = served_by(record.receipt)
    if parsed.flag("meta") and context.output in ("table", "raw", "csv"):
        return _records(context, [record], served)
    facts: dict[str, Any] = {"version": str(record.version), "written": iso_time(record.version.wall)}
    if served is not None and (parsed.flag("meta") or context.settings.verbose):
        facts["receipt"] = served.facts
    return Value(key=key, value=record.value, bare=parsed.flag("raw"), facts=facts, served=served)


def _records(context: Context, records: Sequence[Any], served: Served | None = None) -> Table:
    rows = [(r.key, _content(r), *((str(r.version), r.version.wall) if r.exists else (None, None))) for r in records]
    columns = (KEY, VALUE, VERSION, WRITTEN)
    return _unresolved(context, Table(columns=columns, rows=rows, one="key", many="keys", served=served), records)


def served_by(receipt: Any) -> Served | None:
    """What a read's receipt says to people."""
    if receipt is None:
        return None
    served = Served(facts={name: getattr(receipt, name) for name in type(receipt).__slots__})
    if receipt.acknowledged:
        served.remarks.append(f"{counted(receipt.acknowledged, 'replica')} asked")
    if receipt.staleness_ms:
        age = f"at most {receipt.staleness_ms} ms old" if receipt.staleness_ms < AGE_UNKNOWN else "age unknown"
        served.remarks.append(f"from {receipt.node}, {age}")
    if receipt.repaired:
        served.remarks.append(f"{receipt.repaired} brought up to date")
    return served


def scan(context: Context, parsed: Parsed) -> Result:
    prefix = [context.key(word) for word in parsed.words("prefix")]
    start = [context.key(word) for word in parsed.words("from")]
    end = [context.key(word) for word in parsed.words("to")]
    if prefix and (start or end):
        raise Refused("scan takes a PREFIX or --from and --to, not both")
    limit = parsed.number("limit")
    if limit is None:
        limit = context.shell.preferences.limit if context.shell is not None else SCAN_LIMIT
    keys_only = parsed.flag("keys")
    bounds: dict[str, Any] = {"start": start[0] if start else b"", "end": end[0] if end else b""}
    more = limit and limit + 1  # one more tells whether there is more
    rows: Iterator[tuple[bytes | None, ...]]
    if keys_only:
        rows = ((key,) for key in context.db.scan(*prefix, **bounds, limit=more, keys_only=True))
    elif context.db.info().is_leaderless:
        rows = _with_siblings(context, context.db.scan_records(*prefix, **bounds, limit=more))
    else:
        rows = iter(context.db.scan(*prefix, **bounds, limit=more))
    columns = (KEY,) if keys_only else (KEY, VALUE)
    return Table(columns=columns, rows=_limited(context, rows, limit), empty="no keys", one="key", many="keys")


def _with_siblings(context: Context, records: Iterator[Any]) -> Iterator[tuple[bytes | None, ...]]:
    """Keys and values; where there are several, none is shown, and it is said."""
    for record in records:
        if has_conflict(record):
            context.afterthought(warning(context, record.key, len(record.siblings)))
        yield record.key, _content(record)


def _limited(context: Context, rows: Iterator[Any], limit: int) -> Iterator[Any]:
    """So many rows; then a word to people if there are more."""
    for row in islice(rows, limit) if limit else rows:
        context.saw_key(row[0])
        yield row
    if limit and next(rows, None) is not None:
        context.afterthought(f"there are more keys; --limit 0 shows all (now {limit:,})")


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def put(context: Context, parsed: Parsed) -> Result:
    key, value = context.key(parsed.word("key")), context.value(parsed.word("value"))
    written = context.db.write(
        key,
        value,
        if_absent=parsed.flag("if_absent"),
        if_version=parsed.text("if_version"),
        context=parsed.text("context"),
    )
    return done(context, key, written)


def done(context: Context, key: bytes, written: Any) -> Done:
    """What a put says: the version; and that others wrote, too, if they did."""
    version = str(written.version)
    facts = {"key": context.json_key(key), "version": version, "operation": str(written.operation)}
    if written.receipt.siblings > 1:
        context.afterthought(f"{warning(context, key, written.receipt.siblings)} now; resolve puts one in their place")
    return Done(says=f"OK  version {version}", facts=facts, raw=version, served=_written_by(context, written.receipt))


def _written_by(context: Context, receipt: Any) -> Served | None:
    replicas = context.connection.replicas_of(context.settings, receipt.partition) if context.is_for_people else None
    facts = {name: getattr(receipt, name) for name in type(receipt).__slots__}
    served = Served(acknowledged=receipt.acknowledged or None, replicas=replicas, facts=facts)
    if receipt.sloppy:
        served.remarks.append("hints among them")
    elif receipt.acknowledged and receipt.on_disk < receipt.acknowledged:
        served.remarks.append(f"{receipt.on_disk} on disk")
    return served


def delete(context: Context, parsed: Parsed) -> Result:
    keys = [context.key(word) for word in parsed.words("keys")]
    prefix, version, seen = parsed.words("prefix"), parsed.text("if_version"), parsed.text("context")
    if bool(keys) == bool(prefix):
        raise Refused("del takes keys, or --prefix and no keys", "del KEY...  or  del --prefix P")
    if (version is not None or seen is not None) and (prefix or len(keys) > 1):
        raise Refused("--if-version and --context are of one key", "delete the keys one by one")
    if prefix:
        return _delete_prefix(context, context.key(prefix[0]))
    if len(keys) == 1:
        return _delete_one(context, keys[0], version, seen)
    gone = sum(_erase_all(context, keys))
    absent = f", {len(keys) - gone} did not exist" if gone < len(keys) else ""
    return Done(
        says=f"OK  {counted(gone, 'key')} deleted{absent}",
        facts={"deleted": gone, "absent": len(keys) - gone},
        raw=str(gone),
    )


def _delete_one(context: Context, key: bytes, version: str | None, seen: str | None) -> Result:
    written = context.db.erase(key, if_version=version, context=seen)
    if not written.found:
        raise NotFound(f"there is no key {context.key_text(key)}; nothing was deleted", key=key)
    facts = {"key": context.json_key(key), "deleted": 1, "operation": str(written.operation)}
    return Done(says="OK  deleted", facts=facts, raw="1", served=_written_by(context, written.receipt))


def _delete_prefix(context: Context, prefix: bytes) -> Result:
    keys = list(context.db.scan(prefix, keys_only=True))
    if not keys:
        return Done(says="no key begins so; nothing to delete", facts={"deleted": 0}, raw="0")
    context.confirm(f"Delete {counted(len(keys), 'key')} with the prefix {context.key_text(prefix)}?")
    gone = sum(_erase_all(context, keys))
    return Done(says=f"OK  {counted(gone, 'key')} deleted", facts={"deleted": gone}, raw=str(gone))


def _erase_all(context: Context, keys: list[bytes]) -> Iterator[int]:
    """Delete in batches; how many of each were there. Raises the first error."""
    for first in range(0, len(keys), DELETE_BATCH):
        with context.db.batch() as batch:
            for key in keys[first : first + DELETE_BATCH]:
                batch.delete(key)
        yield sum(version is not None for version in batch.versions.values())


COMMANDS = (
    Command(
        ("get",),
        "read keys",
        get,
        section="data",
        arguments=(Argument("keys", Kind.KEY, metavar="KEY", many=True),),
        options=(
            Option("raw", kind=Kind.FLAG, group="form", help="the bytes of the value and nothing else, no newline"),
            Option("meta", kind=Kind.FLAG, group="form", help="with version and time of writing"),
        ),
        examples=(
            Example("get user:1"),
            Example("get user:1 --raw > ada.json", "exactly the bytes that were put"),
            Example("get a b c -o json"),
        ),
        about=(
            "The exit code is 3 if the one key asked for does not exist; of several, missing ones are shown empty.\n"
            "It is 4 if a key of a leaderless keyspace has siblings: get shows them on a terminal and in JSON, and\n"
            "fails in a pipe. --read one|quorum|all|N says how many replicas must answer there."
        ),
    ),
    Command(
        ("put",),
        "write a key",
        put,
        section="data",
        writes=True,
        arguments=(Argument("key", Kind.KEY), Argument("value", Kind.VALUE, metavar="VALUE|-|@FILE")),
        options=(
            Option("if_absent", kind=Kind.FLAG, group="condition", help="only if the key does not exist"),
            Option("if_version", kind=Kind.VERSION, group="condition", help="only if it still has this version"),
            Option("context", kind=Kind.VERSION, group="condition", help="leaderless: replaces what had this version"),
        ),
        examples=(
            Example('put user:1 \'{"name": "Ada"}\''),
            Example("put photo @ada.jpg", "the bytes of a file"),
            Example("put lock me --if-absent", "exit code 4 if somebody has it"),
        ),
        about=(
            "Prints the new version, which --if-version and --context take. A value of - is read from standard input.\n"
            "In a leaderless keyspace a put without --context is a sibling of whatever is there; --write\n"
            "one|quorum|all|N says how many replicas must have it on disk, --sloppy yes that hints for replicas that\n"
            "are down count."
        ),
        advice={"WrongMode": "get KEY --meta shows the version; put KEY VALUE --context V replaces what had it"},
    ),
    Command(
        ("del",),
        "delete keys",
        delete,
        section="data",
        writes=True,
        arguments=(Argument("keys", Kind.KEY, metavar="KEY", many=True, required=False),),
        options=(
            Option("if_version", kind=Kind.VERSION, group="which", help="only if the key still has this version"),
            Option("context", kind=Kind.VERSION, group="which", help="leaderless: only what had this version"),
            Option("prefix", kind=Kind.KEY, metavar="P", help="all keys that begin so; asks first, unless --yes"),
        ),
        examples=(Example("del user:1"), Example("del --prefix tmp: --yes")),
    ),
    Command(
        ("scan",),
        "list keys in order",
        scan,
        section="data",
        arguments=(Argument("prefix", Kind.KEY, required=False, help="keys that begin so; all without it"),),
        options=(
            Option("from", kind=Kind.KEY, metavar="K", help="from this key on"),
            Option("to", kind=Kind.KEY, metavar="K", help="to before this key"),
            Option("limit", kind=Kind.NUMBER, help="at most so many, 0 for all (default 100)"),
            Option("keys", kind=Kind.FLAG, help="keys only"),
        ),
        examples=(
            Example("scan user:"),
            Example("scan --from a --to b --limit 0"),
            Example("scan user: --keys -o jsonl"),
        ),
        about="A scan is not a snapshot: what is written meanwhile may or may not be seen.",
    ),
)
