"""The shell: the verbs of the command line and backslash commands, at a prompt or from a script.

interpreter.py   one line is read, run and shown; no terminal needed
backslash.py     the commands that begin with a backslash
scripts.py       -e, -f and a pipe: no prompt, and the exit code of the last error
prompt.py        the prompt: history, completion, the line at the bottom (the only user of prompt_toolkit)
health.py        looks after the cluster's health in the background
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvstore.cli.results import Result

if TYPE_CHECKING:
    from kvstore.cli.context import Context


def start(context: "Context", commands: Sequence[str], file: str | None, keep_history: bool) -> Result:
    """Run a shell to its end: over commands, a file, a pipe or with a prompt."""
    from kvstore.cli.shell.interpreter import Shell
    from kvstore.cli.shell.scripts import run_commands, run_file, run_stream

    shell = Shell(context)
    if commands:
        return Result(exit_code=run_commands(shell, commands))
    if file is not None:
        return Result(exit_code=run_file(shell, file))
    if not context.terminal.stdin_is_terminal:
        return Result(exit_code=run_stream(shell))
    from kvstore.cli.shell.prompt import converse

    return Result(exit_code=converse(shell, keep_history))
