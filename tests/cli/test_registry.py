"""One definition makes four things: click's parser, help, completion and the shell. They must agree."""

from dataclasses import replace

import click
import pytest

from kvstore.cli import help as helping
from kvstore.cli.commandline import Verbs, parse_words
from kvstore.cli.commands import COMMANDS, make_registry
from kvstore.cli.completing import Names, candidates
from kvstore.cli.registry import Command, Kind, Option, Parsed, Registry, Where
from kvstore.cli.results import Result
from kvstore.cli.settings import GLOBAL_OPTIONS
from kvstore.cli.words import Word, split

REGISTRY = make_registry()
ALL = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
IN_CLI = pytest.mark.parametrize("command", list(REGISTRY.at(Where.CLI)), ids=lambda command: command.name)
IN_SHELL = pytest.mark.parametrize("command", list(REGISTRY.at(Where.SHELL)), ids=lambda command: command.name)


@ALL
def test_every_command_says_what_it_does(command: Command) -> None:
    assert command.summary
    assert not command.summary.endswith(".")
    assert command.section in helping.SECTIONS
    for option in command.options:
        assert option.help, option.name
        assert option.kind is not Kind.CHOICE or option.choices


@ALL
def test_the_syntax_names_every_word_and_option(command: Command) -> None:
    for argument in command.arguments:
        assert str(argument) in command.syntax
    for option in command.options:
        assert str(option) in command.syntax


@IN_CLI
def test_click_knows_what_the_registry_says(command: Command) -> None:
    program: click.Command = Verbs(REGISTRY, lambda *_: 0)
    for name in command.path:
        assert isinstance(program, click.Group)
        with program.make_context("kvstore", [], resilient_parsing=True) as ctx:
            assert name in program.list_commands(ctx)
            found = program.get_command(ctx, name)
        assert found is not None
        program = found
    flags = {flag for param in program.params for flag in param.opts if isinstance(param, click.Option)}
    expected = {flag for option in REGISTRY.options_of(command) for flag in option.flags}
    assert flags == expected | {"--help", "-h"}


@IN_CLI
def test_help_shows_syntax_options_and_examples(command: Command) -> None:
    text = helping.command_help(command, REGISTRY, Where.CLI)
    assert text.startswith(f"kvstore {command.syntax}")
    for option in REGISTRY.options_of(command):
        assert option.long in text
        assert option.help in text
    for example in command.examples:
        assert f"kvstore {example.line}" in text


@IN_SHELL
def test_help_in_the_shell_has_no_options_of_every_verb(command: Command) -> None:
    text = helping.command_help(command, REGISTRY, Where.SHELL)
    assert text.startswith(command.syntax)
    assert "--key-format" not in text
    assert all(option.long in text for option in command.options)


@pytest.mark.parametrize("where", [Where.CLI, Where.SHELL])
def test_the_overview_lists_every_command_once(where: Where) -> None:
    text = helping.overview(REGISTRY, where)
    for command in REGISTRY.at(where):
        entry = f"\n  {command.call if where is Where.SHELL and len(command.path) == 1 else command.path[0]} "
        assert text.count(entry) == 1, command.name
        if len(command.path) == 1:
            assert command.summary in text
    assert ("\\?" in text) == (where is Where.SHELL)


@IN_SHELL
def test_the_shell_completes_every_command_and_option(command: Command) -> None:
    first = [found.text for found in candidates(REGISTRY, command.path[0][:2], Names())]
    assert command.path[0] in first
    if len(command.path) > 1:
        assert command.path[1] in [found.text for found in candidates(REGISTRY, f"{command.path[0]} ", Names())]
    options = [found.text for found in candidates(REGISTRY, f"{command.name} -", Names())]
    if not any(argument.kind is Kind.LINE for argument in command.arguments):
        assert options == [option.long for option in REGISTRY.options_of(command) if option.name != "cluster"]


@ALL
def test_examples_parse(command: Command) -> None:
    """What help shows can be typed."""
    for example in command.examples:
        line = example.line.split(" > ")[0].split(" < ")[0]
        words = split(line).words
        where = Where.CLI if command.where & Where.CLI else Where.SHELL
        found, _ = REGISTRY.find(words, where)
        assert found is command, example.line
        if where is Where.CLI:
            verbs = Verbs(REGISTRY, lambda *_: 0)
            with verbs.make_context("kvstore", list(words)) as ctx:
                assert verbs.invoke(ctx) == 0
        else:
            parse_words(command, words[1:], REGISTRY)


def test_every_global_option_has_a_variable() -> None:
    for option in GLOBAL_OPTIONS:
        assert option.variables[0] == f"KVSTORE_{option.name.upper()}"


def test_verbs_of_later_steps_are_absent() -> None:
    heads = {command.path[0] for command in COMMANDS}
    assert not heads & {"watch", "txn", "trace", "chaos", "demo", "bench"}


def nothing(context: object, parsed: object) -> Result:
    return Result()


PLAIN = Command(("plain",), "does nothing", nothing, section="data")


def test_two_commands_of_one_name_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match="same name"):
        Registry((PLAIN, PLAIN), (), lambda given: Names())


def test_an_option_must_not_hide_a_global_one() -> None:
    command = replace(PLAIN, options=(Option("other", "-o", Kind.TEXT),))
    with pytest.raises(AssertionError, match="two parts of plain"):
        Registry((command,), GLOBAL_OPTIONS, lambda given: Names())


def test_options_of_a_group_are_shown_as_alternatives() -> None:
    options = (Option("one", kind=Kind.FLAG, group="g"), Option("two", kind=Kind.NUMBER, group="g"), Option("three"))
    assert replace(PLAIN, options=options).syntax == "plain [--one | --two N] [--three THREE]"


def test_verbs_are_found_in_any_case() -> None:
    assert REGISTRY.find([Word("KEYSPACE"), Word("List"), Word("x")], Where.SHELL)[1] == 2
    assert REGISTRY.find([Word("GET"), Word("K")], Where.SHELL)[1] == 1
    assert REGISTRY.find([Word("\\timing")], Where.CLI) == (None, 0)
    assert REGISTRY.find([], Where.SHELL) == (None, 0)


def test_parsed_words() -> None:
    parsed = Parsed({"key": Word("a"), "many": (Word("b"), Word("c")), "flag": None, "n": 3, "t": 0.5, "none": None})
    assert parsed.word("key") == "a"
    assert parsed.words("key") == ("a",)
    assert parsed.words("many") == ("b", "c")
    assert parsed.words("none") == ()
    assert (parsed.flag("flag"), parsed.number("n"), parsed.seconds("t"), parsed.text("none")) == (False, 3, 0.5, None)
    with pytest.raises(KeyError):
        parsed.text("misspelt")
