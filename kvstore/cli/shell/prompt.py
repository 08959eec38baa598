"""The shell at a terminal: prompt, history, completion and the line at the bottom. The only user of prompt_toolkit."""

import os
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from kvstore.cli.completing import candidates
from kvstore.cli.connection import Health
from kvstore.cli.shell.health import HealthWatch
from kvstore.cli.shell.hints import hint
from kvstore.cli.shell.interpreter import Shell
from kvstore.cli.shell.surroundings import greeting, health_of, names_of, prompt_names

STYLE = Style.from_dict(
    {
        "bottom-toolbar": "noreverse",
        "hint": "#888888",
        "hint.now": "bold",
        "good": "ansigreen",
        "warn": "ansiyellow",
        "bad": "ansired bold",
        "cluster": "bold",
        "mode": "#888888",
        "completion-menu.meta.completion": "bg:default #888888",
    }
)


def history_path() -> Path:
    """$XDG_STATE_HOME/kvstore/history, or ~/.local/state/kvstore/history."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "kvstore" / "history"


class PrivateHistory(FileHistory):
    """A file only its owner can read. Lines that begin with a space are not kept."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        super().__init__(str(path))

    def append_string(self, string: str) -> None:
        if not string.startswith(" "):
            super().append_string(string)


class ShortHistory(InMemoryHistory):
    """For --no-history: gone with the session."""

    def append_string(self, string: str) -> None:
        if not string.startswith(" "):
            super().append_string(string)


def open_history(keep: bool) -> History:
    """The file; without permission to write it, memory."""
    if keep:
        try:
            return PrivateHistory(history_path())
        except OSError:
            return ShortHistory()
    return ShortHistory()


class RegistryCompleter(Completer):
    """Candidates of the registry as prompt_toolkit wants them."""

    def __init__(self, shell: Shell) -> None:
        self._shell, self._names = shell, names_of(shell)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        for found in candidates(self._shell.context.registry, text, self._names):
            yield Completion(found.text, start_position=found.start - len(text), display_meta=found.about)


def converse(
    shell: Shell,
    keep_history: bool,
    stdin: Input | None = None,
    stdout: Output | None = None,
    watch_health: bool = True,
) -> int:
    """Ask, run, show, until the end. Returns the exit code: 0, a shell that was left is no failure."""
    health = HealthWatch(lambda: health_of(shell))
    session = make_session(shell, health, open_history(keep_history), stdin, stdout)
    greet(shell)
    if watch_health:
        health.start(lambda: session.app.invalidate())
    try:
        while not shell.left:
            ask_once(shell, session, health)
    except EOFError:
        shell.left = True
    finally:
        health.stop()
        shell.context.close()
    return 0


def ask_once(shell: Shell, session: "PromptSession[str]", health: HealthWatch) -> None:
    """One line from the prompt, run. Raises EOFError at Ctrl-D."""
    session.editing_mode = EditingMode.VI if shell.preferences.vi else EditingMode.EMACS
    try:
        line = session.prompt(lambda: prompt_text(shell))
    except KeyboardInterrupt:
        return
    health.pause()
    try:
        shell.run(line)
    except Exception:  # a mistake of ours: say it, and let the conversation go on
        shell.context.terminal.tell(traceback.format_exc() + "this is a bug in the shell, not in your command")
    finally:
        health.go_on()


def make_session(
    shell: Shell, health: HealthWatch, history: History, stdin: Input | None, stdout: Output | None
) -> "PromptSession[str]":
    return PromptSession(
        history=history,
        completer=ThreadedCompleter(RegistryCompleter(shell)),
        complete_while_typing=False,
        auto_suggest=AutoSuggestFromHistory(),
        multiline=True,
        prompt_continuation=_continuation,
        key_bindings=bindings(shell),
        bottom_toolbar=_toolbar(shell, health),
        style=STYLE,
        include_default_pygments_style=False,
        enable_open_in_editor=True,
        input=stdin,
        output=stdout,
    )


def greet(shell: Shell) -> None:
    """Where we are, or why we are nowhere."""
    terminal = shell.context.terminal
    for line, style in greeting(shell):
        terminal.say(terminal.paint(line, style))
    terminal.flush()


def prompt_text(shell: Shell) -> StyleAndTextTuples:
    """demo[leader]> , demo/carts[leader]> , or (not connected)>"""
    names = prompt_names(shell)
    return [("class:cluster", names.place), ("class:mode", f"[{names.mode}]" if names.mode else ""), ("", "> ")]


def _continuation(width: int, line_number: int, wrap_count: int) -> StyleAndTextTuples:
    return [("class:mode", "... ".rjust(width))]


def bindings(shell: Shell) -> KeyBindings:
    """Enter runs what is whole and else goes on below."""
    keys = KeyBindings()

    def is_open() -> bool:
        return not shell.is_whole(get_app().current_buffer.text)

    def is_menu_open() -> bool:
        state = get_app().current_buffer.complete_state
        return state is not None and state.current_completion is not None

    @keys.add("enter", filter=~Condition(is_open) & ~Condition(is_menu_open))
    def run(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("enter", filter=Condition(is_menu_open))
    def take(event: KeyPressEvent) -> None:
        take_completion(event.current_buffer)

    return keys


def take_completion(buffer: Buffer) -> None:
    """The chosen candidate stays; the menu goes."""
    buffer.complete_state = None


def _toolbar(shell: Shell, health: HealthWatch) -> Callable[[], Any]:
    def toolbar() -> StyleAndTextTuples | None:
        app = get_app()
        text = app.current_buffer.document.text_before_cursor
        return bottom_line(shell, text, health.latest, app.output.get_size().columns)

    return toolbar


def bottom_line(shell: Shell, text: str, health: Health, columns: int) -> StyleAndTextTuples | None:
    """Left the syntax of what is being typed, right the cluster's health if there is room; None: no line is wanted."""
    if not shell.preferences.hints:
        return None
    left: StyleAndTextTuples = [*hint(shell.context.registry, text)]
    gap = columns - sum(get_cwidth(piece[1]) for piece in left) - get_cwidth(health.text)
    if left and gap < 2:
        return left
    return [*left, ("", " " * gap), (f"class:{health.style}", health.text)]
