from kvstore.v1 import ring_pb2 as _ring_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Acks(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACKS_UNSPECIFIED: _ClassVar[Acks]
    ACKS_LEADER: _ClassVar[Acks]
    ACKS_MAJORITY: _ClassVar[Acks]
    ACKS_ALL: _ClassVar[Acks]

class Sloppy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLOPPY_UNSPECIFIED: _ClassVar[Sloppy]
    SLOPPY_YES: _ClassVar[Sloppy]
    SLOPPY_NO: _ClassVar[Sloppy]

class ReadLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    READ_LEVEL_UNSPECIFIED: _ClassVar[ReadLevel]
    READ_LEVEL_LINEARIZABLE: _ClassVar[ReadLevel]
    READ_LEVEL_LEADER: _ClassVar[ReadLevel]
    READ_LEVEL_FOLLOWER: _ClassVar[ReadLevel]
ACKS_UNSPECIFIED: Acks
ACKS_LEADER: Acks
ACKS_MAJORITY: Acks
ACKS_ALL: Acks
SLOPPY_UNSPECIFIED: Sloppy
SLOPPY_YES: Sloppy
SLOPPY_NO: Sloppy
READ_LEVEL_UNSPECIFIED: ReadLevel
READ_LEVEL_LINEARIZABLE: ReadLevel
READ_LEVEL_LEADER: ReadLevel
READ_LEVEL_FOLLOWER: ReadLevel

class Receipt(_message.Message):
    __slots__ = ("mode", "group", "partition", "term", "node", "acknowledged", "on_disk", "index", "stamp", "staleness_ms", "by_lease", "sloppy", "siblings", "repaired")
    MODE_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    ON_DISK_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    STAMP_FIELD_NUMBER: _ClassVar[int]
    STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    BY_LEASE_FIELD_NUMBER: _ClassVar[int]
    SLOPPY_FIELD_NUMBER: _ClassVar[int]
    SIBLINGS_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    mode: str
    group: int
    partition: int
    term: int
    node: str
    acknowledged: int
    on_disk: int
    index: int
    stamp: int
    staleness_ms: int
    by_lease: bool
    sloppy: bool
    siblings: int
    repaired: int
    def __init__(self, mode: _Optional[str] = ..., group: _Optional[int] = ..., partition: _Optional[int] = ..., term: _Optional[int] = ..., node: _Optional[str] = ..., acknowledged: _Optional[int] = ..., on_disk: _Optional[int] = ..., index: _Optional[int] = ..., stamp: _Optional[int] = ..., staleness_ms: _Optional[int] = ..., by_lease: _Optional[bool] = ..., sloppy: _Optional[bool] = ..., siblings: _Optional[int] = ..., repaired: _Optional[int] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "definite", "retryable", "facts")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DEFINITE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    definite: bool
    retryable: bool
    facts: bytes
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., definite: _Optional[bool] = ..., retryable: _Optional[bool] = ..., facts: _Optional[bytes] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("key", "exists", "value", "version", "written_ms", "siblings")
    KEY_FIELD_NUMBER: _ClassVar[int]
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_MS_FIELD_NUMBER: _ClassVar[int]
    SIBLINGS_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    exists: bool
    value: bytes
    version: str
    written_ms: int
    siblings: _containers.RepeatedCompositeFieldContainer[Sibling]
    def __init__(self, key: _Optional[bytes] = ..., exists: _Optional[bool] = ..., value: _Optional[bytes] = ..., version: _Optional[str] = ..., written_ms: _Optional[int] = ..., siblings: _Optional[_Iterable[_Union[Sibling, _Mapping]]] = ...) -> None: ...

class Sibling(_message.Message):
    __slots__ = ("value", "version", "written_ms")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_MS_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    version: str
    written_ms: int
    def __init__(self, value: _Optional[bytes] = ..., version: _Optional[str] = ..., written_ms: _Optional[int] = ...) -> None: ...

class OperationId(_message.Message):
    __slots__ = ("client", "sequence")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    client: int
    sequence: int
    def __init__(self, client: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("keyspace", "key", "level", "max_staleness_ms", "read_quorum")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MAX_STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    READ_QUORUM_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    key: bytes
    level: ReadLevel
    max_staleness_ms: int
    read_quorum: int
    def __init__(self, keyspace: _Optional[str] = ..., key: _Optional[bytes] = ..., level: _Optional[_Union[ReadLevel, str]] = ..., max_staleness_ms: _Optional[int] = ..., read_quorum: _Optional[int] = ...) -> None: ...

class GetReply(_message.Message):
    __slots__ = ("record", "receipt")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    record: Record
    receipt: Receipt
    def __init__(self, record: _Optional[_Union[Record, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("keyspace", "key", "value", "if_absent", "if_version", "acks", "operation", "context", "write_quorum", "sloppy")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    IF_ABSENT_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    WRITE_QUORUM_FIELD_NUMBER: _ClassVar[int]
    SLOPPY_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    key: bytes
    value: bytes
    if_absent: bool
    if_version: str
    acks: Acks
    operation: OperationId
    context: str
    write_quorum: int
    sloppy: Sloppy
    def __init__(self, keyspace: _Optional[str] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., if_absent: _Optional[bool] = ..., if_version: _Optional[str] = ..., acks: _Optional[_Union[Acks, str]] = ..., operation: _Optional[_Union[OperationId, _Mapping]] = ..., context: _Optional[str] = ..., write_quorum: _Optional[int] = ..., sloppy: _Optional[_Union[Sloppy, str]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("keyspace", "key", "if_version", "acks", "operation", "context", "write_quorum", "sloppy")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    WRITE_QUORUM_FIELD_NUMBER: _ClassVar[int]
    SLOPPY_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    key: bytes
    if_version: str
    acks: Acks
    operation: OperationId
    context: str
    write_quorum: int
    sloppy: Sloppy
    def __init__(self, keyspace: _Optional[str] = ..., key: _Optional[bytes] = ..., if_version: _Optional[str] = ..., acks: _Optional[_Union[Acks, str]] = ..., operation: _Optional[_Union[OperationId, _Mapping]] = ..., context: _Optional[str] = ..., write_quorum: _Optional[int] = ..., sloppy: _Optional[_Union[Sloppy, str]] = ...) -> None: ...

class WriteReply(_message.Message):
    __slots__ = ("version", "found", "receipt")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    version: str
    found: bool
    receipt: Receipt
    def __init__(self, version: _Optional[str] = ..., found: _Optional[bool] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class GetManyRequest(_message.Message):
    __slots__ = ("keyspace", "keys", "level", "max_staleness_ms", "read_quorum")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MAX_STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    READ_QUORUM_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    level: ReadLevel
    max_staleness_ms: int
    read_quorum: int
    def __init__(self, keyspace: _Optional[str] = ..., keys: _Optional[_Iterable[bytes]] = ..., level: _Optional[_Union[ReadLevel, str]] = ..., max_staleness_ms: _Optional[int] = ..., read_quorum: _Optional[int] = ...) -> None: ...

class GetManyReply(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class Pair(_message.Message):
    __slots__ = ("key", "value", "context")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    context: str
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., context: _Optional[str] = ...) -> None: ...

class PutManyRequest(_message.Message):
    __slots__ = ("keyspace", "pairs", "acks", "atomic", "write_quorum", "sloppy")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    ATOMIC_FIELD_NUMBER: _ClassVar[int]
    WRITE_QUORUM_FIELD_NUMBER: _ClassVar[int]
    SLOPPY_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    pairs: _containers.RepeatedCompositeFieldContainer[Pair]
    acks: Acks
    atomic: bool
    write_quorum: int
    sloppy: Sloppy
    def __init__(self, keyspace: _Optional[str] = ..., pairs: _Optional[_Iterable[_Union[Pair, _Mapping]]] = ..., acks: _Optional[_Union[Acks, str]] = ..., atomic: _Optional[bool] = ..., write_quorum: _Optional[int] = ..., sloppy: _Optional[_Union[Sloppy, str]] = ...) -> None: ...

class PutManyReply(_message.Message):
    __slots__ = ("versions", "failures")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedScalarFieldContainer[str]
    failures: _containers.RepeatedCompositeFieldContainer[Failure]
    def __init__(self, versions: _Optional[_Iterable[str]] = ..., failures: _Optional[_Iterable[_Union[Failure, _Mapping]]] = ...) -> None: ...

class ScanRequest(_message.Message):
    __slots__ = ("keyspace", "start", "end", "limit", "keys_only", "level", "read_quorum")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    KEYS_ONLY_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    READ_QUORUM_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    start: bytes
    end: bytes
    limit: int
    keys_only: bool
    level: ReadLevel
    read_quorum: int
    def __init__(self, keyspace: _Optional[str] = ..., start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., limit: _Optional[int] = ..., keys_only: _Optional[bool] = ..., level: _Optional[_Union[ReadLevel, str]] = ..., read_quorum: _Optional[int] = ...) -> None: ...

class ScanReply(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class OutcomeRequest(_message.Message):
    __slots__ = ("keyspace", "operation", "key")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    operation: OperationId
    key: bytes
    def __init__(self, keyspace: _Optional[str] = ..., operation: _Optional[_Union[OperationId, _Mapping]] = ..., key: _Optional[bytes] = ...) -> None: ...

class OutcomeReply(_message.Message):
    __slots__ = ("outcome", "version")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[OutcomeReply.Outcome]
        OUTCOME_WRITTEN: _ClassVar[OutcomeReply.Outcome]
        OUTCOME_REFUSED: _ClassVar[OutcomeReply.Outcome]
        OUTCOME_NOT_SEEN: _ClassVar[OutcomeReply.Outcome]
    OUTCOME_UNSPECIFIED: OutcomeReply.Outcome
    OUTCOME_WRITTEN: OutcomeReply.Outcome
    OUTCOME_REFUSED: OutcomeReply.Outcome
    OUTCOME_NOT_SEEN: OutcomeReply.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    outcome: OutcomeReply.Outcome
    version: str
    def __init__(self, outcome: _Optional[_Union[OutcomeReply.Outcome, str]] = ..., version: _Optional[str] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("hello", "calls")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    hello: SessionHello
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    def __init__(self, hello: _Optional[_Union[SessionHello, _Mapping]] = ..., calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ...) -> None: ...

class SessionHello(_message.Message):
    __slots__ = ("client", "cluster", "timeline", "software")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    client: int
    cluster: str
    timeline: int
    software: str
    def __init__(self, client: _Optional[int] = ..., cluster: _Optional[str] = ..., timeline: _Optional[int] = ..., software: _Optional[str] = ...) -> None: ...

class SessionReply(_message.Message):
    __slots__ = ("welcome", "ring", "replies", "refused")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    RING_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    welcome: SessionWelcome
    ring: _ring_pb2.Ring
    replies: _containers.RepeatedCompositeFieldContainer[Reply]
    refused: Failure
    def __init__(self, welcome: _Optional[_Union[SessionWelcome, _Mapping]] = ..., ring: _Optional[_Union[_ring_pb2.Ring, _Mapping]] = ..., replies: _Optional[_Iterable[_Union[Reply, _Mapping]]] = ..., refused: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class SessionWelcome(_message.Message):
    __slots__ = ("node", "cluster", "timeline")
    NODE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    node: str
    cluster: str
    timeline: int
    def __init__(self, node: _Optional[str] = ..., cluster: _Optional[str] = ..., timeline: _Optional[int] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("id", "group", "deadline_ms", "write", "read", "page", "outcome")
    ID_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    id: int
    group: int
    deadline_ms: int
    write: Write
    read: Read
    page: Page
    outcome: OutcomeQuery
    def __init__(self, id: _Optional[int] = ..., group: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., write: _Optional[_Union[Write, _Mapping]] = ..., read: _Optional[_Union[Read, _Mapping]] = ..., page: _Optional[_Union[Page, _Mapping]] = ..., outcome: _Optional[_Union[OutcomeQuery, _Mapping]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("id", "receipt", "failure", "results", "versions", "page", "outcome")
    ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    id: int
    receipt: Receipt
    failure: Failure
    results: bytes
    versions: bytes
    page: PageReply
    outcome: bytes
    def __init__(self, id: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., results: _Optional[bytes] = ..., versions: _Optional[bytes] = ..., page: _Optional[_Union[PageReply, _Mapping]] = ..., outcome: _Optional[bytes] = ...) -> None: ...

class Write(_message.Message):
    __slots__ = ("commands", "acks", "write_quorum", "sloppy")
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    WRITE_QUORUM_FIELD_NUMBER: _ClassVar[int]
    SLOPPY_FIELD_NUMBER: _ClassVar[int]
    commands: bytes
    acks: Acks
    write_quorum: int
    sloppy: Sloppy
    def __init__(self, commands: _Optional[bytes] = ..., acks: _Optional[_Union[Acks, str]] = ..., write_quorum: _Optional[int] = ..., sloppy: _Optional[_Union[Sloppy, str]] = ...) -> None: ...

class Read(_message.Message):
    __slots__ = ("keys", "level", "max_staleness_ms", "read_quorum")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MAX_STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    READ_QUORUM_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    level: ReadLevel
    max_staleness_ms: int
    read_quorum: int
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ..., level: _Optional[_Union[ReadLevel, str]] = ..., max_staleness_ms: _Optional[int] = ..., read_quorum: _Optional[int] = ...) -> None: ...

class Page(_message.Message):
    __slots__ = ("start", "end", "limit", "bytes_max", "keys_only", "level", "max_staleness_ms", "read_quorum")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    KEYS_ONLY_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    MAX_STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    READ_QUORUM_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    end: bytes
    limit: int
    bytes_max: int
    keys_only: bool
    level: ReadLevel
    max_staleness_ms: int
    read_quorum: int
    def __init__(self, start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., limit: _Optional[int] = ..., bytes_max: _Optional[int] = ..., keys_only: _Optional[bool] = ..., level: _Optional[_Union[ReadLevel, str]] = ..., max_staleness_ms: _Optional[int] = ..., read_quorum: _Optional[int] = ...) -> None: ...

class PageReply(_message.Message):
    __slots__ = ("rows", "more")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    rows: bytes
    more: bool
    def __init__(self, rows: _Optional[bytes] = ..., more: _Optional[bool] = ...) -> None: ...

class OutcomeQuery(_message.Message):
    __slots__ = ("client", "sequence")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    client: int
    sequence: int
    def __init__(self, client: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...
