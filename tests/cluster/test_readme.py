"""What the README tells a newcomer to type works as it says: its blocks are run on a real cluster."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.local.processes import environment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIVE_MINUTES = README.partition("## Five minutes")[2].partition("## ")[0]
WITHOUT_A_LEADER = README.partition("## Without a leader")[2].partition("## ")[0]
ENDS_WITH = {"if-absent": 4}
"""What a command of the block ends with, by a word of it; the others with 0."""

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


class Newcomer:
    """Types commands into a shell whose only cluster is its own."""

    def __init__(self, home: Path) -> None:
        (home / "run").mkdir(mode=0o700)
        quiet = {name: value for name, value in environment().items() if not name.startswith("KVSTORE_")}
        self.environment = quiet | {
            "XDG_RUNTIME_DIR": str(home / "run"), "XDG_STATE_HOME": str(home), "XDG_CONFIG_HOME": str(home),
            "HOME": str(home), "TMPDIR": str(home),
        }  # fmt: skip

    def types(self, command: str) -> tuple[int, str]:
        words = command.replace("kvstore", f"{sys.executable} -P -m kvstore", 1)
        return self._runs(["/bin/sh", "-c", words])

    def runs(self, program: str) -> tuple[int, str]:
        return self._runs([sys.executable, "-P", "-W", "error", "-c", program])

    def _runs(self, command: list[str]) -> tuple[int, str]:
        run = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return run.returncode, run.stdout + run.stderr


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    somebody = Newcomer(tmp_path)
    yield somebody
    somebody.types("kvstore local down")


def test_five_minutes(newcomer: Newcomer) -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", FIVE_MINUTES, re.DOTALL)
    commands = [line.partition("#")[0].strip() for line in block.splitlines()]
    said = {}
    for command in (command for command in commands if command.startswith("kvstore")):
        code, said[command] = newcomer.types(command)
        expected = next((code for word, code in ENDS_WITH.items() if word in command), 0)
        assert code == expected, f"{command}\n{said[command]}"
    assert said["kvstore get user:1"] == "Ada\n" and said["kvstore scan user:"] == "user:1\tAda\n"
    assert said["kvstore status"].startswith("demo: healthy")
    assert "demo is down" in said["kvstore local down"] and len(said) >= 12


def test_from_python(newcomer: Newcomer) -> None:
    assert newcomer.types("kvstore local up")[0] == 0
    first, second, third = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code, said = newcomer.runs(first)
    assert code == 0 and said.startswith("b'Ada L.' Receipt(mode='leader'") and "b'row:0' b'x'" in said
    (address,) = re.findall(r'AsyncClient\("(kv://[^"]+)"\)', second)
    url = newcomer.types("kvstore local env")[1].strip().partition("KVSTORE_URL=")[2]
    assert newcomer.runs(second.replace(address, url)) == (0, "")
    assert newcomer.runs(third) == (0, "['milk', 'tea'] ['milk']\n")


def test_without_a_leader(newcomer: Newcomer) -> None:
    assert newcomer.types("kvstore local up")[0] == 0
    (block,) = re.findall(r"```bash\n(.*?)```", WITHOUT_A_LEADER, re.DOTALL)
    commands = [line.partition("#")[0].strip() for line in block.splitlines()]
    for command in commands:
        code, said = newcomer.types(command)
        assert code == 0, f"{command}\n{said}"
    assert said == "milk, tea\n" and len(commands) == 6


def test_what_the_readme_names_is_there() -> None:
    for path in re.findall(r"`((?:kvstore|tests|cluster|chaos|bench)/[\w/.-]+)`", README):
        assert (ROOT / path).exists(), path
