"""Where a command's words go: standard output as bytes, notes and errors on standard error, colours if wanted."""

import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

STYLES = {
    "good": "32",
    "bad": "31;1",
    "warn": "33",
    "faint": "2",
    "strong": "1",
    "key": "36",
}
_CODES = re.compile(r"\x1b\[[0-9;]*m")
_COLUMN = re.compile(r" *\S.*?\S? {2,}(?=\S)")
"""The first column of a line in two."""


@dataclass(slots=True)
class Terminal:
    """Three streams and what is known about them."""

    stdin: BinaryIO
    stdout: BinaryIO
    stderr: BinaryIO
    stdin_is_terminal: bool = False
    stdout_is_terminal: bool = False
    stderr_is_terminal: bool = False
    color: bool = False
    columns: int | None = None
    """Fixed width, for tests; None: ask the terminal."""
    copy_to: BinaryIO | None = None
    """Everything written to standard output goes here too (`\\tee`)."""

    @classmethod
    def of_this_process(cls) -> "Terminal":
        return cls(
            sys.stdin.buffer,
            sys.stdout.buffer,
            sys.stderr.buffer,
            sys.stdin.isatty(),
            sys.stdout.isatty(),
            sys.stderr.isatty(),
            color=sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR"),
        )

    @property
    def width(self) -> int:
        return self.columns or shutil.get_terminal_size((100, 24)).columns

    @property
    def height(self) -> int:
        return shutil.get_terminal_size((100, 24)).lines

    def write(self, data: bytes) -> None:
        self.stdout.write(data)
        if self.copy_to is not None:
            self.copy_to.write(
                _CODES.sub("", data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            )

    def write_all(self, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            self.write(chunk)

    def say(self, text: str) -> None:
        """One line on standard output."""
        self.write(text.encode("utf-8", "backslashreplace") + b"\n")

    def tell(self, text: str) -> None:
        """One line on standard error, after everything said so far."""
        self.flush()
        self.stderr.write(text.encode("utf-8", "backslashreplace") + b"\n")
        self.stderr.flush()

    def flush(self) -> None:
        self.stdout.flush()
        if self.copy_to is not None:
            self.copy_to.flush()

    def abandon(self) -> None:
        """Nobody reads our output any more (`| head`): give the interpreter's last flush somewhere to go."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stdout.fileno())
        os.close(nowhere)

    def folded(self, text: str) -> str:
        """Text for people, its long lines folded to the terminal's width; as it is if nobody looks."""
        if not self.stdout_is_terminal:
            return text
        return "\n".join(part for line in text.split("\n") for part in folded(line, self.width))

    def paint(self, text: str, style: str) -> str:
        """The text in a style's colour, if there are colours."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.color and style and text else text


def visible_length(text: str) -> int:
    """How many columns a painted text takes, for the characters that take one."""
    return len(_CODES.sub("", text))


def folded(line: str, width: int) -> list[str]:
    """A line in as many as it takes. What follows a gap of two blanks goes on below itself.

    >>> folded("  put KEY     write a key, and say its version", 28)
    ['  put KEY     write a key,', '              and say its', '              version']
    """
    if visible_length(line) <= width:
        return [line]
    column = _COLUMN.match(line)
    head = column[0] if column is not None and visible_length(column[0]) <= width // 2 else ""
    indent = " " * min(width // 2, visible_length(head) or len(line) - len(line.lstrip()) + 2)
    first, *words = line[len(head) :].split(" ")
    lines, now = [], head + first
    for word in words:
        if visible_length(now) + 1 + visible_length(word) <= width:
            now += " " + word
            continue
        if now.strip():
            lines.append(now.rstrip())
        now = indent + word
    return [*lines, now] if now.strip() else lines or [""]
