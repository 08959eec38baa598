"""Help, made from the registry: one command, the overview, and pages on what is not a command."""

from collections.abc import Callable, Iterator, Sequence

from kvstore.cli.registry import Command, Option, Registry, Where
from kvstore.cli.topics import TOPICS

Paint = Callable[[str, str], str]
SECTIONS = ("data", "looking", "keyspaces", "running nodes", "shell", "about")
NAME_COLUMNS = 12
CALL_COLUMNS = 28
OPTION_COLUMNS = 26


def plain(text: str, style: str) -> str:
    return text


def command_help(command: Command, registry: Registry, where: Where, paint: Paint = plain) -> str:
    """One command: syntax, what it does, options, examples. In the shell without the options every verb has."""
    prefix = "kvstore " if where is Where.CLI else ""
    lines = [f"{paint(prefix + command.name, 'strong')}{command.syntax.removeprefix(command.name)}"]
    lines += ["", f"  {command.summary}"]
    lines += ["", *(f"  {line}".rstrip() for line in command.about.splitlines())] if command.about else []
    described = [(str(argument), argument.help) for argument in command.arguments if argument.help]
    lines += _section("words", [(name, text) for name, text in described], paint)
    lines += _section("options", [_described(option) for option in command.options], paint)
    if where is Where.CLI:
        shared = registry.options_of(command)[len(command.options) :]
        lines += _shared(shared, paint)
    lines += _examples(command, prefix, paint)
    return "\n".join(lines)


def _described(option: Option) -> tuple[str, str]:
    flags = ", ".join(option.flags) if option.short else f"    {option.long}"
    shown = f"{flags} {option.shown_value}".rstrip()
    default = f" (default {option.default})" if option.default not in (None, False) else ""
    return shown, option.help + default


def _shared(options: Sequence[Option], paint: Paint) -> Iterator[str]:
    """The options that every verb accepts. Their variables all look alike, so one is an example for all."""
    yield from _section("options of every verb", [_described(option) for option in options], paint)
    yield f"  {paint('Each has an environment variable, like KVSTORE_OUTPUT for --output.', 'faint')}"


def _section(title: str, entries: list[tuple[str, str]], paint: Paint) -> Iterator[str]:
    if not entries:
        return
    yield ""
    yield paint(title, "strong")
    for name, text in entries:
        if len(name) >= OPTION_COLUMNS:
            yield f"  {name}"
            name = ""
        yield f"  {name.ljust(OPTION_COLUMNS)}{text}".rstrip()


def _examples(command: Command, prefix: str, paint: Paint) -> Iterator[str]:
    if not command.examples:
        return
    yield ""
    yield paint("examples", "strong")
    longest = max(len(example.line) for example in command.examples)
    for example in command.examples:
        line = f"{prefix}{example.line.ljust(longest)}" if example.says else f"{prefix}{example.line}"
        yield f"  {line}" + (f"   {paint('# ' + example.says, 'faint')}" if example.says else "")


def overview(registry: Registry, where: Where, paint: Paint = plain) -> str:
    """Every command in a line, by section."""
    lines: list[str] = []
    if where is Where.CLI:
        lines += [
            f"{paint('kvstore', 'strong')}: a replicated key-value store",
            "",
            "  kvstore [OPTIONS] VERB [WORDS] [OPTIONS]     kvstore alone starts the shell",
        ]
    width = NAME_COLUMNS if where is Where.CLI else CALL_COLUMNS
    for section in SECTIONS:
        entries = list(_section_entries(registry, where, section))
        if entries:
            lines += ["", paint(section, "strong")]
            lines += [f"  {name.ljust(width)}{text}" for name, text in entries]
    if where is Where.CLI:
        lines += _shared(registry.options, paint)
        more = "kvstore help VERB explains one verb; kvstore help TOPIC one of: "
    else:
        more = "\\h COMMAND explains one command; help TOPIC one of: "
    return "\n".join([*lines, "", more + ", ".join(TOPICS)])


def _section_entries(registry: Registry, where: Where, section: str) -> Iterator[tuple[str, str]]:
    """Single commands with their summary, in the shell with their words; a group in one line with its verbs."""
    told: set[str] = set()
    groups = registry.groups(where)
    for command in registry.at(where):
        head = command.path[0]
        if command.section != section or head in told:
            continue
        told.add(head)
        if head in groups and len(command.path) > 1:
            yield head, " | ".join(member.path[1] for member in groups[head])
        else:
            yield command.call if where is Where.SHELL else head, command.summary


def group_help(name: str, registry: Registry, where: Where, paint: Paint = plain) -> str:
    """The commands of a group (`kvstore keyspace`), with their syntax."""
    prefix = "kvstore " if where is Where.CLI else ""
    lines = [paint(prefix + name, "strong") + " VERB"]
    for command in registry.groups(where)[name]:
        lines += ["", f"  {prefix}{command.syntax}", f"      {command.summary}"]
    return "\n".join([*lines, "", f"{prefix}help {name} VERB explains one of them"])


def help_about(words: tuple[str, ...], registry: Registry, where: Where, paint: Paint = plain) -> str | None:
    """The help for a command, a group or a topic; the overview without words; None if there is nothing."""
    if not words:
        return overview(registry, where, paint)
    found, used = registry.find(words, where)
    if found is not None and used == len(words):
        return command_help(found, registry, where, paint)
    if len(words) == 1 and words[0].lower() in registry.groups(where):
        return group_help(words[0].lower(), registry, where, paint)
    if len(words) == 1 and words[0].lower() in TOPICS:
        return TOPICS[words[0].lower()].strip()
    return None
