"""`python -m chaos mutate`: break one safety rule after another, and count the seeds until somebody notices.

Exit status: 0 if every rule's breach was caught, 1 if one was not. The last line begins with `valid` or `invalid`.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import click

from chaos.mutations import applying, copying, leaderless, outside, recovering, voting
from chaos.mutations.patching import Rule
from chaos.simulating.command import settle_memory
from chaos.simulating.fence import fence
from chaos.simulating.run import run_seed

RULES: dict[str, Rule] = {
    rule.name: rule for rules in (voting, copying, recovering, applying, outside, leaderless) for rule in rules.RULES
}


class Caught(NamedTuple):
    """How a breach was noticed: after how many seeds, on which one, and by which check."""

    name: str
    seeds: int
    seed: int | None
    check: str
    message: str


def hunt(name: str, first: int, seeds: int, seconds: int) -> Caught:
    """Play seeds with the rule broken until one is invalid."""
    rule = RULES[name]
    with rule.broken():
        for number in range(seeds):
            with fence():
                report = run_seed(first + number, seconds, mode=rule.mode)
            if not report.valid:
                return Caught(name, number + 1, report.seed, report.check, report.message)
    return Caught(name, seeds, None, "", "")


def hunts(names: list[str], first: int, seeds: int, seconds: int, processes: int) -> Iterator[Caught]:
    work = partial(hunt, first=first, seeds=seeds, seconds=seconds)
    if processes == 1:
        settle_memory()
        yield from map(work, names)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=settle_memory) as pool:
        yield from pool.map(work, names)


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=100, show_default=True, help="At most so many for each rule.")
@click.option("--first", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--seconds", type=click.IntRange(1), default=20, show_default=True, help="Virtual, of faults.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Rules tried side by side.")
@click.option("--verbose", is_flag=True, help="Say what was noticed.")
@click.argument("names", nargs=-1, metavar="[RULE]...")
def mutate(seeds: int, first: int, seconds: int, processes: int, verbose: bool, names: tuple[str, ...]) -> None:
    """Break safety rules one at a time (all, or those named), and see how many seeds it takes to notice."""
    unknown = [name for name in names if name not in RULES]
    if unknown:
        raise click.BadParameter(f"no such rule: {', '.join(unknown)}; rules: {', '.join(RULES)}")
    chosen = list(names) or list(RULES)
    missed = []
    for caught in hunts(chosen, first, seeds, seconds, processes):
        click.echo(_told(caught))
        if verbose and caught.message:
            click.echo(f"    {caught.message}")
        if caught.seed is None:
            missed.append(caught.name)
    if missed:
        click.echo(f"invalid: {len(missed)} of {len(chosen)} rules can be broken unnoticed: {', '.join(missed)}")
    else:
        click.echo(f"valid: each of {len(chosen)} broken rules was noticed")
    sys.exit(1 if missed else 0)


def _told(caught: Caught) -> str:
    if caught.seed is None:
        return f"{caught.name:28} not noticed in {caught.seeds} seeds"
    return f"{caught.name:28} noticed by seed {caught.seed}, the {caught.seeds}., by: {caught.check}"
