"""The shell at a terminal, without a terminal: keys go in through a pipe, the screen is a dummy."""

import io
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from kvstore.cli.connection import Health
from kvstore.cli.shell import prompt
from kvstore.cli.shell.health import HealthWatch
from kvstore.cli.shell.prompt import PrivateHistory, RegistryCompleter, converse, prompt_text
from kvstore.cli.shell.surroundings import health_of
from kvstore.core.errors import NotConnected
from tests.cli.fake_client import CommandLine, report
from tests.cli.shell.speaking import Speaking

ENTER, CTRL_C, CTRL_D = "\r", "\x03", "\x04"


@contextmanager
def keyboard() -> Iterator[PipeInput]:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


def talk(shell: Speaking, keys: str, keep_history: bool = False) -> str:
    """Type, to the end; what was printed comes back."""
    with keyboard() as typed:
        typed.send_text(keys)
        assert converse(shell.shell, keep_history, typed, DummyOutput(), watch_health=False) == 0
    out = cast(io.BytesIO, shell.shell.context.terminal.stdout).getvalue().decode()
    return out + cast(io.BytesIO, shell.shell.context.terminal.stderr).getvalue().decode()


@pytest.fixture
def shell() -> Speaking:
    return Speaking()


def test_a_conversation(shell: Speaking) -> None:
    shown = talk(shell, f"put a 1{ENTER}get a{ENTER}{CTRL_D}")
    assert shown.startswith("connected to kv://127.0.0.1:1\nfake 3/3 up\n\\? lists the commands")
    assert "\n1\n" in shown
    assert shell.line.client.store.closed == 1


def test_an_open_line_goes_on_below(shell: Speaking) -> None:
    talk(shell, f'put a {{"x":{ENTER}1}}{ENTER}put b <<END{ENTER}one{ENTER}END{ENTER}{CTRL_D}')
    assert shell.line.client.store.keyspaces["default"].keys() == {b"a", b"b"}
    assert shell.rows == {b"a": b'{"x":\n1}', b"b": b"one"}


def test_ctrl_c_clears_the_line(shell: Speaking) -> None:
    talk(shell, f"put a 1{CTRL_C}put b 'open{ENTER}{CTRL_C}put c 1{ENTER}{CTRL_D}")
    assert set(shell.rows) == {b"c"}


def test_leaving_by_command(shell: Speaking) -> None:
    talk(shell, f"put a 1{ENTER}\\q{ENTER}")
    assert set(shell.rows) == {b"a"}


def test_vi_keys(shell: Speaking) -> None:
    watch = HealthWatch(Health)
    with keyboard() as keys:
        session = prompt.make_session(shell.shell, watch, InMemoryHistory(), keys, DummyOutput())
        keys.send_text(f"\\set vi on{ENTER}put a 1{ENTER}")
        prompt.ask_once(shell.shell, session, watch)
        assert session.editing_mode is EditingMode.EMACS
        prompt.ask_once(shell.shell, session, watch)
        assert session.editing_mode is EditingMode.VI
    assert set(shell.rows) == {b"a"}


def test_a_mistake_of_ours_does_not_end_the_conversation(shell: Speaking, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shell.line.client, "read", broken)
    shown = talk(shell, f"get a{ENTER}put b 1{ENTER}{CTRL_D}")
    assert "this is a bug in the shell" in shown
    monkeypatch.undo()
    assert shell.say("put b 1 -o raw")
    assert set(shell.rows) == {b"b"}


def test_without_a_cluster_the_shell_says_so_and_stays() -> None:
    shell = Speaking(CommandLine(unreachable=True))
    shown = talk(shell, f"help quoting{ENTER}{CTRL_D}")
    assert shown.startswith("not connected: no node could be reached")
    assert "start a cluster with: local up" in shown
    assert "Words in the shell" in shown


# ── the prompt and the line at the bottom ───────────────────────────────────────────────────────────────────────────


def shown_prompt(shell: Speaking) -> str:
    return "".join(piece[1] for piece in prompt_text(shell.shell))


def test_the_prompt_names_cluster_keyspace_and_mode(shell: Speaking) -> None:
    assert shown_prompt(shell) == "(not connected)> "
    shell.say("scan")
    assert shown_prompt(shell) == "fake[leader]> "
    shell.say("keyspace create carts")
    shell.say("use carts")
    assert shown_prompt(shell) == "fake/carts[leader]> "


def test_the_prompt_survives_a_cluster_that_is_gone(shell: Speaking) -> None:
    shell.say("\\c")
    shell.shell.context.connection._names.clear()
    shell.line.client.store.error = NotConnected("gone")
    assert shown_prompt(shell) == "127.0.0.1:1> "


def toolbar_of(shell: Speaking, text: str, health: Health) -> str:
    pieces = prompt.bottom_line(shell.shell, text, health, columns=80)
    return "".join(piece[1] for piece in pieces) if pieces is not None else "none"


def test_the_line_at_the_bottom(shell: Speaking) -> None:
    healthy = Health("demo 3/3 up", "good")
    line = toolbar_of(shell, "where ", healthy)
    assert (line[:12], line[-11:], len(line)) == ("where KEY...", "demo 3/3 up", 80)
    assert toolbar_of(shell, "", healthy).startswith("Tab completes")
    assert toolbar_of(shell, "keyspace create ", healthy).startswith("keyspace create NAME [--mode")  # no room for both
    shell.say("\\set hints off")
    assert toolbar_of(shell, "where ", healthy) == "none"


# ── history ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kvstore" / "history"


def test_history_is_kept_privately(shell: Speaking, state: Path) -> None:
    talk(shell, f"put a 1{ENTER} put secret 1{ENTER}{CTRL_D}", keep_history=True)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    text = state.read_text()
    assert "+put a 1\n" in text
    assert "secret" not in text
    assert b"secret" in shell.rows


def test_a_file_others_could_read_is_closed(state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.touch(mode=0o644)
    PrivateHistory(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


def test_no_history(shell: Speaking, state: Path) -> None:
    talk(shell, f"put a 1{ENTER}{CTRL_D}", keep_history=False)
    assert not state.exists()


def test_history_that_cannot_be_written_is_kept_in_memory(shell: Speaking, state: Path) -> None:
    state.parent.parent.mkdir(parents=True, exist_ok=True)
    state.parent.write_text("a file where the folder should be")
    talk(shell, f"put a 1{ENTER}{CTRL_D}", keep_history=True)
    assert set(shell.rows) == {b"a"}


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert prompt.history_path() == tmp_path / ".local" / "state" / "kvstore" / "history"


# ── completion ──────────────────────────────────────────────────────────────────────────────────────────────────────


def completed(shell: Speaking, text: str) -> list[tuple[str, int]]:
    completer = RegistryCompleter(shell.shell)
    found = completer.get_completions(Document(text), CompleteEvent(completion_requested=True))
    return [(completion.text, completion.start_position) for completion in found]


def test_keyspaces_and_recent_keys_complete(shell: Speaking) -> None:
    assert completed(shell, "use ") == []  # nothing is connected for a Tab
    shell.say("put user:1 x")
    shell.say("put user:2 x")
    shell.say("keyspace create carts")
    assert completed(shell, "get us") == [("user:2", -2), ("user:1", -2)]
    assert completed(shell, "use ") == [("carts", 0), ("default", 0)]
    shell.line.client.store.error = NotConnected("gone")
    assert completed(shell, "use ") == []


# ── health ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_health_in_words(shell: Speaking) -> None:
    assert health_of(shell.shell) == Health("not connected", "bad")
    shell.say("\\c")
    store = shell.line.client.store
    assert health_of(shell.shell) == Health("fake 3/3 up", "good")
    first = report("n1")
    first["peers"]["n3"]["up"] = False
    store.reports = [first]
    assert health_of(shell.shell) == Health("fake 2/3 up · n3 down", "warn")
    first["groups"][1]["leader"] = None
    assert health_of(shell.shell) == Health("fake 2/3 up · n3 down · 1 without leader", "bad")
    store.error = NotConnected("gone")
    assert health_of(shell.shell) == Health("not reachable (NotConnected)", "bad")


def test_health_is_looked_up_in_the_background() -> None:
    seen, changed = iter([Health("a"), Health("a"), Health("b")]), threading.Event()
    told: list[Health] = []

    def probe() -> Health:
        return next(seen, Health("b"))

    watch = HealthWatch(probe, period_s=0.001)

    def on_change() -> None:
        told.append(watch.latest)
        if watch.latest == Health("b"):
            changed.set()

    watch.start(on_change)
    assert changed.wait(30)
    watch.pause()
    watch.go_on()
    watch.stop()
    assert told == [Health("a"), Health("b")]
