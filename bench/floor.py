"""`bench floor`: what the building blocks cost on this machine; no store can be faster than what it stands on.

One caller, one thing at a time, so p50 is the latency of a building block and nothing queues. The payload is
about what one put of a 16-byte key and a 100-byte value weighs.
"""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bench.floor_echo import STREAM, UNARY
from bench.floor_frames import FramedProtocol
from bench.histogram import Latencies
from bench.load import store_folder
from bench.processes import cpu_seconds
from bench.report import OUTPUTS, ROOT, facts_line, machine_facts, print_table

PAYLOAD_BYTES = 132
KEY_COUNT = 100_000
VALUE_BYTES = 100
MAP_BYTES = 1 << 30
WARM_CALLS = 50
COMMIT_SIZES = (1, 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one building block costs. Times in microseconds per call."""

    item: str
    note: str
    per_s: float
    p50_us: float
    p99_us: float
    client_cpu_us: float
    server_cpu_us: float | None = None
    """CPU of the process at the other end, where there is one."""


class Meter:
    """Times calls one after another for a number of seconds, after a few that warm up."""

    def __init__(self, item: str, note: str, seconds: float, server_pid: int | None = None) -> None:
        self._item, self._note, self._seconds = item, note, seconds
        self._server = () if server_pid is None else (server_pid,)
        self._latencies_ns = Latencies()

    def run(self, call: Callable[[], object]) -> Cost:
        for _ in range(WARM_CALLS):
            call()
        self._start()
        while not self._over():
            started = time.perf_counter_ns()
            call()
            self._latencies_ns.add(time.perf_counter_ns() - started)
        return self._cost()

    async def run_async(self, call: Callable[[], Awaitable[object]]) -> Cost:
        for _ in range(WARM_CALLS):
            await call()
        self._start()
        while not self._over():
            started = time.perf_counter_ns()
            await call()
            self._latencies_ns.add(time.perf_counter_ns() - started)
        return self._cost()

    def _start(self) -> None:
        self._began = time.perf_counter()
        self._own_cpu, self._server_cpu = time.process_time(), cpu_seconds(self._server)

    def _over(self) -> bool:
        return time.perf_counter() - self._began >= self._seconds

    def _cost(self) -> Cost:
        took, calls, seen = time.perf_counter() - self._began, len(self._latencies_ns), self._latencies_ns
        own, server = time.process_time() - self._own_cpu, cpu_seconds(self._server) - self._server_cpu
        return Cost(
            item=self._item,
            note=self._note,
            per_s=round(calls / took, 1),
            p50_us=seen.percentile(0.5) / 1_000,
            p99_us=seen.percentile(0.99) / 1_000,
            client_cpu_us=round(own * 1e6 / calls, 1),
            server_cpu_us=round(server * 1e6 / calls, 1) if self._server else None,
        )


def fdatasync_append(folder: Path, seconds: float) -> Cost:
    """Append one record to a file and wait until the disk has it."""
    payload = os.urandom(PAYLOAD_BYTES)
    descriptor = os.open(folder / "appended", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def append() -> None:
        os.write(descriptor, payload)
        os.fdatasync(descriptor)

    try:
        return Meter("fdatasync", f"append {PAYLOAD_BYTES} bytes and sync", seconds).run(append)
    finally:
        os.close(descriptor)


def lmdb_commit(folder: Path, seconds: float, puts: int) -> Cost:
    """One LMDB transaction with random puts, synced."""
    import lmdb

    place = folder / f"lmdb{puts}"
    place.mkdir()
    draw = random.Random(puts)
    value = os.urandom(VALUE_BYTES)

    with lmdb.open(str(place), map_size=MAP_BYTES, sync=True) as environment:

        def commit() -> None:
            with environment.begin(write=True) as transaction:
                for _ in range(puts):
                    transaction.put(b"key:%012d" % draw.randrange(KEY_COUNT), value)

        note = f"{puts} random put{'s' if puts > 1 else ''} in one synced transaction"
        return Meter(f"lmdb commit {puts}", note, seconds).run(commit)


class EchoCaller(FramedProtocol):
    """Sends a frame and waits for it to come back."""

    _answered: asyncio.Future[bytes]

    def frame_received(self, payload: bytes) -> None:
        self._answered.set_result(payload)

    async def call(self, payload: bytes) -> bytes:
        self._answered = asyncio.get_running_loop().create_future()
        self.send_frame(payload)
        return await self._answered


async def tcp_round_trip(port: int, pid: int, seconds: float) -> Cost:
    """A framed echo over one TCP connection, both ends on uvloop."""
    payload = os.urandom(PAYLOAD_BYTES)
    transport, caller = await asyncio.get_running_loop().create_connection(EchoCaller, "127.0.0.1", port)
    try:
        meter = Meter("tcp echo", "one framed round trip, uvloop at both ends", seconds, pid)
        return await meter.run_async(lambda: caller.call(payload))
    finally:
        transport.close()


async def grpc_round_trips(port: int, pid: int, seconds: float) -> list[Cost]:
    """A unary call, and a message there and back on a stream that stays open."""
    import grpc

    payload = os.urandom(PAYLOAD_BYTES)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UNARY)
        meter = Meter("grpc unary", "one call, grpc.aio at both ends", seconds, pid)
        costs = [await meter.run_async(lambda: unary(payload))]
        opening: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(STREAM)
        stream = opening()

        async def there_and_back() -> None:
            await stream.write(payload)
            await stream.read()

        meter = Meter(
            "grpc stream", "one message there and back on an open stream, grpc.aio at both ends", seconds, pid
        )
        costs.append(await meter.run_async(there_and_back))
        stream.cancel()
    return costs


@contextlib.contextmanager
def echo_server(kind: str) -> Iterator[tuple[int, int]]:
    """The port and pid of an echo server in a process of its own."""
    command = [sys.executable, "-m", "bench.floor_echo", kind]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None, "asked for a pipe"
        told = server.stdout.readline()
        if not told.strip():
            raise click.ClickException(f"the {kind} echo server did not start")
        yield int(told), server.pid  # leaving closes its input, which ends it


def measure_all(folder: Path, seconds: float) -> Iterator[Cost]:
    """Every building block in turn, `seconds` each."""
    import uvloop

    yield fdatasync_append(folder, seconds)
    for puts in COMMIT_SIZES:
        yield lmdb_commit(folder, seconds, puts)
    with echo_server("tcp") as (port, pid):
        yield uvloop.run(tcp_round_trip(port, pid, seconds))
    with echo_server("grpc") as (port, pid):
        yield from uvloop.run(grpc_round_trips(port, pid, seconds))


def cells_of(cost: Cost) -> list[str]:
    server = "–" if cost.server_cpu_us is None else f"{cost.server_cpu_us:.0f}"
    return [
        cost.item,
        f"{cost.per_s:,.0f}",
        f"{cost.p50_us:,.0f}",
        f"{cost.p99_us:,.0f}",
        f"{cost.client_cpu_us:.0f}",
        server,
        cost.note,
    ]


@click.command("floor")
@click.option("--seconds", type=click.FloatRange(0.05), default=1.0, show_default=True, help="For each line.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    help="Which disk to measure; default: the system's temporary folder.",
)
@click.option("-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True)
def command(seconds: float, folder: Path | None, output: str) -> None:
    """What fsync, an LMDB commit, a TCP and a gRPC round trip cost on this machine, one at a time."""
    with tempfile.TemporaryDirectory(prefix="bench-floor-", dir=folder) as place:
        costs = list(measure_all(Path(place), seconds))
    facts = facts_line(machine_facts(store_folder(folder)))
    if output == "json":
        click.echo(facts, err=True)
        click.echo("[" + ",\n ".join(json.dumps(asdict(cost)) for cost in costs) + "]")
        return
    head = ["item", "per second", "p50 µs", "p99 µs", "client CPU µs", "server CPU µs", "what"]
    print_table(head, [cells_of(cost) for cost in costs])
    click.echo(facts)
