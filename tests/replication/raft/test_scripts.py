"""Every story in tests/scripts/raft ends as it was written down. `python -m tests.golden` rewrites them."""

from pathlib import Path

import pytest

from tests import golden


@pytest.mark.parametrize("path", golden.scripts("raft"), ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    assert golden.played(path) == path.read_text(encoding="utf-8"), "rewrite it and read the difference"


def test_there_are_scripts() -> None:
    assert len(golden.scripts("raft")) > 20
