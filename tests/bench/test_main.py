"""The command line: what it lists, and that it imports a subcommand only when that is called."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


def test_help_lists_every_command() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0
    assert "--output" in done.stdout


def test_an_unknown_command_is_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["fly"]).exit_code == 2


def test_help_imports_no_subcommand() -> None:
    script = (
        "import sys; from bench.__main__ import main; main(['--help'], standalone_mode=False); "
        "sys.exit(sorted(m for m in sys.modules if m.startswith('bench.') and m != 'bench.__main__') or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
