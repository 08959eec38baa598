"""A fresh local cluster of kvstore to measure: real node processes with their default settings, fsync on."""

import shutil
import tempfile
from pathlib import Path

from bench.report import commit
from bench.stores import StoreFailed
from kvstore.core.errors import KvError
from kvstore.local.processes import LocalCluster
from kvstore.local.topology import Topology


class KvstoreCluster:
    """Started by entering the `with` block, gone without a trace at its end, also if this process is killed."""

    name = "kvstore"
    generator = "bench.kvstore_load"

    def __init__(self, nodes: int, folder: Path | None = None) -> None:
        self._nodes = nodes
        self._parent = folder
        self._cluster: LocalCluster | None = None

    def __enter__(self) -> "KvstoreCluster":
        """Raises StoreFailed, with the end of the log of the node that did not come up."""
        home = tempfile.mkdtemp(prefix="bench-kvstore-", dir=self._parent)
        try:
            self._cluster = LocalCluster.create(Topology.plain(self._nodes, name="bench"), folder=home)
        except (KvError, OSError) as error:
            shutil.rmtree(home, ignore_errors=True)
            raise StoreFailed(f"the kvstore cluster did not start: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._cluster is not None:
            self._cluster.down()
            self._cluster = None

    @property
    def version(self) -> str:
        """The commit: what is measured is this checkout."""
        return commit()

    @property
    def pids(self) -> tuple[int, ...]:
        """Raises StoreFailed if a node has ended: what the others do without it is not what was asked."""
        alive = self._running().record.alive
        if len(alive) < self._nodes:
            raise StoreFailed(f"{self._nodes - len(alive)} of {self._nodes} kvstore nodes have ended")
        return tuple(process.pid for process in alive)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every node; the client learns from any of them who leads which partition."""
        return tuple(node.client for node in self._running().record.nodes)

    def settle(self) -> None:
        """Nothing to do: a node that was just loaded is at its best."""

    def _running(self) -> LocalCluster:
        if self._cluster is None:
            raise StoreFailed("the kvstore cluster is not running")
        return self._cluster
