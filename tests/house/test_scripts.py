"""The scripts parse, can be started, and cluster/venv.sh installs exactly when it has to."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash") or "bash"
SCRIPTS = sorted([*ROOT.glob("cluster/*.sh"), ROOT / "tests" / "run.sh", ROOT / ".ci" / "run"])
SOURCED = {"venv.sh"}

# Stands for every python: makes a folder with itself in it for `-m venv`, writes down what `-m pip` was asked for.
STAND_IN = """#!/bin/bash
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo "$3" >"$3/bin/activate"; echo "venv" >>"$JOURNAL" ;;
    "-m pip") echo "pip ${*: -1}" >>"$JOURNAL"; [ -z "$KILLED" ] || kill -KILL 0; exit "${PIP_STATUS:-0}" ;;
    "-m kvstore") echo "${*:3}" >>"$JOURNAL" ;;
    "--version "*) echo "Python 3.11.0" ;;
esac
exit 0
"""


class Checkout:
    """A folder with venv.sh, a pyproject.toml and a stand-in for Python, and a journal of what was done."""

    def __init__(self, root: Path) -> None:
        self.root = root / "a checkout"
        self.journal = root / "journal"
        self.journal.touch()
        self.programs = root / "programs"
        self.programs.mkdir()
        (self.root / "cluster").mkdir(parents=True)
        shutil.copy(ROOT / "cluster" / "venv.sh", self.root / "cluster")
        self.pyproject = self.root / "pyproject.toml"
        self.pyproject.write_text("version = 1\n")
        self.python = self.programs / "python3.11"
        self.python.write_text(STAND_IN)
        self.python.chmod(0o755)

    def ensure(self, kind: str, **environment: str) -> tuple[int, list[str], str]:
        """Run kvstore_venv from elsewhere: exit status, what was done, what was said."""
        self.journal.write_text("")
        script = 'source "$ROOT/cluster/venv.sh" && kvstore_venv "$KIND"'
        told = {"JOURNAL": str(self.journal), "ROOT": str(self.root), "KIND": kind, "KILLED": ""}
        path = {"PATH": f"{self.programs}:{os.environ['PATH']}"}
        run = subprocess.run(
            [BASH, "-c", script],
            env={**os.environ, **path, **told, **environment},
            cwd="/",
            start_new_session=True,  # a killed installation kills its whole process group, and only that
            capture_output=True,
            text=True,
        )
        return run.returncode, self.journal.read_text().splitlines(), run.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse_and_can_be_started(script: Path) -> None:
    subprocess.run([BASH, "-n", str(script)], check=True)
    assert script.name in SOURCED or os.access(script, os.X_OK), f"chmod +x {script.name}"


def test_the_first_run_makes_and_installs_the_second_does_nothing(checkout: Checkout) -> None:
    assert checkout.ensure("run")[:2] == (0, ["venv", "pip ."])
    assert checkout.ensure("run")[:2] == (0, [])


def test_a_changed_pyproject_installs_again(checkout: Checkout) -> None:
    checkout.ensure("run")
    checkout.pyproject.write_text("version = 2\n")
    assert checkout.ensure("run")[:2] == (0, ["pip ."])


def test_tests_need_more_and_what_has_more_serves_all(checkout: Checkout) -> None:
    checkout.ensure("run")
    assert checkout.ensure("dev")[:2] == (0, ["pip .[dev]"])
    assert checkout.ensure("run")[:2] == (0, [])
    checkout.pyproject.write_text("version = 2\n")
    assert checkout.ensure("run")[:2] == (0, ["pip .[dev]"])


def test_a_failed_installation_is_said_and_tried_again(checkout: Checkout) -> None:
    status, done, said = checkout.ensure("run", PIP_STATUS="1")
    assert (status, done) == (1, ["venv", "pip ."])
    assert "could not install" in said
    assert checkout.ensure("run")[:2] == (0, ["pip ."])


def test_a_killed_installation_starts_afresh(checkout: Checkout) -> None:
    assert checkout.ensure("run", KILLED="yes")[0] != 0
    assert checkout.ensure("run")[:2] == (0, ["venv", "pip ."])
    assert checkout.ensure("run")[:2] == (0, [])


def test_a_moved_checkout_is_made_anew(checkout: Checkout) -> None:
    checkout.ensure("run")
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert checkout.ensure("run")[:2] == (0, ["venv", "pip ."])


def test_without_a_python_it_says_what_is_missing(checkout: Checkout) -> None:
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(11, 16))):
        (checkout.programs / name).write_text("#!/bin/sh\nexit 1\n")
        (checkout.programs / name).chmod(0o755)
    status, done, said = checkout.ensure("run")
    assert (status, done) == (1, [])
    assert "kvstore needs Python 3.11 or later" in said


@pytest.mark.parametrize(
    ("words", "started"),
    [
        ([], "--file ROOT/cluster/three.toml"),
        (["--keep"], "--file ROOT/cluster/three.toml --keep"),
        (["-n", "5"], "-n 5"),
        (["-n5", "--name", "x"], "-n5 --name x"),
        (["--file=a.toml"], "--file=a.toml"),
    ],
)
def test_up_starts_three_nodes_unless_told_otherwise(checkout: Checkout, words: list[str], started: str) -> None:
    checkout.ensure("run")
    script = shutil.copy(ROOT / "cluster" / "up.sh", checkout.root / "cluster")
    checkout.journal.write_text("")
    subprocess.run([BASH, script, *words], env={**os.environ, "JOURNAL": str(checkout.journal)}, check=True)
    assert checkout.journal.read_text() == f"local up {started.replace('ROOT', str(checkout.root))}\n"
