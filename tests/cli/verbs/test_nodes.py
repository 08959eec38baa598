"""kvstore node: configuration checked and shown, data verified, and run handed over."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kvstore.core.errors import ConfigError
from kvstore.node.config import parse_config
from kvstore.server import verify
from kvstore.server.verify import Report
from tests.cli.fake_client import CommandLine


@pytest.fixture
def kvstore() -> CommandLine:
    return CommandLine(unreachable=True)


def test_the_shown_configuration_is_one_to_begin_with(kvstore: CommandLine, tmp_path: Path) -> None:
    shown = kvstore("node", "show-config").text
    config = parse_config(shown, "shown")
    assert (config.node.id, config.cluster.id) == ("n1", "example")
    file = tmp_path / "n1.toml"
    file.write_text(shown)
    assert kvstore("node", "check-config", str(file)).text == f"{file} is valid: node n1 in cluster example of 1 node\n"
    again = tomllib.loads(kvstore("node", "show-config", str(file)).text)
    before = tomllib.loads(shown)
    before["node"]["data"] = str(tmp_path / "n1")
    assert again == before
    assert json.loads(kvstore("node", "show-config", str(file), "-o", "json").out)["raft"] == before["raft"]


def test_a_wrong_configuration_names_file_key_and_form(kvstore: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "n1.toml"
    file.write_text(kvstore("node", "show-config").text.replace("heartbeat_ms = 100", 'heartbeat_ms = "often"'))
    for verb in (["check-config", str(file)], ["run", "--config", str(file)], ["show-config", str(file)]):
        run = kvstore("node", *verb)
        assert run.code == 2
        assert f"{file}: raft.heartbeat_ms: expected an integer" in run.err


def test_run_needs_a_configuration(kvstore: CommandLine) -> None:
    run = kvstore("node", "run")
    assert run.code == 2
    assert "node run needs --config FILE" in run.err


def test_run_ends_with_the_nodes_exit_code(
    kvstore: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kvstore.server import main

    file = tmp_path / "n1.toml"
    file.write_text(kvstore("node", "show-config").text)
    seen: list[Any] = []
    monkeypatch.setattr(main, "run", lambda config: seen.append(config) or 7)
    run = kvstore("node", "run", "--config", str(file))
    assert (run.code, run.out) == (7, b"")
    assert seen[0].node.id == "n1"


def test_verify(kvstore: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Report(tmp_path)
    found.rows.update({"values": 1200, "ballots": 9})
    found.size_bytes = 4096
    monkeypatch.setattr(verify, "verify_directory", lambda folder: found)
    sound = kvstore("node", "verify", str(tmp_path))
    assert (sound.code, sound.text) == (
        0, f"{tmp_path}: nobody knows whose, 4 KiB: 9 ballots, 1,200 values\nOK: sound\n"
    )  # fmt: skip
    found.add("group 3", "log entry 7 is missing")
    damaged = kvstore("node", "verify", str(tmp_path))
    assert damaged.code == 1
    assert damaged.text.endswith("  group 3: log entry 7 is missing\n1 problem found\n")
    document = json.loads(kvstore("node", "verify", str(tmp_path), "-o", "json").out)
    assert (document["sound"], document["findings"]) == (
        False,
        [{"place": "group 3", "problem": "log entry 7 is missing"}],
    )


def test_verify_of_something_else(kvstore: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(folder: str) -> None:
        raise ConfigError(f"{folder} is no data directory")

    monkeypatch.setattr(verify, "verify_directory", refuse)
    assert kvstore("node", "verify", str(tmp_path)).code == 2
