"""The one place where a command is defined; command line, shell, completion and help are all made from it.

A `Command` says how it is called, what its words mean and which function does it. The function gets a context and the
parsed words and returns a result object (`results.py`); how a result looks is somebody else's business
(`rendering.py`). Nothing here knows click or prompt_toolkit.
"""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from kvstore.cli.words import Word

if TYPE_CHECKING:
    from kvstore.cli.completing import Source
    from kvstore.cli.context import Context
    from kvstore.cli.results import Result


class Where(enum.Flag):
    """Where a command makes sense."""

    CLI = enum.auto()
    SHELL = enum.auto()
    BOTH = CLI | SHELL


class Kind(enum.Enum):
    """What a word means: how it is converted, completed and hinted at."""

    TEXT = "any text"
    KEY = "a key"
    VALUE = "a value, - for standard input, or @FILE"
    VERSION = "a version token"
    OPERATION = "an operation id"
    KEYSPACE = "a keyspace"
    NODE = "a node"
    CLUSTER = "a local cluster"
    ADDRESS = "a kv:// URL or the name of a local cluster"
    FILE = "a file"
    FOLDER = "a folder"
    COMMAND = "a command"
    LINE = "the rest of the line"
    CHOICE = "one of a few words"
    NUMBER = "a whole number"
    DURATION = "a time such as 200ms, 2s or 5m"
    SIZE = "a size such as 64KiB or 1MiB"
    FLAG = "on or off"


@dataclass(frozen=True, slots=True)
class Argument:
    """One positional word of a command, or several if `many`."""

    name: str
    kind: Kind = Kind.TEXT
    metavar: str = ""
    many: bool = False
    required: bool = True
    choices: tuple[str, ...] = ()
    help: str = ""

    def __str__(self) -> str:
        shown = self.metavar or "|".join(self.choices) or self.name.upper()
        shown += "..." if self.many else ""
        return shown if self.required else f"[{shown}]"


@dataclass(frozen=True, slots=True)
class Option:
    """One option. Those with the same `group` exclude each other. `default` None means: not given."""

    name: str
    short: str = ""
    kind: Kind = Kind.TEXT
    metavar: str = ""
    default: Any = None
    choices: tuple[str, ...] = ()
    group: str = ""
    many: bool = False
    """May be given several times."""
    help: str = ""
    variables: tuple[str, ...] = ()
    """Environment variables that give it a value, the first one wins. Only global options have them."""

    @property
    def long(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def flags(self) -> tuple[str, ...]:
        return (self.short, self.long) if self.short else (self.long,)

    @property
    def takes_value(self) -> bool:
        return self.kind is not Kind.FLAG

    @property
    def shown_value(self) -> str:
        if not self.takes_value:
            return ""
        return self.metavar or "|".join(self.choices) or _METAVARS.get(self.kind, self.name.upper())

    def __str__(self) -> str:
        return f"{self.short or self.long} {self.shown_value}".strip()


_METAVARS = {Kind.NUMBER: "N", Kind.DURATION: "TIME", Kind.SIZE: "BYTES", Kind.VERSION: "V", Kind.KEY: "K"}


@dataclass(frozen=True, slots=True)
class Example:
    line: str
    says: str = ""


class Parsed:
    """The words of one call, by the names of the definition. A missing name is a mistake of ours (KeyError)."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        """Whether it was given (a flag: whether it is on)."""
        return self._values[name] not in (None, False, ())

    def words(self, name: str) -> tuple[Word, ...]:
        """None, one or many."""
        value = self._values[name]
        return (value,) if isinstance(value, Word) else tuple(value or ())

    def word(self, name: str) -> Word:
        word = self._values[name]
        assert isinstance(word, Word), f"{name} is not a required word"
        return word

    def text(self, name: str) -> str | None:
        value = self._values[name]
        return None if value is None else str(value)

    def flag(self, name: str) -> bool:
        return bool(self._values[name])

    def number(self, name: str) -> int | None:
        value = self._values[name]
        return None if value is None else int(value)

    def seconds(self, name: str) -> float | None:
        value = self._values[name]
        return None if value is None else float(value)

    def items(self) -> Iterator[tuple[str, Any]]:
        yield from self._values.items()


Run = Callable[["Context", Parsed], "Result"]


@dataclass(frozen=True, slots=True)
class Command:
    """One verb, or one verb of a group (`keyspace create`). Backslash commands of the shell begin with a backslash."""

    path: tuple[str, ...]
    summary: str
    run: Run
    section: str
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    examples: tuple[Example, ...] = ()
    where: Where = Where.BOTH
    about: str = ""
    """More than the summary: a paragraph or two."""
    hidden: bool = False
    """Not listed; another spelling of something that is."""
    writes: bool = False
    """Whether an error leaves the question if it happened anyway."""
    advice: Mapping[str, str] = field(default_factory=dict)
    """What to do about an error, by its name, where this command knows better than `failures.REMEDIES`."""

    @property
    def name(self) -> str:
        return " ".join(self.path)

    @property
    def syntax(self) -> str:
        """How it is called, from the same definition that parses it."""
        return " ".join([self.call, *self._options_shown()])

    @property
    def call(self) -> str:
        """The same without options."""
        return " ".join([self.name, *map(str, self.arguments)])

    def _options_shown(self) -> Iterator[str]:
        seen: set[str] = set()
        for option in self.options:
            if option.group and option.group in seen:
                continue
            seen.add(option.group)
            together = [o for o in self.options if o.group == option.group] if option.group else [option]
            yield f"[{' | '.join(map(str, together))}]"

    def option(self, flag: str) -> Option | None:
        """The option with that flag, or None."""
        return next((option for option in self.options if flag in option.flags), None)


@dataclass(slots=True)
class Registry:
    """All commands, in the order in which help shows them, and the options that every verb accepts."""

    commands: tuple[Command, ...]
    options: tuple[Option, ...]
    names: "Source"
    """Where completion gets names of keyspaces, nodes and clusters."""
    _by_path: dict[tuple[str, ...], Command] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_path = {command.path: command for command in self.commands}
        assert len(self._by_path) == len(self.commands), "two commands have the same name"
        for command in self.commands:
            options = self.options_of(command)
            names = [*(a.name for a in command.arguments), *(o.name for o in options)]
            flags = [flag for option in options for flag in option.flags]
            for several in (names, flags):
                assert len(several) == len(set(several)), f"two parts of {command.name} have the same name"

    def get(self, *path: str) -> Command | None:
        return self._by_path.get(path)

    def at(self, where: Where) -> Iterator[Command]:
        return (command for command in self.commands if command.where & where and not command.hidden)

    def groups(self, where: Where) -> dict[str, list[Command]]:
        """The commands whose name has two words, by the first."""
        found: dict[str, list[Command]] = {}
        for command in self.at(where):
            if len(command.path) > 1:
                found.setdefault(command.path[0], []).append(command)
        return found

    def find(self, words: Iterable[str], where: Where) -> tuple[Command | None, int]:
        """The command that a line begins with and how many words name it. Verbs may be upper or lower case."""
        names = tuple(word.lower() for word in islice(words, 2))
        for length in (2, 1):
            command = self._by_path.get(names[:length]) if len(names) >= length else None
            if command is not None and command.where & where:
                return command, length
        return None, 0

    def options_of(self, command: Command) -> tuple[Option, ...]:
        """Its own options, then the global ones."""
        return command.options + self.options
