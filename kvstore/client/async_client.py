"""AsyncClient: a connection to a cluster, for asyncio. It is the real one; `Client` runs it on a thread."""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from kvstore.client import codecs
from kvstore.client.async_space import AsyncSpace
from kvstore.client.configuration import configured
from kvstore.client.dispatch import Dispatch
from kvstore.client.errands import ask_cluster, fetch_ring
from kvstore.client.explaining import Explanation
from kvstore.client.link import Link
from kvstore.client.options import Resolver
from kvstore.client.records import ClusterStatus, KeyspaceInfo
from kvstore.client.tending import TENDING_S, Comparison, Scrubbing
from kvstore.client.url import Target, parse_url
from kvstore.core.errors import InvalidRequest, UnknownKeyspace
from kvstore.placement.members import NodeInfo
from kvstore.v1 import admin_pb2, ring_pb2

T = TypeVar("T")


def grpc_link(address: str) -> Link:
    """The usual way to a node. gRPC is imported when the first connection is made, not before."""
    from kvstore.client.grpc_link import GrpcLink

    return GrpcLink(address)


class AsyncClient(AsyncSpace[bytes]):
    """A cluster of kvstore nodes, for asyncio: bytes in, bytes out.

        async with kvstore.AsyncClient("kv://127.0.0.1:7401,127.0.0.1:7402") as db:
            version = await db.put("user:1", b"Ada")
            print(await db.get("user:1"))

    One endpoint is enough, the cluster names the others. Nothing is connected until the first call (or `connect`).
    Operations that are under way at the same time travel together, so many tasks, or `asyncio.gather`, are much faster
    than one call after the other. A client belongs to the event loop that uses it first; it is not for other threads.

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
        target = configured() if url is None else url if isinstance(url, Target) else parse_url(url)
        options = target.options.changed(
            consistency=consistency,
            acks=acks,
            timeout=timeout,
            max_staleness=max_staleness,
            read=read,
            write=write,
            sloppy=sloppy,
            resolver=resolver,
        )
        self._target = Target(target.endpoints, keyspace or target.keyspace, options)
        super().__init__(self._engine(target.endpoints, link), self._target.keyspace, b"", codecs.raw, options)

    def _engine(self, endpoints: Sequence[str], link: Callable[[str], Link]) -> Dispatch:
        """What brings requests to nodes. A method, so that tests can hand in clock and dice."""
        return Dispatch(endpoints, link)

    async def connect(self, *, timeout: float | str | None = None) -> Self:
        """Connect now and fail fast: as soon as every endpoint has refused, with NotConnected (exit code 8)."""
        await self._dispatch.ready(self._until(timeout), patient=False)
        return self

    async def close(self) -> None:
        """Close all connections. Calls that still wait raise ClientClosed, writes under way OutcomeUnknown."""
        await self._dispatch.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # Keyspaces.

    def keyspace(self, name: str) -> AsyncSpace[bytes]:
        """Another keyspace of the same cluster.

        carts = db.keyspace("carts")
        await carts.put("42", b"{}")
        """
        if not name or not isinstance(name, str):
            raise InvalidRequest(f"a keyspace has a name, got {name!r}")
        return AsyncSpace(self._dispatch, name, b"", codecs.raw, self._options)

    async def create_keyspace(
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
        """Create a keyspace and say what was made. Zeros are the cluster's defaults.

            await db.create_keyspace("users", partitions=16)
            await db.create_keyspace("carts", mode="leaderless", read_quorum=2, write_quorum=2)

        `replicas` nodes hold each of the `partitions` (a power of two). With `if_absent` an existing keyspace of that
        name is returned as it is. Of a leaderless one: so many replicas a read and a write need (0: a majority),
        whether hints for replicas that are down count among them (`sloppy`), and what becomes of concurrent writes
        (`conflicts`: all stay as `siblings`, or the last writer wins, `lww`). Raises KeyspaceExists, NotYetAvailable
        (a mode that is not built yet), InvalidRequest.
        """
        request = admin_pb2.CreateKeyspaceRequest(
            name=name,
            mode=mode,
            replicas=_count("replicas", replicas),
            partitions=_count("partitions", partitions),
            value_bytes_max=_count("value_bytes_max", value_bytes_max),
            acks=acks,
            if_absent=if_absent,
            read_quorum=_count("read_quorum", read_quorum),
            write_quorum=_count("write_quorum", write_quorum),
            sloppy=sloppy,
            conflicts=conflicts,
        )
        if history_versions is not None:
            request.history_versions = _count("history_versions", history_versions)
        if history_seconds is not None:
            request.history_seconds = _count("history_seconds", history_seconds)

        async def ask(link: Link, left_s: float) -> ring_pb2.RingKeyspace:
            return await link.create_keyspace(request, left_s)

        made = await self._ask(ask, timeout, repeatable=if_absent)
        self._dispatch.directory.adopt(made)
        return KeyspaceInfo.of(made)

    async def list_keyspaces(self, *, timeout: float | str | None = None) -> list[KeyspaceInfo]:
        """All keyspaces, by name."""
        await fetch_ring(self._dispatch, self._until(timeout))
        return sorted((route.info for route in self._dispatch.directory.routes), key=lambda info: info.name)

    async def describe_keyspace(self, name: str, *, timeout: float | str | None = None) -> KeyspaceInfo:
        """How a keyspace was created. Raises UnknownKeyspace."""
        await fetch_ring(self._dispatch, self._until(timeout))
        return self._dispatch.directory.route(name).info

    async def explain(self, name: str, *, timeout: float | str | None = None) -> Explanation:
        """What a keyspace's settings promise, in words, and how stale its replicas were found. Raises UnknownKeyspace.

        print(await db.explain("carts"))
        """
        info = await self.describe_keyspace(name, timeout=timeout)
        reports = (await self.status(timeout=timeout)).nodes if info.is_leaderless else ()
        return Explanation.of(info, reports)

    async def drop_keyspace(self, name: str, *, if_exists: bool = False, timeout: float | str | None = None) -> None:
        """Drop a keyspace with all its data, for good. Raises UnknownKeyspace unless `if_exists`."""

        async def ask(link: Link, left_s: float) -> None:
            await link.drop_keyspace(admin_pb2.DropKeyspaceRequest(name=name), left_s)

        try:
            await self._ask(ask, timeout, repeatable=if_exists)
        except UnknownKeyspace:
            if not if_exists:
                raise
        route = self._dispatch.directory.forget(name)
        if route is not None:
            route.live = False

    # The cluster.

    async def status(self, *, whole_cluster: bool = True, timeout: float | str | None = None) -> ClusterStatus:
        """Every node's report about itself; `.healthy` sums it up.

        status = await db.status()
        print(status.healthy)
        """
        request = admin_pb2.StatusRequest(whole_cluster=whole_cluster)

        async def ask(link: Link, left_s: float) -> admin_pb2.StatusReply:
            return await link.status(request, left_s)

        reply = await self._ask(ask, timeout, repeatable=True)
        return ClusterStatus(tuple(msgspec.json.decode(node, type=dict[str, Any]) for node in reply.nodes_json))

    async def repair(
        self, keyspace: str = "", *, partition: int | None = None, check: bool = False, timeout: float | str = TENDING_S
    ) -> list[Comparison]:
        """Have all replicas of a leaderless keyspace ("": of all such) compared with each other now, and mended.

            for pair in await db.repair("carts", check=True):
                print(pair)

        With `check` nothing is changed. A pair of which one is down is in the list, with why it was not compared; the
        others are compared all the same. Raises UnknownKeyspace, WrongMode, InvalidRequest.
        """
        request = admin_pb2.RepairRequest(keyspace=keyspace, check=check)
        if partition is not None:
            request.partition = _count("partition", partition)

        async def ask(link: Link, left_s: float) -> admin_pb2.RepairReply:
            return await link.repair(request, left_s)

        reply = await self._ask(ask, timeout, repeatable=True)
        return [Comparison.of(pair) for pair in reply.pairs]

    async def scrub(self, node: str = "", *, timeout: float | str = TENDING_S) -> list[Scrubbing]:
        """Have a node ("": every node) read all rows of its disk; damaged ones are mended by the others.

            print(sum(node.damaged for node in await db.scrub()))

        Nodes read at a pace of their own; one that is not done in time goes on, and says so here. Raises
        InvalidRequest if there is no such node.
        """
        request = admin_pb2.ScrubRequest(node=node)

        async def ask(link: Link, left_s: float) -> admin_pb2.ScrubReply:
            return await link.scrub(request, left_s)

        reply = await self._ask(ask, timeout, repeatable=True)
        return [Scrubbing.of(each) for each in reply.nodes]

    async def nodes(self, *, timeout: float | str | None = None) -> list[NodeInfo]:
        """Every node of the cluster, up or not, by name: its zone and its addresses, as the ring has them."""
        await self._dispatch.ready(self._until(timeout))
        return sorted(self._dispatch.directory.nodes.values(), key=lambda node: node.id)

    async def transfer_leader(self, group: int, to: str = "", *, timeout: float | str | None = None) -> None:
        """Hand the leadership of a partition's group to a node, or to the best follower."""
        request = admin_pb2.TransferLeaderRequest(group=group, to=to)

        async def ask(link: Link, left_s: float) -> None:
            await link.transfer_leader(request, left_s)

        await self._ask(ask, timeout, repeatable=True)

    async def _ask(
        self, ask: Callable[[Link, float], Awaitable[T]], timeout: float | str | None, *, repeatable: bool
    ) -> T:
        return await ask_cluster(self._dispatch, ask, self._until(timeout), repeatable=repeatable)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._target}{' (closed)' if self._dispatch.closed else ''}>"


def _count(name: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 32:
        raise InvalidRequest(f"{name} must be a whole number from 0 to {(1 << 32) - 1}, got {number!r}")
    return number
