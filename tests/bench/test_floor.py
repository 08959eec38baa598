"""The floor: every line is measured for a moment, for real."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.floor import Meter, cells_of, measure_all
from bench.floor_frames import FramedProtocol

ITEMS = ["fdatasync", "lmdb commit 1", "lmdb commit 32", "tcp echo", "grpc unary", "grpc stream"]


def test_every_building_block_is_measured(tmp_path: Path) -> None:
    costs = {cost.item: cost for cost in measure_all(tmp_path, seconds=0.05)}
    assert list(costs) == ITEMS
    for cost in costs.values():
        assert cost.per_s > 0
        assert 0 < cost.p50_us <= cost.p99_us
        assert (cost.server_cpu_us is not None) == (cost.item.split()[0] in ("tcp", "grpc"))
        assert len(cells_of(cost)) == 7


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cost = Meter("tcp echo", "pretended", seconds=0.01).run(lambda: None)
    monkeypatch.setattr("bench.floor.measure_all", lambda _folder, _seconds: iter([cost]))
    done = CliRunner().invoke(main, ["floor", "--folder", str(tmp_path), "-o", "json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, [asdict(cost)])
    assert list(tmp_path.iterdir()) == []
    shown = CliRunner().invoke(main, ["floor"])
    assert shown.stdout.splitlines()[1].startswith("tcp echo")


class Collector(FramedProtocol):
    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []

    def frame_received(self, payload: bytes) -> None:
        self.frames.append(payload)


@pytest.mark.parametrize("step", [1, 3, 5, 100])
def test_frames_survive_any_cut(step: int) -> None:
    collector = Collector()
    sent = b"".join(len(payload).to_bytes(4, "big") + payload for payload in (b"one", b"", b"three"))
    for at in range(0, len(sent), step):
        collector.data_received(sent[at : at + step])
    assert collector.frames == [b"one", b"", b"three"]
