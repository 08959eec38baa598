"""The left half of the line at the bottom: the syntax of what is being typed, with the word that comes now."""

from kvstore.cli.completing import INNER, argument_at, waiting_option
from kvstore.cli.registry import Command, Registry, Where
from kvstore.cli.words import typed

Pieces = list[tuple[str, str]]
IDLE = "Tab completes, \\? lists the commands"


def hint(registry: Registry, text: str) -> Pieces:
    """Pieces of text with a style: `hint.now` for the word that is being typed."""
    now = typed(text)
    words = now.words[1:] if now.words and now.words[0].isdecimal() else now.words
    if now.piped:
        return [("class:hint", "the raw reply goes to this command")]
    if not words:
        command, _ = registry.find([now.begun], Where.SHELL)
        return _shown(command, None) if command is not None else [("class:hint", "" if now.begun else IDLE)]
    command, used = registry.find(words, Where.SHELL)
    while command is not None and command.name in INNER and len(words) > used:
        inner, inner_used = registry.find(INNER[command.name](words[used:]), Where.SHELL)
        if inner is None:
            break
        words, command, used = INNER[command.name](words[used:]), inner, inner_used
    if command is None:
        return _group_hint(registry, words[0])
    rest = words[used:]
    option = waiting_option(command, registry, rest) if rest else None
    if option is not None:
        return _shown(command, str(option)) if option in command.options else _about(str(option), option.help)
    argument = argument_at(command, registry, rest)
    return _shown(command, None if argument is None or now.begun.startswith("-") else str(argument))


def _shown(command: Command, now: str | None) -> Pieces:
    """The syntax, with one part of it in bold."""
    before, found, after = command.syntax.partition(now) if now else (command.syntax, "", "")
    pieces = [("class:hint", before), ("class:hint.now", found), ("class:hint", after)]
    if not command.arguments and not command.options:
        pieces.append(("class:hint", f"   {command.summary}"))
    return [(style, text) for style, text in pieces if text]


def _about(name: str, text: str) -> Pieces:
    return [("class:hint.now", name), ("class:hint", f"   {text}")]


def _group_hint(registry: Registry, word: str) -> Pieces:
    members = registry.groups(Where.SHELL).get(word.lower(), [])
    return [("class:hint", f"{word} {' | '.join(member.path[1] for member in members)}")] if members else []
