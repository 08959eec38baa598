"""What a node is told before it starts: frozen, and valid or never built.

A configuration comes from TOML text (`parse_config`), from keywords (`NodeConfig(...)`, in tests and the simulator) or
from nothing but a folder (`NodeConfig.single`). All three end in the same checks, and every refusal is a ConfigError
that names file, key and expected form:

    n1.toml: raft.election_timeout_ms_min: expected an integer from 50 to 60000, got "fast"

The form a value must have is written once, in the type of its field; the messages are made from it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal, Self, get_type_hints

from msgspec import Meta

from kvstore.core.errors import ConfigError
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.node.forms import (
    Address,
    Folder,
    Name,
    Section,
    as_table,
    build,
    check_distinct,
    check_known,
    got,
    table_at,
    told,
)

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
HOUR_MS = 3_600_000
MEMBERS_MAX = 100
EMBEDDED_JOURNAL_BYTES = 4 * MIB  # of the disk at once, so not more than a small database may be


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfConfig(Section):
    """`[node]`: who this node is and where its data lies (relative to the folder of the file)."""

    WHERE: ClassVar[str] = "node"
    id: Name
    data: Folder
    zone: Name = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenConfig(Section):
    """`[listen]`: the three doors. Defaults to this node's own line in `cluster.nodes`."""

    WHERE: ClassVar[str] = "listen"
    client: Address
    """gRPC."""
    peer: Address
    """Framed TCP from other nodes."""
    http: Address
    """Health, metrics and status."""

    def check_together(self) -> None:
        check_distinct(self.WHERE, [("client", self.client), ("peer", self.peer), ("http", self.http)])


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberConfig(Section):
    """One line of `cluster.nodes`: how the others and the clients reach a node."""

    WHERE: ClassVar[str] = "cluster.nodes"
    id: Name
    client: Address
    peer: Address
    http: Address
    zone: Name = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig(Section):
    """`[cluster]`: which cluster, and its first members, listed alike on every node. Empty for an embedded node."""

    WHERE: ClassVar[str] = "cluster"
    id: Name
    nodes: tuple[MemberConfig, ...] = ()

    def check_together(self) -> None:
        if len(self.nodes) > MEMBERS_MAX:
            raise ConfigError(f"cluster.nodes: expected at most {MEMBERS_MAX} nodes, got {len(self.nodes)}")
        seen: set[str] = set()
        for member in self.nodes:
            if member.id in seen:
                raise ConfigError(f"cluster.nodes: expected every id once, got {told(member.id)} twice")
            seen.add(member.id)
        doors = [(f"{m.id}.{door}", getattr(m, door)) for m in self.nodes for door in ("client", "peer", "http")]
        check_distinct("cluster.nodes", doors)

    def member(self, node_id: str) -> MemberConfig | None:
        """The line of that node, if it has one."""
        return next((member for member in self.nodes if member.id == node_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftConfig(Section):
    """`[raft]`: how patient a replica is, and how much it sends and keeps. All nodes of a cluster should agree."""

    WHERE: ClassVar[str] = "raft"
    election_timeout_ms_min: Annotated[int, Meta(ge=50, le=60_000)] = 500
    election_timeout_ms_max: Annotated[int, Meta(ge=50, le=120_000)] = 900
    heartbeat_ms: Annotated[int, Meta(ge=5, le=30_000)] = 100
    lease_reads: bool = True
    """Linearizable reads under the leader's lease, without a round; needs clocks that keep the drift below."""
    clock_drift_percent: Annotated[int, Meta(ge=0, le=50)] = 10
    """How much faster one monotonic clock may run than another: the lease is shortened by it."""
    append_bytes_max: Annotated[int, Meta(ge=KIB, le=16 * MIB)] = MIB
    """One append to one follower."""
    inflight_appends_max: Annotated[int, Meta(ge=1, le=4096)] = 64
    """Appends to one follower that are under way."""
    snapshot_chunk_bytes: Annotated[int, Meta(ge=KIB, le=16 * MIB)] = MIB
    quiesce_after_ms: Annotated[int, Meta(ge=0, le=HOUR_MS)] = 5_000
    """A group without work for so long stops its heartbeats; 0: never."""
    log_bytes_max: Annotated[int, Meta(ge=MIB, le=TIB)] = 16 * MIB
    """Entries a group keeps in memory for followers that lag; older ones are read from disk or sent as a snapshot."""
    log_entries_max: Annotated[int, Meta(ge=16, le=10_000_000)] = 10_000

    def check_together(self) -> None:
        low, high, beat = self.election_timeout_ms_min, self.election_timeout_ms_max, self.heartbeat_ms
        if high <= low:
            raise ConfigError(
                f"raft.election_timeout_ms_max: expected more than election_timeout_ms_min ({low}), got {high}"
            )
        if beat * 2 > low:
            raise ConfigError(
                f"raft.heartbeat_ms: expected at most half of election_timeout_ms_min ({low // 2}), got {beat}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig(Section):
    """`[storage]`: the disk's share, and how applied values and old versions are written and removed."""

    WHERE: ClassVar[str] = "storage"
    map_bytes_max: Annotated[int, Meta(ge=MIB, le=16 * TIB)] = 64 * GIB
    """Most the data file may grow to; then writes end in StorageFull, deletes still work."""
    map_bytes_start: Annotated[int, Meta(ge=MIB, le=16 * TIB)] = GIB
    """The map's size at first (address space, not disk); it grows by doubling."""
    journal_bytes: Annotated[int, Meta(ge=0, le=GIB)] = 16 * MIB
    """Size of the journal, where log entries and ballots reach the disk first; 0: they go to the data file at once.

    The disk gives it up at once and for good. A larger one is handed over more seldom, and longer: 16 MiB of small
    entries take 50 ms, and 0.3 s at the start after a crash.
    """
    flush_rows_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 250_000
    """A partition with so many applied rows in memory begins to write them.

    A key that is written several times until then is one row. A start after a crash applies so many again: 0.4 s.
    """
    flush_slice_rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    """Rows written by one commit: a slice that keeps the commit short."""
    flush_interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 5_000
    """Applied rows wait at most so long in memory for their commit (the log has them all the time)."""
    unflushed_bytes_max: Annotated[int, Meta(ge=64 * KIB, le=16 * GIB)] = 128 * MIB
    """Applied rows waiting in memory; beyond it writes wait for the flush."""
    history_versions: Annotated[int, Meta(ge=0, le=1_000_000)] = 10
    """Old versions kept of each key, for keyspaces that do not say; 0: none."""
    history_seconds: Annotated[int, Meta(ge=0, le=10 * 365 * 86_400)] = 600
    """Old versions are removed after so long, for keyspaces that do not say."""
    history_collect_interval_ms: Annotated[int, Meta(ge=10, le=HOUR_MS)] = 1_000
    history_collect_rows_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    """Rows looked at by one round of removing old versions."""
    reader_age_ms_max: Annotated[int, Meta(ge=100, le=HOUR_MS)] = 120_000
    """A read transaction older than this is ended by the watchdog: it pins old pages."""
    scrub_interval_s: Annotated[int, Meta(ge=0, le=365 * 86_400)] = 86_400
    """Every row is read so often and damaged ones are mended by other nodes; 0: only on demand."""
    scrub_bytes_per_s: Annotated[int, Meta(ge=KIB, le=16 * GIB)] = 16 * MIB
    """How fast."""

    def check_together(self) -> None:
        if self.map_bytes_start > self.map_bytes_max:
            raise ConfigError(
                f"storage.map_bytes_start: expected at most map_bytes_max ({self.map_bytes_max}), "
                f"got {self.map_bytes_start}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig(Section):
    """`[limits]`: what a node takes on before it says Overloaded, and what it refuses."""

    WHERE: ClassVar[str] = "limits"
    queue_requests_max: Annotated[int, Meta(ge=1, le=10_000_000)] = 50_000
    """Operations of clients that wait or are under way."""
    queue_bytes_max: Annotated[int, Meta(ge=MIB, le=64 * GIB)] = 256 * MIB
    peer_queue_bytes_max: Annotated[int, Meta(ge=MIB, le=GIB)] = 32 * MIB
    """Waiting for one peer; beyond it messages are dropped, and Raft sends them again."""
    request_bytes_max: Annotated[int, Meta(ge=64 * KIB, le=REQUEST_BYTES_MAX)] = REQUEST_BYTES_MAX
    clock_ahead_ms_max: Annotated[int, Meta(ge=1, le=24 * HOUR_MS)] = 10_000
    """A stamp further in the future is refused: some node's clock is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderlessConfig(Section):
    """`[leaderless]`: what replicas of leaderless keyspaces do for each other besides writes and reads."""

    WHERE: ClassVar[str] = "leaderless"
    retry_ms: Annotated[int, Meta(ge=10, le=60_000)] = 200
    """A question that was not answered for so long is asked again, or of another replica."""
    hints_max: Annotated[int, Meta(ge=0, le=10_000_000)] = 100_000
    """Keys that a replica keeps in mind for each other one that is away; what is more is left to anti-entropy."""
    guest_hints_max: Annotated[int, Meta(ge=0, le=10_000_000)] = 100_000
    """Records that a node keeps for each other one in partitions of which it is no replica (sloppy quorums) …"""
    guest_bytes_max: Annotated[int, Meta(ge=0, le=16 * GIB)] = 64 * MIB
    """… and their bytes, which are in memory, too. What is more is refused."""
    exchange_interval_ms: Annotated[int, Meta(ge=100, le=HOUR_MS)] = 30_000
    """Each pair of replicas compares what it knows so often."""
    exchange_keys_per_s: Annotated[int, Meta(ge=1, le=10_000_000)] = 20_000
    """A node lists or mends at most so many keys per second …"""
    exchange_bytes_per_s: Annotated[int, Meta(ge=KIB, le=16 * GIB)] = 8 * MIB
    """… and so many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig(Section):
    """`[log]`: how much a node says, and in which form."""

    WHERE: ClassVar[str] = "log"
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestingConfig(Section):
    """`[testing]`: hooks for fault injection (links that are cut); never on in production."""

    WHERE: ClassVar[str] = "testing"
    faults: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """A whole node's configuration. `listen` is None for an embedded node, which has no doors and no peers.

    Raises ConfigError if the parts do not fit together.
    """

    node: SelfConfig
    cluster: ClusterConfig
    listen: ListenConfig | None = None
    raft: RaftConfig = field(default_factory=RaftConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    leaderless: LeaderlessConfig = field(default_factory=LeaderlessConfig)
    log: LogConfig = field(default_factory=LogConfig)
    testing: TestingConfig = field(default_factory=TestingConfig)

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        member = self.cluster.member(self.node.id)
        if member is None and (self.cluster.nodes or self.listen is not None):
            known = ", ".join(m.id for m in self.cluster.nodes) or "none"
            raise ConfigError(f"cluster.nodes: expected this node {told(self.node.id)} among the nodes, got {known}")
        if member is not None and self.listen is None:
            raise ConfigError("listen: expected the addresses client, peer and http, but they are missing")
        if member is not None and member.zone != self.node.zone:
            raise ConfigError(
                f"node.zone: expected {told(member.zone)} as in cluster.nodes, got {told(self.node.zone)}"
            )

    @property
    def is_embedded(self) -> bool:
        """Whether this is one node inside somebody's process, without listeners."""
        return self.listen is None

    @property
    def peers(self) -> tuple[MemberConfig, ...]:
        """The other members, in the order of the file."""
        return tuple(member for member in self.cluster.nodes if member.id != self.node.id)

    @classmethod
    def single(cls, path: str) -> Self:
        """One embedded node on the folder `path`: no listeners, no peers. Raises ConfigError for an empty path."""
        return cls(
            node=SelfConfig(id="n1", data=path),
            cluster=ClusterConfig(id="embedded"),
            storage=StorageConfig(journal_bytes=EMBEDDED_JOURNAL_BYTES),
        )


def parse_config(text: str, name: str) -> NodeConfig:
    """A node's configuration from TOML text; `name` is the file's, for messages. Raises ConfigError."""
    try:
        return config_from(tomllib.loads(text), name)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error


def config_from(tables: Mapping[str, Any], name: str) -> NodeConfig:
    """The same from tables already read. Raises ConfigError."""
    try:
        return _config_from(tables)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def _config_from(tables: Mapping[str, Any]) -> NodeConfig:
    kinds = get_type_hints(NodeConfig)
    check_known("", tables, [part.name for part in fields(NodeConfig)])
    cluster = _cluster_from(table_at(tables, "cluster"))
    myself = dict(table_at(tables, "node"))
    member = cluster.member(myself["id"]) if isinstance(myself.get("id"), str) else None
    listen = dict(table_at(tables, "listen"))
    if member is not None:
        myself = {"zone": member.zone, **myself}
        listen = {door: getattr(member, door) for door in ("client", "peer", "http")} | listen
    parts = {
        part: build(kinds[part], table_at(tables, part), part)
        for part in ("raft", "storage", "limits", "leaderless", "log", "testing")
        if part in tables
    }
    return NodeConfig(
        node=build(SelfConfig, myself, "node"),
        cluster=cluster,
        listen=build(ListenConfig, listen, "listen"),
        **parts,
    )


def _cluster_from(table: Mapping[str, Any]) -> ClusterConfig:
    lines = table.get("nodes")
    if not isinstance(lines, list | tuple) or not lines:
        raise ConfigError(f"cluster.nodes: expected a list of nodes, this one among them, {got(table, 'nodes')}")
    members = [build(MemberConfig, as_table(line, f"cluster.nodes[{i}]"), f"cluster.nodes[{i}]")
               for i, line in enumerate(lines)]  # fmt: skip
    return build(ClusterConfig, {**table, "nodes": tuple(members)}, "cluster")
