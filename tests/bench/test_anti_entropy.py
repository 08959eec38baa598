"""Anti-entropy is measured for real, on a few keys."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.anti_entropy import Figure, cells_of, measure_all
from kvstore.core.ids import Millis
from kvstore.replication.leaderless.pace import ExchangeSettings

ITEMS = ["change", "count", "equal", "differing", "equal again"]


def test_every_line_is_measured(tmp_path: Path) -> None:
    settings = ExchangeSettings(settle_ms=Millis(1), keys_per_s=1_000_000)
    figures = {figure.item: figure for figure in measure_all(tmp_path, 1_000, 30, settings)}
    assert list(figures) == ITEMS
    for figure in figures.values():
        assert figure.ms > 0
        assert len(cells_of(figure)) == 7
    for item in ("equal", "equal again"):
        assert (figures[item].messages, figures[item].bytes) == (2, figures["equal"].bytes)
        assert 0 < (figures[item].bytes or 0) < 200
    assert 1_000 < (figures["differing"].bytes or 0) < 100_000


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure = Figure(item="equal", note="pretended", ms=1.0, cpu_ms=1.0, bytes=60, messages=2, ratio=0.01)
    monkeypatch.setattr("bench.anti_entropy.measure_all", lambda *_: iter([figure]))
    done = CliRunner().invoke(main, ["anti-entropy", "--folder", str(tmp_path), "-o", "json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, [asdict(figure)])
    assert list(tmp_path.iterdir()) == []
    assert CliRunner().invoke(main, ["anti-entropy"]).stdout.splitlines()[1].startswith("equal")
