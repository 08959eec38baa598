"""The registry as a click program: one parser, and one wording of usage errors, for the command line and the shell."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from kvstore.cli import completing
from kvstore.cli import help as helping
from kvstore.cli.registry import Argument, Command, Kind, Option, Parsed, Registry, Where
from kvstore.cli.settings import convert
from kvstore.cli.words import Word

PROGRAM = "kvstore"
COMPLETE_VARIABLE = "_KVSTORE_COMPLETE"
"""What the completion scripts of bash, zsh and fish set when they ask."""

Invoke = Callable[[Command, Parsed, dict[str, Any]], int]
"""Carry out a command with its words and the global options that were given; returns the exit code."""


class HelpWanted(Exception):
    """--help was among the words. `text` makes what to show, given a brush."""

    def __init__(self, text: Callable[[helping.Paint], str]) -> None:
        super().__init__("help is wanted")
        self.text = text


class Verb(click.Command):
    """One command of the registry."""

    def __init__(self, command: Command, registry: Registry, invoke: Invoke, where: Where) -> None:
        self.definition, self._registry, self._invoke, self._where = command, registry, invoke, where
        super().__init__(command.path[-1], params=self._params(), add_help_option=False, help=command.summary)

    def _params(self) -> list[click.Parameter]:
        arguments = [_argument(argument, self._registry) for argument in self.definition.arguments]
        options = [_option(option, self._registry) for option in self._registry.options_of(self.definition)]
        return [*arguments, *options, _help_option(self._help)]

    def _help(self, paint: helping.Paint) -> str:
        return helping.command_help(self.definition, self._registry, self._where, paint)

    def invoke(self, ctx: click.Context) -> int:
        return self._invoke(self.definition, parsed_from(self.definition, ctx), given_options(self._registry, ctx))


class Verbs(click.Group):
    """All commands of the registry, or those of one group. Built one by one when they are asked for."""

    def __init__(self, registry: Registry, invoke: Invoke, group: str = "") -> None:
        self._registry, self._invoke, self._group = registry, invoke, group
        super().__init__(
            group or PROGRAM,
            params=[*(_option(option, registry) for option in registry.options), _help_option(self._help)],
            add_help_option=False,
            invoke_without_command=True,
            callback=self._alone,
            help=self._summary(),
        )

    def _help(self, paint: helping.Paint) -> str:
        if self._group:
            return helping.group_help(self._group, self._registry, Where.CLI, paint)
        return helping.overview(self._registry, Where.CLI, paint)

    def _summary(self) -> str:
        members = self._registry.groups(Where.CLI).get(self._group, [])
        return " | ".join(member.path[-1] for member in members)

    def list_commands(self, ctx: click.Context) -> list[str]:
        if self._group:
            return [command.path[1] for command in self._registry.groups(Where.CLI)[self._group]]
        return list(dict.fromkeys(command.path[0] for command in self._registry.at(Where.CLI)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name.lower()
        if not self._group and name in self._registry.groups(Where.CLI):
            return Verbs(self._registry, self._invoke, name)
        path = (self._group, name) if self._group else (name,)
        command = self._registry.get(*path)
        if command is None or not command.where & Where.CLI:
            return None
        return Verb(command, self._registry, self._invoke, Where.CLI)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing:
            raise click.UsageError(unknown(" ".join([self._group, args[0]]).strip(), self.list_commands(ctx)), ctx)
        return args[0] if command else None, command, args[1:]

    def _alone(self, **_: Any) -> int:
        """Without a verb: the shell; of a group, which verbs there are."""
        ctx = click.get_current_context()
        if ctx.invoked_subcommand is not None:
            return 0
        if self._group:
            raise click.UsageError(f"{self._group} needs a verb: {self._summary()}", ctx)
        shell = self._registry.get("shell")
        assert shell is not None, "kvstore alone is kvstore shell"
        nothing = Parsed(dict.fromkeys([*(a.name for a in shell.arguments), *(o.name for o in shell.options)]))
        return self._invoke(shell, nothing, given_options(self._registry, ctx))


def unknown(name: str, names: Iterable[str]) -> str:
    """A command that does not exist, and those that look like it."""
    import difflib

    near = difflib.get_close_matches(name.split(" ")[-1].lower(), list(names), 3)
    return f"no such command: {name}" + (f" (did you mean {' or '.join(near)}?)" if near else "")


def _argument(argument: Argument, registry: Registry) -> click.Argument:
    return click.Argument(
        [argument.name],
        required=argument.required,
        nargs=-1 if argument.many or argument.kind is Kind.LINE else 1,
        type=click.UNPROCESSED,
        metavar=argument.metavar or argument.name.upper(),
        shell_complete=_completer(argument, registry),
    )


def _option(option: Option, registry: Registry) -> click.Option:
    return click.Option(
        [*option.flags, option.name],
        is_flag=not option.takes_value,
        default=None,
        type=click.UNPROCESSED if option.takes_value else None,
        multiple=option.many,
        metavar=option.shown_value or None,
        help=option.help,
        shell_complete=_completer(option, registry),
    )


def _help_option(text: Callable[[helping.Paint], str]) -> click.Option:
    def show(ctx: click.Context, param: click.Parameter, value: bool | None) -> None:
        if value and not ctx.resilient_parsing:
            raise HelpWanted(text)

    return click.Option(
        ["--help", "-h"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="this help"
    )


Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(part: Argument | Option, registry: Registry) -> Complete:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if part.kind is Kind.FILE:
            return [CompletionItem(incomplete, type="file")]
        if part.kind is Kind.FOLDER:
            return [CompletionItem(incomplete, type="dir")]
        names = registry.names(given_options(registry, ctx))
        return [CompletionItem(word) for word in completing.words_for(part, names, incomplete)]

    return complete


def parsed_from(command: Command, ctx: click.Context) -> Parsed:
    """The words of the call, each converted as its definition says. Raises click.BadParameter."""
    values: dict[str, Any] = {}
    for argument in command.arguments:
        given = ctx.params[argument.name]
        if isinstance(given, tuple):
            values[argument.name] = tuple(map(_word, given))
        else:
            values[argument.name] = None if given is None else _chosen(argument, _word(given), ctx)
    for option in command.options:
        given = ctx.params[option.name]
        values[option.name] = option.default if given is None else _converted(option, given, ctx)
    _check_groups(command, ctx)
    return Parsed(values)


def _word(given: str) -> Word:
    return given if isinstance(given, Word) else Word(given)


def _chosen(argument: Argument, word: Word, ctx: click.Context) -> Word:
    if argument.choices and word.lower() not in argument.choices:
        raise click.BadParameter(
            f"{str(word)!r} is none of {', '.join(argument.choices)}", ctx, param_hint=str(argument)
        )
    return word


def _converted(option: Option, given: Any, ctx: click.Context) -> Any:
    if isinstance(given, tuple):
        return tuple(map(_word, given)) or option.default
    if not isinstance(given, str):
        return given
    if option.kind in (Kind.KEY, Kind.VALUE):
        return _word(given)
    try:
        return convert(option, given)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param_hint=option.long) from error


def _check_groups(command: Command, ctx: click.Context) -> None:
    """Options of one group exclude each other."""
    given: dict[str, str] = {}
    for option in command.options:
        if option.group and ctx.params[option.name] not in (None, ()):
            if option.group in given:
                raise click.UsageError(f"{given[option.group]} and {option.long} exclude each other", ctx)
            given[option.group] = option.long


def given_options(registry: Registry, ctx: click.Context) -> dict[str, Any]:
    """The global options that were given, before or after the verb; the one after it counts."""
    given: dict[str, Any] = {}
    level: click.Context | None = ctx
    while level is not None:
        for option in registry.options:
            value = level.params.get(option.name)
            if value is not None and option.name not in given:
                given[option.name] = _converted(option, value, level)
        level = level.parent
    return given


def parse_words(command: Command, words: Sequence[Word], registry: Registry) -> tuple[Parsed, dict[str, Any]]:
    """The words behind a verb, as the shell has them. Raises click.UsageError, HelpWanted."""
    verb = Verb(command, registry, lambda *_: 0, Where.SHELL)
    with verb.make_context(command.name, _literal_last(command, words, registry)) as ctx:
        return parsed_from(command, ctx), given_options(registry, ctx)


def _literal_last(command: Command, words: Sequence[Word], registry: Registry) -> list[str]:
    """Options first, then `--`, then the rest: a quoted word that begins with a hyphen is no option."""
    known = {flag: option for option in registry.options_of(command) for flag in option.flags}
    options: list[str] = []
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word == "--" and not word.quoted:
            rest += waiting
        elif word.quoted or not word.startswith("-") or len(word) == 1:
            rest.append(word)
        else:
            options.append(word)
            option = known.get(word)
            if option is not None and option.takes_value and (value := next(waiting, None)) is not None:
                options.append(value)
    return [*options, "--", *rest]


def usage_line(error: click.UsageError) -> list[str]:
    """What is wrong, and how it is right."""
    command = error.ctx.command if error.ctx is not None else None
    definition = command.definition if isinstance(command, Verb) else None
    lines = [_what_is_wrong(error, definition)]
    return lines if definition is None else [*lines, f"  {definition.syntax}"]


def _what_is_wrong(error: click.UsageError, command: Command | None) -> str:
    match error:
        case click.MissingParameter(param=click.Argument() as missing) if command is not None:
            word = next(argument for argument in command.arguments if argument.name == missing.name)
            return f"{command.name} needs {word}"
        case click.NoSuchOption(option_name=name, possibilities=near):
            return f"no such option: {name}" + (f" (did you mean {' or '.join(near)}?)" if near else "")
        case click.BadParameter(param_hint=str(hint), message=message):
            return f"{hint}: {message}"
    said = error.format_message().removesuffix(".")
    return said[:1].lower() + said[1:]
