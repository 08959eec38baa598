"""`python -m chaos sim`: bad days from seeds, one line for each that went wrong, and what was done to the cluster.

Exit status: 0 if every promise held, 1 if one was broken, 2 for wrong arguments. The last line begins with `valid` or
`invalid`. The only clock is here, outside the fence, to say how fast it was.
"""

import gc
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import click

from chaos.simulating.fence import fence
from chaos.simulating.run import DRAWS, Report, run_seed

HOUR = 3_600.0
SECONDS_DEFAULT = 20


def seeds_of(text: str) -> list[int]:
    """`7`, `0-199` and lists of these: `1,5,10-12`. Raises ValueError.

    >>> seeds_of("1,5,10-12")
    [1, 5, 10, 11, 12]
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        seeds += range(int(first), int(last) + 1) if dash else [int(first)]
    return seeds


def fenced_seed(seed: int, seconds: int, mode: str) -> Report:
    """One seed in the fence."""
    with fence():
        return run_seed(seed, seconds, mode=mode)


def reports(seeds: Iterable[int], seconds: int, processes: int, mode: str) -> Iterator[Report]:
    """The reports of all seeds, in their order. Several processes share the seeds."""
    work = partial(fenced_seed, seconds=seconds, mode=mode)
    if processes == 1:
        settle_memory()
        yield from map(work, seeds)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=settle_memory) as pool:
        yield from pool.map(work, seeds, chunksize=4)


def settle_memory() -> None:
    """What was imported stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()


@click.command()
@click.option("--mode", type=click.Choice(list(DRAWS)), default="leader", show_default=True, help="Replication mode.")
@click.option("--seeds", "seeds_text", metavar="A-B", default="0-199", show_default=True, help="Which seeds to play.")
@click.option("--seed", type=int, help="Play this one only.")
@click.option(
    "--seconds", type=click.IntRange(1), default=SECONDS_DEFAULT, show_default=True, help="Virtual, of faults."
)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Seeds played side by side.")
@click.option("--trace", is_flag=True, help="Tell the story of the seed, every message of it.")
@click.option("--verbose", is_flag=True, help="Say what each seed's day is, and its trace's digest.")
def sim(mode: str, seeds_text: str, seed: int | None, seconds: int, processes: int, trace: bool, verbose: bool) -> None:
    """Play bad days in the simulator: whole nodes, virtual time, drawn faults, and every promise checked."""
    try:
        seeds = [seed] if seed is not None else seeds_of(seeds_text)
    except ValueError as error:
        raise click.BadParameter("seeds are numbers, ranges and lists of these: 1,5,10-12") from error
    if trace:
        sys.exit(_tell(seeds[0], seconds, mode))
    begun, used = time.perf_counter(), time.process_time()
    total = Total(mode, seconds)
    for report in reports(seeds, seconds, processes, mode):
        if verbose:
            click.echo(f"{DRAWS[mode](report.seed)}\n  trace {report.digest}")
        total.take(report)
    total.tell(time.perf_counter() - begun, (time.process_time() - used) if processes == 1 else None)
    sys.exit(1 if total.broken else 0)


def _tell(seed: int, seconds: int, mode: str) -> int:
    """One seed with its story."""
    click.echo(str(DRAWS[mode](seed)))
    with fence():
        report = run_seed(seed, seconds, print, mode)
    click.echo(f"trace {report.digest}")
    click.echo("valid" if report.valid else f"invalid: {report.message}")
    return 0 if report.valid else 1


class Total:
    """What all seeds together amount to."""

    def __init__(self, mode: str, seconds: int) -> None:
        self.mode, self.seconds = mode, seconds
        self.seeds = self.events = self.elections = self.installs = self.unjudged = 0
        self.virtual = 0.0
        self.broken: list[Report] = []
        self.faults: Counter[str] = Counter()
        self.frames: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    def take(self, report: Report) -> None:
        self.seeds += 1
        self.events += report.events
        self.elections += report.elections
        self.installs += report.installs
        self.unjudged += report.unjudged
        self.virtual += report.seconds
        self.faults += report.faults
        self.frames += report.frames
        self.outcomes += report.outcomes
        if not report.valid:
            self.broken.append(report)
            click.echo(f"seed {report.seed} at {report.seconds:.3f} s: {report.message}")
            click.echo(f"  replay: {self.replay_line(report.seed)}")

    def replay_line(self, seed: int) -> str:
        seconds = "" if self.seconds == SECONDS_DEFAULT else f" --seconds {self.seconds}"
        return f"python -m chaos sim --mode {self.mode} --seed {seed}{seconds} --trace"

    def tell(self, wall: float, cpu: float | None) -> None:
        speed = f", {self.virtual / cpu:.0f} virtual seconds a CPU second" if cpu else ""
        click.echo(
            f"{self.seeds} seeds, {self.virtual / HOUR:.2f} virtual hours, {self.events} events "
            f"in {wall:.1f} s{speed}; {self.elections} elections, {self.installs} images installed"
        )
        click.echo(f"faults: {_counted(self.faults)}")
        click.echo(f"frames: {_counted(self.frames)}")
        click.echo(f"calls: {_counted(self.outcomes)}")
        if self.unjudged:
            click.echo(f"{self.unjudged} keys' histories were too hard to judge")
        if not self.broken:
            click.echo(f"valid: every promise held on {self.seeds} seeds")
            return
        checks = Counter(report.check for report in self.broken)
        click.echo(f"invalid: {len(self.broken)} of {self.seeds} seeds broke a promise: {_counted(checks)}")


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
