r"""The commands of the shell that begin with a backslash, and `use`."""

import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from kvstore.cli import help as helping
from kvstore.cli.context import Context, Refused
from kvstore.cli.formats import OUTPUTS
from kvstore.cli.registry import Argument, Command, Example, Kind, Parsed, Where
from kvstore.cli.results import Column, Line, Report, Result, Table, Text
from kvstore.cli.running import INTERRUPTED
from kvstore.cli.settings import ACKS, CONSISTENCIES, QUORUMS, flag_from, number_from, seconds_from
from kvstore.cli.shell.interpreter import Shell
from kvstore.cli.shell.scripts import run_file
from kvstore.cli.words import Word, split
from kvstore.core.errors import NotConnected

CLEAR_SCREEN = "\x1b[H\x1b[2J"
KEYSPACE_DEFAULT = "default"


def shell_of(context: Context) -> Shell:
    assert context.shell is not None, "the command line has no backslash commands"
    return context.shell


def _switched(parsed: Parsed, now: bool) -> bool:
    """on, off, or the other way round."""
    word = parsed.text("state")
    try:
        return (not now) if word is None else flag_from(word)
    except ValueError as error:
        raise Refused(f"{word} is neither on nor off") from error


def overview(context: Context, parsed: Parsed) -> Result:
    text = helping.overview(context.registry, Where.SHELL, context.terminal.paint)
    return Text(text=context.terminal.folded(text))


def explain(context: Context, parsed: Parsed) -> Result:
    words = tuple(str(word) for word in parsed.words("command"))
    text = helping.help_about(words, context.registry, Where.SHELL, context.terminal.paint)
    if text is None:
        raise Refused(f"there is no command {' '.join(words)}", "\\? lists the commands")
    return Text(text=context.terminal.folded(text))


def connect(context: Context, parsed: Parsed) -> Result:
    where = parsed.text("where")
    if where is not None:
        context.move(replace(context.settings, cluster=where, keyspace=None))
    connection = context.connection
    name, addresses = connection.cluster_name(), ",".join(connection.endpoints)
    return Text(text=f"connected to {name} (kv://{addresses})")


def use(context: Context, parsed: Parsed) -> Result:
    name, connection = str(parsed.word("name")), context.connection
    mode = connection.mode_of(name)  # raises UnknownKeyspace
    before = connection.mode_of(connection.keyspace_name(context.settings))
    context.settings = replace(context.settings, keyspace=None if name == KEYSPACE_DEFAULT else name)
    if mode == before or not context.settings.levels:
        return Text(text=f"keyspace {name} ({mode})")
    context.settings = context.settings.without_levels()
    return Text(text=f"keyspace {name} ({mode}); levels are the keyspace's own again, see \\cl")


READS = (*CONSISTENCIES, *QUORUMS)
WRITES = (*ACKS, "one", "quorum")
LEADERLESS_LEVELS = f"read={'|'.join(QUORUMS)}|N, write={'|'.join(QUORUMS)}|N, sloppy=yes|no"


def levels(context: Context, parsed: Parsed) -> Result:
    """\\cl read=leader write=all; of a leaderless keyspace read=one write=2 sloppy=yes"""
    mode = _mode(context)
    settings = context.settings
    for word in parsed.words("levels"):
        settings = replace(settings, **_level(word, mode == "leaderless"))
    context.settings = settings
    if mode == "leaderless":
        return Text(text="  ".join(_leaderless_levels(context)))
    read, write = settings.consistency or "linearizable (default)", settings.acks or "as the keyspace says (default)"
    return Text(text=f"read={read}  write={write}")


def _leaderless_levels(context: Context) -> Iterator[str]:
    settings, info = context.settings, context.db.info()
    own = {"read": info.read_quorum, "write": info.write_quorum, "sloppy": "yes" if info.sloppy else "no"}
    for name, default in own.items():
        yield f"{name}={getattr(settings, name) or f'{default} (default)'}"


def _mode(context: Context) -> str:
    """How the keyspace in use replicates; leader, if nothing is connected yet."""
    if not context.is_connected:
        return "leader"
    return context.connection.mode_of(context.connection.keyspace_name(context.settings))


def _level(word: str, is_leaderless: bool) -> dict[str, Any]:
    """The setting that a word of \\cl changes. Raises Refused with what this mode knows."""
    name, _, level = word.partition("=")
    chosen = None if level in ("default", "") else level
    if is_leaderless:
        counted = name in ("read", "write") and (chosen is None or level in QUORUMS or level.isdecimal())
        if not counted and not (name == "sloppy" and (chosen is None or level in ("yes", "no"))):
            raise Refused(f"{word}: this keyspace is leaderless", f"write {LEADERLESS_LEVELS}, or =default")
        return {name: chosen}
    allowed = {"read": CONSISTENCIES, "write": ACKS}.get(name)
    if allowed is None or (chosen is not None and level not in allowed):
        raise Refused(f"{word}: write read={'|'.join(CONSISTENCIES)} or write={'|'.join(ACKS)}, or =default")
    return {"consistency" if name == "read" else "acks": chosen}


def output(context: Context, parsed: Parsed) -> Result:
    chosen = parsed.text("format")
    if chosen is not None:
        context.settings = replace(context.settings, output=chosen.lower())
    return Text(text=f"output {context.output}")


def expanded(context: Context, parsed: Parsed) -> Result:
    shell = shell_of(context)
    shell.expanded = _switched(parsed, shell.expanded)
    return Text(text=f"expanded records {'on' if shell.expanded else 'off'}")


def timing(context: Context, parsed: Parsed) -> Result:
    shell = shell_of(context)
    shell.timing = _switched(parsed, shell.timing)
    return Text(text=f"timing {'on' if shell.timing else 'off'}")


def watch(context: Context, parsed: Parsed) -> Result:
    """Again and again until Ctrl-C."""
    first, _, line = str(parsed.word("line")).partition(" ")
    try:
        seconds = seconds_from(first)
    except ValueError as error:
        raise Refused(str(error), "\\watch SECONDS COMMAND, as in: \\watch 2 status") from error
    if not line.strip():
        raise Refused("nothing to watch", "\\watch SECONDS COMMAND, as in: \\watch 2 status")
    return Result(exit_code=_watched(context, seconds, line))


def _watched(context: Context, seconds: float, line: str) -> int:
    shell, terminal = shell_of(context), context.terminal
    code = 0
    try:
        while not shell.left and code != INTERRUPTED:
            if terminal.stdout_is_terminal and terminal.color:
                terminal.write(CLEAR_SCREEN.encode())
            terminal.say(
                terminal.paint(f"{time.strftime('%H:%M:%S')}  every {seconds:g} s: {line}   (Ctrl-C ends)", "faint")
            )
            code = shell.run(line)
            time.sleep(seconds)
    except KeyboardInterrupt:
        return 0
    return 0 if code == INTERRUPTED else code


def run_script(context: Context, parsed: Parsed) -> Result:
    return Result(exit_code=run_file(shell_of(context), str(parsed.word("file"))))


def edit(context: Context, parsed: Parsed) -> Result:
    """Write commands in an editor, and run them when it ends well; what was written last is there again."""
    shell = shell_of(context)
    if not context.terminal.stdin_is_terminal:
        raise Refused("an editor needs a terminal", "\\i FILE runs the commands of a file")
    with tempfile.NamedTemporaryFile("w+", prefix="kvstore-", suffix=".txt", errors="surrogateescape") as draft:
        draft.write(shell.draft)
        draft.flush()
        code = shell.system(f"${{VISUAL:-${{EDITOR:-vi}}}} {shlex.quote(draft.name)}")
        if code:
            raise Refused("the editor failed, so nothing was run", "$EDITOR names it", exit_code=code)
        shell.draft = Path(draft.name).read_text(errors="surrogateescape")
        return Result(exit_code=run_file(shell, draft.name))


def system(context: Context, parsed: Parsed) -> Result:
    line = str(parsed.word("line"))
    return Result(exit_code=shell_of(context).system(line or "${SHELL:-sh}"))


def tee(context: Context, parsed: Parsed) -> Result:
    name, terminal = parsed.text("file"), context.terminal
    if terminal.copy_to is not None:
        terminal.copy_to.close()
        terminal.copy_to = None
    if name is None or name == "off":
        return Text(text="output goes to the screen only")
    try:
        terminal.copy_to = Path(name).expanduser().open("ab")
    except OSError as error:
        raise Refused(f"{name} cannot be written: {error.strerror}") from error
    return Text(text=f"output is copied to {name}")


_ABOUT_PREFERENCES = {
    "hints": "the line at the bottom",
    "vi": "vi keys instead of Emacs keys",
    "pager": "long output goes through $PAGER",
    "null": "what stands in an empty cell",
    "limit": "rows of a scan that says no --limit; 0: all",
}


def preferences(context: Context, parsed: Parsed) -> Result:
    known, name, value = shell_of(context).preferences, parsed.text("name"), parsed.text("value")
    if name is None:
        rows = [(f.name, _said(getattr(known, f.name)), _ABOUT_PREFERENCES[f.name]) for f in fields(known)]
        return Table(columns=(Column("name"), Column("value"), Column("meaning")), rows=rows)
    if name not in _ABOUT_PREFERENCES:
        raise Refused(f"there is no preference {name}", f"there are {', '.join(_ABOUT_PREFERENCES)}")
    if value is not None:
        try:
            setattr(known, name, _like(getattr(known, name), value))
        except ValueError as error:
            raise Refused(f"{name}: {error}") from error
    return Text(text=f"{name} = {_said(getattr(known, name))}")


def _like(old: Any, text: str) -> Any:
    if isinstance(old, bool):
        return flag_from(text)
    return number_from(text) if isinstance(old, int) else text


def _said(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


DEMO_VERBS = ("ls", "status", "kill", "stop", "start", "restart", "pause", "resume", "partition", "heal", "logs")


def demo(context: Context, parsed: Parsed) -> Result:
    """The verbs of `local` on the cluster we are connected to."""
    words = split(str(parsed.word("line"))).words
    with suppress(NotConnected):  # then nothing is known of it, and that is said below
        context.connection.cluster_name()
    if context.local_name() is None:
        raise Refused(
            "this cluster was not started by kvstore local, so nothing here may be broken",
            "local up starts one; \\c demo connects to it",
        )
    if not words:
        return _demo_verbs(context)
    if words[0].lower() not in DEMO_VERBS:
        raise Refused(f"\\demo does not know {words[0]}", f"it knows {', '.join(DEMO_VERBS)}")
    verb = "status" if words[0].lower() == "ls" else words[0].lower()
    return Result(exit_code=shell_of(context).run_words([Word("local"), Word(verb), *words[1:]]))


def _demo_verbs(context: Context) -> Report:
    found = {verb: context.registry.get("local", verb) for verb in DEMO_VERBS if verb != "ls"}
    calls = [
        (verb if verb == "status" else " ".join([verb, *map(str, command.arguments)]), command.summary)
        for verb, command in found.items()
        if command is not None
    ]
    return Report(blocks=[Line(f"\\demo {call.ljust(18)}{text}") for call, text in calls], document=list(DEMO_VERBS))


def leave(context: Context, parsed: Parsed) -> Result:
    shell_of(context).left = True
    return Result()


def _backslash(
    name: str, summary: str, run: Callable[[Context, Parsed], Result], *arguments: Argument, **more: Any
) -> Command:
    return Command((name,), summary, run, section="shell", where=Where.SHELL, arguments=arguments, **more)


_SWITCH = Argument("state", Kind.CHOICE, choices=("on", "off"), required=False)
_LINE = Argument("line", Kind.LINE, metavar="COMMAND", required=False)

COMMANDS = (
    _backslash("\\?", "list all commands", overview),
    _backslash("\\h", "explain a command", explain,
               Argument("command", Kind.COMMAND, many=True, required=False), examples=(Example("\\h put"),)),
    _backslash("\\c", "connect elsewhere, or say where we are", connect,
               Argument("where", Kind.ADDRESS, metavar="URL|NAME", required=False),
               examples=(Example("\\c demo"), Example("\\c kv://10.0.0.1:7401,10.0.0.2:7401"))),
    _backslash("use", "go to another keyspace", use, Argument("name", Kind.KEYSPACE, metavar="KEYSPACE")),
    _backslash("\\cl", "show or set how fresh reads and how safe writes are", levels,
               Argument("levels", Kind.CHOICE, metavar="read=L|write=L", many=True, required=False,
                        choices=(*(f"read={level}" for level in READS), *(f"write={level}" for level in WRITES),
                                 "sloppy=yes", "sloppy=no")),
               examples=(Example("\\cl read=follower write=all"), Example("\\cl read=default"),
                         Example("\\cl read=one write=2 sloppy=yes", "in a leaderless keyspace"))),
    _backslash("\\o", "output format", output,
               Argument("format", Kind.CHOICE, "FORMAT", choices=OUTPUTS, required=False, help=" | ".join(OUTPUTS))),
    _backslash("\\x", "records instead of rows", expanded, _SWITCH),
    _backslash("\\timing", "say how long each command took", timing, _SWITCH),
    _backslash("\\watch", "run a command again and again until Ctrl-C", watch,
               Argument("line", Kind.LINE, metavar="SECONDS COMMAND"), examples=(Example("\\watch 2 status"),)),
    _backslash("\\i", "run the commands of a file", run_script, Argument("file", Kind.FILE)),
    _backslash("\\e", "write commands in $EDITOR, then run them", edit),
    _backslash("\\!", "run a command of the system", system, _LINE, examples=(Example("\\! ls"),)),
    _backslash("\\tee", "copy the output to a file too; off ends it", tee, Argument("file", Kind.FILE, required=False)),
    _backslash("\\set", "show or change preferences", preferences,
               Argument("name", Kind.CHOICE, choices=tuple(_ABOUT_PREFERENCES), metavar="NAME", required=False),
               Argument("value", required=False), examples=(Example("\\set vi on"),)),
    _backslash("\\demo", "break and mend the local cluster: " + " ".join(DEMO_VERBS), demo,
               Argument("line", Kind.LINE, metavar="VERB NODE", required=False, choices=DEMO_VERBS),
               examples=(Example("\\demo kill 2"), Example("\\demo start 2"))),
    _backslash("\\q", "leave; Ctrl-D does the same", leave),
    _backslash("exit", "leave", leave, hidden=True),
    _backslash("quit", "leave", leave, hidden=True),
)  # fmt: skip
