"""Lines of the shell: verbs, quoting, repetition, pipes, options for one line, errors."""

import pytest

from kvstore.cli.shell import interpreter
from kvstore.core.errors import NotConnected
from tests.cli.fake_client import CommandLine, version
from tests.cli.shell.speaking import Speaking


@pytest.fixture
def shell() -> Speaking:
    return Speaking()


def test_verbs_in_any_case(shell: Speaking) -> None:
    shell.say("PUT a 1")
    assert shell.say("Get a") == "1\n"
    assert shell.say("KEYSPACE LIST -o jsonl").startswith('{"name":"default"')


def test_words_are_quoted_as_documented(shell: Speaking) -> None:
    shell.say(r'put "two words" "a\nb\xff"')
    shell.say(r"put literal 'a\nb'")
    shell.say('put json {"a": [1, 2]}')
    shell.say("put block <<END\none\n two\nEND")
    shell.say("put '-dash' '--flag'")
    shell.say("put at '@home'")
    shell.say("put minus '-'")
    assert shell.rows == {
        b"two words": b"a\nb\xff",
        b"literal": rb"a\nb",
        b"json": b'{"a": [1, 2]}',
        b"block": b"one\n two",
        b"-dash": b"--flag",
        b"at": b"@home",
        b"minus": b"-",
    }


def test_options_may_stand_between_quoted_words(shell: Speaking) -> None:
    shell.say("put --if-absent '-a' -k default '-b'")
    assert shell.rows == {b"-a": b"-b"}
    assert shell.say("get -- -a") == "-b\n"


def test_a_number_repeats(shell: Speaking) -> None:
    shell.say("put a 1")
    assert shell.say("3 get a") == "1\n1\n1\n"
    assert "a number repeats a command" in shell.say("3")
    assert "0 times is not from 1 to" in shell.say("0 get a")


def test_the_raw_reply_goes_into_a_pipe(shell: Speaking) -> None:
    shell.say('put a {"name": "Ada"}')
    assert shell.say("get a | tr a-z A-Z") == '{"NAME": "ADA"}\n'
    assert shell.say("get a -o jsonl | cut -c1-10") == '{"key":"a"\n'
    assert shell.say("scan | wc -l").strip() == "1"
    assert shell.say("get nobody | cat") == "error: there is no key nobody\n"
    assert shell.code == 3
    shell.say("get a | false")
    assert shell.code == 1


def test_a_pipe_is_raw_even_on_a_terminal() -> None:
    shell = Speaking(is_terminal=True, color=True)
    shell.shell.context.terminal.copy_to = None
    shell.say("put a 1")
    shell.shell.context.terminal.stdout_is_terminal = False
    assert shell.say("scan | cat") == "a\t1\n"


def test_options_hold_for_one_line(shell: Speaking) -> None:
    shell.say("put a 1")
    assert shell.say("get a -o jsonl").startswith('{"key":"a"')
    assert shell.say("get a") == "1\n"
    shell.say("\\cl read=leader -o json --timeout 3s")  # the line's own options end with it, its work does not
    settings = shell.shell.context.settings
    assert (settings.consistency, settings.output, settings.timeout) == ("leader", None, None)
    shell.say("\\o csv -o json")
    assert shell.shell.context.settings.output == "csv"
    assert "the shell stays with one cluster" in shell.say("get a -c other")


def test_a_line_without_words_is_nothing(shell: Speaking) -> None:
    assert shell.say("") == shell.say("   ") == shell.say("# put a 1") == ""
    assert shell.rows == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gett a", "error: no such command: gett (did you mean get?)\n  \\? lists the commands\n"),
        ("keyspace", "error: keyspace needs a verb: create | list | describe | drop\n"),
        (
            "keyspace liist",
            "error: no such command: keyspace liist (did you mean list?)\n  help keyspace lists its verbs\n",
        ),
        ("\\nope", "error: no such command: \\nope (did you mean \\peek?)\n  \\? lists the commands\n"),
        ("get", "error: get needs KEY...\n  get KEY... [--raw | --meta]\n"),
        ("get a --nope", "error: no such option: --nope"),
        ("scan --limit x", "error: --limit: 'x' is not a whole number"),
        ("put a 'open", "error: the line ends before the closing '\n  help quoting explains the rules\n"),
        (r'put a "\q"', "error: \\q is not an escape"),
    ],
)
def test_wrong_lines(shell: Speaking, line: str, said: str) -> None:
    assert shell.say(line).startswith(said)
    assert shell.code == shell.shell.last_error == 2


def test_help_of_a_verb(shell: Speaking) -> None:
    for line in ("put --help", "\\h put", "help put"):
        assert shell.say(line).startswith("put KEY VALUE|-|@FILE [--if-absent | --if-version V | --context V]\n")
        assert shell.code == 0


def test_the_last_error_is_remembered(shell: Speaking) -> None:
    shell.say("get nobody")
    shell.say("scan")
    assert (shell.code, shell.shell.last_error) == (0, 3)


def test_errors_of_the_cluster_do_not_end_the_shell(shell: Speaking) -> None:
    shell.line.client.store.error = NotConnected("no node could be reached")
    said = shell.say("get a")
    assert "no node could be reached" in said
    assert "start a cluster with: local up" in said
    assert shell.code == 8
    shell.line.client.store.error = None
    shell.say("put a 1")
    assert shell.code == 0


def test_one_connection_serves_all_lines(shell: Speaking) -> None:
    for _ in range(3):
        shell.say("scan")
    assert len(shell.line.settings) == 1
    assert shell.line.client.store.closed == 0


def test_keys_seen_are_remembered_newest_last(shell: Speaking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "RECENT_KEYS_MAX", 3)
    for key in "abcd":
        shell.say(f"put {key} 1")
    shell.say("get b")
    assert list(shell.shell.recent_keys) == [b"c", b"d", b"b"]
    shell.say("scan")
    assert list(shell.shell.recent_keys) == [b"b", b"c", b"d"]
    shell.say("get zz --key-format hex")  # no key: not remembered, and said
    assert shell.code == 2


@pytest.mark.parametrize(
    ("text", "whole"),
    [("get a", True), ("put a 'b", False), ("put a {", False), ("put a <<E", False), ("\\! echo 'x", True),
     ('put a "\\q"', True)],
)  # fmt: skip
def test_what_can_be_run(shell: Speaking, text: str, whole: bool) -> None:
    assert shell.shell.is_whole(text) is whole


def test_time_and_acks_stand_dimly_at_the_right() -> None:
    shell = Speaking(is_terminal=True, color=True)
    shell.shell.timing = True
    line = shell.say("put a 1").rstrip("\n")
    assert line.startswith(f"OK  version {version(1)}  ")
    assert line.endswith(" ms (3/3 acks, 2 on disk)\x1b[0m")
    assert len(line) == 80 + len("\x1b[2m\x1b[0m")
    assert shell.say("get a").rstrip("\n").endswith(" ms\x1b[0m")
    assert "ms" in shell.say("scan").splitlines()[-1]
    assert "ms" not in shell.say("\\o")
    assert shell.say("get a -o raw") == "1\n"


def test_a_long_result_goes_through_the_pager(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Speaking(is_terminal=True)
    paged: list[tuple[str, bytes | None]] = []
    monkeypatch.setattr(
        interpreter.Shell, "system", lambda self, line, stdin=None: paged.append((line, stdin)) or 0
    )  # fmt: skip
    for number in range(60):
        shell.line.client.write(b"%02d" % number, b"")
    assert "59" in shell.say("scan")
    shell.say("\\set pager on")
    assert "59" not in shell.say("scan")
    assert paged[0][0] == "${PAGER:-less -FRSX}"
    assert shell.say("scan 01").startswith("key  value\n01")


def test_the_shell_needs_a_cluster_only_when_it_asks_one() -> None:
    shell = Speaking(CommandLine(unreachable=True))
    shell.say("help")
    assert shell.code == 0
    shell.say("get a")
    assert shell.code == 8
