"""The command line from its words to its exit code."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.shell_completion import shell_complete

from kvstore.cli import failures
from kvstore.cli.commandline import COMPLETE_VARIABLE, PROGRAM, HelpWanted, Verbs, usage_line
from kvstore.cli.commands import make_registry
from kvstore.cli.connection import connect as connect_now
from kvstore.cli.context import Connect, Context
from kvstore.cli.registry import Command, Parsed
from kvstore.cli.running import INTERRUPTED, execute
from kvstore.cli.settings import Settings
from kvstore.cli.terminal import Terminal

FAILED, USAGE = 1, 2


def run_program(
    words: Sequence[str],
    terminal: Terminal,
    connect: Connect = connect_now,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Parse, run, show; returns the exit code. click's own `main` is not used: it ends the process by itself."""
    registry = make_registry()
    variables = os.environ if environment is None else environment

    def invoke(command: Command, parsed: Parsed, given: dict[str, Any]) -> int:
        try:
            settings = Settings.from_environment(variables).with_given(given)
        except ValueError as error:
            return failures.tell(terminal, [str(error), "  see: kvstore help options"], USAGE)
        terminal.color = terminal.color and not settings.no_color
        context = Context(settings, terminal, registry, connect)
        try:
            return execute(context, command, parsed)
        finally:
            context.close()

    try:
        verbs = Verbs(registry, invoke)
        if tab := variables.get(COMPLETE_VARIABLE):
            return shell_complete(verbs, {}, PROGRAM, COMPLETE_VARIABLE, tab)
        with verbs.make_context(PROGRAM, list(words)) as ctx:
            return int(verbs.invoke(ctx))
    except HelpWanted as wanted:
        terminal.say(terminal.folded(wanted.text(terminal.paint)))
        terminal.flush()
        return 0
    except click.UsageError as error:
        return _usage(terminal, error)
    except KeyboardInterrupt:
        terminal.tell("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone: `| head`
        terminal.abandon()
        return 0
    except OSError as error:  # our own output: a disk that is full
        return failures.tell(terminal, [str(error)], FAILED)


def _usage(terminal: Terminal, error: click.UsageError) -> int:
    first, *more = usage_line(error)
    return failures.tell(terminal, [first, *(more or ["  see: kvstore --help"])], USAGE)
