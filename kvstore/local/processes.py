"""LocalCluster: real nodes on this machine, started, killed, paused, resumed and restarted one by one.

    with LocalCluster.create(Topology.plain(3)) as cluster:  # ends with the block, or with this process
        cluster.kill(2)
        cluster.start(2)

What a cluster is stands in its folder (see records.py), so that any process may take part: `LocalCluster(folder)`.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from types import TracebackType
from typing import Literal, Self

from kvstore.core.errors import ConfigError, InvalidRequest, NotConnected, NotReady
from kvstore.local import records
from kvstore.local.node_files import config_file, data_folder, log_file, made_here, write_node_files
from kvstore.local.ports import HOST, free_ports, is_free
from kvstore.local.probes import cut_off, is_ready, what_is_missing
from kvstore.local.process import Allowance, Process, start, start_watching
from kvstore.local.records import ClusterRecord, NodeRecord
from kvstore.local.topology import Topology
from kvstore.node.forms import split_address

READY_S = 60.0
"""A node has so long to become ready; a slow machine is not an error."""
READY_POLL_S = 0.02
STOP_S = 20.0
"""A node has so long to hand over and close; then it is killed."""
GONE_S = 30.0
"""A killed process may still be held up by the disk for so long."""
LOG_TAIL_BYTES = 4_000

NODE_COMMAND = (sys.executable, "-P", "-m", "kvstore", "node", "run", "--config")
WARDEN_COMMAND = (sys.executable, "-P", "-m", "kvstore.local.warden")

Node = int | str
"""1 for the first node of the file, or its id."""


class LocalCluster:
    """A cluster in a folder. Every method looks at the folder's state afresh, under its lock.

    Raises NotConnected if there is no cluster (any more), InvalidRequest for a node that does not exist or an act that
    its state forbids, NotReady if a node does not come up.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self._warden: tuple[Process, int] | None = None
        self.name = self.record.name

    @classmethod
    def create(
        cls,
        topology: Topology,
        *,
        folder: str | Path | None = None,
        keep: bool = False,
        ports: Literal["base", "free"] = "free",
        register: bool = False,
        bound: bool = True,
        command: Sequence[str] = NODE_COMMAND,
    ) -> Self:
        """A new cluster, every node started and ready.

        `folder` must be new or empty; without one a temporary one is made. `keep`: `down()` leaves the data. `ports`:
        the base ports of the topology if they are all free, or any free ones. `register`: clients and other processes
        find it by its name. `bound`: it ends with this process, even if that is killed.
        """
        home = _new_folder(folder, topology.name)
        nodes = _placed(topology, ports)
        record = ClusterRecord(topology.name, time.time(), keep, register, list(command), nodes)
        try:
            write_node_files(home, record, topology.settings)
        except ConfigError:
            _remove(home, record)
            raise
        records.save(home, record)
        cluster = cls(home)
        cluster.launch(bound=bound)
        return cluster

    def launch(self, *, bound: bool = False) -> None:
        """Start every node that does not run, and wait until all are ready. If one is not, the cluster goes down."""
        if bound and self._warden is None:
            command = [*WARDEN_COMMAND, str(self.folder)]
            self._warden = start_watching(command, self.folder / records.WARDEN_LOG, environment())
        try:
            with self._state() as record:
                for node in record.nodes:
                    if not _is_alive(node):
                        self._run(record, node)
            self.wait_ready()
        except BaseException:
            self.down()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def __repr__(self) -> str:
        return f"LocalCluster({str(self.folder)!r})"

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def record(self) -> ClusterRecord:
        """What is written down of it now."""
        try:
            return records.load(self.folder)
        except FileNotFoundError as error:
            raise NotConnected(f"there is no local cluster in {self.folder}") from error

    @property
    def url(self) -> str:
        """For clients: kv://HOST:PORT,…"""
        return self.record.url

    @property
    def nodes(self) -> list[str]:
        """The ids, in the order of the cluster file."""
        return [node.id for node in self.record.nodes]

    def node(self, n: Node) -> NodeRecord:
        """Addresses and process of one node."""
        return _find(self.record, n)

    def state(self, n: Node) -> str:
        """up, paused, killed, stopped, or ended (by itself)."""
        return state_of(self.node(n))

    def log_path(self, n: Node) -> Path:
        """Where a node's stdout and stderr go."""
        return log_file(self.folder, self.node(n).id)

    def logs(self, n: Node, bytes_max: int = LOG_TAIL_BYTES) -> str:
        """The last lines of what a node said; 0: all."""
        return _tail(self.log_path(n), bytes_max)

    def data_path(self, n: Node) -> Path:
        return data_folder(self.folder, self.node(n).id)

    def wait_ready(self, nodes: Iterable[Node] | None = None, seconds: float = READY_S) -> None:
        """Wait until these nodes (default: all that run) say that they serve. Raises NotReady, with the log's end."""
        record = self.record
        waiting = (
            [_find(record, n) for n in nodes] if nodes is not None else [n for n in record.nodes if not n.put_down]
        )
        allowance = Allowance(seconds)
        while waiting := [node for node in waiting if not is_ready(node.http)]:
            for node in waiting:
                if not _is_alive(node):
                    raise NotReady(self._complaint(node, "ended before it was ready"), node=node.id)
            if allowance.is_used_up:
                node = waiting[0]
                what = f"was not ready after {seconds:g} s ({what_is_missing(node.http)})"
                raise NotReady(self._complaint(node, what), node=node.id)
            time.sleep(READY_POLL_S)

    def _complaint(self, node: NodeRecord, what: str) -> str:
        log = log_file(self.folder, node.id)
        return f"node {node.id} {what}; the end of {log}:\n{_tail(log, LOG_TAIL_BYTES)}"

    # ── acting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, n: Node, *, wait: bool = True) -> None:
        """Run a node that does not run, on the data it has."""
        with self._state() as record:
            node = _find(record, n)
            if _is_alive(node):
                raise InvalidRequest(f"node {node.id} is running already")
            self._run(record, node)
        if wait:
            self.wait_ready([n])

    def kill(self, n: Node) -> None:
        """SIGKILL: what was not written is lost. It is gone when this returns."""
        with self._acting(n, put_down="killed") as process:
            _end(process)

    def stop(self, n: Node, seconds: float = STOP_S) -> bool:
        """SIGTERM: it hands over and closes. False if it took longer than so many seconds and was killed."""
        with self._acting(n, put_down="stopped") as process:
            process.signal(SIGCONT)
            process.signal(SIGTERM)
            clean = process.wait(seconds)
            _end(process)
        return clean

    def restart(self, n: Node, *, wait: bool = True) -> None:
        """Stop it if it runs, and start it."""
        if _is_alive(self.node(n)):
            self.stop(n)
        self.start(n, wait=wait)

    def pause(self, n: Node) -> None:
        """SIGSTOP: it keeps its connections and says nothing, until `resume`."""
        with self._acting(n) as process:
            process.signal(SIGSTOP)

    def resume(self, n: Node) -> None:
        """SIGCONT."""
        with self._acting(n) as process:
            process.signal(SIGCONT)

    def partition(self, *sides: Iterable[Node]) -> None:
        """Cut the network: nodes hear only those on their own side. Nodes on no side named make up one more.

            cluster.partition([1], [2, 3])

        Clients reach every node all the same. Lasts until the next partition, `heal`, or a node's restart.
        """
        record = self.record
        parts = [{_find(record, n).id for n in side} for side in sides]
        named = [node for part in parts for node in part]
        if len(set(named)) < len(named):
            raise InvalidRequest("a node cannot be on two sides of a partition")
        parts.append({node.id for node in record.nodes} - set(named))
        side_of = {node: part for part in parts for node in part}
        for node in record.nodes:
            if _is_alive(node):
                cut_off(node.http, [other.id for other in record.nodes if other.id not in side_of[node.id]])

    def heal(self) -> None:
        """The network is whole again."""
        self.partition()

    def wipe(self, n: Node) -> None:
        """Remove the data of a node that does not run: it will come back empty."""
        with self._state() as record:
            node = _find(record, n)
            if _is_alive(node):
                raise InvalidRequest(f"node {node.id} is running: stop or kill it first")
            shutil.rmtree(data_folder(self.folder, node.id), ignore_errors=True)

    def down(self) -> None:
        """End every node, paused ones too. Data that is not kept is removed, and then nothing needs a clean stop."""
        try:
            with self._state() as record:
                if record.keep:
                    _stop_all(record.alive, STOP_S)
                for process in record.alive:
                    _end(process)
                for node in record.nodes:
                    node.put_down = node.put_down or "stopped"
                    node.process = None
            records.unregister(self.folder, record, forget=not record.keep)
            if not record.keep:
                _remove(self.folder, record)
        except NotConnected:
            pass  # somebody else took it down meanwhile
        finally:
            self._release_warden()

    def remove(self) -> None:
        """Down, and its data too, even if it was to be kept."""
        with self._state() as record:
            record.keep = False
        self.down()

    def _release_warden(self) -> None:
        if self._warden is not None:
            process, ours = self._warden
            self._warden = None
            os.close(ours)
            process.wait(GONE_S)

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _state(self) -> Iterator[ClusterRecord]:
        """The record, nobody else changing it; written back unless the block raises."""
        with ExitStack() as stack:
            try:
                stack.enter_context(records.locked(self.folder))
                record = records.load(self.folder)
            except FileNotFoundError as error:
                raise NotConnected(f"there is no local cluster in {self.folder}") from error
            yield record
            records.save(self.folder, record)

    @contextmanager
    def _acting(self, n: Node, put_down: str = "") -> Iterator[Process]:
        """The process of a node that runs; the act is written down after it."""
        with self._state() as record:
            node = _find(record, n)
            if node.process is None or not node.process.is_alive:
                raise InvalidRequest(f"node {node.id} is not running ({state_of(node)})")
            yield node.process
            node.put_down, node.since = put_down, time.time()

    def _run(self, record: ClusterRecord, node: NodeRecord) -> None:
        """Start a node's process; it is written down before it runs."""

        def write_down(process: Process) -> None:
            node.process, node.put_down, node.since = process, "", time.time()
            records.save(self.folder, record)

        command = [*record.command, str(config_file(self.folder, node.id))]
        start(command, log_file(self.folder, node.id), environment(), write_down)


def environment() -> dict[str, str]:
    """Ours, and the folder this package was imported from, so that it need not be installed."""
    here = str(Path(__file__).parents[2])
    path = [here, *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != here)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}


def state_of(node: NodeRecord) -> str:
    """up, paused, killed, stopped, or ended (by itself)."""
    state = node.process.state if node.process is not None else None
    if state is None:
        return node.put_down or "ended"
    return "paused" if state in "Tt" else "up"


def _is_alive(node: NodeRecord) -> bool:
    return node.process is not None and node.process.is_alive


def _find(record: ClusterRecord, n: Node) -> NodeRecord:
    ids = [node.id for node in record.nodes]
    if str(n) in ids:
        return record.nodes[ids.index(str(n))]
    if str(n).isdecimal() and 1 <= int(n) <= len(ids):
        return record.nodes[int(n) - 1]
    raise InvalidRequest(f"there is no node {n}: expected one of {', '.join(ids)} or 1 to {len(ids)}")


def _end(process: Process) -> None:
    """SIGKILL reaches a stopped process, too."""
    process.signal(SIGKILL)
    if not process.wait(GONE_S):
        raise NotReady(f"process {process.pid} was killed and is still there after {GONE_S:g} s")


def _stop_all(processes: Sequence[Process], seconds: float) -> None:
    """All at once, so that nobody waits for the leadership of a node that is about to go."""
    for process in processes:
        process.signal(SIGCONT)
        process.signal(SIGTERM)
    deadline = time.monotonic() + seconds
    for process in processes:
        process.wait(max(0.0, deadline - time.monotonic()))


def _tail(file: Path, bytes_max: int) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return ""
    if bytes_max and len(data) > bytes_max:
        data = data[-bytes_max:].partition(b"\n")[2]
    return data.decode(errors="replace")


def _new_folder(folder: str | Path | None, name: str) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix=f"kvstore-{name}-"))
    home = Path(folder).absolute()
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise InvalidRequest(f"{home}: expected a new or empty folder")
    return home


def _placed(topology: Topology, ports: Literal["base", "free"]) -> list[NodeRecord]:
    """Every node with its addresses."""
    count = len(topology.places)
    bases = (topology.ports.client, topology.ports.http, topology.ports.peer)
    numbers = [base + i for i in range(1, count + 1) for base in bases]
    if ports == "free" or 0 in bases or not all(is_free(port) for port in numbers):
        numbers = free_ports(3 * count)
    doors = iter([f"{HOST}:{port}" for port in numbers])
    return [
        NodeRecord(place.id, place.zone, client=next(doors), http=next(doors), peer=next(doors))
        for place in topology.places
    ]


def _remove(folder: Path, record: ClusterRecord) -> None:
    """What was made here; the folder itself if nothing else lies in it."""
    for path in made_here(folder, [node.id for node in record.nodes]):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def check_ports(record: ClusterRecord) -> None:
    """Raises InvalidRequest if somebody else listens where a node of a cluster that is down wants to."""
    for node in record.nodes:
        for address in (node.client, node.http, node.peer):
            if not _is_alive(node) and not is_free(split_address(address)[1]):
                raise InvalidRequest(f"{address} of node {node.id} is in use by another program")
