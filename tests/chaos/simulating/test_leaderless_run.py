"""Whole leaderless days: a few seeds, every kind of call, and the same story in any interpreter."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.__main__ import main
from chaos.simulating.day import KEYSPACE
from chaos.simulating.fence import fence
from chaos.simulating.leaderless_day import LEADERLESS_KINDS, QUORUMS, draw_leaderless_day
from chaos.simulating.run import Report, Run, run_seed
from kvstore.node.config import LeaderlessConfig
from kvstore.placement.keyspaces import Settings
from kvstore.sim.client import Habits
from kvstore.sim.cluster import SimSettings

ROOT = Path(__file__).parents[3]
KINDS_OF_CALLS = ("read", "write", "update", "delete", "many", "many read", "blind write", "sweep")


def play(seed: int, seconds: int) -> Report:
    with fence():
        return run_seed(seed, seconds, mode="leaderless")


@pytest.mark.parametrize("seed", range(1_000, 1_008))
def test_a_bad_day_is_survived(seed: int) -> None:
    report = play(seed, 5)
    assert report.valid, report.message
    assert report.seconds > 5, "it ended early"


@pytest.mark.parametrize("conflicts", ("siblings", "lww"))
def test_clients_get_answers_of_every_kind_on_a_good_day(conflicts: str) -> None:
    keyspace = Settings(KEYSPACE, mode="leaderless", conflicts=conflicts)
    cluster = SimSettings(seed="good", leaderless=LeaderlessConfig(exchange_interval_ms=500))
    day = replace(draw_leaderless_day(1_000), kinds=(), cluster=cluster, keyspace=keyspace)
    load = replace(day.load, mix=tuple((kind, 1) for kind in KINDS_OF_CALLS), habits=Habits(), reader_pause_ms=20)
    with fence():
        report = Run(replace(day, load=replace(load, own_quorums_per_mille=300, pause_ms=20))).play(3)
    assert report.valid, report.message
    assert {f"{kind} ok" for kind in ("read", "write", "delete", "sweep")} == {*report.outcomes}


def test_the_same_story_in_two_interpreters_with_different_hashes() -> None:
    def digests(hash_seed: str) -> str:
        script = (
            "from chaos.simulating.run import run_seed\n"
            "for s in (7, 1000, 1003): print(run_seed(s, 2, mode='leaderless').digest)"
        )
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        return run.stdout

    first = digests("1")
    assert len(set(first.split())) == 3
    assert first == digests("2")


def test_days_are_drawn_from_all_there_is() -> None:
    days = [draw_leaderless_day(seed) for seed in range(300)]
    assert draw_leaderless_day(17) == days[17] != days[18]
    assert {kind for day in days for kind in day.kinds} == {*LEADERLESS_KINDS}
    assert {(day.keyspace.read_quorum, day.keyspace.write_quorum) for day in days} == {
        pair for pairs in QUORUMS.values() for pair in pairs
    }
    assert {day.keyspace.conflicts for day in days} == {"siblings", "lww"}
    assert "R 2 W 2" in " ".join(map(str, days))


def test_the_command_plays_leaderless_days() -> None:
    result = CliRunner().invoke(main, ["sim", "--mode", "leaderless", "--seeds", "1000", "--seconds", "1", "--verbose"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("valid")
    result = CliRunner().invoke(main, ["sim", "--mode", "leaderless", "--seed", "1000", "--seconds", "1", "--trace"])
    assert result.exit_code == 0 and " -> " in result.output
