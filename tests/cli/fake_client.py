"""A client without a cluster: a dict behind the part of kvstore.Client that the command line uses, and a terminal."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

from kvstore.cli.connection import Connection
from kvstore.cli.program import run_program
from kvstore.cli.settings import Settings
from kvstore.cli.terminal import Terminal
from kvstore.client.client import Client
from kvstore.client.explaining import Explanation
from kvstore.client.records import (
    ClusterStatus,
    KeyspaceInfo,
    Outcome,
    Partition,
    Receipt,
    Record,
    Verdict,
    Written,
)
from kvstore.client.tending import Comparison, Scrubbing
from kvstore.core.commands import check_key
from kvstore.core.errors import (
    KeyspaceExists,
    KvError,
    NotConnected,
    NotYetAvailable,
    PreconditionFailed,
    UnknownKeyspace,
)
from kvstore.core.hybrid_clock import stamp_at
from kvstore.core.ids import ClientId, GroupId, Millis, NodeId, OperationId, PartitionId, TimelineId
from kvstore.core.versions import Version
from kvstore.placement.members import NodeInfo
from kvstore.placement.ring import Whereabouts

WRITTEN_MS = Millis(1_700_000_000_000)
NODES = ("n1", "n2", "n3")
READ = Receipt("leader", 7, 3, 2, "n1", 0, 0, 41, 0, 0, True)
WROTE = replace(READ, acknowledged=3, on_disk=2, by_lease=False)


def version(number: int) -> Version:
    return Version(TimelineId(1), GroupId(7), stamp_at(Millis(WRITTEN_MS + number)))


@dataclass
class Store:
    """What all views of one fake client share."""

    keyspaces: dict[str, dict[bytes, tuple[bytes, Version]]] = field(default_factory=lambda: {"default": {}})
    writes: int = 0
    error: KvError | None = None
    """Raised by every call while it is set."""
    reports: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Options of views that were made."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    leaderless: dict[str, Any] = field(default_factory=dict)
    """What `explain` says of every keyspace."""
    comparisons: list[Comparison] = field(default_factory=list)
    scrubbings: list[Scrubbing] = field(default_factory=list)
    closed: int = 0


class FakeClient:
    """Also its own views: `keyspace` and `with_options` give another one on the same store."""

    def __init__(self, store: Store | None = None, name: str = "default") -> None:
        self.store, self.name = store or Store(), name

    @property
    def rows(self) -> dict[bytes, tuple[bytes, Version]]:
        if self.store.error is not None:
            raise self.store.error
        if self.name not in self.store.keyspaces:
            raise UnknownKeyspace(f"there is no keyspace {self.name!r}; known: {', '.join(self.store.keyspaces)}")
        return self.store.keyspaces[self.name]

    def keyspace(self, name: str) -> "FakeClient":
        return FakeClient(self.store, name)

    def with_options(self, **options: Any) -> "FakeClient":
        self.store.asked.append((self.name, {k: v for k, v in options.items() if v is not None}))
        return self

    def close(self) -> None:
        self.store.closed += 1

    # keys

    def read(self, key: bytes) -> Record[bytes]:
        check_key(key)
        found = self.rows.get(key)
        return Record(key, found is not None, found and found[0], found and found[1], READ)

    def get(self, key: bytes) -> bytes | None:
        return self.read(key).value

    def read_many(self, keys: list[bytes]) -> dict[bytes, Record[bytes]]:
        return {key: self.read(key) for key in keys}

    def get_many(self, keys: list[bytes]) -> dict[bytes, bytes]:
        return {key: value for key in keys if (value := self.get(key)) is not None}

    def write(
        self,
        key: bytes,
        value: bytes,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        context: str | None = None,
    ) -> Written:
        assert context is None, "there is a leader"
        current = self.read(key)
        if (if_absent and current.exists) or (if_version is not None and str(current.version) != if_version):
            raise PreconditionFailed(f"{key!r} is otherwise", key=key, current=current)
        self.store.writes += 1
        self.rows[key] = (value, version(self.store.writes))
        return Written(key, self.rows[key][1], OperationId(ClientId(0xC), self.store.writes), WROTE)

    def erase(self, key: bytes, *, if_version: str | None = None, context: str | None = None) -> Written:
        assert context is None, "there is a leader"
        current = self.read(key)
        if if_version is not None and str(current.version) != if_version:
            raise PreconditionFailed(f"{key!r} is otherwise", key=key, current=current)
        self.store.writes += 1
        found = self.rows.pop(key, None)
        gone = version(self.store.writes) if found is not None else None
        return Written(key, gone, OperationId(ClientId(0xC), self.store.writes), WROTE)

    def batch(self) -> "FakeBatch":
        return FakeBatch(self)

    def scan(
        self,
        prefix: bytes = b"",
        *,
        start: bytes = b"",
        end: bytes = b"",
        limit: int = 0,
        keys_only: bool = False,
        resolver: str = "raise",
    ) -> Iterator[Any]:
        found = sorted(key for key in self.rows if key.startswith(prefix) and key >= start and (not end or key < end))
        for key in found[:limit] if limit else found:
            yield key if keys_only else (key, self.rows[key][0])

    def where(self, key: bytes) -> Whereabouts:
        nodes = tuple(NodeInfo(NodeId(node), http_address="") for node in NODES)
        return Whereabouts(
            keyspace=self.name, key=key, hashed=0xABC, partition=PartitionId(3), group=GroupId(7), replicas=nodes,
            leader=NodeId("n2"),
        )  # fmt: skip

    def outcome(self, operation: str, *, key: bytes | None = None) -> Outcome:
        return self.store.outcomes.get(operation, Outcome(Verdict.NOT_SEEN))

    def partitions(self) -> list[Partition]:
        self.rows  # noqa: B018 - raises for an unknown keyspace
        return [Partition(keyspace=self.name, number=n, group=n + 1, replicas=NODES, leader="n1") for n in range(8)]

    def info(self) -> KeyspaceInfo:
        return self._info(self)

    # the cluster

    def list_keyspaces(self, timeout: float | None = None) -> list[KeyspaceInfo]:
        return [self.describe_keyspace(name) for name in sorted(self.store.keyspaces)]

    def describe_keyspace(self, name: str) -> KeyspaceInfo:
        return self._info(self.keyspace(name))

    def _info(self, view: "FakeClient", replicas: int = 3, partitions: int = 8) -> KeyspaceInfo:
        view.rows  # noqa: B018 - raises for an unknown keyspace
        return KeyspaceInfo(
            id=list(self.store.keyspaces).index(view.name) + 1, name=view.name, mode="leader", replicas=replicas,
            partitions=partitions, value_bytes_max=1 << 20, history_versions=16, history_seconds=600, acks="majority",
        )  # fmt: skip

    def create_keyspace(self, name: str, *, mode: str, if_absent: bool, **limits: Any) -> KeyspaceInfo:
        if mode != "leader":
            raise NotYetAvailable(f"mode {mode} is not yet available; use mode leader")
        if name in self.store.keyspaces and not if_absent:
            raise KeyspaceExists(f"keyspace {name!r} exists already")
        self.store.keyspaces.setdefault(name, {})
        self.store.asked.append((name, {k: v for k, v in limits.items() if v}))
        return self._info(self.keyspace(name), limits["replicas"] or 3, limits["partitions"] or 8)

    def explain(self, name: str) -> Explanation:
        info = self.describe_keyspace(name)
        if self.store.leaderless:
            info = replace(info, mode="leaderless", **self.store.leaderless)
        return Explanation.of(info, self.status().nodes)

    def drop_keyspace(self, name: str, *, if_exists: bool = False) -> None:
        if not if_exists:
            self.keyspace(name).rows  # noqa: B018 - raises for an unknown keyspace
        self.store.keyspaces.pop(name, None)

    def repair(self, keyspace: str = "", **options: Any) -> list[Comparison]:
        self.store.asked.append((keyspace, options))
        return self.store.comparisons

    def scrub(self, node: str = "", **options: Any) -> list[Scrubbing]:
        self.store.asked.append((node, options))
        return self.store.scrubbings

    def nodes(self, *, timeout: float | None = None) -> list[NodeInfo]:
        doors = {"n1": "127.0.0.1:1", "n2": "127.0.0.1:2"}
        return [NodeInfo(NodeId(node), http_address=doors.get(node, "")) for node in NODES]

    def status(self, *, whole_cluster: bool = True, timeout: float | None = None) -> ClusterStatus:
        if self.store.error is not None:
            raise self.store.error
        reports = self.store.reports or [report(node) for node in NODES]
        return ClusterStatus(tuple(reports if whole_cluster else reports[:1]))


class FakeBatch:
    def __init__(self, view: FakeClient) -> None:
        self._view, self._writes = view, dict[bytes, bytes | None]()
        self.versions: dict[bytes, Version | None] = {}
        self.failed: dict[bytes, KvError] = {}

    def put(self, key: bytes, value: bytes, *, context: Any = None) -> None:
        self._writes[key] = value

    def delete(self, key: bytes) -> None:
        self._writes[key] = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            return
        for key, value in self._writes.items():
            try:
                done = self._view.erase(key) if value is None else self._view.write(key, value)
                self.versions[key] = done.version
            except KvError as refused:
                self.failed[key] = refused
        if self.failed:
            first = next(iter(self.failed.values()))
            raised = type(first)(f"{first} ({len(self.failed)} failed)", failed=self.failed)
            vars(raised)["failed"] = self.failed
            raise raised


def report(node: str, **changed: Any) -> dict[str, Any]:
    """One node's report, as in /api/v1/status, of a cluster with one partition that n1 leads."""
    followers = [
        {"node": other, "pace": "stream", "match": 9, "next": 10, "inflight": 0, "recovering": False, "down": False}
        for other in NODES
        if other != "n1"
    ]
    group = {
        "keyspace": "default", "partition": 0, "leader": "n1", "term": 2, "commit": 9, "last": 9, "log_start": 0,
        "standing": "voter", "quiesced": False, "unflushed_rows": 0, "role": "leader" if node == "n1" else "follower",
        "applied": 9 if node != "n3" else 7, "followers": followers if node == "n1" else [],
    }  # fmt: skip
    peers = {other: {"up": True, "heard_ms_ago": 5, "clock_ahead_ms": 0} for other in NODES if other != node}
    return {
        "node": node, "cluster": "fake", "timeline": 255, "zone": f"z{node[1]}", "incarnation": "00", "founded": True,
        "ready": True, "healthy": True, "problems": [], "epoch": 3, "leads": int(node == "n1"), "replicas": 1,
        "requests_open": 1, "bytes_open": 0, "storage_bytes": 4096, "storage_bytes_max": 1 << 30, "clock_ahead_ms": 0,
        "peers": peers, "groups": [{**group, "group": 0, "keyspace": ""}, {**group, "group": 1}],
    } | changed  # fmt: skip


@dataclass
class Run:
    """How one command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


@dataclass
class CommandLine:
    """Runs commands against a fake client, with or without a terminal."""

    client: FakeClient = field(default_factory=FakeClient)
    environment: dict[str, str] = field(default_factory=dict)
    unreachable: bool = False
    settings: list[Settings] = field(default_factory=list)
    """Those of every connection that was made."""

    def connect(self, settings: Settings) -> Connection:
        self.settings.append(settings)
        if self.unreachable:
            raise NotConnected("no node could be reached; nothing was sent")
        return Connection(cast(Client, self.client), ("127.0.0.1:1",))

    def terminal(self, stdin: bytes = b"", is_terminal: bool = False, color: bool = False) -> Terminal:
        return Terminal(
            io.BytesIO(stdin), io.BytesIO(), io.BytesIO(),
            stdin_is_terminal=is_terminal, stdout_is_terminal=is_terminal, color=color, columns=80,
        )  # fmt: skip

    def __call__(self, *words: str, stdin: bytes = b"", is_terminal: bool = False, color: bool = False) -> Run:
        terminal = self.terminal(stdin, is_terminal, color)
        code = run_program(words, terminal, self.connect, self.environment)
        out, err = cast(io.BytesIO, terminal.stdout), cast(io.BytesIO, terminal.stderr)
        return Run(code, out.getvalue(), err.getvalue().decode())
