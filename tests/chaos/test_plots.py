"""Plots: each plays to its end, takes back what it did, and a healthy cluster survives it."""

from dataclasses import replace

import pytest

from chaos.mercy import Mercy
from chaos.plots import PLOTS, Plotter
from chaos.simulating.day import PLOTS as DRAWN
from chaos.simulating.day import draw_day
from chaos.simulating.fence import fence
from chaos.simulating.run import Run
from kvstore.sim.cluster import SimSettings
from kvstore.sim.scheduler import SECOND


def test_days_draw_the_plots_that_there_are() -> None:
    assert set(DRAWN) == set(PLOTS)


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_survived(name: str) -> None:
    day = draw_day(1_000)
    day = replace(
        day, cluster=SimSettings(seed=name, raft=day.cluster.raft), kinds=("plot",), plots=(name,), gap_ms=100
    )
    run = Run(day)
    with fence():
        report = run.play(4)
    assert report.valid, report.message
    assert report.faults[f"Plot {name}"] > 0


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_takes_everything_back(name: str) -> None:
    day = replace(draw_day(1_000), cluster=SimSettings(seed=f"{name} alone"), kinds=())
    run = Run(day)
    cluster, watch = run.cluster, run.watch
    cluster.start()
    run.ground.begin()
    assert cluster.run_for(60 * SECOND, lambda: run.ground.is_set_up)
    over: list[bool] = []
    plotter = Plotter(cluster, day, watch.grapevine, Mercy(cluster))
    plotter.begin(name, lambda: over.append(True))
    assert cluster.run_for(120 * SECOND, lambda: bool(over)), "it never ended"
    assert not watch.grapevine.listens
    assert all(machine.is_up and not machine.paused for machine in cluster.machines.values())
    assert not any(cluster.network.is_cut(a, b) for a in cluster.names for b in cluster.names)
