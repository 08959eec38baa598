"""import and export against a fake client: nothing is lost, nothing is dropped silently."""

import json
from pathlib import Path

import pytest

from kvstore.cli.program import run_program
from kvstore.cli.verbs import transfer
from kvstore.core.errors import NotConnected, OutcomeUnknown
from tests.cli.fake_client import CommandLine

BINARY = bytes(range(256))


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine()


def values(kvstore: CommandLine) -> dict[bytes, bytes]:
    return {key: value for key, (value, _) in kvstore.client.rows.items()}


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_what_was_exported_is_imported(kvstore: CommandLine, form: str, tmp_path: Path) -> None:
    for key in (b"a", b"caf\xe9", b'"quoted", so to say', b"x" * 480):
        kvstore.client.write(key, BINARY + key)
    before = values(kvstore)
    exported = kvstore("export", "--format", form)
    file = tmp_path / f"all.{form}"
    file.write_bytes(exported.out)
    kvstore.client.store.keyspaces["default"] = {}
    run = kvstore("import", str(file), "-o", "json")
    assert (run.code, run.err) == (0, "")
    assert values(kvstore) == before
    assert json.loads(run.out)["imported"] == 4


def test_export_of_a_prefix(kvstore: CommandLine) -> None:
    kvstore("put", "user:1", "Ada")
    kvstore("put", "other", "x")
    assert kvstore("export", "user:").text == '{"key":"user:1","value":"Ada"}\n'
    assert kvstore("export", "user:", "-o", "csv").text == "key,value\nuser:1,Ada\n"
    assert kvstore("export", "none").text == ""


def test_import_from_standard_input_says_how_fast(kvstore: CommandLine) -> None:
    run = kvstore("import", "-", stdin=b'{"key":"a","value":"1"}\n{"key":"b","value":"2"}\n')
    assert run.text.startswith("imported 2 keys in ")
    assert run.text.endswith(" keys/s)\n")
    assert values(kvstore) == {b"a": b"1", b"b": b"2"}


def test_lines_that_cannot_be_imported_are_named(kvstore: CommandLine) -> None:
    lines = [
        b'{"key":"a","value":"1"}',
        b"nonsense",
        b'{"key":"","value":"2"}',
        b'{"key":"%s","value":""}' % (b"k" * 481),
    ]
    run = kvstore("import", "-", stdin=b"\n".join([*lines, b'{"key":"z","value":"3"}\n']))
    assert run.code == 1
    assert [line.split(":")[0] for line in run.err.splitlines()] == ["line 2", "line 3", "line 4"]
    assert "3 lines refused, named above" in run.text
    assert values(kvstore) == {b"a": b"1", b"z": b"3"}


def test_many_lines_go_in_batches(kvstore: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    put = transfer._put
    monkeypatch.setattr(
        transfer, "_put", lambda context, batch, tally: (sizes.append(len(batch)), put(context, batch, tally))
    )
    monkeypatch.setattr(transfer, "BATCH_BYTES", 30_000)
    lines = [b'{"key":"%05d","value":""}\n' % number for number in range(4_500)]
    lines += [b'{"key":"big%d","value":"%s"}\n' % (number, b"x" * 20_000) for number in range(3)]
    assert kvstore("import", "-", stdin=b"".join(lines)).code == 0
    assert sizes == [2_000, 2_000, 502, 1]
    assert len(kvstore.client.rows) == 4_503


def test_a_server_that_refuses_one_pair_does_not_stop_the_others(
    kvstore: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = kvstore.client.write

    def refuse(key: bytes, value: bytes, **more: object) -> object:
        if key == b"doubt":
            raise OutcomeUnknown("leadership was lost")
        return write(key, value)

    monkeypatch.setattr(kvstore.client, "write", refuse)
    run = kvstore(
        "import", "-", stdin=b'{"key":"a","value":"1"}\n{"key":"doubt","value":"2"}\n{"key":"b","value":"3"}\n'
    )
    assert run.code == 6
    assert "line 2: leadership was lost (it may have been written)" in run.err
    assert "stopped in the batch that begins with line 1" in run.err
    assert values(kvstore) == {b"a": b"1", b"b": b"3"}


def test_an_import_stops_when_the_cluster_is_gone(kvstore: CommandLine) -> None:
    kvstore.client.store.error = NotConnected("no node could be reached")
    run = kvstore("import", "-", stdin=b'{"key":"a","value":"1"}\n')
    assert run.code == 8
    assert "stopped in the batch that begins with line 1: no node could be reached" in run.err
    assert "import again" in run.err


def test_a_file_of_a_wrong_kind(kvstore: CommandLine, tmp_path: Path) -> None:
    assert kvstore("import", str(tmp_path)).code == 2
    file = tmp_path / "photo"
    file.write_bytes(BINARY * 10)
    assert kvstore("import", str(file)).code == 1


def test_a_progress_bar_is_drawn_where_somebody_looks(
    kvstore: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich shall believe that somebody looks
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(b'{"key":"a","value":"1"}\n' * 10)
    terminal = kvstore.terminal()
    terminal.stderr_is_terminal = True
    assert run_program(["import", str(file)], terminal, kvstore.connect, {}) == 0
    assert "keys/s" in capsys.readouterr().err
    assert run_program(["import", str(file), "-q"], terminal, kvstore.connect, {}) == 0
    assert capsys.readouterr().err == ""
