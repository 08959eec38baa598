"""`bench load`: one measurement of one store, from a fresh start to a clean stop."""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from bench.report import OUTPUTS, ROOT, Row, facts_line, load_table, machine_facts, print_table, remarks, row_of
from bench.stores import BenchError, Store
from bench.workload import KEY_COUNT_DEFAULT, OPS, LoadPlan, LoadResult
from kvstore.placement.keyspaces import CONFLICTS

GENERATOR_S_MARGIN = 180.0
"""How much longer than its windows a generator may take: it loads the keys and drains."""
NODES_DEFAULT = 3
PARTITIONS = click.IntRange(1, 4096)
QUORUM = click.IntRange(1, 9)
MODES = ("leader", "leaderless")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one measurement is asked for, before a store is there to ask it of."""

    op: str
    outstanding: int
    seconds: float
    warmup_s: float
    key_count: int
    connections: int = 1
    partitions: int = 1

    def plan_for(self, store: Store) -> LoadPlan:
        """The plan of this store as it runs now: its endpoints and pids change when it restarts."""
        return LoadPlan(**asdict(self), endpoints=store.endpoints, node_pids=store.pids, settings=store.settings)


def measure(store: Store, ask: Ask) -> Row:
    """Start the store, load every key, warm up, measure, stop. Raises BenchError."""
    with store:
        plan = ask.plan_for(store)
        if ask.op == "get" or store.loads_first:
            run_generator(store.generator, replace(plan, seconds=0))
            store.settle()
            plan = replace(ask.plan_for(store), preload=False)
        result = run_generator(store.generator, plan)
    if result is None:
        raise BenchError(f"the load generator of {store.name} reported nothing")
    return row_of(store.name, ask.op, ask.outstanding, result)


def run_generator(module: str, plan: LoadPlan) -> LoadResult | None:
    """Run a generator process to its end; None if it had nothing to measure. Raises BenchError with its last words."""
    command = [sys.executable, "-m", module, plan.to_json()]
    limit_s = plan.warmup_s + plan.seconds + GENERATOR_S_MARGIN
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{module} did not end within {limit_s:.0f} s") from error
    if done.returncode != 0:
        raise BenchError(f"{module} failed with status {done.returncode}: {done.stderr.strip()[-2_000:]}")
    return LoadResult.from_json(done.stdout) if done.stdout.strip() else None


def store_folder(folder: Path | None) -> Path:
    """Where the stores' temporary folders are made: the folder asked for, or the system's for such things."""
    return folder if folder is not None else Path(tempfile.gettempdir())


@click.command("load")
@click.option("--mode", type=click.Choice(MODES), default=MODES[0], show_default=True, help="Of the keyspace.")
@click.option("--nodes", type=click.IntRange(1, 9), default=NODES_DEFAULT, show_default=True)
@click.option("--outstanding", type=click.IntRange(1, 65_536), default=64, show_default=True, help="Calls under way.")
@click.option("--op", type=click.Choice(OPS), default="put", show_default=True, help="A batch is 100 puts in one call.")
@click.option("--read-quorum", type=QUORUM, default=1, show_default=True, help="Leaderless: R, of N = all nodes.")
@click.option("--write-quorum", type=QUORUM, default=2, show_default=True, help="Leaderless: W.")
@click.option(
    "--conflicts",
    type=click.Choice(CONFLICTS),
    default=CONFLICTS[0],
    show_default=True,
    help="Leaderless. Of siblings a put replaces the one that this client put there last.",
)
@click.option("--dead-node", is_flag=True, help="Leaderless: also with one node killed before the load.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="Leaderless: shows the median.")
@click.option("--seconds", type=click.FloatRange(0.1), default=10.0, show_default=True, help="The measured window.")
@click.option(
    "--warmup", "warmup_s", type=click.FloatRange(0.0), default=1.5, show_default=True, help="Seconds before."
)
@click.option("--keys", "key_count", type=click.IntRange(100), default=KEY_COUNT_DEFAULT, show_default=True)
@click.option("--partitions", type=PARTITIONS, default=1, show_default=True, help="Of our keyspace; etcd has one.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="Where the nodes write, in a folder of their own that is removed; default: the system's temporary folder.",
)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True)
def command(
    mode: str,
    nodes: int,
    read_quorum: int,
    write_quorum: int,
    conflicts: str,
    dead_node: bool,
    rounds: int,
    folder: Path | None,
    output: str,
    **asked: Any,
) -> None:
    """Load a fresh local cluster of kvstore: real processes, every write on disk on as many replicas as it needs.

    Leader mode is measured alone. A leaderless keyspace is measured beside leader mode under the same load, in the
    same run, with the ratios that are wanted.
    """
    ask = Ask(**asked)
    try:
        if mode == MODES[0]:
            if dead_node:
                raise click.BadParameter("a dead node is for --mode leaderless: a leader's group elects another")
            _leader(ask, nodes, folder, output)
        else:
            if max(read_quorum, write_quorum) > nodes - dead_node:
                raise click.BadParameter(f"a quorum of {max(read_quorum, write_quorum)} of {nodes} nodes")
            quorums = {"read": read_quorum, "write": write_quorum, "conflicts": conflicts, "dead_node": dead_node}
            _leaderless(ask, nodes, quorums, rounds, folder, output)
    except BenchError as error:
        click.echo(f"bench load: {error}", err=True)
        raise SystemExit(error.exit_code) from error


def _leader(ask: Ask, nodes: int, folder: Path | None, output: str) -> None:
    from bench.kvstore_cluster import KvstoreCluster

    row = measure(KvstoreCluster(nodes=nodes, folder=folder), ask)
    facts = machine_facts(store_folder(folder))
    if output == "json":
        click.echo(json.dumps({**asdict(row), "nodes": nodes, "machine": facts}, ensure_ascii=False))
        return
    print_table(*load_table([row]))
    for remark in remarks([row]):
        click.echo(remark)
    click.echo(facts_line(facts))


def _leaderless(ask: Ask, nodes: int, quorums: dict[str, Any], rounds: int, folder: Path | None, output: str) -> None:
    from bench.compare import tell_progress
    from bench.quorums import LEADER, Quorums, measure_beside, verdicts

    wanted = Quorums(nodes=nodes, **quorums)
    rows = measure_beside(wanted, ask, rounds, folder, tell_progress)
    facts, lines = machine_facts(store_folder(folder)), verdicts(wanted, rows)
    if output == "json":
        told = {"rows": [asdict(row) for row in rows], "ratios": lines, "settings": wanted.settings, "machine": facts}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    print_table(*load_table(rows, against=LEADER))
    for line in (*lines, *remarks(rows), facts_line(facts)):
        click.echo(line)
