"""kvstore local: clusters of real nodes on this machine."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kvstore.cli.context import Context, Refused
from kvstore.cli.formats import millis
from kvstore.cli.registry import Argument, Command, Example, Kind, Option, Parsed, Where
from kvstore.cli.results import Bytes, Column, Done, Line, Report, Result, Shape, Table, Text
from kvstore.core.errors import NotConnected, NotReady

if TYPE_CHECKING:
    from kvstore.local.processes import LocalCluster

FOLLOW_S = 0.2
LINES_DEFAULT = 40
NOT_HEALTHY = 5
ALIVE = ("up", "starting", "paused")
ADVICE = {
    "ConfigError": "correct the cluster file",
    "InvalidRequest": "kvstore local ls lists the clusters, kvstore local status the nodes of one",
    "NotConnected": "",  # its sentence says it all
    "NotReady": "",
}


def cluster_of(context: Context, name: str | None = None) -> "LocalCluster":
    """The cluster that is meant: named, given with -c, the one the shell is connected to, or the only one."""
    from kvstore.local.clusters import attach

    if name is None and context.shell is not None:
        name = context.local_name()
    given = context.settings.cluster
    if name is None and given is not None and "/" not in given:
        name = given
    return attach(name)


def up(context: Context, parsed: Parsed) -> Result:
    from kvstore.local import clusters

    count, file = parsed.number("nodes"), parsed.text("file")
    what = f"the nodes of {file}" if file else f"{count} nodes"
    context.note(f"starting {what} ...")
    began = time.monotonic()
    try:
        cluster = clusters.up(
            n=3 if count is None else count,
            name=parsed.text("name"),
            file=file,
            dir=parsed.text("dir"),
            keep=parsed.flag("keep"),
        )
    except OSError as error:
        raise Refused(f"the cluster cannot be started: {error}", exit_code=1) from error
    record = cluster.record
    spent = millis((time.monotonic() - began) * 1000)
    data = f"{cluster.folder}" + ("" if record.keep else "   (removed by `local down`; --keep keeps it)")
    return Report(
        blocks=[
            Line(f"{record.name}: {len(record.nodes)} nodes ready in {spent}", "good"),
            Line(f"  clients  {record.url}"),
            Line(f"  status   http://{record.nodes[0].http}/api/v1/status"),
            Line(f"  data     {data}"),
            Line(_what_next(context, record.name, record.url), "faint"),
        ],
        document=_described(cluster),
        raw=record.url,
    )


def _what_next(context: Context, name: str, url: str) -> str:
    if context.shell is None:
        return "try: kvstore put hello world; kvstore get hello; kvstore status; kvstore"
    if context.is_connected and not _stands_in_its_place(context, url):
        return f"\\c {name} connects to it"
    context.move(replace(context.settings, cluster=name))
    return f"the shell talks to {context.connection.cluster_name()} now; try: put hello world"


def _stands_in_its_place(context: Context, url: str) -> bool:
    """Whether a new cluster has the addresses of the one we were connected to, which is gone then."""
    from kvstore.client.url import parse_url

    return bool(set(parse_url(url).endpoints) & set(context.connection.endpoints))


def _described(cluster: "LocalCluster") -> dict[str, Any]:
    record = cluster.record
    nodes = [
        {"id": node.id, "zone": node.zone, "client": node.client, "http": node.http, "state": cluster.state(node.id)}
        for node in record.nodes
    ]
    return {"name": record.name, "url": record.url, "dir": str(cluster.folder), "keep": record.keep, "nodes": nodes}


def down(context: Context, parsed: Parsed) -> Result:
    cluster = cluster_of(context, parsed.text("name"))
    folder, keep = cluster.folder, cluster.record.keep
    cluster.down()
    fate = f"its data stays in {folder}" if keep else "its data is removed"
    return Done(says=f"{cluster.name} is down; {fate}", facts={"name": cluster.name, "dir": str(folder), "kept": keep})


def ls(context: Context, parsed: Parsed) -> Result:
    from kvstore.local.clusters import list_clusters

    rows = [
        (c.name, f"{c.running}/{len(c.nodes)} up", c.url, c.keep, round(c.created * 1000), c.folder)
        for c in list_clusters()
    ]
    columns = (
        Column("name"),
        Column("nodes", Shape.STATE),
        Column("url"),
        Column("kept"),
        Column("created", Shape.TIME, for_people=False),
        Column("data"),
    )
    return Table(columns=columns, rows=rows, empty="no local cluster; kvstore local up starts one", one="cluster",
                 many="clusters")  # fmt: skip


def status(context: Context, parsed: Parsed) -> Result:
    from kvstore.local.status import status as look

    found = look(cluster_of(context, parsed.text("name")))
    rows = [
        (
            n.id,
            n.zone,
            n.state if n.state in ALIVE else f"DOWN ({n.state})",
            round(n.since * 1000),
            n.pid or None,
            n.client,
            n.http,
        )
        for n in found.nodes
    ]
    columns = (
        Column("node"),
        Column("zone"),
        Column("state", Shape.STATE),
        Column("since", Shape.TIME),
        Column("pid"),
        Column("clients"),
        Column("http"),
    )
    up = sum(node.is_up for node in found.nodes)
    headline = Line(f"{found.name}: {up} of {len(found.nodes)} nodes up", "good" if found.is_healthy else "bad")
    blocks: list[Line | Table] = [headline, Line(), Table(columns=columns, rows=rows)]
    return Report(blocks=blocks, document=found.as_json(), exit_code=0 if found.is_healthy else NOT_HEALTHY)


def remove(context: Context, parsed: Parsed) -> Result:
    from kvstore.local.clusters import list_clusters
    from kvstore.local.processes import LocalCluster

    name = str(parsed.word("name"))
    found = [cluster for cluster in list_clusters() if cluster.name == name]
    if not found:
        raise NotConnected(f"no local cluster is called {name}: `kvstore local ls` shows them")
    context.confirm(f"End {name} and remove its data in {found[0].folder}?")
    LocalCluster(found[0].folder).remove()
    return Done(says=f"{name} is removed", facts={"name": name})


# ── single nodes ────────────────────────────────────────────────────────────────────────────────────────────────────


def _acting(does: str, act: Callable[["LocalCluster", str], object]) -> Callable[[Context, Parsed], Result]:
    """A verb that does one thing to some nodes; `does` says it afterwards."""

    def run(context: Context, parsed: Parsed) -> Result:
        cluster = cluster_of(context)
        nodes = [cluster.node(str(word)).id for word in parsed.words("nodes")]
        began = time.monotonic()
        for node in nodes:
            act(cluster, node)
        spent = millis((time.monotonic() - began) * 1000)
        said = f"{' '.join(nodes)} {does} in {spent}; {_standing(cluster)}"
        return Done(says=said, facts={"nodes": nodes, "did": does, "states": _states(cluster)})

    return run


def start(context: Context, parsed: Parsed) -> Result:
    """All at once: the first of a cluster that is down cannot become ready alone."""

    def start_all(cluster: "LocalCluster", nodes: Sequence[str]) -> None:
        for node in nodes:
            cluster.start(node, wait=False)
        _await_ready(cluster, nodes)

    return _brought_up(context, parsed, "started", start_all)


def restart(context: Context, parsed: Parsed) -> Result:
    """One after the other, so that the others go on serving."""

    def restart_each(cluster: "LocalCluster", nodes: Sequence[str]) -> None:
        for node in nodes:
            cluster.restart(node, wait=False)
            _await_ready(cluster, [node])

    return _brought_up(context, parsed, "restarted", restart_each)


def _brought_up(
    context: Context, parsed: Parsed, does: str, act: Callable[["LocalCluster", Sequence[str]], None]
) -> Result:
    cluster = cluster_of(context)
    nodes = [cluster.node(str(word)).id for word in parsed.words("nodes")]
    began = time.monotonic()
    try:
        act(cluster, nodes)
    except NotReady as error:
        culprit = error.node or nodes[0]
        raise Refused(str(error), f"all it said: kvstore local logs {culprit} --lines 0", error.exit_code) from error
    spent = millis((time.monotonic() - began) * 1000)
    said = f"{' '.join(nodes)} {does} in {spent}; {_standing(cluster)}"
    return Done(says=said, facts={"nodes": nodes, "did": does, "states": _states(cluster)})


def _await_ready(cluster: "LocalCluster", nodes: Sequence[str]) -> None:
    """Wait until they serve; without a majority nobody does, so then there is nothing to wait for."""
    if _has_majority(cluster):
        cluster.wait_ready(nodes)


def _has_majority(cluster: "LocalCluster") -> bool:
    states = list(_states(cluster).values())
    return 2 * states.count("up") > len(states)


def _states(cluster: "LocalCluster") -> dict[str, str]:
    return {node: cluster.state(node) for node in cluster.nodes}


def _standing(cluster: "LocalCluster") -> str:
    """How many nodes are up, and what that means for majorities."""
    states = list(_states(cluster).values())
    count = states.count("up")
    said = f"{count} of {len(states)} nodes up"
    if _has_majority(cluster):
        return said
    return f"{said}: no majority, nothing can be read or written until one is back (but with --read or --write one)"


def partition(context: Context, parsed: Parsed) -> Result:
    cluster = cluster_of(context)
    text = " ".join(map(str, parsed.words("sides")))
    sides = [side.replace(",", " ").split() for side in text.replace("/", "|").split("|")]
    cluster.partition(*sides)
    named = [[cluster.node(word).id for word in side] for side in sides]
    rest = [node for node in cluster.nodes if not any(node in side for side in named)]
    parts = [side for side in (*named, rest) if side]
    said = " | ".join(" ".join(side) for side in parts)
    return Done(says=f"the network is cut: {said}", facts={"sides": parts})


def heal(context: Context, parsed: Parsed) -> Result:
    cluster_of(context).heal()
    return Done(says="the network is whole again", facts={"sides": []})


def logs(context: Context, parsed: Parsed) -> Result:
    cluster = cluster_of(context)
    node = cluster.node(str(parsed.word("node"))).id
    if parsed.flag("follow"):
        return Bytes(chunks=_followed(cluster, node, parsed.number("lines") or LINES_DEFAULT))
    return Text(text=_last_lines(cluster.logs(node, 0), parsed.number("lines")))


def _last_lines(text: str, count: int | None) -> str:
    lines = text.rstrip("\n").split("\n")
    return "\n".join(lines if not count else lines[-count:])


def _followed(cluster: "LocalCluster", node: str, count: int) -> Iterator[bytes]:
    """The end of the log, then whatever comes, until Ctrl-C."""
    with cluster.log_path(node).open("rb") as file:
        yield (_last_lines(file.read().decode(errors="replace"), count) + "\n").encode()
        while True:
            chunk = file.read()
            if chunk:
                yield chunk
            else:
                time.sleep(FOLLOW_S)


def env(context: Context, parsed: Parsed) -> Result:
    cluster = cluster_of(context, parsed.text("name"))
    lines = [f"export KVSTORE_URL={shlex.quote(cluster.url)}"]
    return Report(blocks=[Line(line) for line in lines], document={"KVSTORE_URL": cluster.url}, raw="\n".join(lines))


_NODES = Argument("nodes", Kind.NODE, metavar="NODE", many=True, help="its id (n1) or number (1)")
_NAME = Argument("name", Kind.CLUSTER, required=False, help="the cluster; not needed if only one is running")


def _verb(name: str, summary: str, run: Callable[[Context, Parsed], Result], **more: Any) -> Command:
    return Command(("local", name), summary, run, section="running nodes", advice=ADVICE, **more)


COMMANDS = (
    _verb(
        "up",
        "start a cluster on this machine",
        up,
        options=(
            Option("nodes", "-n", Kind.NUMBER, default=3, group="what", help="how many nodes"),
            Option("file", kind=Kind.FILE, metavar="FILE", group="what", help="a cluster file, like cluster/five.toml"),
            Option("dir", kind=Kind.FOLDER, metavar="DIR", help="where the data lies; it is kept"),
            Option("name", metavar="NAME", help="what it is called (default demo, or the file's)"),
            Option("keep", kind=Kind.FLAG, help="keep the data when it goes down; up again finds it"),
        ),
        examples=(
            Example("local up", "three nodes called demo, on ports 7401 to 7403"),
            Example("local up -n 5 --name five --keep"),
        ),
        about="It stays up after this command. Clients on this machine find it by themselves.",
    ),
    _verb("down", "end a cluster; without --keep its data goes too", down, arguments=(_NAME,)),
    _verb("ls", "list the clusters of this user", ls),
    _verb("status", "its nodes: state, process, addresses; exit code 5 if one is not up", status, arguments=(_NAME,)),
    _verb("kill", "end nodes at once (SIGKILL)", _acting("killed", lambda c, n: c.kill(n)), arguments=(_NODES,)),
    _verb("stop", "end nodes cleanly: they hand over first", _acting("stopped", lambda c, n: c.stop(n)),
          arguments=(_NODES,)),
    _verb("start", "start nodes that do not run", start, arguments=(_NODES,)),
    _verb("restart", "stop and start nodes", restart, arguments=(_NODES,)),
    _verb("pause", "freeze nodes (SIGSTOP)", _acting("paused", lambda c, n: c.pause(n)), arguments=(_NODES,)),
    _verb("resume", "let frozen nodes go on", _acting("resumed", lambda c, n: c.resume(n)), arguments=(_NODES,)),
    _verb(
        "partition",
        "cut the network between nodes: each hears only its own side",
        partition,
        arguments=(Argument("sides", Kind.TEXT, metavar="NODES [/ NODES]", many=True,
                            help="by id or number; / (or a quoted |) between the sides; the others make up one more"),),
        examples=(Example("local partition 1,2 / 3,4,5", "two sides"), Example("local partition 1", "n1 alone")),
        about="Clients reach every node all the same. It lasts until `local heal`, or until a node restarts.",
    ),
    _verb("heal", "make the network whole again", heal),
    _verb(
        "logs",
        "what a node said",
        logs,
        arguments=(Argument("node", Kind.NODE, help="its id (n1) or number (1)"),),
        options=(
            Option("follow", "-f", Kind.FLAG, help="go on until Ctrl-C"),
            Option("lines", kind=Kind.NUMBER, default=LINES_DEFAULT, help="so many last lines; 0: all"),
        ),
    ),
    _verb("rm", "end a cluster and remove its data", remove, arguments=(Argument("name", Kind.CLUSTER),)),
    _verb("env", "print the variables that point to a cluster", env, arguments=(_NAME,), where=Where.CLI,
          examples=(Example('local env', 'eval "$(kvstore local env)" sets them'),)),
)  # fmt: skip
