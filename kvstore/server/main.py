"""Runs one node as a process: `run(config)` opens disk and doors, serves until told to stop, and closes in order."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kvstore.core.errors import ConfigError, KvError
from kvstore.core.ids import ClusterId, Millis, NodeId
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.node.config import ListenConfig, NodeConfig
from kvstore.server.admin_service import AdminService
from kvstore.server.administration import Administration
from kvstore.server.data_directory import DataDirectory
from kvstore.server.http_port import HttpPort
from kvstore.server.kv_service import KvService
from kvstore.server.logs import set_up_logs
from kvstore.server.malformed import MalformedRequests
from kvstore.server.runtime import NodeRuntime
from kvstore.v1 import admin_pb2, admin_pb2_grpc, kv_pb2, kv_pb2_grpc

log = logging.getLogger("kvstore.server")

MESSAGE_BYTES_MAX = REQUEST_BYTES_MAX + (1 << 20)
SWITCH_INTERVAL_S = 0.0005
"""The writer thread must not wait the default 5 ms for the interpreter each time LMDB gives it back."""
GC_THRESHOLDS = (50_000, 20, 20)
"""A node makes many small objects and hardly any cycles: looking for them at the default pace costs pauses."""
GRACE_S = 1.0

_SERVICES = (
    kv_pb2.DESCRIPTOR.services_by_name["Kv"].full_name,
    admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name,
    health.SERVICE_NAME,
    reflection.SERVICE_NAME,
)


def run(config: NodeConfig) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. 1 if the node could not start or had to end by itself."""
    if not __debug__:
        raise SystemExit("kvstore refuses to run with python -O: its assertions are safety checks")
    set_up_logs(config.log, config.node.id)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # what the imports made is never garbage
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        return _run_loop(_serve(config))
    except KvError as error:
        log.critical("%s", error)
        return 1


def _run_loop(main: Coroutine[Any, Any, int]) -> int:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def open_runtime(config: NodeConfig) -> NodeRuntime:
    """The node on its data directory, doors still closed. Raises KvError."""
    path, cluster, node = Path(config.node.data), ClusterId(config.cluster.id), NodeId(config.node.id)
    directory = DataDirectory.open_or_create(path, cluster, node)
    storage = config.storage
    try:
        engine = directory.open_engine(
            map_bytes_max=storage.map_bytes_max,
            map_bytes_start=storage.map_bytes_start,
            snapshot_ms_max=Millis(storage.reader_age_ms_max),
        )
        try:
            journal = directory.open_journal(engine, storage.journal_bytes)
        except KvError:
            engine.close()
            raise
    except KvError:
        directory.close()
        raise
    try:
        return NodeRuntime(config, directory, engine, journal)
    except KvError:
        if journal is not None:
            journal.close()
        engine.close()
        directory.close()
        raise


async def _serve(config: NodeConfig) -> int:
    listen = config.listen
    if listen is None:
        raise ConfigError("listen: a node that runs as a process needs the addresses client, peer and http")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runtime = open_runtime(config)
    doors = Doors(runtime, listen)
    try:
        await doors.open()
        log.info("node %s of %s: clients %s, http %s", config.node.id, config.cluster.id, listen.client, listen.http)
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([stopping, runtime.ended], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        failed = runtime.ended.done()
        if not failed:
            log.info("node %s stops: handing over", config.node.id)
            await runtime.hand_over()
        return 1 if failed else 0
    finally:
        await doors.close()
        await runtime.close()


class Doors:
    """A node's three listeners: gRPC for clients, TCP for peers, HTTP for those who look."""

    def __init__(self, runtime: NodeRuntime, listen: ListenConfig) -> None:
        self._runtime, self._listen = runtime, listen
        self._http = HttpPort(runtime, listen.http)
        self._grpc = grpc.aio.server(
            interceptors=[MalformedRequests()],
            options=[
                ("grpc.so_reuseport", 0),  # a second process on the port is an error, not a silent sharer
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ],
        )

    async def open(self) -> None:
        """Raises ConfigError naming the port that is taken."""
        runtime, listen = self._runtime, self._listen
        runtime.metrics.describe(runtime.node, runtime.now)
        kv_pb2_grpc.add_KvServicer_to_server(KvService(runtime), self._grpc)
        admin_pb2_grpc.add_AdminServicer_to_server(AdminService(Administration(runtime)), self._grpc)
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._grpc)
        reflection.enable_server_reflection(_SERVICES, self._grpc)
        for service in ("", *_SERVICES):
            await servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
        try:
            await runtime.links.listen()
        except OSError as error:
            raise _taken("peer", listen.peer, error) from error
        try:
            await self._http.open()
        except OSError as error:
            raise _taken("http", listen.http, error) from error
        try:
            self._grpc.add_insecure_port(listen.client)
        except RuntimeError as error:
            raise _taken("client", listen.client, error) from error
        await self._grpc.start()

    async def close(self) -> None:
        await self._grpc.stop(GRACE_S)
        await self._http.close()


def _taken(door: str, address: str, error: Exception) -> ConfigError:
    return ConfigError(f"listen.{door}: cannot listen on {address} (is the port in use?): {error}")
