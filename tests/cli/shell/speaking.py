"""A shell over a fake client, for tests: lines in, text out."""

import io
from typing import cast

from kvstore.cli.commands import make_registry
from kvstore.cli.context import Context
from kvstore.cli.settings import Settings
from kvstore.cli.shell.interpreter import Shell
from tests.cli.fake_client import CommandLine


class Speaking:
    """`say` runs a line and returns what it printed; errors come back too."""

    def __init__(self, line: CommandLine | None = None, is_terminal: bool = False, color: bool = False) -> None:
        self.line = line or CommandLine()
        terminal = self.line.terminal(is_terminal=is_terminal, color=color)
        self.shell = Shell(Context(Settings(), terminal, make_registry(), self.line.connect))
        self.shell.timing = False
        self.code = 0

    @property
    def rows(self) -> dict[bytes, bytes]:
        return {key: value for key, (value, _) in self.line.client.rows.items()}

    def say(self, text: str) -> str:
        self.code = self.shell.run(text)
        return self._taken(self.shell.context.terminal.stdout) + self._taken(self.shell.context.terminal.stderr)

    @staticmethod
    def _taken(stream: object) -> str:
        written = cast(io.BytesIO, stream)
        text = written.getvalue().decode()
        written.seek(0)
        written.truncate()
        return text
