"""One node inside this process, behind the same client: no ports, no other processes.

What a node is made of is upstairs' business; here is only the seam. Whoever has an `EmbeddedNode` (a running node that
gives out Links) hands over how to start it, and gets a client that starts it, speaks to it and stops it:

    client = open_embedded(start)      # start: an async function that returns an EmbeddedNode

The node runs on the client's own event loop, so starting it must not block for long.
"""

import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from kvstore.client.async_client import AsyncClient
from kvstore.client.client import Client
from kvstore.client.dispatch import Dispatch
from kvstore.client.link import Link
from kvstore.client.options import Options
from kvstore.client.url import KEYSPACE_DEFAULT, Target

HERE: Final = "embedded"
"""The address of a node in this process; its ring may give any address, for it alone is there."""


class EmbeddedNode(Protocol):
    """A node that runs in this process."""

    def link(self) -> Link:
        """A new way to it."""
        ...

    async def stop(self) -> None:
        """Stop it, with everything on disk."""
        ...


class _Tenant:
    """The node, from the moment it runs."""

    def __init__(self, start: Callable[[], Awaitable[EmbeddedNode]]) -> None:
        self._start = start
        self._node: EmbeddedNode | None = None

    async def move_in(self) -> None:
        self._node = await self._start()

    def link(self, address: str) -> Link:
        assert self._node is not None, "the node is started before anybody connects"
        return self._node.link()

    def dispatch(self, endpoints: Sequence[str]) -> Dispatch:
        return Dispatch(endpoints, self.link)

    async def move_out(self) -> None:
        node, self._node = self._node, None
        if node is not None:
            await node.stop()


class AsyncEmbeddedClient(AsyncClient):
    """An AsyncClient with its node inside. Made by `open_embedded_async`."""

    def __init__(self, tenant: _Tenant, keyspace: str, options: Options) -> None:
        super().__init__(Target((HERE,), keyspace, options), dispatch=tenant.dispatch)
        self._tenant = tenant

    async def close(self) -> None:
        """Close the client, then stop the node."""
        try:
            await super().close()
        finally:
            await self._tenant.move_out()


class EmbeddedClient(Client):
    """A Client with its node inside. Made by `open_embedded`."""

    def __init__(self, tenant: _Tenant, keyspace: str, options: Options) -> None:
        super().__init__(Target((HERE,), keyspace, options), dispatch=tenant.dispatch)
        self._tenant, client = tenant, self._client

        async def end() -> None:
            try:
                await client.close()
            finally:
                await tenant.move_out()

        self._end.detach()
        self._end = weakref.finalize(self, self._thread.stop, end)

    def move_in(self) -> None:
        """Start the node."""
        self._thread.run(self._tenant.move_in())


async def open_embedded_async(
    start: Callable[[], Awaitable[EmbeddedNode]], *, keyspace: str = KEYSPACE_DEFAULT, options: Options | None = None
) -> AsyncEmbeddedClient:
    """Start a node in this event loop and return its client, connected. Closing the client stops the node."""
    tenant = _Tenant(start)
    await tenant.move_in()
    client = AsyncEmbeddedClient(tenant, keyspace, options or Options())
    try:
        await client.connect()
    except BaseException:
        await client.close()
        raise
    return client


def open_embedded(
    start: Callable[[], Awaitable[EmbeddedNode]], *, keyspace: str = KEYSPACE_DEFAULT, options: Options | None = None
) -> EmbeddedClient:
    """Start a node on the client's own thread and return the client, connected. Closing the client stops the node."""
    tenant = _Tenant(start)
    client = EmbeddedClient(tenant, keyspace, options or Options())
    try:
        client.move_in()
        client.connect()
    except BaseException:
        client.close()
        raise
    return client
