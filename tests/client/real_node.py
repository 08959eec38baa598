"""A fake cluster over real gRPC on a thread of its own, for synchronous tests."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.client.fake_cluster import FakeCluster
from tests.client.grpc_node import serving


@contextmanager
def served(cluster: FakeCluster) -> Iterator[FakeCluster]:
    """Serve the cluster's nodes until the block ends."""
    ready, loops = Event(), list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]()

    async def serve() -> None:
        async with serving(cluster):
            over = asyncio.Event()
            loops.append((asyncio.get_running_loop(), over))
            ready.set()
            await over.wait()

    thread = Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield cluster
    finally:
        loop, over = loops[0]
        loop.call_soon_threadsafe(over.set)
        thread.join()
