r"""Looking at the cluster: status, where, outcome, latency, top; in the shell also \d and \peek."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from kvstore.cli.cluster_view import LEADERLESS, ClusterView, NodeView, PartitionView, view_of
from kvstore.cli.conflicts import sibling_document, sibling_table
from kvstore.cli.context import Context
from kvstore.cli.formats import counted, iso_time, json_bytes, local_time, size
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed, Where
from kvstore.cli.results import Column, Line, Replicas, Report, Result, Shape, Table
from kvstore.cli.verbs.data import served_by
from kvstore.cli.words import printable
from kvstore.core.errors import NotFound

NOT_HEALTHY = 5
PREVIEW_BYTES = 2_000

# ── status ──────────────────────────────────────────────────────────────────────────────────────────────────────────

NODE_COLUMNS = (
    Column("node"),
    Column("state", Shape.STATE),
    Column("zone"),
    Column("leads", Shape.NUMBER),
    Column("replicas", Shape.NUMBER),
    Column("lag", Shape.NUMBER),
    Column("requests", Shape.NUMBER),
    Column("disk", Shape.SIZE),
)
TOLD_FROM = 1.0
"""People are told of suspicion when it would be wrong one time in ten."""
PARTITION_COLUMNS = (
    Column("keyspace"),
    Column("partition"),
    Column("leader"),
    Column("replicas", Shape.REPLICAS),
    Column("state", Shape.STATE),
    Column("term", Shape.NUMBER),
    Column("commit", Shape.NUMBER),
    Column("lag", Shape.NUMBER),
    Column("group", Shape.NUMBER),
    Column("hints", Shape.NUMBER),
)


def view_cluster(context: Context) -> ClusterView:
    """Ask every node. Raises NotConnected."""
    found = context.client.status()
    return view_of(found.nodes, found.healthy)


def status(context: Context, parsed: Parsed) -> Result:
    view = view_cluster(context)
    blocks: list[Line | Table] = [_headline(view), Line(), node_table(view)]
    if parsed.flag("detail"):
        blocks += [Line(), partition_table(view)]
    if view.problems:
        blocks += [Line(), *(Line(f"  {who}: {what}", "warn") for who, what in view.problems)]
    return Report(
        blocks=blocks, document=_document(view, parsed.flag("detail")), exit_code=0 if view.healthy else NOT_HEALTHY
    )


def _headline(view: ClusterView) -> Line:
    healthy = "healthy" if view.healthy else "NOT HEALTHY"
    keyspaces = len({partition.keyspace for partition in view.data})
    said = [f"{view.up} of {len(view.nodes)} nodes up", f"{counted(keyspaces, 'keyspace')}, "
            f"{counted(len(view.data), 'partition')}"]  # fmt: skip
    if view.short:
        said.append(f"{view.short} short of replicas")
    if view.without_leader:
        said.append(f"{view.without_leader} WITHOUT LEADER")
    if view.hints:
        said.append(counted(view.hints, "hint"))
    return Line(f"{view.cluster}: {healthy}   {' · '.join(said)}", "good" if view.healthy else "bad")


def node_table(view: ClusterView) -> Table:
    rows = [
        (n.id, n.state, n.zone, n.leads, n.replicas, n.lag, n.open, n.disk, n.hints, n.suspicion) for n in view.nodes
    ]
    hints = Column("hints", Shape.NUMBER, for_people=view.hints > 0)
    suspicion = Column("suspicion", Shape.NUMBER, for_people=any(node.suspicion >= TOLD_FROM for node in view.nodes))
    columns = (*NODE_COLUMNS, hints, suspicion)
    return Table(columns=columns, rows=rows, one="node", many="nodes")


def partition_table(view: ClusterView) -> Table:
    rows = [_partition_row(partition) for partition in view.partitions]
    some = any(partition.hints for partition in view.partitions)
    columns = [replace(column, for_people=some) if column.name == "hints" else column for column in PARTITION_COLUMNS]
    return Table(columns=tuple(columns), rows=rows, one="partition", many="partitions")


def _partition_row(partition: PartitionView) -> tuple[Any, ...]:
    return (
        partition.keyspace,
        f"p{partition.number:02d}" if partition.group else "-",
        partition.leader,
        Replicas((*partition.up, *partition.down), partition.leader, partition.down),
        partition.state,
        *((partition.term, partition.commit, partition.lag) if partition.mode != LEADERLESS else (None, None, None)),
        partition.group,
        partition.hints,
    )


def _document(view: ClusterView, detail: bool) -> dict[str, Any]:
    document = {
        "healthy": view.healthy,
        "cluster": view.cluster,
        "timeline": f"{view.timeline:08x}",
        "epoch": view.epoch,
        "partitions": len(view.data),
        "partitions_short_of_replicas": view.short,
        "partitions_without_leader": view.without_leader,
        "hints": view.hints,
        "problems": [{"node": who, "problem": what} for who, what in view.problems],
        "nodes": [_node_document(node) for node in view.nodes],
    }
    if detail:
        names = [column.name for column in PARTITION_COLUMNS]
        rows = (_partition_row(partition) for partition in view.partitions)
        document["groups"] = [
            dict(zip(names, row, strict=True)) | {"replicas": [*p.up, *p.down], "down": list(p.down)}
            for row, p in zip(rows, view.partitions, strict=True)
        ]
    return document


def _node_document(node: NodeView) -> dict[str, Any]:
    document: dict[str, Any] = {name: getattr(node, name) for name in node.__slots__}
    return document | {"problems": list(node.problems)}


# ── where, outcome, peek ────────────────────────────────────────────────────────────────────────────────────────────

WHERE_COLUMNS = (
    Column("key", Shape.KEY),
    Column("hash"),
    Column("partition"),
    Column("leader"),
    Column("replicas", Shape.REPLICAS),
    Column("group", Shape.NUMBER),
)


def where(context: Context, parsed: Parsed) -> Result:
    rows = [_whereabouts(context, context.key(word)) for word in parsed.words("keys")]
    return Table(columns=WHERE_COLUMNS, rows=rows, one="key", many="keys")


def _whereabouts(context: Context, key: bytes) -> tuple[Any, ...]:
    found = context.db.where(key)
    names = tuple(node.id for node in found.replicas)
    asked_first = found.leader or (names[0] if names and context.db.info().is_leaderless else None)
    replicas = Replicas(names, asked_first)
    return key, f"0x{found.hashed:016x}", f"p{found.partition:02d}", found.leader, replicas, found.group


def outcome(context: Context, parsed: Parsed) -> Result:
    key = [context.key(word) for word in parsed.words("key")]
    operation = str(parsed.word("operation"))
    found = context.db.outcome(operation, key=key[0] if key else None)
    meaning = {
        "written": "written: the write happened" + (f", as version {found.version}" if found.version else ""),
        "refused": "refused: it ran, but its condition did not hold or there was nothing to delete",
        "not_seen": "not seen: it has not happened; if it is still under way, it may yet",
    }[str(found.verdict)]
    version = str(found.version) if found.version is not None else None
    document = {"operation": operation, "outcome": str(found.verdict), "version": version}
    return Report(blocks=[Line(meaning)], document=document, raw=str(found.verdict))


def peek(context: Context, parsed: Parsed) -> Result:
    key = context.key(parsed.word("key"))
    record = context.db.read(key)
    if record.version is None or not record.exists:
        raise NotFound(f"there is no key {context.key_text(key)}", key=key)
    _, hashed, partition, leader, replicas, group = _whereabouts(context, key)
    values = [sibling.value for sibling in record.siblings]
    several = len(values) > 1
    facts = {
        "value": f"{len(values)} siblings, shown below" if several else _shortened(values[0]),
        "size": " and ".join(f"{len(value):,}" for value in values) + " bytes",
        "version": str(record.version),
        "written": local_time(record.version.wall),
        "partition": f"{partition} (group {group}, hash {hashed})",
        "replicas": f"{replicas}   " + (f"leader {leader}" if leader else "* is asked first"),
    }
    document = {
        "key": context.json_key(key),
        "value": None if several else json_bytes(values[0]),
        "size": sum(map(len, values)),
        "version": str(record.version),
        "written": iso_time(record.version.wall),
        "partition": partition,
        "replicas": list(replicas.nodes),
    }
    if several:
        document["siblings"] = sibling_document(context, record)["siblings"]
    blocks: list[Line | Table] = [Line(f"{name.ljust(10)} {fact}") for name, fact in facts.items()]
    blocks += [Line(), sibling_table(record)] if several else []
    return Report(blocks=blocks, document=document, served=served_by(record.receipt))


def _shortened(value: bytes) -> str:
    return printable(value[:PREVIEW_BYTES]) + (" …" if len(value) > PREVIEW_BYTES else "")


# ── latency ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PROBE_KEY = b"kvstore-latency-probe"
LATENCY_SECONDS = 3.0
BAR_COLUMNS = 40
BOUNDS_MS = (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500, 1000)


def latency(context: Context, parsed: Parsed) -> Result:
    seconds = parsed.seconds("seconds") or LATENCY_SECONDS
    words = parsed.words("key")
    key = context.key(words[0]) if words else PROBE_KEY
    context.db.get(key)  # connected and routed: the first call is not what is asked about
    context.note(f"reading {context.key_text(key)} for {seconds:g} s ...")
    times = sorted(_round_trips(context, key, seconds))
    level = _level(context)
    facts = {"reads": len(times), "consistency": level} | {
        name: round(quantile(times, share), 3) for name, share in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99))
    }
    facts["max_ms"] = round(times[-1], 3)
    said = "   ".join(f"{name.removesuffix('_ms')} {facts[name]:.2f} ms" for name in list(facts)[2:])
    spread = list(distribution(times))
    return Report(
        blocks=[Line(f"{len(times):,} {level} reads, one at a time:   {said}"), Line(), _spread_table(spread)],
        document=facts | {"distribution": [{"ms": bound, "reads": count} for bound, count in spread]},
    )


def _level(context: Context) -> str:
    """What reads ask for."""
    info = context.db.info()
    if info.is_leaderless:
        return f"read={context.settings.read or info.read_quorum}"
    return context.settings.consistency or "linearizable"


def _round_trips(context: Context, key: bytes, seconds: float) -> Iterator[float]:
    """Milliseconds of reads one after the other."""
    now = time.perf_counter
    end = now() + seconds
    while (began := now()) < end:
        context.db.get(key)
        yield (now() - began) * 1000


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of all values does not exceed (nearest rank)."""
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def distribution(ordered: Sequence[float]) -> Iterator[tuple[float | None, int]]:
    """How many values lie up to each bound and above the one before; None: above all. Empty ends are left out."""
    counts = [0] * (len(BOUNDS_MS) + 1)
    at = 0
    for value in ordered:
        while at < len(BOUNDS_MS) and value > BOUNDS_MS[at]:
            at += 1
        counts[at] += 1
    filled = [at for at, count in enumerate(counts) if count]
    for at in range(filled[0], filled[-1] + 1):
        yield (BOUNDS_MS[at] if at < len(BOUNDS_MS) else None), counts[at]


def _spread_table(spread: Sequence[tuple[float | None, int]]) -> Table:
    most, total = max(count for _, count in spread), sum(count for _, count in spread)
    rows = [
        (f"{bound:g} ms" if bound is not None else "more", count, f"{count / total:.1%}",
         "█" * round(BAR_COLUMNS * count / most) or ("▏" if count else ""))
        for bound, count in spread
    ]  # fmt: skip
    columns = (
        Column("up_to", title="up to"),
        Column("reads", Shape.NUMBER),
        Column("share", to_the_right=True),
        Column("bar", title=" "),
    )
    return Table(columns=columns, rows=rows)


# ── describing, in the shell ────────────────────────────────────────────────────────────────────────────────────────

DESCRIBED = ("nodes", "partitions", "ring", "lag", "keyspaces")


def describe(context: Context, parsed: Parsed) -> Result:
    from kvstore.cli.verbs.keyspaces import keyspace_table

    what = parsed.text("what")
    if what == "keyspaces":
        return keyspace_table(context)
    view = view_cluster(context)
    match what:
        case "nodes":
            return node_table(view)
        case "partitions" | "ring":
            return partition_table(view)
        case "lag":
            return lag_table(view)
    keyspaces = keyspace_table(context)
    return Report(
        blocks=[_headline(view), Line(), node_table(view), Line(), keyspaces], document=_document(view, False)
    )


def lag_table(view: ClusterView) -> Table:
    rows = [(n.id, n.state, n.lag, n.open, None if n.disk is None else size(n.disk)) for n in view.nodes]
    columns = (
        Column("node"),
        Column("state", Shape.STATE),
        Column("lag", Shape.NUMBER, title="entries behind"),
        Column("requests", Shape.NUMBER, title="requests open"),
        Column("disk"),
    )
    return Table(columns=columns, rows=rows, one="node", many="nodes")


COMMANDS = (
    Command(
        ("status",),
        "the cluster on one screen",
        status,
        section="looking",
        options=(Option("detail", kind=Kind.FLAG, help="every partition, too"),),
        examples=(Example("status"), Example("status -o json | jq .healthy")),
        about="The exit code is 5 if the cluster is not healthy: a node is down, or a partition has no leader.",
    ),
    Command(
        ("where",),
        "where keys lie: hash, partition, leader, replicas",
        where,
        section="looking",
        about="The replica with a * leads; in a leaderless keyspace it is the one that is asked first.",
        arguments=(Argument("keys", Kind.KEY, metavar="KEY", many=True),),
        examples=(Example("where user:1 user:2"),),
    ),
    Command(
        ("outcome",),
        "did a write happen?",
        outcome,
        section="looking",
        arguments=(Argument("operation", Kind.OPERATION, metavar="OPERATION"),),
        options=(Option("key", kind=Kind.KEY, help="its key, if known: then one partition is asked, not all"),),
        examples=(Example("outcome 3f9a-1c"),),
        about="Known for at least 10 minutes. The operation id is in the error that left doubt, and in put -o json.",
    ),
    Command(
        ("latency",),
        "measure round trips: p50, p99 and how they spread",
        latency,
        section="looking",
        options=(
            Option("seconds", kind=Kind.DURATION, metavar="N", default=LATENCY_SECONDS, help="how long"),
            Option("key", kind=Kind.KEY, help="which key to read; it need not exist"),
        ),
        examples=(Example("latency --seconds 10"), Example("latency --consistency follower")),
    ),
    Command(
        ("\\d",),
        "describe the cluster",
        describe,
        section="looking",
        where=Where.SHELL,
        arguments=(
            Argument("what", Kind.CHOICE, "WHAT", choices=DESCRIBED, required=False, help=" | ".join(DESCRIBED)),
        ),
    ),
    Command(
        ("\\peek",),
        "one key with everything about it",
        peek,
        section="looking",
        where=Where.SHELL,
        arguments=(Argument("key", Kind.KEY),),
    ),
)
