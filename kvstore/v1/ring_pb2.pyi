from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Ring(_message.Message):
    __slots__ = ("epoch", "cluster", "timeline", "nodes", "keyspaces")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    KEYSPACES_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    cluster: str
    timeline: int
    nodes: _containers.RepeatedCompositeFieldContainer[RingNode]
    keyspaces: _containers.RepeatedCompositeFieldContainer[RingKeyspace]
    def __init__(self, epoch: _Optional[int] = ..., cluster: _Optional[str] = ..., timeline: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[RingNode, _Mapping]]] = ..., keyspaces: _Optional[_Iterable[_Union[RingKeyspace, _Mapping]]] = ...) -> None: ...

class RingNode(_message.Message):
    __slots__ = ("id", "zone", "client_address", "http_address", "peer_address")
    ID_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HTTP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PEER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    id: str
    zone: str
    client_address: str
    http_address: str
    peer_address: str
    def __init__(self, id: _Optional[str] = ..., zone: _Optional[str] = ..., client_address: _Optional[str] = ..., http_address: _Optional[str] = ..., peer_address: _Optional[str] = ...) -> None: ...

class RingKeyspace(_message.Message):
    __slots__ = ("id", "name", "mode", "replicas", "value_bytes_max", "history_versions", "history_seconds", "acks", "partitions", "read_quorum", "write_quorum", "sloppy", "conflicts")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    VALUE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    HISTORY_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    READ_QUORUM_FIELD_NUMBER: _ClassVar[int]
    WRITE_QUORUM_FIELD_NUMBER: _ClassVar[int]
    SLOPPY_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: str
    mode: str
    replicas: int
    value_bytes_max: int
    history_versions: int
    history_seconds: int
    acks: str
    partitions: _containers.RepeatedCompositeFieldContainer[RingPartition]
    read_quorum: int
    write_quorum: int
    sloppy: bool
    conflicts: str
    def __init__(self, id: _Optional[int] = ..., name: _Optional[str] = ..., mode: _Optional[str] = ..., replicas: _Optional[int] = ..., value_bytes_max: _Optional[int] = ..., history_versions: _Optional[int] = ..., history_seconds: _Optional[int] = ..., acks: _Optional[str] = ..., partitions: _Optional[_Iterable[_Union[RingPartition, _Mapping]]] = ..., read_quorum: _Optional[int] = ..., write_quorum: _Optional[int] = ..., sloppy: _Optional[bool] = ..., conflicts: _Optional[str] = ...) -> None: ...

class RingPartition(_message.Message):
    __slots__ = ("group", "replicas", "leader")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    group: int
    replicas: _containers.RepeatedScalarFieldContainer[str]
    leader: str
    def __init__(self, group: _Optional[int] = ..., replicas: _Optional[_Iterable[str]] = ..., leader: _Optional[str] = ...) -> None: ...
