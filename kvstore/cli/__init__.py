"""The front door: the command line, the shell, their help and completion, all made from one registry of commands.

    registry.py      what a command is; verbs/ and shell/backslash.py define them, commands.py gathers them
    words.py         the shell's words: split, quoted, continued
    commandline.py   the registry as a click program; the shell parses with the same
    running.py       one command run, shown, its error said
    results.py       what commands return; rendering.py and formats.py make it bytes
    help.py          help for both, completing.py the Tab key of both
    shell/           the shell

Start-up counts: `kvstore get` imports neither rich nor prompt_toolkit nor aiohttp, and the client only to use it.
"""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """What the command `kvstore` does; returns its exit code."""
    from kvstore.cli.program import run_program
    from kvstore.cli.terminal import Terminal

    words = sys.argv[1:] if arguments is None else arguments
    texts = [os.fsencode(word).decode("utf-8", "surrogateescape") for word in words]
    return run_program(texts, Terminal.of_this_process())
