"""Whole runs: a few seeds of every kind, those that ever failed, and the same story in any interpreter."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.__main__ import main
from chaos.simulating.command import seeds_of
from chaos.simulating.day import KEYSPACE, draw_day
from chaos.simulating.fence import fence
from chaos.simulating.run import Report, Run, run_seed
from kvstore.placement.keyspaces import Settings
from kvstore.sim.client import Habits
from kvstore.sim.cluster import SimSettings

ROOT = Path(__file__).parents[3]
CORPUS = [line.split()[0] for line in (ROOT / "tests/sim/seeds.txt").read_text().splitlines() if line[:1].isdigit()]
QUICK_SECONDS = 6
KINDS_OF_CALLS = (
    "get",
    "put",
    "cas",
    "delete",
    "many",
    "pair",
    "pair read",
    "follower read",
    "leader read",
    "weak put",
)


def play(seed: int, seconds: int) -> Report:
    with fence():
        return run_seed(seed, seconds)


@pytest.mark.parametrize("seed", range(1_000, 1_012))
def test_a_bad_day_is_survived(seed: int) -> None:
    report = play(seed, QUICK_SECONDS)
    assert report.valid, report.message
    assert report.seconds > QUICK_SECONDS, "it ended early"


def test_clients_get_answers_of_every_kind_on_a_good_day() -> None:
    """On a bad one it may be that nobody does."""
    day = replace(draw_day(1_000), kinds=(), cluster=SimSettings(seed="good"), keyspace=Settings(KEYSPACE))
    load = replace(day.load, mix=tuple((kind, 1) for kind in KINDS_OF_CALLS), habits=Habits(), reader_pause_ms=20)
    with fence():
        report = Run(replace(day, load=load)).play(3)
    assert report.valid, report.message
    assert {f"{kind} ok" for kind in ("get", "put", "cas", "delete", "weak put", "follower read")} <= {*report.outcomes}
    assert not [outcome for outcome in report.outcomes if not outcome.endswith(" ok")]


@pytest.mark.parametrize("seed", CORPUS)
def test_what_once_went_wrong_does_not_any_more(seed: str) -> None:
    report = play(int(seed), 20)
    assert report.valid, report.message


def test_the_same_story_in_two_interpreters_with_different_hashes() -> None:
    def digests(hash_seed: str) -> str:
        script = "from chaos.simulating.run import run_seed\nfor s in (7, 11, 1003): print(run_seed(s, 2).digest)"
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        return run.stdout

    first = digests("1")
    assert len(set(first.split())) == 3
    assert first == digests("2")


def test_the_command_ends_with_a_verdict() -> None:
    result = CliRunner().invoke(main, ["sim", "--seeds", "1000,1001", "--seconds", "2", "--verbose"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("valid")
    assert "seed 1000: " in result.output and "faults: " in result.output


def test_the_command_replays_a_seed_with_its_story() -> None:
    result = CliRunner().invoke(main, ["sim", "--seed", "1000", "--seconds", "1", "--trace"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[-1] == "valid" and lines[-2].startswith("trace ")
    assert any(" -> " in line for line in lines)


def test_seeds_can_be_named_in_ranges() -> None:
    assert seeds_of("7") == [7]
    assert seeds_of("0-3,9") == [0, 1, 2, 3, 9]
    result = CliRunner().invoke(main, ["sim", "--seeds", "many"])
    assert result.exit_code == 2 and "ranges" in result.output
