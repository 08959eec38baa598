"""The command line from words to exit code: options, variables, usage errors, help, connections."""

import os
import sys

import pytest

from kvstore.cli.program import run_program
from kvstore.cli.terminal import Terminal
from kvstore.core.errors import BY_CODE, KvError
from tests.cli.fake_client import CommandLine


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine()


def test_options_stand_before_or_after_the_verb(kvstore: CommandLine) -> None:
    kvstore("put", "61", "v", "--key-format", "hex")
    for words in (
        ["-o", "json", "--key-format=hex", "get", "61"],
        ["get", "-o", "json", "61", "--key-format", "hex"],
        ["-o", "table", "--key-format", "hex", "get", "61", "-ojson"],  # the one behind the verb counts
    ):
        assert b'"key": "61"' in kvstore(*words).out
    assert kvstore("get", "a").text == "v\n"


def test_variables_are_options(kvstore: CommandLine) -> None:
    kvstore("put", "a", "1")
    kvstore.environment = {
        "KVSTORE_OUTPUT": "jsonl",
        "KVSTORE_CONSISTENCY": "follower",
        "KVSTORE_ACKS": "all",
        "KVSTORE_TIMEOUT": "250ms",
        "KVSTORE_URL": "kv://h:1",
    }
    assert kvstore("get", "a").text.startswith('{"key":"a","value":"1"')
    assert kvstore.client.store.asked[-1] == (
        "default",
        {"consistency": "follower", "acks": "all", "timeout": 0.25},
    )
    assert kvstore.settings[-1].cluster == "kv://h:1"
    kvstore("get", "a", "-c", "demo")
    assert kvstore.settings[-1].cluster == "demo"
    kvstore.environment["KVSTORE_CLUSTER"] = "other"
    kvstore("get", "a")
    assert kvstore.settings[-1].cluster == "other"


def test_a_wrong_variable_is_named(kvstore: CommandLine) -> None:
    kvstore.environment = {"KVSTORE_TIMEOUT": "soon"}
    run = kvstore("get", "a")
    assert run.code == 2
    assert "KVSTORE_TIMEOUT: 'soon' is not a time such as 200ms" in run.err


USAGE = [
    (["gett", "a"], "no such command: gett (did you mean get?)"),
    (["get"], "error: get needs KEY...\n  get KEY... [--raw | --meta]"),
    (["put", "a"], "put KEY VALUE|-|@FILE [--if-absent | --if-version V | --context V]"),
    (["put", "a", "b", "c"], "error: got unexpected extra argument (c)"),
    (["get", "a", "--nope"], "no such option: --nope"),
    (["get", "a", "-o", "xml"], "'xml' is none of table, raw, json, jsonl, csv"),
    (["-o", "xml", "get", "a"], "'xml' is none of"),
    (["scan", "--limit", "-3"], "--limit: '-3' is not a whole number"),
    (["get", "a", "--timeout", "3 fortnights"], "is not a time such as"),
    (["put", "a", "b", "--if-absent", "--if-version", "x"], "--if-absent and --if-version exclude each other"),
    (["keyspace"], "keyspace needs a verb: create | list | describe | drop"),
    (["keyspace", "mak", "a"], "no such command: keyspace mak"),
    (["completion", "tcsh"], "'tcsh' is none of bash, zsh, fish"),
    (["del"], "del takes keys, or --prefix and no keys"),
    (["del", "a", "--prefix", "b"], "del takes keys, or --prefix and no keys"),
    (["del", "a", "b", "--if-version", "x"], "--if-version and --context are of one key"),
    (["scan", "a", "--from", "b"], "scan takes a PREFIX or --from and --to, not both"),
    (["get", "a", "b", "--raw"], "--raw writes the bytes of one value"),
    (["get", "a", "--key-format", "hex"], "'a' is not hex"),
    (["help", "everything"], "there is no help about everything"),
    (["import", "no-such-file"], "no-such-file cannot be read: No such file"),
    (["put", "a", "@no-such-file"], "no-such-file cannot be read: No such file"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=[" ".join(words) for words, _ in USAGE])
def test_wrong_usage_ends_with_2_and_says_what_is_right(kvstore: CommandLine, words: list[str], said: str) -> None:
    run = kvstore(*words)
    assert run.code == 2
    assert run.out == b""
    assert run.err.startswith("error: ")
    assert said in run.err
    assert not kvstore.client.store.writes


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_error_ends_with_its_exit_code(kvstore: CommandLine, code: str) -> None:
    kvstore.client.store.error = BY_CODE[code]("something happened", key=b"a", operation="c-1")
    run = kvstore("put", "a", "1")
    assert run.code == BY_CODE[code].exit_code
    assert run.out == b""
    assert run.err.startswith("error: something happened.")
    fate = "Nothing was written." if BY_CODE[code].definite else "The write may have happened."
    assert fate in run.err
    assert ("kvstore outcome c-1" in run.err) == (not BY_CODE[code].definite)


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_reading_leaves_no_question(kvstore: CommandLine, code: str) -> None:
    kvstore.client.store.error = BY_CODE[code]("something happened")
    run = kvstore("get", "a")
    assert run.code == BY_CODE[code].exit_code
    assert "may have happened" not in run.err
    assert "Nothing was written" not in run.err


def test_no_node_in_reach_ends_with_8(kvstore: CommandLine) -> None:
    kvstore.unreachable = True
    run = kvstore("get", "a")
    assert run.code == 8
    assert "kvstore local up" in run.err


def test_every_connection_is_closed(kvstore: CommandLine) -> None:
    kvstore("put", "a", "1")
    kvstore("get", "nobody")
    kvstore.client.store.error = KvError("no")
    kvstore("get", "a")
    assert kvstore.client.store.closed == len(kvstore.settings) == 3


def test_help_needs_no_cluster(kvstore: CommandLine) -> None:
    kvstore.unreachable = True
    for words in (["--help"], ["help"], ["get", "--help"], ["help", "get"], ["keyspace", "-h"], ["help", "keyspace"]):
        run = kvstore(*words)
        assert (run.code, run.err) == (0, "")
        assert run.out
    assert kvstore("get", "--help").out == kvstore("help", "get").out
    assert kvstore("--help").out == kvstore("help").out
    assert b"keyspace create NAME" in kvstore("keyspace", "--help").out
    assert kvstore("help", "keyspace", "create").text.startswith("kvstore keyspace create NAME")
    assert "130  Ctrl-C" in kvstore("help", "exit-codes").text


def test_help_for_people_has_headings_in_bold(kvstore: CommandLine) -> None:
    assert "\x1b[1mdata\x1b[0m" in kvstore("help", is_terminal=True, color=True).text
    assert "\x1b[1mdata\x1b[0m" in kvstore("--help", is_terminal=True, color=True).text
    assert "\x1b" not in kvstore("help", "--no-color", is_terminal=True, color=True).text
    kvstore.environment = {"KVSTORE_NO_COLOR": "1"}
    assert "\x1b" not in kvstore("help", is_terminal=True, color=True).text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(kvstore: CommandLine, shell: str) -> None:
    run = kvstore("completion", shell)
    assert run.code == 0
    assert "_KVSTORE_COMPLETE" in run.text
    assert "put into" in run.err
    assert kvstore("completion", shell, "--quiet").err == ""


def test_the_tab_key_of_bash(
    kvstore: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kvstore.environment["_KVSTORE_COMPLETE"] = "bash_complete"

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        assert kvstore().code == 0
        return [found.partition(",")[2] for found in capsys.readouterr().out.splitlines()]

    assert complete("kvstore ge") == ["get"]
    assert complete("kvstore keyspace ") == ["create", "list", "describe", "drop"]
    assert complete("kvstore get a --ra") == ["--raw"]
    assert complete("kvstore get a --output js") == ["json", "jsonl"]
    assert complete("kvstore completion ") == ["bash", "zsh", "fish"]
    assert "quoting" in complete("kvstore help ")


def test_version(kvstore: CommandLine) -> None:
    from kvstore import __version__

    assert kvstore("version").text == f"kvstore {__version__}\n"
    assert {"kvstore", "python", "grpcio"} <= set(kvstore("version", "--all").text.split())


def test_a_reader_that_went_away_is_no_error(kvstore: CommandLine) -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    terminal = kvstore.terminal()
    with open(ours, "wb", buffering=0) as terminal.stdout:
        assert run_program(["help"], terminal, kvstore.connect, {}) == 0
        terminal.say("what is written at exit finds a place")


def test_ctrl_c_during_a_write_leaves_a_question(kvstore: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kvstore.client, "write", interrupt)
    monkeypatch.setattr(kvstore.client, "read", interrupt)
    wrote, read = kvstore("put", "a", "1"), kvstore("get", "a")
    assert (wrote.code, read.code) == (130, 130)
    assert "may or may not have happened" in wrote.err
    assert read.err == "interrupted\n"


def test_arguments_are_bytes(kvstore: CommandLine) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert kvstore("put", name, "x").code == 0
    assert kvstore.client.rows.keys() == {b"caf\xe9"}
    assert kvstore("scan").text == "caf\\xe9\tx\n"


def test_main_hands_over_the_words_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from kvstore import cli
    from kvstore.cli import program

    monkeypatch.setattr(sys, "argv", ["kvstore", "version"])
    seen: list[object] = []

    def run(words: list[str], terminal: Terminal) -> int:
        seen.append(words)
        return 7

    monkeypatch.setattr(program, "run_program", run)
    assert cli.main() == 7
    assert seen == [["version"]]
