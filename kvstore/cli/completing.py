"""What could come next: for the Tab key of the shell, and for that of bash, zsh and fish."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kvstore.cli.registry import Argument, Command, Kind, Option, Registry, Where
from kvstore.cli.topics import TOPICS
from kvstore.cli.words import Typed, Word, quote, typed

FILES_MAX = 200


def _none() -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Names:
    """Where names come from. Each call is quick and gives nothing when it cannot know."""

    keyspaces: Callable[[], Iterable[str]] = _none
    nodes: Callable[[], Iterable[str]] = _none
    clusters: Callable[[], Iterable[str]] = _none
    keys: Callable[[], Iterable[bytes]] = tuple
    commands: Callable[[], Iterable[str]] = _none

    def of(self, part: Argument | Option, begun: str = "") -> Iterator[tuple[str, str]]:
        """(what to insert, what it is) for a word of that kind."""
        if part.choices:
            yield from ((choice, "") for choice in part.choices)
        match part.kind:
            case Kind.KEYSPACE:
                yield from ((name, "keyspace") for name in self.keyspaces())
            case Kind.NODE:
                yield from ((name, "node") for name in self.nodes())
            case Kind.CLUSTER | Kind.ADDRESS:
                yield from ((name, "local cluster") for name in self.clusters())
            case Kind.KEY:
                yield from ((quote(key), "key") for key in self.keys())
            case Kind.COMMAND:
                yield from ((name, "") for name in self.commands())
            case Kind.FILE | Kind.FOLDER:
                yield from files(begun, folders_only=part.kind is Kind.FOLDER)
            case Kind.VALUE if begun.startswith("@"):
                yield from (("@" + name, what) for name, what in files(begun[1:]))


def files(begun: str, folders_only: bool = False) -> Iterator[tuple[str, str]]:
    """The files whose path begins so; folders end with a slash."""
    folder, _, name = begun.rpartition("/")
    shown = f"{folder}/" if "/" in begun else ""
    try:
        with os.scandir(os.path.expanduser(shown) or ".") as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries if entry.name.startswith(name))
    except OSError:
        return
    for entry, is_folder in found[:FILES_MAX]:
        if (is_folder or not folders_only) and (not entry.startswith(".") or name.startswith(".")):
            yield shown + entry + ("/" if is_folder else ""), "folder" if is_folder else "file"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Replace the text from `start` on by `text`; `about` explains it."""

    text: str
    start: int
    about: str = ""


def candidates(registry: Registry, text: str, names: Names) -> list[Candidate]:
    """What the half-typed line of the shell could go on with."""
    now = typed(text)
    if now.piped:
        return []
    words = now.words[1:] if now.words and now.words[0].isdecimal() else now.words  # `3 get a` repeats
    offers = _offers(registry, words, now, names)
    begun = text[now.start :]
    found = {text: about for text, about in offers if _goes_on(text, begun, now)}
    return [Candidate(text, now.start, about) for text, about in found.items()]


def _goes_on(offer: str, begun: str, now: Typed) -> bool:
    if now.quote:  # what was begun in either kind of quotes may go on as `quote` writes it
        return offer.removeprefix('"').startswith(now.begun)
    return offer.lower().startswith(begun.lower())


def _offers(registry: Registry, words: list[Word], now: Typed, names: Names) -> Iterator[tuple[str, str]]:
    if not words:
        yield from _verbs(registry)
        return
    command, used = registry.find(words, Where.SHELL)
    if command is None:
        if len(words) == 1:
            members = registry.groups(Where.SHELL).get(words[0].lower(), [])
            yield from ((member.path[1], member.summary) for member in members)
        return
    rest = words[used:]
    if rest and (option := waiting_option(command, registry, rest)) is not None:
        yield from names.of(option, now.begun)
    elif now.begun.startswith("-") and not now.quote:
        yield from _options(command, registry, rest)
    else:
        argument = argument_at(command, registry, rest)
        if command.name in INNER and rest:
            yield from _offers(registry, INNER[command.name](rest), now, names)
        elif argument is not None:
            yield from names.of(argument, now.begun)
        elif not now.begun:
            yield from _options(command, registry, rest, own_only=True)


INNER: dict[str, Callable[[list[Word]], list[Word]]] = {
    "\\watch": lambda words: words[1:],
    "\\demo": lambda words: [Word("local"), *words],
}
"""Backslash commands whose line holds another command."""


def _verbs(registry: Registry) -> Iterator[tuple[str, str]]:
    groups = registry.groups(Where.SHELL)
    told: set[str] = set()
    for command in registry.at(Where.SHELL):
        head = command.path[0]
        if head not in told:
            told.add(head)
            members = groups.get(head) if len(command.path) > 1 else None
            yield head, " | ".join(member.path[1] for member in members) if members else command.summary


def waiting_option(command: Command, registry: Registry, words: list[Word]) -> Option | None:
    """The option whose value comes next, if the last word is one."""
    last = words[-1]
    found = (option for option in registry.options_of(command) if last in option.flags and not last.quoted)
    return next((option for option in found if option.takes_value), None)


def argument_at(command: Command, registry: Registry, words: list[Word]) -> Argument | None:
    """The argument that the next positional word would be."""
    positional, skip = 0, False
    for at, word in enumerate(words):
        if skip:
            skip = False
        elif word.startswith("-") and len(word) > 1 and not word.quoted:
            skip = waiting_option(command, registry, words[: at + 1]) is not None
        else:
            positional += 1
    if positional < len(command.arguments):
        return command.arguments[positional]
    return command.arguments[-1] if command.arguments and command.arguments[-1].many else None


def _options(
    command: Command, registry: Registry, words: list[Word], own_only: bool = False
) -> Iterator[tuple[str, str]]:
    given = {option.name for option in registry.options_of(command) if set(option.flags) & set(words)}
    groups = {option.group for option in command.options if option.name in given and option.group}
    for option in command.options if own_only else registry.options_of(command):
        if option.name == "cluster":
            continue  # the shell stays with one; \\c goes elsewhere
        if option.name not in given and option.group not in groups:
            yield option.long, option.help


def command_names(registry: Registry, where: Where) -> list[str]:
    """Everything `help` explains: commands, the first words of groups, topics."""
    heads = [command.path[0] for command in registry.at(where)]
    return list(dict.fromkeys([*heads, *TOPICS]))


Source = Callable[[Mapping[str, Any]], Names]
"""Where the Tab key of bash, zsh and fish gets its names: from the global options given so far."""


def words_for(part: Argument | Option, names: Names, begun: str) -> list[str]:
    """The words that a part of a command line could be."""
    return [text for text, _ in names.of(part, begun) if text.startswith(begun)]
