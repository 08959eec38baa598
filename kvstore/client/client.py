"""Client: a connection to a cluster, each call returning when it is done."""

import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kvstore.client.async_client import AsyncClient, grpc_link
from kvstore.client.configuration import configured
from kvstore.client.documented import like
from kvstore.client.explaining import Explanation
from kvstore.client.link import Link
from kvstore.client.loop_thread import LoopThread
from kvstore.client.options import Resolver
from kvstore.client.records import ClusterStatus, KeyspaceInfo
from kvstore.client.space import Space
from kvstore.client.tending import TENDING_S, Comparison, Scrubbing
from kvstore.client.url import Target
from kvstore.placement.members import NodeInfo


class Client(Space[bytes]):
    """A cluster of kvstore nodes: bytes in, bytes out.

        db = kvstore.Client("kv://127.0.0.1:7401,127.0.0.1:7402")
        version = db.put("user:1", b"Ada")
        print(db.get("user:1"))
        db.close()

    One endpoint is enough, the cluster names the others. Nothing is connected until the first call; `kvstore.connect`
    connects at once and finds the cluster by itself. Use it as a context manager, or call `close`. May be used from
    many threads at once; it runs an event loop on a thread of its own. In asyncio code use `AsyncClient`.

    Without a URL the cluster is found as `kvstore.connect` does it. Options may be given in the URL
    (`?consistency=leader&timeout=2s`) or here; see `with_options`. `link` is how nodes are reached, if
    not by gRPC (see `kvstore.client.link`): an embedded node, for example.
    """

    def __init__(
        self,
        url: str | Target | None = None,
        *,
        keyspace: str | None = None,
        consistency: str | None = None,
        acks: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        read: int | str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        resolver: Resolver | str | None = None,
        link: Callable[[str], Link] = grpc_link,
    ) -> None:
        inner = AsyncClient(
            url,
            keyspace=keyspace,
            consistency=consistency,
            acks=acks,
            timeout=timeout,
            max_staleness=max_staleness,
            read=read,
            write=write,
            sloppy=sloppy,
            resolver=resolver,
            link=link,
        )
        super().__init__(inner, LoopThread())
        self._client = inner
        # A forgotten client is closed when it is collected, at the latest when the interpreter ends.
        self._end = weakref.finalize(self, self._thread.stop, inner.close)

    @like(AsyncClient.connect)
    def connect(self, *, timeout: float | str | None = None) -> Self:
        self._thread.run(self._client.connect(timeout=timeout))
        return self

    def close(self) -> None:
        """Close all connections and end the thread. Calls that still wait elsewhere raise ClientClosed."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Keyspaces.

    @like(AsyncClient.keyspace)
    def keyspace(self, name: str) -> Space[bytes]:
        return Space(self._client.keyspace(name), self._thread)

    @like(AsyncClient.create_keyspace)
    def create_keyspace(
        self,
        name: str,
        *,
        mode: str = "leader",
        replicas: int = 0,
        partitions: int = 0,
        value_bytes_max: int = 0,
        history_versions: int | None = None,
        history_seconds: int | None = None,
        acks: str = "",
        read_quorum: int = 0,
        write_quorum: int = 0,
        sloppy: bool = False,
        conflicts: str = "",
        if_absent: bool = False,
        timeout: float | str | None = None,
    ) -> KeyspaceInfo:
        return self._thread.run(
            self._client.create_keyspace(
                name,
                mode=mode,
                replicas=replicas,
                partitions=partitions,
                value_bytes_max=value_bytes_max,
                history_versions=history_versions,
                history_seconds=history_seconds,
                acks=acks,
                read_quorum=read_quorum,
                write_quorum=write_quorum,
                sloppy=sloppy,
                conflicts=conflicts,
                if_absent=if_absent,
                timeout=timeout,
            )
        )

    @like(AsyncClient.list_keyspaces)
    def list_keyspaces(self, *, timeout: float | str | None = None) -> list[KeyspaceInfo]:
        return self._thread.run(self._client.list_keyspaces(timeout=timeout))

    @like(AsyncClient.describe_keyspace)
    def describe_keyspace(self, name: str, *, timeout: float | str | None = None) -> KeyspaceInfo:
        return self._thread.run(self._client.describe_keyspace(name, timeout=timeout))

    @like(AsyncClient.explain)
    def explain(self, name: str, *, timeout: float | str | None = None) -> Explanation:
        return self._thread.run(self._client.explain(name, timeout=timeout))

    @like(AsyncClient.drop_keyspace)
    def drop_keyspace(self, name: str, *, if_exists: bool = False, timeout: float | str | None = None) -> None:
        self._thread.run(self._client.drop_keyspace(name, if_exists=if_exists, timeout=timeout))

    # The cluster.

    @like(AsyncClient.status)
    def status(self, *, whole_cluster: bool = True, timeout: float | str | None = None) -> ClusterStatus:
        return self._thread.run(self._client.status(whole_cluster=whole_cluster, timeout=timeout))

    @like(AsyncClient.repair)
    def repair(
        self, keyspace: str = "", *, partition: int | None = None, check: bool = False, timeout: float | str = TENDING_S
    ) -> list[Comparison]:
        return self._thread.run(self._client.repair(keyspace, partition=partition, check=check, timeout=timeout))

    @like(AsyncClient.scrub)
    def scrub(self, node: str = "", *, timeout: float | str = TENDING_S) -> list[Scrubbing]:
        return self._thread.run(self._client.scrub(node, timeout=timeout))

    @like(AsyncClient.nodes)
    def nodes(self, *, timeout: float | str | None = None) -> list[NodeInfo]:
        return self._thread.run(self._client.nodes(timeout=timeout))

    @like(AsyncClient.transfer_leader)
    def transfer_leader(self, group: int, to: str = "", *, timeout: float | str | None = None) -> None:
        self._thread.run(self._client.transfer_leader(group, to, timeout=timeout))


def connect(
    cluster: str | None = None,
    *,
    keyspace: str | None = None,
    consistency: str | None = None,
    acks: str | None = None,
    timeout: float | str | None = None,
    max_staleness: float | str | None = None,
    read: int | str | None = None,
    write: int | str | None = None,
    sloppy: bool | None = None,
    resolver: Resolver | str | None = None,
) -> Client:
    """Connect now, to the cluster that is named or found, and fail fast if there is none.

        with kvstore.connect() as db:
            print(db.get("user:1"))

    `cluster` is a kv:// URL or the name of a cluster running on this machine. Without it: KVSTORE_URL, then the profile
    in ~/.config/kvstore/config.toml, then the newest cluster running on this machine, then kv://127.0.0.1:7401.
    Raises NotConnected if no node can be reached, ConfigError if the configuration makes no sense.
    """
    client = Client(
        configured(cluster),
        keyspace=keyspace,
        consistency=consistency,
        acks=acks,
        timeout=timeout,
        max_staleness=max_staleness,
        read=read,
        write=write,
        sloppy=sloppy,
        resolver=resolver,
    )
    try:
        return client.connect()
    except BaseException:
        client.close()
        raise
