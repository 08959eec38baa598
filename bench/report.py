"""Tables, JSON and ratios; and the facts about the machine without which a figure says nothing."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.workload import LoadResult

ROOT = Path(__file__).resolve().parents[1]
OUTPUTS = ("table", "json")
OTHER_CPU_SHARE_NOISY = 0.10
"""Above this share of the machine taken by others, a figure is marked as noisy."""

Cells = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One store under one load. Latencies per call, everything else per operation; a batch is 100 operations."""

    store: str
    op: str
    outstanding: int
    ops_per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    node_cpu_us_per_op: float
    """All nodes together."""
    client_cpu_us_per_op: float
    """The load generator."""
    ops: int
    errors: int
    seconds: float
    other_cpu_share: float
    """What neither the nodes nor the generator used, 0 to 1 of the machine."""
    rounds: int = 1
    ops_per_s_min: float = 0.0
    ops_per_s_max: float = 0.0
    ops_per_s_ratio: float | None = None
    """This row's throughput divided by that of the store it is compared with, under the same load."""
    p50_ratio: float | None = None
    p99_ratio: float | None = None
    first_error: str = ""


def row_of(store: str, op: str, outstanding: int, result: LoadResult) -> Row:
    """A generator's answer in the units people read."""
    ops = max(result.ops, 1)
    ops_per_s = round(result.ops / result.seconds, 1)
    return Row(
        store=store,
        op=op,
        outstanding=outstanding,
        ops_per_s=ops_per_s,
        p50_ms=result.p50_us / 1_000,
        p99_ms=result.p99_us / 1_000,
        p999_ms=result.p999_us / 1_000,
        node_cpu_us_per_op=round(result.node_cpu_seconds * 1e6 / ops, 2),
        client_cpu_us_per_op=round(result.cpu_seconds * 1e6 / ops, 2),
        ops=result.ops,
        errors=result.errors,
        seconds=result.seconds,
        other_cpu_share=result.other_cpu_share,
        ops_per_s_min=ops_per_s,
        ops_per_s_max=ops_per_s,
        first_error=result.first_error,
    )


def median_round(rounds: Sequence[Row]) -> Row:
    """The round with the median throughput, whole, with the spread of all; of an even number the lower middle.

    Errors are summed: a round that failed must not hide behind one that did not.
    """
    ranked = sorted(rounds, key=lambda row: row.ops_per_s)
    return replace(
        ranked[(len(ranked) - 1) // 2],
        rounds=len(ranked),
        ops_per_s_min=ranked[0].ops_per_s,
        ops_per_s_max=ranked[-1].ops_per_s,
        errors=sum(row.errors for row in ranked),
        first_error=next((row.first_error for row in ranked if row.first_error), ""),
    )


def with_ratios(rows: Sequence[Row], against: str) -> list[Row]:
    """Every row beside the row of store `against` with the same op and outstanding; ratios stay None without one."""
    yardsticks = {(row.op, row.outstanding): row for row in rows if row.store == against}
    return [_beside(row, yardsticks.get((row.op, row.outstanding))) for row in rows]


def _beside(row: Row, yardstick: Row | None) -> Row:
    if yardstick is None:
        return row
    return replace(
        row,
        ops_per_s_ratio=_ratio(row.ops_per_s, yardstick.ops_per_s),
        p50_ratio=_ratio(row.p50_ms, yardstick.p50_ms),
        p99_ratio=_ratio(row.p99_ms, yardstick.p99_ms),
    )


def _ratio(ours: float, theirs: float) -> float | None:
    return round(ours / theirs, 3) if theirs else None


def load_table(rows: Sequence[Row], against: str | None = None) -> tuple[list[str], list[list[str]]]:
    """Head and cells of the table people read; with `against`, ratios to that store at the end."""
    head = [
        "store",
        "op",
        "outstanding",
        "ops/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "node µs/op",
        "client µs/op",
        "errors",
    ]
    if against is not None:
        head += [f"ops/s ÷ {against}", f"p50 ÷ {against}", f"p99 ÷ {against}"]
    return head, [_cells(row, against is not None) for row in rows]


def _cells(row: Row, ratios: bool) -> list[str]:
    throughput = f"{row.ops_per_s:,.0f}"
    if row.rounds > 1:
        throughput += f" ({row.ops_per_s_min:,.0f}–{row.ops_per_s_max:,.0f})"
    cells = [row.store, row.op, str(row.outstanding), throughput]
    cells += [f"{figure:.2f}" for figure in (row.p50_ms, row.p99_ms, row.p999_ms)]
    cells += [f"{row.node_cpu_us_per_op:.1f}", f"{row.client_cpu_us_per_op:.1f}", str(row.errors)]
    if ratios:
        cells += [
            "–" if ratio is None else f"{ratio:.2f}" for ratio in (row.ops_per_s_ratio, row.p50_ratio, row.p99_ratio)
        ]
    return cells


def remarks(rows: Sequence[Row]) -> list[str]:
    """What a reader of the table must know: errors, and measurements that somebody else disturbed."""
    told = [
        f"{row.store} {row.op} {row.outstanding}: {row.errors} errors, the first: {row.first_error}"
        for row in rows
        if row.errors
    ]
    noisy = [row for row in rows if row.other_cpu_share > OTHER_CPU_SHARE_NOISY]
    told += [
        f"{row.store} {row.op} {row.outstanding}: other processes took {row.other_cpu_share:.0%} of the machine"
        for row in noisy
    ]
    return told


def plain_table(head: Sequence[str], cells: Cells) -> str:
    """Aligned columns, text to the left and numbers to the right, for pipes and files."""
    columns = list(zip(head, *cells, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    right = [_is_numeric(column[1:]) for column in columns]
    return "\n".join(_aligned(line, widths, right) for line in (head, *cells))


def _aligned(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(line, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def _is_numeric(column: Sequence[str]) -> bool:
    return bool(column) and all(cell[:1].isdigit() or cell == "–" for cell in column)


def print_table(head: Sequence[str], cells: Cells) -> None:
    """To stdout: a drawn table on a terminal, aligned text in a pipe."""
    if not sys.stdout.isatty():
        print(plain_table(head, cells))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name, *column in zip(head, *cells, strict=True):
        table.add_column(name, justify="right" if _is_numeric(column) else "left")
    for line in cells:
        table.add_row(*line)
    Console().print(table)


def as_json(rows: Sequence[Row]) -> str:
    """A list with one object per row, each on its own line."""
    return "[" + ",\n ".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows) + "]"


def machine_facts(folder: Path) -> dict[str, str]:
    """When, where and of which commit. `folder` is where the stores write: its file system decides what fsync costs."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": str(os.cpu_count()),
        "cpu": _cpu_model(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "disk": filesystem_of(folder),
        "commit": commit(),
    }


def facts_line(facts: Mapping[str, str]) -> str:
    return " · ".join(f"{name} {value}" for name, value in facts.items())


def commit() -> str:
    """The checkout's commit, `-dirty` if files differ from it; `unknown` outside of a repository."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip()


def filesystem_of(folder: Path) -> str:
    """The type of the file system a folder lies on, for example `ext4`; on `tmpfs` an fsync costs nothing."""
    where = folder.resolve()
    kinds = {Path(fields[1]): fields[2] for fields in map(str.split, Path("/proc/mounts").read_text().splitlines())}
    return next((kinds[place] for place in (where, *where.parents) if place in kinds), "unknown")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
