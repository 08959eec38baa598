"""The demo from beginning to end, without a terminal: real nodes, a kill, a pause, one verdict."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.demo import main
from kvstore.local.processes import environment

ROOT = Path(__file__).parents[2]
NEEDS_MINUTES = 300  # for a machine that is busy; alone it takes half a minute


def test_it_takes_no_arguments_and_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "one line that says if anything was lost" in capsys.readouterr().out
    assert main(["--fast"]) == 2
    assert capsys.readouterr().err == "the demo takes no arguments, got: --fast\n"


@pytest.mark.cluster
@pytest.mark.timeout(NEEDS_MINUTES)
def test_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    home = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_STATE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "cluster.demo"],
        cwd=ROOT,
        env=environment() | home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    verdict = re.fullmatch(r"OK: ([0-9,]+) acknowledged writes, 0 lost", lines[-1])
    assert verdict is not None and done.returncode == 0, done.stdout + done.stderr
    assert int(verdict[1].replace(",", "")) > 33_513
    assert re.search(r"[0-9,]+ keys in [0-9.]+ s: [0-9,]+ keys/s", done.stdout)
    assert "the leader of partition" in done.stdout
    assert re.search(r"[1-9][0-9]* of [0-9]+ carts have siblings", done.stdout) and "0 are missing" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "data is removed, and no history is kept"
    assert list((tmp_path / "run" / "kvstore").iterdir()) == []
