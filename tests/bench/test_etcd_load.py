"""The generator against a real etcd for a moment, and against servers that misbehave."""

import itertools
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import etcd_load
from bench.etcd_load import EtcdLoad, LoadFailed, Request
from bench.etcd_peer import EtcdCluster
from bench.hpack import encode_block
from bench.http2 import DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, frame
from bench.load import run_generator
from bench.workload import LoadPlan, Tally

ROOT = Path(__file__).parents[2]
PREFACE_BYTES = 24
TRAILERS = encode_block([("grpc-status", "0")])

needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed (Debian: etcd-server)")


@needs_etcd
@pytest.mark.cluster
def test_a_second_of_everything_on_a_real_etcd(tmp_path: Path) -> None:
    """The generator itself reads back what it wrote, and holds acknowledgements against etcd's revision."""
    with EtcdCluster(folder=tmp_path) as cluster:

        def loaded(op: str, preload: bool, seconds: float) -> LoadPlan:
            return LoadPlan(
                endpoints=cluster.endpoints,
                op=op,
                outstanding=32,
                seconds=seconds,
                warmup_s=0.1,
                key_count=1_000,
                preload=preload,
                node_pids=cluster.pids,
                connections=2,
            )

        assert run_generator(cluster.generator, loaded("get", preload=True, seconds=0)) is None
        for op in ("put", "get", "mixed", "batch"):
            result = run_generator(cluster.generator, loaded(op, preload=False, seconds=0.25))
            assert result is not None
            assert result.errors == 0, result.first_error
            assert result.ops == result.calls * (100 if op == "batch" else 1) > 0
            assert 0 < result.p50_us <= result.p99_us <= result.p999_us
            assert result.cpu_seconds > 0
            assert result.node_cpu_seconds > 0


@needs_etcd
@pytest.mark.cluster
def test_a_get_of_a_key_that_was_never_loaded_is_an_error(tmp_path: Path) -> None:
    with EtcdCluster(nodes=1, folder=tmp_path) as cluster:
        load = EtcdLoad(cluster.endpoints[0], connections=1)
        tally = Tally()
        load.drive(iter([load.single((b"key:000000000000", None))]), 1, tally)
        load.close()
    assert tally.errors == 1
    assert "where at least" in tally.first_error


def frames(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, flags and stream of the whole frames in what a client sent after its preface."""
    while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3], "big")):
        yield data[3], data[4], int.from_bytes(data[5:9], "big")
        data = data[end:]


def ok(stream: int) -> bytes:
    body = frame(DATA, 0, stream, b"\x00\x00\x00\x00\x03yes")
    return body + frame(HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS)


class Script:
    """A server that answers its first calls, does something, and treats the next connections the same."""

    def __init__(self, answered: int, then: bytes, connections: int) -> None:
        self._answered, self._then, self._connections = answered, then, connections
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._server.getsockname()[1]}"

    def serve(self) -> None:
        with self._server:
            for _ in range(self._connections):
                connection, _ = self._server.accept()
                with connection:
                    self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        heard, done = b"", 0
        while data := connection.recv(65_536):
            heard += data
            asked = [stream for kind, flags, stream in frames(heard[PREFACE_BYTES:]) if kind == DATA and flags]
            for stream in asked[done : self._answered]:
                connection.sendall(ok(stream))
            done = min(len(asked), self._answered)
            if len(asked) > self._answered:
                connection.sendall(self._then)
                return


@contextmanager
def serving(script: Script) -> Iterator[str]:
    thread = threading.Thread(target=script.serve, daemon=True)
    thread.start()
    yield script.endpoint
    thread.join(30)
    assert not thread.is_alive()


def requests(load: EtcdLoad, count: int) -> Iterator[Request]:
    return itertools.repeat(load.single((b"key", b"value")), count)


def test_a_lost_connection_costs_its_calls_and_is_replaced() -> None:
    """3 calls are answered, the 4th and 5th are lost; on the second connection likewise, until 8 are used up."""
    with serving(Script(answered=3, then=b"", connections=2)) as endpoint:
        load, tally = EtcdLoad(endpoint, connections=1), Tally()
        load.drive(requests(load, 8), 2, tally)
        load.close()
    assert load.acknowledged + tally.errors == 8
    assert 2 <= tally.errors <= 4
    assert tally.first_error == "etcd closed the connection"


def test_goaway_is_obeyed() -> None:
    """The server names the last stream it answers, 5, and closes; what came after goes to a new connection."""
    goaway = frame(GOAWAY, 0, 0, (5).to_bytes(4, "big") + bytes(4) + b"restart")
    with serving(Script(answered=3, then=goaway, connections=2)) as endpoint:
        load, tally = EtcdLoad(endpoint, connections=1), Tally()
        load.drive(requests(load, 7), 1, tally)
        load.close()
    assert (load.acknowledged, tally.errors) == (6, 1)
    assert tally.first_error == "the server goes away: restart"


def test_a_server_that_only_hangs_up_ends_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_load, "RECONNECTS_MAX", 2)
    with serving(Script(answered=0, then=b"", connections=3)) as endpoint:
        load = EtcdLoad(endpoint, connections=1)
        with pytest.raises(LoadFailed, match="closed the connection 3 times"):
            load.drive(requests(load, 100), 1, Tally())
        load.close()


def test_silence_ends_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_load, "SILENCE_S_MAX", 0.1)
    with serving(Script(answered=5, then=b"", connections=1)) as endpoint:
        load = EtcdLoad(endpoint, connections=1)
        load._lanes[0].socket.setblocking(False)
        load._lanes[0].flush = lambda: True  # type: ignore[method-assign]
        with pytest.raises(LoadFailed, match="not answered"):
            load.drive(requests(load, 1), 1, Tally())
        load.close()


def test_acknowledgements_without_revisions_are_not_believed() -> None:
    etcd_load._hold_against(revisions=10, acknowledged=10)
    with pytest.raises(LoadFailed, match="acknowledged 10 writes, its revision advanced by 9"):
        etcd_load._hold_against(revisions=9, acknowledged=10)


def test_no_server_is_one_line_and_status_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        endpoint = f"127.0.0.1:{closed_soon.getsockname()[1]}"
    plan = LoadPlan(endpoints=(endpoint,), op="put", outstanding=1, seconds=1)
    command = [sys.executable, "-m", "bench.etcd_load", plan.to_json()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("load on etcd failed: ")
    assert len(done.stderr.splitlines()) == 1
