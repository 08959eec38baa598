"""The shell without a prompt: -e, -f and a pipe."""

from pathlib import Path

import pytest

from tests.cli.fake_client import CommandLine


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine()


def test_commands_from_the_command_line(kvstore: CommandLine) -> None:
    run = kvstore("shell", "-e", "put a 1", "-e", "get a\nget a")
    assert run.text.endswith("\n1\n1\n")
    assert run.code == 0


def test_the_exit_code_is_that_of_the_last_error(kvstore: CommandLine) -> None:
    assert kvstore("shell", "-e", "get nobody", "-e", "put a 1").code == 3
    assert kvstore("shell", "-e", "get nobody", "-e", "gett", "-e", "put a 1").code == 2


def test_a_pipe_into_the_shell(kvstore: CommandLine) -> None:
    run = kvstore("shell", stdin=b"put a <<END\none\ntwo\nEND\n\n# nothing\nget a | wc -l\n")
    assert run.code == 0
    assert run.text.split()[-1] == "2"
    assert kvstore.client.rows[b"a"][0] == b"one\ntwo"


def test_kvstore_alone_is_the_shell(kvstore: CommandLine) -> None:
    assert kvstore(stdin=b"put a 1\nget a\n").text.endswith("\n1\n")
    assert kvstore("-o", "json", stdin=b"get a\n").text.startswith("{")


def test_a_file(kvstore: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_bytes(b"put caf\xe9 1\nscan\n")
    run = kvstore("shell", "-f", str(file))
    assert run.text.endswith("caf\\xe9\t1\n")
    assert kvstore("shell", "-f", "no-such-file").code == 2
    assert kvstore("shell", "-f", "-", stdin=b"get nobody\n").code == 3


def test_a_file_run_by_a_file_does_not_hide_an_error(kvstore: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "inner").write_text("put a 1\n")
    (tmp_path / "outer").write_text(f"get nobody\n\\i {tmp_path}/inner\n")
    assert kvstore("shell", "-f", f"{tmp_path}/outer").code == 3


def test_what_never_closes_is_an_error(kvstore: CommandLine) -> None:
    run = kvstore("shell", stdin=b"put a 1\nput b 'open\nget a\n")
    assert run.code == 2
    assert "the line ends before the closing '" in run.err


def test_leaving_early(kvstore: CommandLine) -> None:
    run = kvstore("shell", stdin=b"put a 1\n\\q\nput b 1\n")
    assert run.code == 0
    assert set(kvstore.client.rows) == {b"a"}


def test_standard_input_cannot_be_two_things(kvstore: CommandLine) -> None:
    for line in (b"put a -\n", b"import -\n"):
        run = kvstore("shell", stdin=line + b"junk\n")
        assert "the shell reads its commands from there" in run.err
    assert kvstore("shell", "-e", "put a -", stdin=b"value").code == 0
    assert kvstore.client.rows[b"a"][0] == b"value"


def test_a_shell_on_another_cluster(kvstore: CommandLine) -> None:
    kvstore("shell", "demo", "-e", "scan")
    assert kvstore.settings[-1].cluster == "demo"
    assert kvstore.client.store.closed == 1


def test_no_prompt_no_footers(kvstore: CommandLine) -> None:
    assert "ms" not in kvstore("shell", stdin=b"put a 1\nget a\n").text
