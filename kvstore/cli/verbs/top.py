"""kvstore top: what each node does, second by second."""

import time
from collections.abc import Mapping
from typing import Any

from kvstore.cli.cluster_view import NodeView
from kvstore.cli.context import Context
from kvstore.cli.metrics_text import Look, Rates, look_at, rates
from kvstore.cli.registry import Command, Example, Kind, Option, Parsed
from kvstore.cli.results import Column, Result, Shape, Table
from kvstore.cli.verbs.looking import view_cluster

INTERVAL_S = 1.0
TIMEOUT_S = 1.0
CLEAR = b"\x1b[H\x1b[J"
IN_CALLS = "rates are of calls here, and one call may carry many operations"
READS, WRITES = "read", "write"

COLUMNS = (
    Column("node"),
    Column("state", Shape.STATE),
    Column("leads", Shape.NUMBER),
    Column("reads_per_s", Shape.NUMBER, title="reads/s"),
    Column("read_p50_ms", Shape.MILLIS, title="p50"),
    Column("read_p99_ms", Shape.MILLIS, title="p99"),
    Column("writes_per_s", Shape.NUMBER, title="writes/s"),
    Column("write_p50_ms", Shape.MILLIS, title="p50"),
    Column("write_p99_ms", Shape.MILLIS, title="p99"),
    Column("open", Shape.NUMBER),
    Column("lag", Shape.NUMBER),
    Column("disk", Shape.SIZE),
)


def top(context: Context, parsed: Parsed) -> Result:
    interval = parsed.seconds("interval") or INTERVAL_S
    looks = _look(context)
    if parsed.flag("once"):
        time.sleep(interval)
        return _table(context, looks)[0]
    try:
        while True:
            time.sleep(interval)
            table, looks = _table(context, looks)
            _show(context, table, interval)
    except KeyboardInterrupt:
        return Result()


def _show(context: Context, table: Table, interval: float) -> None:
    terminal = context.terminal
    if context.is_for_people and terminal.stdout_is_terminal:
        said = "; ".join([f"{time.strftime('%H:%M:%S')}  every {interval:g} s, Ctrl-C ends", *table.notes])
        terminal.write(CLEAR)
        terminal.say(terminal.paint(said, "faint"))
        terminal.say("")
        context.renderer().draw(table)
        terminal.flush()
    else:
        context.renderer().show(table)


def _look(context: Context) -> dict[str, Look]:
    """Every node's counters; nodes that do not answer are left out."""
    from concurrent.futures import ThreadPoolExecutor

    addresses = context.connection.http_addresses()
    with ThreadPoolExecutor(max_workers=max(1, len(addresses))) as pool:
        found = pool.map(_fetch, addresses.values())
        return {node: look for node, look in zip(addresses, found, strict=True) if look is not None}


def _fetch(address: str) -> Look | None:
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        return look_at(connection.getresponse().read().decode(), time.monotonic())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()


def _table(context: Context, before: Mapping[str, Look]) -> tuple[Table, dict[str, Look]]:
    view, now = view_cluster(context), _look(context)
    rows = [
        _row(node, rates(before[node.id], now[node.id]) if node.id in before and node.id in now else None)
        for node in view.nodes
    ]
    in_calls = any(look.calls and not look.operations for look in now.values())
    table = Table(columns=COLUMNS, rows=rows, one="node", many="nodes", notes=[IN_CALLS] if in_calls else [])
    return table, now


def _row(node: NodeView, done: Rates | None) -> tuple[Any, ...]:
    figures: list[Any] = []
    for operation in (READS, WRITES):
        if done is None:
            figures += [None, None, None]
        else:
            rate = round(done.operations.get(operation, 0.0), 1)
            figures += [rate, done.p50_ms.get(operation), done.p99_ms.get(operation)]
    return (node.id, node.state, node.leads, *figures, node.open, node.lag, node.disk)


COMMANDS = (
    Command(
        ("top",),
        "what each node does, again and again",
        top,
        section="looking",
        options=(
            Option("interval", kind=Kind.DURATION, default=INTERVAL_S, help="how often"),
            Option("once", kind=Kind.FLAG, help="once, after one interval"),
        ),
        examples=(Example("top"), Example("top --once -o json")),
        about="Times are a node's own, from a request's arrival to its answer; the network is not in them.",
    ),
)
