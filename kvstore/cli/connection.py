"""The cluster a command talks to: a client, where it was pointed, and what people call it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kvstore.cli.settings import Settings
from kvstore.core.errors import KvError

if TYPE_CHECKING:
    from kvstore.client.client import Client
    from kvstore.client.space import Space

HEALTH_TIMEOUT_S = 1.5


@dataclass(frozen=True, slots=True)
class Health:
    """A few words, and how they are meant: good, warn or bad."""

    text: str = ""
    style: str = "hint"


@dataclass(slots=True)
class Connection:
    """A client and the names of what it is connected to. Closing it closes the client."""

    client: "Client"
    endpoints: tuple[str, ...] = ()
    note: str = ""
    """What should be known about how it was chosen."""
    _names: dict[str, str] = field(default_factory=dict)
    _modes: dict[str, str] = field(default_factory=dict)

    def view(self, settings: Settings) -> "Space[bytes]":
        """The chosen keyspace, asked as the settings say."""
        space: Space[bytes] = self.client if settings.keyspace is None else self.client.keyspace(settings.keyspace)
        levels = settings.levels
        if not levels and settings.timeout is None:
            return space
        return space.with_options(**levels, timeout=settings.timeout)

    def keyspace_name(self, settings: Settings) -> str:
        """The keyspace in use, also if the URL or a profile chose it."""
        if settings.keyspace is not None:
            return settings.keyspace
        if "keyspace" not in self._names:
            self._names["keyspace"] = self.client.partitions()[0].keyspace
        return self._names["keyspace"]

    def mode_of(self, keyspace: str) -> str:
        """How a keyspace replicates. Raises UnknownKeyspace."""
        if keyspace not in self._modes:
            self._modes[keyspace] = self.client.describe_keyspace(keyspace).mode
        return self._modes[keyspace]

    def cluster_name(self) -> str:
        """What the cluster calls itself."""
        if "cluster" not in self._names:
            (report,) = self.client.status(whole_cluster=False).nodes
            self._names["cluster"] = str(report["cluster"])
        return self._names["cluster"]

    def replicas_of(self, settings: Settings, partition: int) -> int:
        """How many nodes hold a partition of the keyspace in use."""
        return len(self.view(settings).partitions()[partition].replicas)

    def local_name(self) -> str | None:
        """The name of the local cluster this is, None if it is none. All its nodes may be down by now."""
        from kvstore.client.url import parse_url
        from kvstore.local.clusters import list_clusters

        for cluster in list_clusters():
            if set(parse_url(cluster.url).endpoints) & set(self.endpoints):
                return cluster.name
        return None

    def http_addresses(self) -> dict[str, str]:
        """Node to HTTP address, of every node that has one."""
        return {node.id: node.http_address for node in self.client.nodes() if node.http_address}

    def health(self) -> Health:
        """One node's view of the cluster, in a few words. Never raises."""
        try:
            (report,) = self.client.status(whole_cluster=False, timeout=HEALTH_TIMEOUT_S).nodes
        except KvError as error:
            return Health(f"not reachable ({error.code})", "bad")
        return health_from(report)

    def close(self) -> None:
        self.client.close()


def health_from(report: Mapping[str, Any]) -> Health:
    """What one node's report says of the whole cluster: `demo 3/3 up`."""
    down = [name for name, peer in report.get("peers", {}).items() if not peer["up"]]
    count = len(report.get("peers", {})) + 1
    said = [f"{report['cluster']} {count - len(down)}/{count} up"]
    if down:
        said.append(f"{' '.join(down)} down")
    led = [group for group in report.get("groups", ()) if group.get("mode") != "leaderless"]
    without = sum(group["leader"] is None for group in led)
    if without:
        said.append(f"{without} without leader")
    hints = sum(sum(group.get("hints", {}).values()) for group in report.get("groups", ()))
    if hints:
        said.append(f"{hints:,} hints")
    style = "bad" if without else "warn" if down or not report.get("ready") else "good"
    return Health(" · ".join(said), style)


def connect(settings: Settings) -> Connection:
    """Connect now. Raises NotConnected, ConfigError."""
    from kvstore.client import client, configuration

    target = configuration.configured(settings.cluster)
    note = taken_among_several(settings, target.endpoints)
    return Connection(client.connect(settings.cluster, timeout=settings.timeout), target.endpoints, note)


def taken_among_several(settings: Settings, endpoints: tuple[str, ...]) -> str:
    """What to say if nobody named a cluster and several run on this machine; empty if there was no choice."""
    from kvstore.client import discovery
    from kvstore.client.url import parse_url

    running = discovery.discover() if settings.cluster is None else []
    if len(running) < 2 or parse_url(running[0].url).endpoints != endpoints:
        return ""
    return f"{len(running)} local clusters are running: this is {running[0].name}, the newest; -c NAME takes another"
