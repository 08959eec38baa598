from kvstore.v1 import ring_pb2 as _ring_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRingRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateKeyspaceRequest(_message.Message):
    __slots__ = ("name", "mode", "replicas", "partitions", "value_bytes_max", "history_versions", "history_seconds", "acks", "if_absent", "read_quorum", "write_quorum", "sloppy", "conflicts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    VALUE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    HISTORY_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    IF_ABSENT_FIELD_NUMBER: _ClassVar[int]
    READ_QUORUM_FIELD_NUMBER: _ClassVar[int]
    WRITE_QUORUM_FIELD_NUMBER: _ClassVar[int]
    SLOPPY_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    mode: str
    replicas: int
    partitions: int
    value_bytes_max: int
    history_versions: int
    history_seconds: int
    acks: str
    if_absent: bool
    read_quorum: int
    write_quorum: int
    sloppy: bool
    conflicts: str
    def __init__(self, name: _Optional[str] = ..., mode: _Optional[str] = ..., replicas: _Optional[int] = ..., partitions: _Optional[int] = ..., value_bytes_max: _Optional[int] = ..., history_versions: _Optional[int] = ..., history_seconds: _Optional[int] = ..., acks: _Optional[str] = ..., if_absent: _Optional[bool] = ..., read_quorum: _Optional[int] = ..., write_quorum: _Optional[int] = ..., sloppy: _Optional[bool] = ..., conflicts: _Optional[str] = ...) -> None: ...

class DropKeyspaceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DropKeyspaceReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("whole_cluster",)
    WHOLE_CLUSTER_FIELD_NUMBER: _ClassVar[int]
    whole_cluster: bool
    def __init__(self, whole_cluster: _Optional[bool] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("nodes_json",)
    NODES_JSON_FIELD_NUMBER: _ClassVar[int]
    nodes_json: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, nodes_json: _Optional[_Iterable[bytes]] = ...) -> None: ...

class TransferLeaderRequest(_message.Message):
    __slots__ = ("group", "to")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    group: int
    to: str
    def __init__(self, group: _Optional[int] = ..., to: _Optional[str] = ...) -> None: ...

class TransferLeaderReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RepairRequest(_message.Message):
    __slots__ = ("keyspace", "partition", "check")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    partition: int
    check: bool
    def __init__(self, keyspace: _Optional[str] = ..., partition: _Optional[int] = ..., check: _Optional[bool] = ...) -> None: ...

class RepairReply(_message.Message):
    __slots__ = ("pairs",)
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[ComparedPair]
    def __init__(self, pairs: _Optional[_Iterable[_Union[ComparedPair, _Mapping]]] = ...) -> None: ...

class ComparedPair(_message.Message):
    __slots__ = ("keyspace", "partition", "asker", "peer", "failed", "differing", "pulled", "pushed", "skipped", "bytes", "ms")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ASKER_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_FIELD_NUMBER: _ClassVar[int]
    PULLED_FIELD_NUMBER: _ClassVar[int]
    PUSHED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MS_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    partition: int
    asker: str
    peer: str
    failed: str
    differing: int
    pulled: int
    pushed: int
    skipped: int
    bytes: int
    ms: int
    def __init__(self, keyspace: _Optional[str] = ..., partition: _Optional[int] = ..., asker: _Optional[str] = ..., peer: _Optional[str] = ..., failed: _Optional[str] = ..., differing: _Optional[int] = ..., pulled: _Optional[int] = ..., pushed: _Optional[int] = ..., skipped: _Optional[int] = ..., bytes: _Optional[int] = ..., ms: _Optional[int] = ...) -> None: ...

class ScrubRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class ScrubReply(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[ScrubbedNode]
    def __init__(self, nodes: _Optional[_Iterable[_Union[ScrubbedNode, _Mapping]]] = ...) -> None: ...

class ScrubbedNode(_message.Message):
    __slots__ = ("node", "failed", "rows", "bytes", "damaged", "mending", "ms")
    NODE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    MENDING_FIELD_NUMBER: _ClassVar[int]
    MS_FIELD_NUMBER: _ClassVar[int]
    node: str
    failed: str
    rows: int
    bytes: int
    damaged: int
    mending: int
    ms: int
    def __init__(self, node: _Optional[str] = ..., failed: _Optional[str] = ..., rows: _Optional[int] = ..., bytes: _Optional[int] = ..., damaged: _Optional[int] = ..., mending: _Optional[int] = ..., ms: _Optional[int] = ...) -> None: ...
