"""A client of a fake cluster, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, ClassVar

from kvstore.client.async_client import AsyncClient
from kvstore.client.dispatch import Dispatch
from kvstore.client.link import Link
from kvstore.core.ids import ClientId
from tests.client.fake_cluster import FakeCluster
from tests.client.virtual_time import run

CLIENT = ClientId(0xC11E)


class LabClient(AsyncClient):
    """A client on the running (virtual) loop's clock, with seeded dice, a fixed id and perhaps little room."""

    limits: ClassVar[dict[str, int]] = {}

    def _engine(self, endpoints: Sequence[str], link: Callable[[str], Link]) -> Dispatch:
        clock = asyncio.get_running_loop().time
        return Dispatch(endpoints, link, client=CLIENT, dice=Random(1), clock=clock, **self.limits)


@asynccontextmanager
async def client_of(cluster: FakeCluster, url: str | None = None, **limits: int) -> AsyncIterator[AsyncClient]:
    """A client of a fake cluster."""
    kind = type("LimitedClient", (LabClient,), {"limits": limits}) if limits else LabClient
    async with kind(url or cluster.url, link=cluster.link) as db:
        yield db


def play(scene: Callable[[FakeCluster, AsyncClient], Awaitable[Any]], cluster: FakeCluster | None = None) -> Any:
    """Play a scene with a cluster and a client of it, in virtual time."""

    async def scenery() -> Any:
        stage = cluster or FakeCluster()
        async with client_of(stage) as db:
            return await scene(stage, db)

    return run(scenery())
