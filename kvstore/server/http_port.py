"""The HTTP port: `/healthz`, `/readyz`, `/metrics` and `/api/v1/status`; and for tests `/testing/links`."""

import logging

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from kvstore.core.errors import InvalidRequest
from kvstore.core.ids import NodeId
from kvstore.node.forms import split_address
from kvstore.node.status import node_status
from kvstore.server.runtime import NodeRuntime

log = logging.getLogger("kvstore.server.http")


def is_ours(record: logging.LogRecord) -> bool:
    """aiohttp logs an error with all its frames for every stranger who speaks something else than HTTP."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


log.addFilter(is_ours)


class HttpPort:
    """An aiohttp server of one node. It says how the node is; it changes nothing, unless `testing.faults` is on."""

    def __init__(self, runtime: NodeRuntime, address: str) -> None:
        self._runtime = runtime
        self._host, self._port = split_address(address)
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/status", self._status),
            ]
        )
        if runtime.config.testing.faults:
            app.add_routes([web.put("/testing/links", self._cut_links)])
        self._runner = web.AppRunner(app, access_log=None, logger=log)

    async def open(self) -> None:
        """Raises OSError if the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(
            text=f"kvstore node {self._runtime.config.node.id}: /healthz /readyz /metrics /api/v1/status\n"
        )

    async def _healthz(self, _: web.Request) -> web.Response:
        """The process lives and its loop turns."""
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        """503 until the node can serve, and while it stops."""
        if self._runtime.node.is_ready:
            return web.Response(text="ready\n")
        problems = node_status(self._runtime.node, self._runtime.now()).problems
        return web.Response(status=503, text="not ready: " + ("; ".join(problems) or "starting") + "\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._runtime.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _status(self, _: web.Request) -> web.Response:
        body = msgspec.json.encode(node_status(self._runtime.node, self._runtime.now()))
        return web.Response(body=body, content_type="application/json")

    async def _cut_links(self, request: web.Request) -> web.Response:
        """A JSON list of the peers that shall not be reached from now on; empty: the network is whole."""
        try:
            peers = msgspec.json.decode(await request.read(), type=list[str])
            self._runtime.links.cut_off(frozenset(map(NodeId, peers)))
        except (msgspec.DecodeError, msgspec.ValidationError, InvalidRequest) as error:
            return web.Response(status=400, text=f"{error}\n")
        log.warning("testing: cut off from %s", ", ".join(peers) or "nobody")
        return web.Response(text=f"cut off from {', '.join(peers) or 'nobody'}\n")
