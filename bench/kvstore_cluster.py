"""A fresh local cluster of kvstore to measure: real node processes with their default settings, fsync on."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.report import commit
from bench.stores import StoreFailed
from kvstore.core.errors import KvError
from kvstore.local.processes import LocalCluster
from kvstore.local.topology import Topology


class KvstoreCluster:
    """Started by entering the `with` block, gone without a trace at its end, also if this process is killed."""

    generator = "bench.kvstore_load"

    def __init__(
        self,
        nodes: int,
        folder: Path | None = None,
        *,
        name: str = "kvstore",
        settings: Mapping[str, str | int] | None = None,
        dead_node: bool = False,
    ) -> None:
        """`settings` are of the keyspace; `dead_node`: its first node is killed when the keys are loaded."""
        self.name, self.settings, self.loads_first = name, dict(settings or {}), dead_node
        self._nodes = self._wanted = nodes
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
        if len(alive) < self._wanted:
            raise StoreFailed(f"{self._nodes - len(alive)} of {self._nodes} kvstore nodes have ended")
        return tuple(process.pid for process in alive)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every node; the client learns from any of them who leads which partition."""
        return tuple(node.client for node in self._running().record.nodes)

    def settle(self) -> None:
        """A node that was just loaded is at its best; the first one dies now, if one is to.

        The first, since clients ask it first: they must find out.
        """
        if self.loads_first and self._wanted == self._nodes:
            self._wanted -= 1
            self._running().kill(self._running().nodes[0])

    def _running(self) -> LocalCluster:
        if self._cluster is None:
            raise StoreFailed("the kvstore cluster is not running")
        return self._cluster
