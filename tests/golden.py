"""Plays golden scripts: commands, and below them exactly what the stage said. `python -m tests.golden` rewrites them.

A script is a story in blocks. Lines that begin with `#` are prose; lines that begin with `>` are commands; after `---`
stands what the stage said to them, up to the next empty line. Each script gets a fresh stage. If a script fails,
rewrite it, read the difference, and commit it only if you understand what caused it.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Protocol

SCRIPTS = Path(__file__).parent / "scripts"
STAGES = {"raft": "tests.replication.raft.stage"}
"""Which module's `Stage` plays the scripts of a folder."""


class Stage(Protocol):
    """What a script talks to."""

    def do(self, command: str) -> list[str]:
        """Carry out one command and say what happened, line by line."""
        ...


def play(script: str, stage: Stage) -> str:
    """The script with what the stage says today."""
    return "\n".join(_played(script.splitlines(), stage)) + "\n"


def _played(lines: list[str], stage: Stage) -> Iterator[str]:
    said: list[str] = []
    rest = iter(lines)
    for line in rest:
        if line == "---":
            yield line
            yield from said or ["(nothing happens)"]
            said = []
            for _ in takewhile(bool, rest):
                pass  # what it said when the script was written
            yield ""
            continue
        if line.startswith("> "):
            said += stage.do(line[2:])
        yield line
    assert not said, "commands at the end of a script need a `---` below them"


def stage_for(path: Path) -> Callable[[], Stage]:
    made: Callable[[], Stage] = importlib.import_module(STAGES[path.parent.name]).Stage
    return made


def scripts(folder: str) -> list[Path]:
    return sorted((SCRIPTS / folder).glob("*.txt"))


def played(path: Path) -> str:
    return play(path.read_text(encoding="utf-8"), stage_for(path)()).rstrip() + "\n"


def main(arguments: list[str]) -> None:
    for path in [Path(argument) for argument in arguments] or [s for name in STAGES for s in scripts(name)]:
        before = path.read_text(encoding="utf-8")
        after = played(path)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"rewritten: {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
