"""Group 0: what the cluster agrees on about itself: nodes, keyspaces, and where their partitions live.

The whole state is one small immutable value; every change is a command in group 0's log, applied alike by every node,
and raises the ring's epoch. Group ids are never used twice.
"""

from struct import Struct

import msgspec

from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import InvalidRequest, KeyspaceExists, KvError, NotYetAvailable, UnknownKeyspace, WrongMode
from kvstore.core.ids import Index, NodeId, Term
from kvstore.core.limits import (
    PARTITIONS_DEFAULT,
    PARTITIONS_MAX,
    REPLICAS_DEFAULT,
    VALUE_BYTES_DEFAULT,
    VALUE_BYTES_MAX,
)
from kvstore.core.records import seal, unseal
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.keys import meta_key

MODES = ("leader", "multileader", "leaderless")
ACKS = ("leader", "majority", "all")
HISTORY_VERSIONS_DEFAULT = 4
HISTORY_SECONDS_DEFAULT = 600
DEFAULT_KEYSPACE = "default"
_META = Struct(">QQ")


class NodeEntry(msgspec.Struct, frozen=True):
    """A member of the cluster and where to find it."""

    id: str
    zone: str
    client: str
    peer: str
    http: str


class PartitionEntry(msgspec.Struct, frozen=True, array_like=True):
    """One partition: its Raft group, and its replicas with the preferred leader first."""

    group: int
    replicas: tuple[str, ...]


class KeyspaceEntry(msgspec.Struct, frozen=True):
    """A keyspace and all its settings."""

    id: int
    name: str
    mode: str
    replicas: int
    value_bytes_max: int
    history_versions: int
    history_seconds: int
    acks: str
    partitions: tuple[PartitionEntry, ...]


class Metadata(msgspec.Struct, frozen=True):
    """Everything group 0 knows. `epoch` 0 means the cluster has not been formed yet."""

    epoch: int = 0
    cluster: str = ""
    timeline: int = 0
    nodes: tuple[NodeEntry, ...] = ()
    keyspaces: tuple[KeyspaceEntry, ...] = ()
    next_group: int = 1
    next_keyspace: int = 1

    def keyspace(self, name: str) -> KeyspaceEntry:
        """Raises UnknownKeyspace, naming those there are."""
        for keyspace in self.keyspaces:
            if keyspace.name == name:
                return keyspace
        names = ", ".join(keyspace.name for keyspace in self.keyspaces) or "none"
        raise UnknownKeyspace(f"there is no keyspace {name!r}; there are: {names}", keyspace=name)


class FormCluster(msgspec.Struct, frozen=True, tag="form"):
    """The first leader of group 0 writes the founding facts."""

    cluster: str
    timeline: int
    nodes: tuple[NodeEntry, ...]


class CreateKeyspace(msgspec.Struct, frozen=True, tag="create"):
    """A keyspace with its whole plan, made by the leader of group 0 from the state it had."""

    name: str
    mode: str
    replicas: int
    value_bytes_max: int
    history_versions: int
    history_seconds: int
    acks: str
    plan: tuple[tuple[str, ...], ...]
    if_absent: bool = False


class DropKeyspace(msgspec.Struct, frozen=True, tag="drop"):
    """The keyspace and all its data go."""

    name: str


Change = FormCluster | CreateKeyspace | DropKeyspace
_ENCODER = msgspec.msgpack.Encoder()
_CHANGES: msgspec.msgpack.Decoder[Change] = msgspec.msgpack.Decoder(Change)
_STATES = msgspec.msgpack.Decoder(Metadata)


def encode_change(change: Change) -> bytes:
    return _ENCODER.encode(change)


class KeyspaceWish(msgspec.Struct, frozen=True):
    """What a user asked for; zero and empty mean the default."""

    name: str
    mode: str = "leader"
    replicas: int = 0
    partitions: int = 0
    value_bytes_max: int = 0
    history_versions: int | None = None
    history_seconds: int | None = None
    acks: str = ""
    if_absent: bool = False


def check_wish(wish: KeyspaceWish, nodes: int) -> None:
    """Raises InvalidRequest, WrongMode or NotYetAvailable with the expected form."""
    allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
    if not 1 <= len(wish.name) <= 64 or not all(letter in allowed for letter in wish.name):
        raise InvalidRequest(f"keyspace name {wish.name!r}: expected 1 to 64 letters, digits, '_', '.' or '-'")
    if wish.mode not in MODES:
        raise WrongMode(f"mode {wish.mode!r}: expected one of {', '.join(MODES)}")
    if wish.mode != "leader":
        raise NotYetAvailable(f"mode {wish.mode!r} is not yet available in this version; use mode 'leader'")
    if wish.acks and wish.acks not in ACKS:
        raise InvalidRequest(f"acks {wish.acks!r}: expected one of {', '.join(ACKS)}")
    _check_range("replicas (n)", wish.replicas, 0, nodes, f"the cluster has {nodes} nodes")
    _check_range("partitions", wish.partitions, 0, PARTITIONS_MAX, "0 means the default")
    if wish.partitions & (wish.partitions - 1):
        raise InvalidRequest(f"partitions {wish.partitions}: expected a power of two up to {PARTITIONS_MAX}")
    _check_range("value_bytes_max", wish.value_bytes_max, 0, VALUE_BYTES_MAX, "0 means the default, 1 MiB")
    _check_range("history_versions", wish.history_versions or 0, 0, 255, "1 keeps no history")
    _check_range("history_seconds", wish.history_seconds or 0, 0, 30 * 86400, "0 keeps no history")


def _check_range(name: str, value: int, low: int, high: int, hint: str) -> None:
    if not low <= value <= high:
        raise InvalidRequest(f"{name} {value}: expected {low} to {high} ({hint})")


def fulfil(wish: KeyspaceWish, plan: tuple[tuple[str, ...], ...], replicas: int) -> CreateKeyspace:
    """The command that creates what was wished, with the replicas of every partition from the planner."""
    versions = HISTORY_VERSIONS_DEFAULT if wish.history_versions is None else wish.history_versions
    seconds = HISTORY_SECONDS_DEFAULT if wish.history_seconds is None else wish.history_seconds
    return CreateKeyspace(
        name=wish.name,
        mode=wish.mode,
        replicas=replicas,
        value_bytes_max=wish.value_bytes_max or VALUE_BYTES_DEFAULT,
        history_versions=versions,
        history_seconds=seconds,
        acks=wish.acks or "majority",
        plan=plan,
        if_absent=wish.if_absent,
    )


def replicas_wished(wish: KeyspaceWish, nodes: int) -> int:
    return wish.replicas or min(REPLICAS_DEFAULT, nodes)


def partitions_wished(wish: KeyspaceWish) -> int:
    return wish.partitions or PARTITIONS_DEFAULT


def changed(state: Metadata, change: Change) -> Metadata:
    """The state after a change. Raises KvError if it does not apply; then nothing changed, on any node."""
    match change:
        case FormCluster():
            return state if state.epoch else _formed(change)
        case CreateKeyspace():
            return _with_keyspace(state, change)
        case DropKeyspace():
            gone = state.keyspace(change.name)
            rest = tuple(keyspace for keyspace in state.keyspaces if keyspace is not gone)
            return msgspec.structs.replace(state, epoch=state.epoch + 1, keyspaces=rest)


def _formed(change: FormCluster) -> Metadata:
    return Metadata(epoch=1, cluster=change.cluster, timeline=change.timeline, nodes=change.nodes)


def _with_keyspace(state: Metadata, change: CreateKeyspace) -> Metadata:
    if any(keyspace.name == change.name for keyspace in state.keyspaces):
        if change.if_absent:
            return state
        raise KeyspaceExists(f"keyspace {change.name!r} exists already", keyspace=change.name)
    keyspace = KeyspaceEntry(
        id=state.next_keyspace,
        name=change.name,
        mode=change.mode,
        replicas=change.replicas,
        value_bytes_max=change.value_bytes_max,
        history_versions=change.history_versions,
        history_seconds=change.history_seconds,
        acks=change.acks,
        partitions=tuple(PartitionEntry(state.next_group + i, replicas) for i, replicas in enumerate(change.plan)),
    )
    return msgspec.structs.replace(
        state,
        epoch=state.epoch + 1,
        keyspaces=(*state.keyspaces, keyspace),
        next_group=state.next_group + len(change.plan),
        next_keyspace=state.next_keyspace + 1,
    )


class MetadataState:
    """The state machine of group 0, with the same face as a partition's."""

    def __init__(self, engine: Engine, data: int) -> None:
        self.data = data
        self.now = Metadata()
        self.applied = LogEnd(Term(0), Index(0))
        record = engine.get(meta_key(data))
        if record is not None:
            body = unseal(record, "metadata")
            term, index = _META.unpack_from(body)
            self.applied = LogEnd(term, index)
            self.now = _STATES.decode(body[_META.size :])
        self.flushed = self.applied
        self._flushing_end: LogEnd | None = None

    def apply(self, entry: Entry) -> KvError | None:
        """Apply the next committed entry; the error, if the change did not apply (on every node alike)."""
        assert entry.index == self.applied.index + 1, f"entry {entry.index} after {self.applied}"
        self.applied = LogEnd(entry.term, entry.index)
        if entry.payload:
            try:
                self.now = changed(self.now, _CHANGES.decode(entry.payload))
            except KvError as error:
                return error
        return None

    @property
    def is_flushing(self) -> bool:
        return self._flushing_end is not None

    @property
    def needs_flush(self) -> bool:
        return self.applied != self.flushed and not self.is_flushing

    def begin_flush(self, batch: Batch) -> None:
        assert not self.is_flushing, "one flush at a time"
        self._flushing_end = self.applied
        body = _META.pack(self.applied.term, self.applied.index) + _ENCODER.encode(self.now)
        batch.put(meta_key(self.data), seal(body))

    def end_flush(self) -> None:
        assert self._flushing_end is not None, "no flush is under way"
        self.flushed, self._flushing_end = self._flushing_end, None


def zones_of(metadata: Metadata) -> dict[NodeId, str]:
    return {NodeId(node.id): node.zone for node in metadata.nodes}
