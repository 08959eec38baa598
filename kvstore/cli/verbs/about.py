"""help, completion, version and shell."""

import sys

from kvstore.cli import help as helping
from kvstore.cli.context import Context, Refused
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed, Where
from kvstore.cli.results import Line, Report, Result, Text

SHELLS = ("bash", "zsh", "fish")
PARTS = ("grpcio", "protobuf", "lmdb", "mmh3", "aiohttp", "msgspec", "click", "prompt-toolkit", "rich", "uvloop")
WHERE_TO = {
    "bash": "~/.bashrc:  eval \"$(kvstore completion bash)\"",
    "zsh": "~/.zshrc:  eval \"$(kvstore completion zsh)\"",
    "fish": "~/.config/fish/completions/kvstore.fish: this text",
}  # fmt: skip


def show_help(context: Context, parsed: Parsed) -> Result:
    words = tuple(str(word) for word in parsed.words("topic"))
    where = Where.SHELL if context.shell is not None else Where.CLI
    text = helping.help_about(words, context.registry, where, context.terminal.paint)
    if text is None:
        raise Refused(f"there is no help about {' '.join(words)}", "help alone lists all there is")
    return Text(text=context.terminal.folded(text))


def completion(context: Context, parsed: Parsed) -> Result:
    from click.shell_completion import get_completion_class

    from kvstore.cli.commandline import COMPLETE_VARIABLE, PROGRAM, Verbs

    shell = str(parsed.word("shell")).lower()
    kind = get_completion_class(shell)
    assert kind is not None, f"click knows {shell}"
    complete = kind(Verbs(context.registry, lambda *_: 0), {}, PROGRAM, COMPLETE_VARIABLE)
    context.note(f"put into {WHERE_TO[shell]}")
    return Text(text=complete.source())


def version(context: Context, parsed: Parsed) -> Result:
    document = {"kvstore": str(sys.modules["kvstore"].__version__)}  # the package is a floor above: never imported
    if parsed.flag("all"):
        import platform

        document |= {"python": platform.python_version(), "system": platform.platform()}
        document |= {part: installed(part) or "not installed" for part in PARTS}
    blocks = [
        Line(f"{name.ljust(15)}{said}" if len(document) > 1 else f"{name} {said}") for name, said in document.items()
    ]
    return Report(blocks=list(blocks), document=document, raw="\n".join(line.text for line in blocks))


def installed(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def shell(context: Context, parsed: Parsed) -> Result:
    from kvstore.cli.shell import start

    url = parsed.text("url")
    if url is not None:
        context.settings = context.settings.with_given({"cluster": url})
    commands = [str(word) for word in parsed.words("execute")]
    return start(context, commands, parsed.text("file"), keep_history=not parsed.flag("no_history"))


COMMANDS = (
    Command(
        ("shell",),
        "the shell; kvstore alone starts it too",
        shell,
        section="about",
        where=Where.CLI,
        arguments=(Argument("url", Kind.ADDRESS, metavar="URL|NAME", required=False, help="where to connect"),),
        options=(
            Option("execute", "-e", Kind.LINE, metavar="CMD", many=True, group="source",
                   help="run this instead of asking; may be given again"),
            Option("file", "-f", Kind.FILE, metavar="FILE", group="source", help="run the commands of a file"),
            Option("no_history", kind=Kind.FLAG, help="keep no history of this session"),
        ),
        examples=(Example("shell -e 'put a 1' -e 'get a'"), Example("shell < commands.txt")),
        about="With -e, -f or a pipe the exit code is that of the last command that failed.",
    ),
    Command(
        ("help",),
        "explain a command or a topic",
        show_help,
        section="about",
        arguments=(Argument("topic", Kind.COMMAND, many=True, required=False),),
        examples=(Example("help put"), Example("help quoting")),
    ),
    Command(
        ("completion",),
        "print the completion script of bash, zsh or fish",
        completion,
        section="about",
        where=Where.CLI,
        arguments=(Argument("shell", Kind.CHOICE, choices=SHELLS),),
        examples=(Example("completion bash", 'eval "$(kvstore completion bash)" in ~/.bashrc'),),
    ),
    Command(
        ("version",),
        "print the version",
        version,
        section="about",
        options=(Option("all", kind=Kind.FLAG, help="with Python and every package"),),
    ),
)  # fmt: skip
