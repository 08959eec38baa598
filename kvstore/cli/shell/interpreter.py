"""One line of the shell: split, looked up, run, shown. Knows no terminal; the prompt and scripts both stand on it."""

import io
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import click

from kvstore.cli import failures
from kvstore.cli.commandline import HelpWanted, parse_words, unknown, usage_line
from kvstore.cli.context import Context, Refused
from kvstore.cli.registry import Command, Kind, Parsed, Where
from kvstore.cli.running import INTERRUPTED, execute
from kvstore.cli.words import Misquoted, Unfinished, Word, split
from kvstore.core.errors import InvalidRequest

RECENT_KEYS_MAX = 500
REPEATS_MAX = 1_000_000
USAGE = 2


@dataclass(slots=True)
class Preferences:
    """What \\set changes."""

    hints: bool = True
    vi: bool = False
    pager: bool = False
    null: str = "-"
    limit: int = 100


@dataclass(slots=True)
class Shell:
    """A conversation: its context, how results are shown, and what has been seen."""

    context: Context
    timing: bool = True
    expanded: bool = False
    reads_stdin: bool = False
    left: bool = False
    last_error: int = 0
    preferences: Preferences = field(default_factory=Preferences)
    recent_keys: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    draft: str = ""
    """What was edited last (\\e)."""
    depth: int = 0
    """How many files run each other (\\i)."""

    def __post_init__(self) -> None:
        self.context.shell = self

    # ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────

    def is_whole(self, text: str) -> bool:
        """Whether the text can be run; False while a quote, bracket or block is open."""
        if self._is_backslash(text):
            return True
        try:
            split(text)
        except Unfinished:
            return False
        except Misquoted:
            return True  # running it says what is wrong
        return True

    def run(self, text: str) -> int:
        """Run one whole line; errors are said, not raised. Returns its exit code."""
        text = text.strip()
        if not text or text.startswith("#"):
            return 0
        code = self._run(text)
        if code:
            self.last_error = code
        return code

    def _run(self, text: str) -> int:
        try:
            if self._is_backslash(text):
                return self._backslash(text)
            return self._words(text)
        except HelpWanted as wanted:
            terminal = self.context.terminal
            terminal.say(terminal.folded(wanted.text(terminal.paint)))
            return 0
        except click.UsageError as error:
            first, *more = usage_line(error)
            return self._refuse(Refused(first, "\n".join(more).strip()))
        except (Misquoted, Unfinished) as error:
            return self._refuse(Refused(str(error), "help quoting explains the rules"))
        except Refused as error:
            return self._refuse(error)
        except KeyboardInterrupt:
            self.context.terminal.tell("interrupted")
            return INTERRUPTED

    def _refuse(self, error: Refused) -> int:
        return failures.report(self.context, error)

    @staticmethod
    def _is_backslash(text: str) -> bool:
        return text.lstrip().startswith("\\")

    def _words(self, text: str) -> int:
        line = split(text)
        times, words = self._repeats(line.words)
        if not words:
            raise Refused("a number repeats a command, as in: 3 get user:1")
        command, parsed, given = self._parsed(words)
        code = 0
        for _ in range(times):
            code = self._piped(command, parsed, given, line.pipe) if line.pipe else self._shown(command, parsed, given)
            if self.left or code == INTERRUPTED:
                break
        return code

    def run_words(self, words: list[Word]) -> int:
        """Run a verb whose words are known already."""
        return self._shown(*self._parsed(words))

    def _parsed(self, words: list[Word]) -> tuple[Command, Parsed, dict[str, Any]]:
        command, used = self.context.registry.find(words, Where.SHELL)
        if command is None:
            raise self._unknown(words)
        return command, *parse_words(command, words[used:], self.context.registry)

    @staticmethod
    def _repeats(words: list[Word]) -> tuple[int, list[Word]]:
        first = words[0]
        if not first.isdecimal() or first.quoted:
            return 1, words
        if not 1 <= int(first) <= REPEATS_MAX:
            raise Refused(f"{first} times is not from 1 to {REPEATS_MAX:,}")
        return int(first), words[1:]

    def _unknown(self, words: list[Word]) -> Refused:
        registry = self.context.registry
        groups = registry.groups(Where.SHELL)
        head = words[0].lower()
        if head in groups:
            verbs = [command.path[1] for command in groups[head]]
            if len(words) == 1:
                return Refused(f"{head} needs a verb: {' | '.join(verbs)}")
            return Refused(unknown(f"{head} {words[1]}", verbs), f"help {head} lists its verbs")
        names = [command.path[0] for command in registry.at(Where.SHELL)]
        return Refused(unknown(words[0], names), "\\? lists the commands")

    def _backslash(self, text: str) -> int:
        name, _, rest = text.partition(" ")
        if name[1:2] == "!" and name != "\\!":  # \!ls, as in psql
            name, rest = "\\!", text[2:]
        command = self.context.registry.get(name.lower())
        if command is None:
            names = [c.name for c in self.context.registry.at(Where.SHELL) if c.name.startswith("\\")]
            raise Refused(unknown(name, names), "\\? lists the commands")
        if any(argument.kind is Kind.LINE for argument in command.arguments):
            return execute(self.context, command, Parsed({command.arguments[0].name: Word(rest.strip())}))
        parsed, given = parse_words(command, split(rest).words, self.context.registry)
        return self._shown(command, parsed, given)

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _shown(self, command: Command, parsed: Parsed, given: dict[str, Any]) -> int:
        self._remember(command, parsed)
        if self.preferences.pager and self.context.terminal.stdout_is_terminal and self._fills_screens(command):
            return self._paged(command, parsed, given)
        with self._given(given):
            return execute(self.context, command, parsed)

    @contextmanager
    def _given(self, given: dict[str, Any]) -> Iterator[None]:
        """The options of one line hold for that line."""
        if "cluster" in given:
            raise Refused("the shell stays with one cluster at a time", "\\c URL|NAME connects elsewhere")
        before = self.context.settings
        self.context.settings = before.with_given(given)
        during = self.context.settings
        try:
            yield
        finally:
            after = self.context.settings  # the command itself may have changed some (\c, \o, use): those stay
            back = {name: getattr(before, name) for name in given if getattr(after, name) == getattr(during, name)}
            self.context.settings = replace(after, **back)

    def _captured(self, command: Command, parsed: Parsed, given: dict[str, Any], output: str) -> tuple[int, bytes]:
        """Run it with its output in our hands."""
        terminal, caught, for_people = self.context.terminal, io.BytesIO(), output == "table"
        color = terminal.color and for_people
        self.context.terminal = replace(
            terminal, stdout=caught, stdout_is_terminal=for_people, color=color, copy_to=None
        )
        try:
            with self._given({"output": output, **given}):
                code = execute(self.context, command, parsed)
        finally:
            self.context.terminal = terminal
        return code, caught.getvalue()

    def _piped(self, command: Command, parsed: Parsed, given: dict[str, Any], pipe: str) -> int:
        """`get user:1 | jq .name`: the raw reply into a command of the system's shell."""
        self._remember(command, parsed)
        code, reply = self._captured(command, parsed, given, "raw")
        if code:
            return code
        return self.system(pipe, reply)

    def system(self, line: str, stdin: bytes | None = None) -> int:
        """Run a command of the system's shell, its output to ours."""
        import subprocess

        terminal = self.context.terminal
        terminal.flush()
        into_ours = terminal.stdout_is_terminal and terminal.copy_to is None
        ran = subprocess.run(line, shell=True, input=stdin, stdout=None if into_ours else subprocess.PIPE, check=False)
        if not into_ours:
            terminal.write(ran.stdout)
            terminal.flush()
        return 1 if ran.returncode else 0

    def _paged(self, command: Command, parsed: Parsed, given: dict[str, Any]) -> int:
        code, shown = self._captured(command, parsed, given, given.get("output") or self.context.output)
        if shown.count(b"\n") < self.context.terminal.height:
            self.context.terminal.write(shown)
            self.context.terminal.flush()
            return code
        return self.system("${PAGER:-less -FRSX}", shown) or code

    @staticmethod
    def _fills_screens(command: Command) -> bool:
        return command.name in ("scan", "help", "\\?", "local logs")

    def _remember(self, command: Command, parsed: Parsed) -> None:
        """Keys that were typed are offered by the Tab key."""
        for argument in command.arguments:
            if argument.kind is Kind.KEY:
                for word in parsed.words(argument.name):
                    with suppress(InvalidRequest):  # the command itself will say what is wrong with it
                        self.saw_key(self.context.key(word))

    def saw_key(self, key: bytes) -> None:
        self.recent_keys[key] = None
        self.recent_keys.move_to_end(key)
        while len(self.recent_keys) > RECENT_KEYS_MAX:
            self.recent_keys.popitem(last=False)
