"""What a command is handed: settings, the terminal, the cluster (connected on first use), perhaps the shell."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvstore.cli import formats
from kvstore.cli.connection import Connection
from kvstore.cli.registry import Registry
from kvstore.cli.rendering import Renderer
from kvstore.cli.results import Column, Shape
from kvstore.cli.settings import Settings
from kvstore.cli.terminal import Terminal
from kvstore.cli.words import Word

if TYPE_CHECKING:
    from kvstore.cli.shell.interpreter import Shell
    from kvstore.client.client import Client
    from kvstore.client.space import Space

VALUE_SHOWN_MAX = 100
Connect = Callable[[Settings], Connection]
"""From settings to a connection (`connection.connect`, or its twin in tests)."""


class Refused(Exception):
    """A command stops with a message of its own: what happened, and what to do. For mistakes of usage."""

    def __init__(self, what: str, do: str = "", exit_code: int = 2) -> None:
        super().__init__(what)
        self.do = do
        self.exit_code = exit_code


@dataclass(slots=True)
class Context:
    """The world of one command, or of a whole shell."""

    settings: Settings
    terminal: Terminal
    registry: Registry
    connect: Connect
    shell: "Shell | None" = None
    afterthoughts: list[str] = field(default_factory=list)
    """Notes for after the result: what came to light while it was shown."""
    _connection: Connection | None = field(default=None)

    @property
    def connection(self) -> Connection:
        """Connected on first use. Raises NotConnected, ConfigError."""
        if self._connection is None:
            self._connection = self.connect(self.settings)
            if self._connection.note:
                self.note(self._connection.note)
        return self._connection

    @property
    def client(self) -> "Client":
        return self.connection.client

    @property
    def db(self) -> "Space[bytes]":
        """The keyspace in use, asked as the settings say."""
        return self.connection.view(self.settings)

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def move(self, settings: Settings) -> None:
        """Connect as these settings say. If that fails, everything stays as it is. Raises NotConnected, ConfigError."""
        connection = self.connect(settings)
        try:
            connection.cluster_name()
        except BaseException:
            connection.close()
            raise
        self.close()
        self.settings, self._connection = settings, connection

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def local_name(self) -> str | None:
        """The name of the local cluster we are connected to, None if it is none, or none is connected."""
        return self._connection.local_name() if self._connection is not None else None

    # ── words ───────────────────────────────────────────────────────────────────────────────────────────────────

    def key(self, word: Word) -> bytes:
        """The key a word means, in the chosen key format. Raises InvalidRequest."""
        return formats.key_from(word, self.settings.key_format)

    def key_text(self, key: bytes) -> str:
        return formats.key_text(key, self.settings.key_format)

    def value_text(self, value: bytes) -> str:
        """A value in a line for people."""
        shown = formats.text_of(value)
        return shown if "\n" not in shown and len(shown) <= VALUE_SHOWN_MAX else f"{len(value):,} bytes"

    def value(self, word: Word) -> bytes:
        """The value a word means: `-` is standard input, `@FILE` a file, `@@…` begins with one @; quoted: as it is."""
        if word.quoted or not (word == "-" or word.startswith("@")):
            return word.data
        if word.startswith("@@"):
            return word.data[1:]
        if word == "-":
            if self.shell is not None and self.shell.reads_stdin:
                raise Refused("- means standard input, and the shell reads its commands from there", "use @FILE")
            return self.terminal.stdin.read()
        return read_file(word[1:])

    def json_key(self, key: bytes) -> Any:
        """A key as JSON has it."""
        return formats.for_programs(Column("key", Shape.KEY), key, self.settings.key_format)

    def saw_key(self, key: bytes) -> None:
        """A key was shown: the Tab key of the shell offers it from now on."""
        if self.shell is not None:
            self.shell.saw_key(key)

    # ── output ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def output(self) -> str:
        """The format in use."""
        return self.settings.output or ("table" if self.terminal.stdout_is_terminal else "raw")

    @property
    def is_for_people(self) -> bool:
        return self.output == "table"

    def renderer(self) -> Renderer:
        renderer = Renderer(self.terminal, self.output, self.settings.key_format)
        if self.shell is not None:
            renderer.expanded, renderer.null = self.shell.expanded, self.shell.preferences.null
        return renderer

    def note(self, text: str) -> None:
        """Something worth knowing that is no result: on standard error, unless quiet."""
        if not self.settings.quiet:
            self.terminal.tell(text)

    def afterthought(self, text: str) -> None:
        """A note that is told after the result has been shown."""
        self.afterthoughts.append(text)

    def tell_afterthoughts(self) -> None:
        told, self.afterthoughts = self.afterthoughts, []
        for text in told:
            self.note(text)

    def confirm(self, question: str) -> None:
        """Ask before something that cannot be undone. Raises Refused if the answer is not yes."""
        if self.settings.yes:
            return
        if not self.terminal.stdin_is_terminal:
            raise Refused(f"{question} Nobody is there to ask", "add --yes")
        self.terminal.flush()
        self.terminal.stderr.write(f"{question} [y/N] ".encode())
        self.terminal.stderr.flush()
        if self.terminal.stdin.readline().strip().lower() not in (b"y", b"yes"):
            raise Refused("Not done", exit_code=1)


def read_file(name: str) -> bytes:
    """The bytes of a file. Raises Refused with the reason."""
    try:
        return Path(name).expanduser().read_bytes()
    except OSError as error:
        raise Refused(f"{name or 'a file without a name'} cannot be read: {error.strerror}") from error
