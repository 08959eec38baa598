"""Group 0: what the cluster agrees on about itself: nodes, keyspaces, and where their partitions live.

The whole state is one small immutable value; every change is a command in group 0's log, applied alike by every node,
and raises the ring's epoch. Group ids are never used twice.
"""

from struct import Struct

import msgspec

from kvstore.core.entries import NOTHING, Entry, LogEnd
from kvstore.core.errors import InvalidRequest, KeyspaceExists, KvError, UnknownKeyspace
from kvstore.core.ids import ClusterId, GroupId, KeyspaceId, NodeId, TimelineId
from kvstore.core.limits import REPLICAS_DEFAULT
from kvstore.core.records import seal, unseal
from kvstore.placement.keyspaces import Keyspace, Partition, Settings, check_settings
from kvstore.placement.members import NodeInfo
from kvstore.placement.ring import Ring
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.keys import meta_key

DEFAULT_KEYSPACE = "default"
_META = Struct(">QQ")


class Metadata(msgspec.Struct, frozen=True):
    """Everything group 0 knows. `epoch` 0 means the cluster has not been formed yet."""

    epoch: int = 0
    cluster: ClusterId = ClusterId("")
    timeline: TimelineId = TimelineId(0)
    nodes: tuple[NodeInfo, ...] = ()
    keyspaces: tuple[Keyspace, ...] = ()
    next_group: int = 1
    next_keyspace: int = 1

    def ring(self) -> Ring:
        """The same facts in the form that requests ask."""
        return Ring(
            epoch=self.epoch,
            cluster=self.cluster,
            timeline=self.timeline,
            nodes=self.nodes,
            keyspaces=self.keyspaces,
        )


class FormCluster(msgspec.Struct, frozen=True, tag="form"):
    """The first leader of group 0 writes the founding facts."""

    cluster: ClusterId
    timeline: TimelineId
    nodes: tuple[NodeInfo, ...]


class CreateKeyspace(msgspec.Struct, frozen=True, tag="create"):
    """A keyspace with its whole plan, made by the leader of group 0 from the state it had."""

    settings: Settings
    plan: tuple[tuple[NodeId, ...], ...]
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


def settle(wish: Settings, nodes: int) -> Settings:
    """A wish made definite: `replicas` 0 means 3, or all nodes if they are fewer.

    Raises InvalidRequest or NotYetAvailable with the expected form.
    """
    settings = msgspec.structs.replace(wish, replicas=wish.replicas or min(REPLICAS_DEFAULT, nodes))
    check_settings(settings)
    if settings.replicas > nodes:
        raise InvalidRequest(f"replicas (n) {settings.replicas}: the cluster has only {nodes} nodes")
    return settings


def changed(state: Metadata, change: Change) -> Metadata:
    """The state after a change. Raises KvError if it does not apply; then nothing changed, on any node."""
    match change:
        case FormCluster():
            return state if state.epoch else _formed(change)
        case CreateKeyspace():
            return _with_keyspace(state, change)
        case DropKeyspace():
            return _without_keyspace(state, change)


def _formed(change: FormCluster) -> Metadata:
    return Metadata(epoch=1, cluster=change.cluster, timeline=change.timeline, nodes=change.nodes)


def _with_keyspace(state: Metadata, change: CreateKeyspace) -> Metadata:
    name = change.settings.name
    if any(keyspace.name == name for keyspace in state.keyspaces):
        if change.if_absent:
            return state
        raise KeyspaceExists(f"keyspace {name!r} exists already", keyspace=name)
    keyspace = Keyspace(
        id=KeyspaceId(state.next_keyspace),
        settings=change.settings,
        partitions=tuple(
            Partition(GroupId(state.next_group + number), replicas) for number, replicas in enumerate(change.plan)
        ),
    )
    return msgspec.structs.replace(
        state,
        epoch=state.epoch + 1,
        keyspaces=(*state.keyspaces, keyspace),
        next_group=state.next_group + len(change.plan),
        next_keyspace=state.next_keyspace + 1,
    )


def _without_keyspace(state: Metadata, change: DropKeyspace) -> Metadata:
    rest = tuple(keyspace for keyspace in state.keyspaces if keyspace.name != change.name)
    if len(rest) == len(state.keyspaces):
        raise UnknownKeyspace(f"there is no keyspace {change.name!r}", keyspace=change.name)
    return msgspec.structs.replace(state, epoch=state.epoch + 1, keyspaces=rest)


class MetadataState:
    """The state machine of group 0, with the same face as a partition's."""

    def __init__(self, engine: Engine, data: int) -> None:
        self.data = data
        self.now = Metadata()
        self.applied = NOTHING
        record = engine.get(meta_key(data))
        if record is not None:
            body = unseal(record, "metadata")
            term, index = _META.unpack_from(body)
            self.applied = LogEnd(term, index)
            self.now = _STATES.decode(body[_META.size :])
        self.flushed = self.applied
        self._flushing_end: LogEnd | None = None
        self.has_slices = False
        """A flush has begun whose one row was not handed out yet."""
        self._is_spoilt = False

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
        return (self.applied != self.flushed or self._is_spoilt) and not self.is_flushing

    def write_again(self) -> None:
        """The row turned out to be damaged: the next flush writes it, whether something was applied or not."""
        self._is_spoilt = True

    def begin_flush(self) -> None:
        assert not self.is_flushing, "one flush at a time"
        self._is_spoilt = False
        self._flushing_end = self.applied
        self.has_slices = True

    @property
    def flush_end(self) -> LogEnd:
        """Up to where the next slice says what was applied."""
        return self.applied

    def flush_slice(self, batch: Batch, rows_max: int) -> int:
        """The whole state is one row: the first slice is the last."""
        assert self._flushing_end is not None, "no flush is under way"
        self._flushing_end = self.applied
        self.has_slices = False
        body = _META.pack(self.applied.term, self.applied.index) + _ENCODER.encode(self.now)
        batch.put(meta_key(self.data), seal(body))
        return 1

    def end_slice(self) -> bool:
        assert self._flushing_end is not None, "no flush is under way"
        self.flushed, self._flushing_end = self._flushing_end, None
        return True
