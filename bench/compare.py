"""`bench compare`: the same load on kvstore and on a peer, in turn, in one run, with ratios."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from bench.load import NODES_DEFAULT, PARTITIONS, Ask, measure, store_folder
from bench.report import (
    OUTPUTS,
    Row,
    as_json,
    facts_line,
    load_table,
    machine_facts,
    median_round,
    print_table,
    remarks,
    with_ratios,
)
from bench.stores import BenchError, Store
from bench.workload import KEY_COUNT_DEFAULT, OPS

OURS = "kvstore"
Starter = Callable[[], Store]


class CommaList(click.ParamType[list[object]]):
    """`a,b,c`, each converted and checked by another type."""

    name = "list"

    def __init__(self, item: click.ParamType[Any]) -> None:
        self._item = item

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[object]:
        if isinstance(value, list):
            return value
        return [self._item.convert(part.strip(), param, ctx) for part in str(value).split(",")]


def compare(
    starters: Sequence[Starter], asks: Sequence[Ask], rounds: int, against: str, tell: Callable[[Row], None]
) -> list[Row]:
    """Every load on every store, one store at a time. Raises BenchError.

    The stores take turns within each load, and odd rounds go backwards, so that a machine that slowly gets
    faster or slower does not favour one of them.
    """
    measured: dict[tuple[str, str, int], list[Row]] = {}
    for number in range(rounds):
        for ask in asks:
            for start in starters if number % 2 == 0 else reversed(starters):
                row = measure(start(), ask)
                tell(row)
                measured.setdefault((row.op, row.store, row.outstanding), []).append(row)
    medians = [median_round(rows) for rows in measured.values()]
    order = {(ask.op, ask.outstanding): place for place, ask in enumerate(asks)}
    medians.sort(key=lambda row: (order[row.op, row.outstanding], row.store == against))
    return with_ratios(medians, against)


@click.command("compare")
@click.option("--peer", type=click.Choice(["etcd"]), default="etcd", show_default=True)
@click.option("--op", "ops", type=CommaList(click.Choice(OPS)), default="put", show_default=True, help="Comma list.")
@click.option(
    "--outstanding",
    type=CommaList(click.IntRange(1, 65_536)),
    default="64",
    show_default=True,
    help="Calls under way; comma list.",
)
@click.option("--seconds", type=click.FloatRange(0.1), default=8.0, show_default=True, help="The measured window.")
@click.option(
    "--warmup", "warmup_s", type=click.FloatRange(0.0), default=1.5, show_default=True, help="Seconds before."
)
@click.option("--keys", "key_count", type=click.IntRange(100), default=KEY_COUNT_DEFAULT, show_default=True)
@click.option("--partitions", type=PARTITIONS, default=1, show_default=True, help="Of our keyspace; etcd has one.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="The median one is shown.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="Where the stores write, in folders of their own that are removed; default: the system's temporary folder.",
)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True)
def command(
    peer: str,
    ops: list[str],
    outstanding: list[int],
    seconds: float,
    warmup_s: float,
    key_count: int,
    partitions: int,
    rounds: int,
    folder: Path | None,
    output: str,
) -> None:
    """The same load on kvstore and on a peer: 3 nodes each, one store at a time, in the same run.

    Ratios are kvstore divided by the peer: above 1 is better for ops/s, below 1 for latencies. Exit status 2 if
    the peer is not installed.
    """
    from bench.etcd_peer import EtcdCluster
    from bench.kvstore_cluster import KvstoreCluster

    asks = [
        Ask(
            op=op,
            outstanding=calls,
            seconds=seconds,
            warmup_s=warmup_s,
            key_count=key_count,
            partitions=partitions,
        )
        for op in dict.fromkeys(ops)
        for calls in dict.fromkeys(outstanding)
    ]
    try:
        version = EtcdCluster(folder=folder).version  # before anything else: is the peer there at all?
        starters: list[Starter] = [
            lambda: KvstoreCluster(nodes=NODES_DEFAULT, folder=folder),
            lambda: EtcdCluster(nodes=NODES_DEFAULT, folder=folder),
        ]
        rows = compare(starters, asks, rounds, peer, tell_progress)
    except BenchError as error:
        click.echo(f"bench compare: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    facts = facts_line({**machine_facts(store_folder(folder)), peer: version})
    if output == "json":
        click.echo(facts, err=True)
        click.echo(as_json(rows))
        return
    print_table(*load_table(rows, against=peer))
    for remark in remarks(rows):
        click.echo(remark)
    click.echo(facts)


def tell_progress(row: Row) -> None:
    """Progress: one line as soon as a measurement is done."""
    said = f"{row.store} {row.op} {row.outstanding} outstanding: {row.ops_per_s:,.0f} ops/s, p50 {row.p50_ms:.2f} ms"
    click.echo(said, err=True)
