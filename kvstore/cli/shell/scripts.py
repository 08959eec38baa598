"""The shell without a prompt: commands from the command line, a file or a pipe; the last error is the exit code."""

from collections.abc import Iterable, Iterator, Sequence

from kvstore.cli import failures
from kvstore.cli.context import Refused, read_file
from kvstore.cli.shell.interpreter import Shell
from kvstore.cli.words import ENCODING, ERRORS

FILES_DEEP_MAX = 16


def run_commands(shell: Shell, commands: Sequence[str]) -> int:
    """What -e says, one after the other."""
    return _run(shell, [line for command in commands for line in command.splitlines()])


def run_file(shell: Shell, name: str) -> int:
    """The commands of a file; `-` is standard input."""
    if name == "-":
        return run_stream(shell)
    try:
        text = read_file(name).decode(ENCODING, ERRORS)
    except Refused as error:
        return failures.report(shell.context, error)
    if shell.depth >= FILES_DEEP_MAX:
        return failures.report(shell.context, Refused(f"{name}: {FILES_DEEP_MAX} files run each other"))
    shell.depth += 1
    try:
        return _run(shell, text.splitlines())
    finally:
        shell.depth -= 1


def run_stream(shell: Shell) -> int:
    """What comes through standard input, as it comes."""
    shell.reads_stdin = True
    lines = (line.decode(ENCODING, ERRORS).rstrip("\r\n") for line in shell.context.terminal.stdin)
    return _run(shell, lines)


def _run(shell: Shell, lines: Iterable[str]) -> int:
    before, shell.last_error = shell.last_error, 0
    for command in whole_commands(shell, lines):
        shell.run(command)
        if shell.left:
            break
    code = shell.last_error
    shell.last_error = code or before
    return code


def whole_commands(shell: Shell, lines: Iterable[str]) -> Iterator[str]:
    """Lines joined as long as a quote, a bracket or a block is open. What never closes is run for its error."""
    begun: list[str] = []
    for line in lines:
        begun.append(line)
        text = "\n".join(begun)
        if begun[0].lstrip().startswith("#") or shell.is_whole(text):
            yield text
            begun = []
    if begun:
        yield "\n".join(begun)
