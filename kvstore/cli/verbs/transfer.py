"""import and export: many keys from and to a file."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from kvstore.cli.context import Context, Refused
from kvstore.cli.failures import remedy_for
from kvstore.cli.formats import counted, millis
from kvstore.cli.interchange import FORMATS, BadLine, Pair, format_of, read_pairs, write_pairs
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed
from kvstore.cli.results import Bytes, Done, Result
from kvstore.core.errors import KvError, Unavailable

BATCH_KEYS = 2_000
BATCH_BYTES = 4 << 20
REFUSED = 1


class Lines:
    """The lines of a file or of standard input, with how far we are."""

    def __init__(self, file: BinaryIO, size: int | None) -> None:
        self._file, self.size = file, size
        self.read = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._file:
            self.read += len(line)
            yield line


@dataclass(slots=True)
class Tally:
    """What became of an import's lines."""

    context: Context
    written: int = 0
    bad: int = 0
    last_line: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    exit_code: int = 0

    def refuse(self, line: int, why: str) -> None:
        self.bad += 1
        self.context.terminal.tell(f"line {line}: {why}")


def load(context: Context, parsed: Parsed) -> Result:
    name = str(parsed.word("file"))
    form = format_of(name, parsed.text("format"))
    began, tally = time.perf_counter(), Tally(context)
    with _opened(context, name) as lines, _progress(context, lines) as moved:
        for batch in _batches(read_pairs(lines, form), tally):
            _put(context, batch, tally)
            moved(tally.written)
    spent = time.perf_counter() - began
    return _said(tally, spent)


def _said(tally: Tally, spent: float) -> Result:
    rate = round(tally.written / spent) if spent else 0
    refused = f"; {counted(tally.bad, 'line')} refused, named above" if tally.bad else ""
    says = f"imported {counted(tally.written, 'key')} in {millis(spent * 1000)} ({rate:,} keys/s){refused}"
    facts = {"imported": tally.written, "refused": tally.bad, "seconds": round(spent, 3), "keys_per_s": rate}
    return Done(says=says, facts=facts, exit_code=tally.exit_code or (REFUSED if tally.bad else 0))


def _batches(entries: Iterator[Pair | BadLine], tally: Tally) -> Iterator[list[Pair]]:
    """Pairs in batches of bounded size; bad lines are told at once."""
    batch: list[Pair] = []
    size = 0
    for entry in entries:
        tally.last_line = entry.line
        if isinstance(entry, BadLine):
            tally.refuse(entry.line, entry.why)
            continue
        batch.append(entry)
        size += len(entry.key) + len(entry.value)
        if len(batch) >= BATCH_KEYS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _put(context: Context, batch: list[Pair], tally: Tally) -> None:
    """Write a batch. A pair that is refused is named with its line; an unavailable cluster ends the import."""
    good = [pair for pair in batch if _fits(pair, tally)]
    try:
        seen = _seen(context, good)
        with context.db.batch() as sent:
            for pair in {pair.key: pair for pair in good}.values():
                sent.put(pair.key, pair.value, context=seen.get(pair.key))
        tally.written += len(good)
    except KvError as error:
        failed: dict[bytes, KvError] = getattr(error, "failed", {})
        if not failed:
            raise _stopped(error, batch[0].line) from error
        _tell_failed(good, failed, tally)


def _seen(context: Context, pairs: list[Pair]) -> dict[bytes, Any]:
    """What the pairs replace in a leaderless keyspace, so that importing twice leaves no siblings."""
    if not pairs or not context.db.info().is_leaderless:
        return {}
    return context.db.read_many([pair.key for pair in pairs])


def _fits(pair: Pair, tally: Tally) -> bool:
    """Whether the key can be one at all; the store would refuse the whole batch for it."""
    from kvstore.core.commands import check_key

    try:
        check_key(pair.key)
    except KvError as error:
        tally.refuse(pair.line, str(error))
        return False
    return True


def _tell_failed(batch: list[Pair], failed: dict[bytes, KvError], tally: Tally) -> None:
    tally.written += sum(pair.key not in failed for pair in batch)
    for pair in batch:
        error = failed.get(pair.key)
        if error is not None:
            tally.refuse(pair.line, f"{error}" + (" (it may have been written)" if error.maybe_applied else ""))
            tally.exit_code = error.exit_code
    down = next((error for error in failed.values() if error.maybe_applied or isinstance(error, Unavailable)), None)
    if down is not None:
        raise _stopped(down, batch[0].line) from down


def _stopped(error: KvError, line: int) -> Refused:
    what = f"stopped in the batch that begins with line {line}: {error}"
    return Refused(what, f"{remedy_for(error)}; then import again: what is there is written once more",
                   exit_code=error.exit_code)  # fmt: skip


@contextmanager
def _opened(context: Context, name: str) -> Iterator[Lines]:
    if name == "-":
        if context.shell is not None and context.shell.reads_stdin:
            raise Refused("- means standard input, and the shell reads its commands from there", "name a file")
        yield Lines(context.terminal.stdin, None)
        return
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            yield Lines(file, path.stat().st_size)
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror}") from error


@contextmanager
def _progress(context: Context, lines: Lines) -> Iterator[Any]:
    """A bar on a terminal, nothing in a pipe."""
    if not context.terminal.stderr_is_terminal or context.settings.quiet:
        yield lambda written: None
        return
    from kvstore.cli.progress import bar

    with bar(lines.size) as show:
        yield lambda written: show(lines.read, written)


def export(context: Context, parsed: Parsed) -> Result:
    prefix = [context.key(word) for word in parsed.words("prefix")]
    form = parsed.text("format") or ("csv" if context.settings.output == "csv" else "jsonl")
    return Bytes(chunks=write_pairs(_noted(context, context.db.scan(*prefix)), form))


def _noted(context: Context, pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The pairs; at the end people are told how many there were, if the export itself goes elsewhere."""
    began, count = time.perf_counter(), 0
    for count, pair in enumerate(pairs, 1):  # noqa: B007 - used behind the loop
        yield pair
    if not context.terminal.stdout_is_terminal and context.terminal.stderr_is_terminal:
        context.afterthought(f"exported {counted(count, 'key')} in {millis((time.perf_counter() - began) * 1000)}")


_FORMAT = Option("format", kind=Kind.CHOICE, choices=FORMATS, help="jsonl (default) or csv")

COMMANDS = (
    Command(
        ("import",),
        "write the keys of a file",
        load,
        section="data",
        writes=True,
        arguments=(Argument("file", Kind.FILE, metavar="FILE|-"),),
        options=(
            Option("format", kind=Kind.CHOICE, choices=FORMATS, help="jsonl or csv; by the file's name if not given"),
        ),
        examples=(Example("import users.jsonl"), Example("import --format csv - < users.csv")),
        about=(
            'One {"key": …, "value": …} a line, or CSV with the columns key and value; help formats has the details.\n'
            "A line that cannot be imported is named with its number; the others are written. Importing again is safe."
        ),
    ),
    Command(
        ("export",),
        "write keys to standard output as a file for import",
        export,
        section="data",
        arguments=(Argument("prefix", Kind.KEY, required=False, help="keys that begin so; all without it"),),
        options=(_FORMAT,),
        examples=(Example("export > all.jsonl"), Example("export user: --format csv")),
        about="An export is not a snapshot: what is written meanwhile may or may not be in it.",
    ),
)
