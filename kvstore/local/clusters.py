"""Named clusters: what `kvstore local up`, `ls` and all verbs that name none are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from kvstore.core.errors import InvalidRequest, KvError, NotConnected
from kvstore.local import records
from kvstore.local.node_files import write_node_files
from kvstore.local.processes import NODE_COMMAND, LocalCluster, check_ports, state_of
from kvstore.local.topology import Topology, read_topology


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """One line of `kvstore local ls`."""

    name: str
    url: str
    folder: str
    nodes: tuple[tuple[str, str], ...]
    """Id and state (up, paused, killed, stopped, ended) of each."""
    keep: bool
    created: float
    """Seconds since 1970."""

    @property
    def running(self) -> int:
        """How many nodes have a process, paused ones included."""
        return sum(state in ("up", "paused") for _, state in self.nodes)


def up(
    n: int = 3,
    name: str | None = None,
    file: str | Path | None = None,
    dir: str | Path | None = None,
    keep: bool = False,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    command: Sequence[str] = NODE_COMMAND,
) -> LocalCluster:
    """Start a cluster that stays up after this process, and return it when every node is ready.

    `file` is a cluster file and replaces `n`; `name` replaces the file's. The data lies in `dir`, or with `keep` in a
    folder of this user, and then outlives `down`: the same `name` or `dir` starts it again. Else it is temporary.
    Raises ConfigError, InvalidRequest if the name is taken, NotReady if a node does not come up.
    """
    topology = read_topology(file) if file is not None else Topology.plain(n, settings=settings)
    topology = replace(topology, name=name) if name is not None else topology
    kept = _kept_folder(topology.name, dir)
    _check_name(topology.name, kept)
    if kept is not None:
        return _again(kept, topology if file is not None else None)
    folder = Path(dir) if dir is not None else records.state_folder() / topology.name if keep else None
    keep = folder is not None
    return LocalCluster.create(
        topology, folder=folder, keep=keep, ports="base", register=True, bound=False, command=command
    )


def attach(name: str | None = None) -> LocalCluster:
    """The running cluster of that name, or the only one. Raises NotConnected, InvalidRequest if there are several."""
    known = list_clusters()
    if name is not None:
        known = [cluster for cluster in known if cluster.name == name]
    running = [cluster for cluster in known if cluster.running] or (known if name is not None else [])
    if not running:
        what = f"no local cluster is called {name}" if name is not None else "no local cluster is running"
        raise NotConnected(f"{what}: `kvstore local up` starts one, `kvstore local ls` shows them")
    if len(running) > 1:
        names = ", ".join(cluster.name for cluster in running)
        raise InvalidRequest(f"several local clusters are running ({names}): say which one, as in -c {running[0].name}")
    return LocalCluster(running[0].folder)


def unused_name(topology: Topology) -> Topology:
    """The same under a name that no registered cluster has: `demo`, else `demo-2`, `demo-3` …"""
    taken = {cluster.name for cluster in list_clusters()}
    names = (f"{topology.name}-{i}" if i > 1 else topology.name for i in count(1))
    return replace(topology, name=next(name for name in names if name not in taken))


def list_clusters() -> list[ClusterInfo]:
    """Every registered cluster of this user by name: running ones, and those whose data is kept."""
    places = (records.runtime_folder(), records.state_folder())
    entries = {entry.name: entry for place in reversed(places) for entry in records.registrations(place)}
    found = (_info(Path(entries[name].dir)) for name in sorted(entries))
    return [info for info in found if info is not None]


def _info(folder: Path) -> ClusterInfo | None:
    """None if the folder is gone: a registration may outlive a machine's temporary files."""
    try:
        record = records.load(folder)
    except (FileNotFoundError, KvError):
        return None
    nodes = tuple((node.id, state_of(node)) for node in record.nodes)
    return ClusterInfo(record.name, record.url, str(folder), nodes, record.keep, record.created)


def _kept_folder(name: str, dir: str | Path | None) -> Path | None:
    """Where data of an earlier time waits to be used again."""
    if dir is not None:
        folder = Path(dir).absolute()
        return folder if (folder / records.STATE).exists() else None
    entry = records.registration(records.state_folder() / f"{name}.json")
    return Path(entry.dir) if entry is not None and (Path(entry.dir) / records.STATE).exists() else None


def _check_name(name: str, kept: Path | None) -> None:
    """Raises InvalidRequest if a cluster of that name is up; what is left of one that ended is cleared away."""
    for cluster in list_clusters():
        if cluster.name != name or kept == Path(cluster.folder):
            continue
        if cluster.running or cluster.keep:
            state = "running" if cluster.running else f"kept in {cluster.folder}"
            raise InvalidRequest(
                f"a local cluster {name} is {state}: choose another name, or `kvstore local rm {name}`"
            )
        LocalCluster(cluster.folder).down()


def _again(folder: Path, topology: Topology | None) -> LocalCluster:
    """Start a cluster that is down on the data it has; a cluster file may change its settings, not its nodes."""
    cluster = LocalCluster(folder)
    record = cluster.record
    if record.alive:
        raise InvalidRequest(f"the local cluster {record.name} in {folder} is running already")
    if topology is not None:
        wanted = [place.id for place in topology.places]
        if wanted != cluster.nodes:
            raise InvalidRequest(
                f"the data in {folder} is of a cluster with the nodes {', '.join(cluster.nodes)}, the file has "
                f"{', '.join(wanted)}: choose another name, or `kvstore local rm {record.name}`"
            )
        write_node_files(folder, record, topology.settings)
    check_ports(record)
    cluster.launch()
    return cluster
