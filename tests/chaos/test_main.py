"""The door: commands are listed, and loaded only when asked for."""

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from chaos.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, (_, _, about) in COMMANDS.items():
        assert name in result.output and about in result.output


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(main, ["nonsense"])
    assert result.exit_code == 2
    assert "nonsense" in result.output


def test_help_loads_no_command() -> None:
    script = (
        "import sys\nfrom chaos.__main__ import COMMANDS, main\n"
        "main(['--help'], standalone_mode=False)\n"
        "assert not any(module in sys.modules for module, _, _ in COMMANDS.values())"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, timeout=60)
