"""Carries out one command: run it, show its result, report its error; the exit code comes back."""

import time
from collections.abc import Callable

from kvstore.cli import failures
from kvstore.cli.context import Context, Refused
from kvstore.cli.formats import millis
from kvstore.cli.registry import Command, Parsed
from kvstore.cli.results import Done, Result, Served
from kvstore.core.errors import KvError

INTERRUPTED = 130
TIMED = ("data", "looking", "keyspaces")
"""Sections whose commands go to the cluster, so that their time says something."""


def execute(context: Context, command: Command, parsed: Parsed) -> int:
    """Returns the exit code. Only a reader that went away (BrokenPipeError) is left to the caller."""
    began = time.perf_counter()
    try:
        result = command.run(context, parsed)
        for note in result.notes:
            context.note(note)
        context.renderer().show(result, _footer(context, command, result, began))
        context.tell_afterthoughts()
        _tell_receipt(context, result)
        return result.exit_code
    except (KvError, Refused) as error:
        context.terminal.flush()
        return failures.report(context, error, command)
    except KeyboardInterrupt:
        said = "interrupted" + (": the write may or may not have happened" if command.writes else "")
        context.terminal.tell(said)
        return INTERRUPTED


def _tell_receipt(context: Context, result: Result) -> None:
    """With -v, where the output itself has no place for it."""
    if context.settings.verbose and result.served is not None and context.output in ("table", "raw", "csv"):
        facts = " ".join(f"{name}={fact}" for name, fact in result.served.facts.items())
        context.terminal.tell(f"receipt: {facts}")


def _footer(context: Context, command: Command, result: Result, began: float) -> Callable[[], str]:
    """What is said dimly at the end of a result, to people: asked for when everything has been shown."""

    def footer() -> str:
        if not context.is_for_people or not _wants_time(context, command, result):
            return ""
        spent_ms = (time.perf_counter() - began) * 1000
        return time_line(result.served, spent_ms)

    return footer


def _wants_time(context: Context, command: Command, result: Result) -> bool:
    """In the shell while timing is on; on the command line for writes, and for everything if verbose."""
    if command.section not in TIMED:
        return False
    if context.shell is not None:
        return context.shell.timing
    if not context.terminal.stdout_is_terminal or context.settings.quiet:
        return False
    return context.settings.verbose or (isinstance(result, Done) and result.served is not None)


def time_line(served: Served | None, spent_ms: float) -> str:
    """`1.9 ms (server 0.8, 3/3 acks)`, as far as it is known."""
    if served is None:
        return millis(spent_ms)
    known: list[str] = []
    if served.server_ms is not None:
        known.append(f"server {served.server_ms:.1f}")
    if served.acknowledged is not None:
        known.append(f"{served.acknowledged}/{served.replicas or '?'} acks")
    known += served.remarks
    spent = millis(served.client_ms if served.client_ms is not None else spent_ms)
    return f"{spent} ({', '.join(known)})" if known else spent
