r"""The commands that begin with a backslash."""

import time
from pathlib import Path

import pytest

from kvstore.cli.connection import Connection
from kvstore.cli.shell import backslash
from kvstore.core.errors import NotConnected
from tests.cli.shell.speaking import Speaking


@pytest.fixture
def shell() -> Speaking:
    return Speaking()


def test_overview_and_help(shell: Speaking) -> None:
    text = shell.say("\\?")
    assert "\n  \\timing [on|off]" in text
    assert "\n  put KEY VALUE|-|@FILE" in text
    assert "shell" in text
    assert "check-config" not in text
    assert shell.say("\\h") == text
    assert shell.say("\\h keyspace create").startswith("keyspace create NAME")
    assert "there is no command everything" in shell.say("\\h everything")


def test_use_and_its_errors(shell: Speaking) -> None:
    shell.say("keyspace create carts")
    assert shell.say("use carts") == "keyspace carts (leader)\n"
    shell.say("put a 1")
    assert shell.line.client.store.keyspaces["carts"].keys() == {b"a"}
    assert "there is no keyspace 'none'" in shell.say("use none")
    assert shell.say("get a") == "1\n"
    shell.say("use default")
    assert shell.code == 0
    shell.say("get a")
    assert shell.code == 3


def test_connecting_elsewhere(shell: Speaking) -> None:
    assert shell.say("\\c") == "connected to fake (kv://127.0.0.1:1)\n"
    shell.say("\\c other")
    assert [settings.cluster for settings in shell.line.settings] == [None, "other"]
    assert shell.line.client.store.closed == 1


def test_a_failed_connection_keeps_the_old_one(shell: Speaking) -> None:
    shell.say("\\c")
    shell.line.unreachable = True
    assert "no node could be reached" in shell.say("\\c elsewhere")
    assert shell.code == 8
    assert shell.say("\\c") == "connected to fake (kv://127.0.0.1:1)\n"
    assert [settings.cluster for settings in shell.line.settings] == [None, "elsewhere"]
    assert shell.line.client.store.closed == 0


def test_commands_written_in_an_editor_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Speaking()
    assert shell.say("\\e") == "error: an editor needs a terminal\n  \\i FILE runs the commands of a file\n"
    shell.shell.context.terminal.stdin_is_terminal = True
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho 'put a 1' >>\"$2\"\necho 'get a' >>\"$2\"\n")
    editor.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{editor} -x")
    assert shell.say("\\e").endswith("\n1\n") and shell.rows == {b"a": b"1"}
    assert shell.say("\\e").count("\n1\n") == 2, "the second time it begins with the first"
    monkeypatch.setenv("EDITOR", "false")
    assert "nothing was run" in shell.say("\\e") and shell.code == 1


def test_levels(shell: Speaking) -> None:
    assert shell.say("\\cl") == "read=linearizable (default)  write=as the keyspace says (default)\n"
    assert shell.say("\\cl read=follower write=all") == "read=follower  write=all\n"
    shell.say("scan")
    assert shell.line.client.store.asked[-1] == ("default", {"consistency": "follower", "acks": "all"})
    assert (
        shell.say("\\cl read=default write=") == "read=linearizable (default)  write=as the keyspace says (default)\n"
    )
    assert "write read=linearizable|leader|follower or write=" in shell.say("\\cl read=quorum")
    assert "write read=" in shell.say("\\cl nonsense")


def test_output_and_expanded(shell: Speaking) -> None:
    shell.say("put a 1")
    shell.say("put b 2")
    assert shell.say("\\o json") == "output json\n"
    assert shell.say("get a b -o jsonl").startswith('{"key":"a"')
    shell.say("\\o table")
    assert shell.say("\\x") == "expanded records on\n"
    assert shell.say("scan") == (
        "── 1 ────────────────────\nkey    a\nvalue  1\n── 2 ────────────────────\nkey    b\nvalue  2\n(2 keys)\n"
    )
    assert shell.say("\\x off") == "expanded records off\n"
    assert "maybe is none of" in shell.say("\\x maybe").replace("'", "")
    assert "xml is none of" in shell.say("\\o xml").replace("'", "")


def test_timing(shell: Speaking) -> None:
    assert shell.say("\\timing") == "timing on\n"
    assert shell.say("\\TIMING off") == "timing off\n"


def test_peek_and_describe(shell: Speaking) -> None:
    shell.say("put a 1")
    text = shell.say("\\peek a -o table")
    assert text.startswith("value      1\nsize       1 bytes\nversion    ")
    assert "replicas   n1 n2* n3   leader n2" in text
    shell.say("\\peek nobody")
    assert shell.code == 3
    assert shell.say("\\d nodes").startswith("n1\tup\tz1")
    assert shell.say("\\d partitions").splitlines()[1].startswith("default\tp00\tn1")
    assert shell.say("\\d lag").startswith("n1\tup\t0\t0\t4 KiB")
    assert shell.say("\\d keyspaces").startswith("default\tleader")
    assert shell.say("\\d -o table").startswith("fake: healthy")


def test_a_file_of_commands(shell: Speaking, tmp_path: Path) -> None:
    file = tmp_path / "commands"
    file.write_text("# a script\nput a 1\nput b <<END\ntwo\nlines\nEND\nget nobody\nget a\n")
    assert shell.say(f"\\i {file}").endswith("\n1\nerror: there is no key nobody\n")
    assert shell.rows == {b"a": b"1", b"b": b"two\nlines"}
    assert shell.code == 3
    assert "cannot be read" in shell.say("\\i no-such-file")
    file.write_text(f"\\i {file}\n")
    assert "16 files run each other" in shell.say(f"\\i {file}")


def test_the_system(shell: Speaking) -> None:
    assert shell.say("\\! echo it 'works | here'") == "it works | here\n"
    assert shell.say("\\!echo close") == "close\n"
    shell.say("\\! exit 3")
    assert shell.code == 1


def test_tee(shell: Speaking, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    shell.shell.context.terminal.color = True
    assert shell.say(f"\\tee {file}") == f"output is copied to {file}\n"
    shell.say("put a 1")
    shell.say("scan -o table")
    shell.say("\\! echo system")
    shell.say("\\tee")
    shell.say("get a")
    copied = file.read_text()
    assert copied.splitlines()[2:] == ["key  value", "a    1", "(1 key)", "system"]
    assert "\x1b" not in copied
    assert "cannot be written" in shell.say(f"\\tee {tmp_path}")


def test_preferences(shell: Speaking) -> None:
    assert shell.say("\\set -o table").splitlines()[1].startswith("hints  on     the line at the bottom")
    assert shell.say("\\set null ∅") == "null = ∅\n"
    assert shell.say("get a b -o table").splitlines()[1] == "a    ∅"
    assert shell.say("\\set limit 1") == "limit = 1\n"
    shell.say("put a 1")
    shell.say("put b 1")
    assert shell.say("scan --keys").startswith("a\nthere are more keys")
    assert shell.say("\\set vi on") == "vi = on\n"
    assert "limit: 'x' is not a whole number" in shell.say("\\set limit x")
    assert "none of hints, vi, pager, null, limit" in shell.say("\\set colour red")


def test_watch_runs_again_until_ctrl_c(shell: Speaking, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.say("put a 1")
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    text = shell.say("\\watch 0.5 get a | cat")
    assert text.count("\n1\n") == 3
    assert "every 0.5 s: get a | cat   (Ctrl-C ends)" in text
    assert naps == [0.5] * 3
    assert shell.code == 0


@pytest.mark.parametrize("line", ["\\watch", "\\watch 2", "\\watch soon get a"])
def test_watch_needs_seconds_and_a_command(shell: Speaking, line: str) -> None:
    assert "\\watch SECONDS COMMAND" in shell.say(line)
    assert shell.code == 2


def test_demo_only_on_a_local_cluster(shell: Speaking, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "was not started by kvstore local" in shell.say("\\demo kill 1")
    shell.say("scan")
    monkeypatch.setattr(Connection, "local_name", lambda self: "demo")
    assert "\\demo kill NODE...      end nodes at once" in shell.say("\\demo")
    assert "\\demo does not know up" in shell.say("\\demo up")
    asked: list[object] = []

    def attach(name: str | None = None) -> None:
        asked.append(name)
        raise NotConnected("gone")

    monkeypatch.setattr("kvstore.local.clusters.attach", attach)
    assert "gone" in shell.say("\\demo KILL 1")
    assert "gone" in shell.say("\\demo ls")
    assert asked == ["demo", "demo"]


@pytest.mark.parametrize("line", ["\\q", "exit", "quit", "EXIT"])
def test_leaving(shell: Speaking, line: str) -> None:
    shell.say(line)
    assert shell.shell.left


def test_every_backslash_command_of_the_page_is_there() -> None:
    names = {command.name for command in backslash.COMMANDS}
    page = [
        "\\?",
        "\\h",
        "\\c",
        "\\cl",
        "\\o",
        "\\x",
        "\\timing",
        "\\watch",
        "\\i",
        "\\!",
        "\\tee",
        "\\set",
        "\\demo",
        "\\q",
    ]
    assert {*page, "use"} <= names
