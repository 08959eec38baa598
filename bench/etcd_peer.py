"""Three etcd members on this machine, with etcd's default settings: fsync on, consensus on loopback.

etcd is not a dependency: it is Debian's `etcd-server`, installed by hand by whoever wants to compare.
"""

import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench.processes import free_ports, last_lines, spawn, stop
from bench.stores import StoreAbsent, StoreFailed

MEMBERS = 3
START_S_MAX = 30.0
START_TRIES = 3
_POLL_S = 0.05


def find_etcd() -> str:
    """The path of the etcd program. Raises StoreAbsent, which says how to get it."""
    path = shutil.which("etcd")
    if path is None:
        raise StoreAbsent("etcd is not installed; on Debian or Ubuntu: apt-get install etcd-server")
    return path


class EtcdCluster:
    """Fresh members in a temporary folder, gone without a trace at the end of the `with` block."""

    name = "etcd"
    generator = "bench.etcd_load"
    loads_first = False

    def __init__(self, nodes: int = MEMBERS, folder: Path | None = None) -> None:
        self._program = find_etcd()
        self._nodes = nodes
        self._parent = folder
        self._members: list[subprocess.Popen[bytes]] = []
        self._client_ports: list[int] = []
        self._peer_ports: list[int] = []

    def __enter__(self) -> "EtcdCluster":
        self._folder = Path(tempfile.mkdtemp(prefix="bench-etcd-", dir=self._parent))
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_members()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def version(self) -> str:
        """For example `3.4.23`."""
        said = subprocess.run(
            [self._program, "--version"], capture_output=True, text=True, check=True, env=_environment()
        )
        return said.stdout.split("\n", 1)[0].removeprefix("etcd Version: ").strip()

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(member.pid for member in self._members)

    @property
    def settings(self) -> dict[str, str | int]:
        """It has none to be chosen."""
        return {}

    @property
    def endpoints(self) -> tuple[str, ...]:
        """`host:port` of every member, the leader first: asked elsewhere, a request pays one more hop."""
        leader = self._leader()
        return (f"127.0.0.1:{leader}", *(f"127.0.0.1:{port}" for port in self._client_ports if port != leader))

    def settle(self) -> None:
        """Restart all members on what they stored. etcd 3.4 copies a write buffer for every read, and the
        buffer stays large after loading: reads measured right then would show etcd at a third of its speed."""
        self._stop_members()
        self._run_members()
        self._wait_until_healthy()

    def _stop_members(self) -> None:
        """Followers first: a leader that still has some spends seconds on handing over to members that leave too."""
        leader = self._leader_known()
        by_port = zip(self._client_ports, self._members, strict=False)  # fewer members if starting failed
        stop(member for port, member in by_port if port != leader)
        stop(self._members)

    def _start(self) -> None:
        """Start with ports the kernel gave; if somebody else takes one first, try others."""
        for attempt in range(1, START_TRIES + 1):
            try:
                ports = free_ports(2 * self._nodes)
                self._client_ports, self._peer_ports = ports[: self._nodes], ports[self._nodes :]
                self._run_members()
                self._wait_until_healthy()
                return
            except StoreFailed:
                self._stop_members()
                if attempt == START_TRIES:
                    raise
                shutil.rmtree(self._folder)
                self._folder.mkdir()

    def _run_members(self) -> None:
        peers = [f"http://127.0.0.1:{port}" for port in self._peer_ports]
        cluster = ",".join(f"n{number}={peer}" for number, peer in enumerate(peers, 1))
        self._members = []
        for number, (client_port, peer) in enumerate(zip(self._client_ports, peers, strict=True), 1):
            client = f"http://127.0.0.1:{client_port}"
            command = [self._program, "--name", f"n{number}", "--data-dir", str(self._folder / f"n{number}")]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster]
            command += ["--logger", "zap", "--log-level", "error"]
            self._members.append(spawn(command, self._log(number), _environment()))

    def _log(self, number: int) -> Path:
        return self._folder / f"n{number}.log"

    def _wait_until_healthy(self) -> None:
        """Every member answers, and all know one leader. Raises StoreFailed."""
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            for number, member in enumerate(self._members, 1):
                if member.poll() is not None:
                    raise StoreFailed(f"etcd member n{number} ended: {last_lines(self._log(number))}")
            if all(_healthy(port) for port in self._client_ports) and self._leader_known() is not None:
                return
            time.sleep(_POLL_S)
        raise StoreFailed(f"etcd was not healthy within {START_S_MAX:.0f} s: {last_lines(self._log(1))}")

    def _leader(self) -> int:
        leader = self._leader_known()
        if leader is None:
            raise StoreFailed("the etcd members know no common leader")
        return leader

    def _leader_known(self) -> int | None:
        """The client port of the member that every member calls the leader."""
        statuses = {port: _status(port) for port in self._client_ports}
        leaders = {status.get("leader") for status in statuses.values()}
        if len(leaders) != 1:
            return None
        leader = leaders.pop()
        return next((port for port, status in statuses.items() if leader and _member_id(status) == leader), None)


def _environment() -> dict[str, str]:
    """Ours, without settings for etcd: only the flags above count. One is needed to run on some machines at all."""
    kept = ("ETCD_UNSUPPORTED_ARCH",)
    return {name: value for name, value in os.environ.items() if not name.startswith("ETCD_") or name in kept}


def _healthy(port: int) -> bool:
    return _ask(port, "GET", "/health").get("health") in ("true", True)


def _status(port: int) -> dict[str, object]:
    return _ask(port, "POST", "/v3/maintenance/status", b"{}")


def _member_id(status: dict[str, object]) -> object:
    header = status.get("header")
    return header.get("member_id") if isinstance(header, dict) else None


def _ask(port: int, verb: str, path: str, body: bytes | None = None) -> dict[str, object]:
    """One JSON answer over HTTP; empty while the member cannot give one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request(verb, path, body)
        told = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return told if isinstance(told, dict) else {}
