"""One seed from the first event to the verdict."""

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.nemesis import Nemesis
from chaos.simulating.day import Day, draw_day
from chaos.simulating.ending import Ending, LeaderEnding
from chaos.simulating.leaderless_day import draw_leaderless_day
from chaos.simulating.leaderless_ending import LeaderlessEnding
from chaos.simulating.leaderless_watch import LeaderlessWatch
from chaos.simulating.oracle import Violation
from chaos.simulating.watch import Watch
from kvstore.sim.cluster import SimCluster
from kvstore.sim.machine import NodeBroke
from kvstore.sim.scheduler import SECOND, Trace

SETUP_SECONDS = 60


@dataclass(slots=True)
class Report:
    """What came of one seed."""

    seed: int
    check: str = ""
    """The promise that was broken; empty if none was."""
    message: str = ""
    seconds: float = 0.0
    """Virtual."""
    events: int = 0
    digest: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    elections: int = 0
    installs: int = 0
    unjudged: int = 0
    """Histories the checker could not decide within its bounds."""

    @property
    def valid(self) -> bool:
        return not self.check


class Run:
    """A universe and everybody in it."""

    def __init__(self, day: Day, on_line: Callable[[str], None] | None = None) -> None:
        self.day = day
        self.watch: Watch = LeaderlessWatch() if day.is_leaderless else Watch()
        self.cluster = SimCluster(day.cluster, self.watch, Trace(on_line))
        self.watch.observe(self.cluster)
        ending = LeaderlessEnding if day.is_leaderless else LeaderEnding
        self.ending: Ending = ending(self.cluster, day, self.watch)
        self.ground = self.ending.ground
        self.nemesis = Nemesis(self.cluster, day, self.watch, self.ground.churn)
        self.report = Report(day.seed)

    def play(self, seconds: int) -> Report:
        """Everything that happens. Never raises for what the cluster does wrong: the report says it."""
        report = self.report
        try:
            self._play(seconds)
        except Violation as violation:
            report.check, report.message = violation.check, str(violation)
        except NodeBroke as broken:
            report.check, report.message = "nodes do not break", f"{broken}\n{_where(broken.__cause__)}"
        except Exception as error:
            report.check = "the simulator does not break"
            report.message = f"{report.check}: {type(error).__name__}: {error}\n{_where(error)}"
        self._fill(report)
        return report

    def _play(self, seconds: int) -> None:
        cluster, ground, nemesis = self.cluster, self.ground, self.nemesis
        cluster.start()
        ground.begin()
        if self.day.faults_from_start:
            nemesis.begin()
        elif not cluster.run_for(SETUP_SECONDS * SECOND, lambda: ground.is_set_up):
            raise Violation("progress", "the cluster did not form, or the keyspace could not be created")
        else:
            nemesis.begin()
        cluster.run_for(seconds * SECOND)
        nemesis.rest()
        self.ending.play()
        self.report.unjudged = self.ending.judge()

    def _fill(self, report: Report) -> None:
        cluster = self.cluster
        report.seconds = cluster.now / SECOND
        report.events = cluster.scheduler.events
        report.digest = cluster.trace.digest()
        report.faults, report.frames = cluster.injected, cluster.network.counts
        report.outcomes = self.ground.outcomes
        report.elections, report.installs = self.watch.elections, self.watch.installs


def _where(error: BaseException | None) -> str:
    """The last lines of a traceback."""
    frames = traceback.extract_tb(error.__traceback__)[-5:] if error is not None else []
    return "\n".join(f"    {'/'.join(f.filename.split('/')[-3:])}:{f.lineno} {f.name}: {f.line}" for f in frames)


DRAWS = {"leader": draw_day, "leaderless": draw_leaderless_day}
"""By replication mode, what a seed's day is."""


def run_seed(
    seed: int, seconds: int = 20, on_line: Callable[[str], None] | None = None, mode: str = "leader"
) -> Report:
    """Play the day of a seed."""
    return Run(DRAWS[mode](seed), on_line).play(seconds)
