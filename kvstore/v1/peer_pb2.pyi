from kvstore.v1 import kv_pb2 as _kv_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("greeting", "messages")
    GREETING_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    greeting: Greeting
    messages: _containers.RepeatedCompositeFieldContainer[Addressed]
    def __init__(self, greeting: _Optional[_Union[Greeting, _Mapping]] = ..., messages: _Optional[_Iterable[_Union[Addressed, _Mapping]]] = ...) -> None: ...

class Greeting(_message.Message):
    __slots__ = ("protocol", "cluster", "node", "incarnation", "members")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    cluster: str
    node: str
    incarnation: int
    members: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, protocol: _Optional[int] = ..., cluster: _Optional[str] = ..., node: _Optional[str] = ..., incarnation: _Optional[int] = ..., members: _Optional[_Iterable[str]] = ...) -> None: ...

class Addressed(_message.Message):
    __slots__ = ("group", "vote_request", "vote_reply", "append_request", "append_reply", "heartbeat", "heartbeat_reply", "timeout_now", "snapshot_chunk", "snapshot_reply", "term_query", "term_reply", "recovery_query", "recovery_reply", "pulse", "forward", "forward_reply", "store", "stored", "fetch", "fetched", "fetch_page", "page_fetched", "compare_trees", "trees_compared", "fetch_hashes", "hashes_fetched", "list_leaves", "leaves_listed", "pull", "pulled", "repair", "repaired", "not_stored")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    VOTE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    VOTE_REPLY_FIELD_NUMBER: _ClassVar[int]
    APPEND_REQUEST_FIELD_NUMBER: _ClassVar[int]
    APPEND_REPLY_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_REPLY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NOW_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_CHUNK_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_REPLY_FIELD_NUMBER: _ClassVar[int]
    TERM_QUERY_FIELD_NUMBER: _ClassVar[int]
    TERM_REPLY_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_QUERY_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_REPLY_FIELD_NUMBER: _ClassVar[int]
    PULSE_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    FORWARD_REPLY_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    FETCHED_FIELD_NUMBER: _ClassVar[int]
    FETCH_PAGE_FIELD_NUMBER: _ClassVar[int]
    PAGE_FETCHED_FIELD_NUMBER: _ClassVar[int]
    COMPARE_TREES_FIELD_NUMBER: _ClassVar[int]
    TREES_COMPARED_FIELD_NUMBER: _ClassVar[int]
    FETCH_HASHES_FIELD_NUMBER: _ClassVar[int]
    HASHES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    LIST_LEAVES_FIELD_NUMBER: _ClassVar[int]
    LEAVES_LISTED_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    PULLED_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    NOT_STORED_FIELD_NUMBER: _ClassVar[int]
    group: int
    vote_request: VoteRequest
    vote_reply: VoteReply
    append_request: AppendRequest
    append_reply: AppendReply
    heartbeat: Heartbeat
    heartbeat_reply: HeartbeatReply
    timeout_now: TimeoutNow
    snapshot_chunk: SnapshotChunk
    snapshot_reply: SnapshotReply
    term_query: TermQuery
    term_reply: TermReply
    recovery_query: RecoveryQuery
    recovery_reply: RecoveryReply
    pulse: Pulse
    forward: Forward
    forward_reply: ForwardReply
    store: Store
    stored: Stored
    fetch: Fetch
    fetched: Fetched
    fetch_page: FetchPage
    page_fetched: PageFetched
    compare_trees: CompareTrees
    trees_compared: TreesCompared
    fetch_hashes: FetchHashes
    hashes_fetched: HashesFetched
    list_leaves: ListLeaves
    leaves_listed: LeavesListed
    pull: Pull
    pulled: Pulled
    repair: Repair
    repaired: Repaired
    not_stored: NotStored
    def __init__(self, group: _Optional[int] = ..., vote_request: _Optional[_Union[VoteRequest, _Mapping]] = ..., vote_reply: _Optional[_Union[VoteReply, _Mapping]] = ..., append_request: _Optional[_Union[AppendRequest, _Mapping]] = ..., append_reply: _Optional[_Union[AppendReply, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., heartbeat_reply: _Optional[_Union[HeartbeatReply, _Mapping]] = ..., timeout_now: _Optional[_Union[TimeoutNow, _Mapping]] = ..., snapshot_chunk: _Optional[_Union[SnapshotChunk, _Mapping]] = ..., snapshot_reply: _Optional[_Union[SnapshotReply, _Mapping]] = ..., term_query: _Optional[_Union[TermQuery, _Mapping]] = ..., term_reply: _Optional[_Union[TermReply, _Mapping]] = ..., recovery_query: _Optional[_Union[RecoveryQuery, _Mapping]] = ..., recovery_reply: _Optional[_Union[RecoveryReply, _Mapping]] = ..., pulse: _Optional[_Union[Pulse, _Mapping]] = ..., forward: _Optional[_Union[Forward, _Mapping]] = ..., forward_reply: _Optional[_Union[ForwardReply, _Mapping]] = ..., store: _Optional[_Union[Store, _Mapping]] = ..., stored: _Optional[_Union[Stored, _Mapping]] = ..., fetch: _Optional[_Union[Fetch, _Mapping]] = ..., fetched: _Optional[_Union[Fetched, _Mapping]] = ..., fetch_page: _Optional[_Union[FetchPage, _Mapping]] = ..., page_fetched: _Optional[_Union[PageFetched, _Mapping]] = ..., compare_trees: _Optional[_Union[CompareTrees, _Mapping]] = ..., trees_compared: _Optional[_Union[TreesCompared, _Mapping]] = ..., fetch_hashes: _Optional[_Union[FetchHashes, _Mapping]] = ..., hashes_fetched: _Optional[_Union[HashesFetched, _Mapping]] = ..., list_leaves: _Optional[_Union[ListLeaves, _Mapping]] = ..., leaves_listed: _Optional[_Union[LeavesListed, _Mapping]] = ..., pull: _Optional[_Union[Pull, _Mapping]] = ..., pulled: _Optional[_Union[Pulled, _Mapping]] = ..., repair: _Optional[_Union[Repair, _Mapping]] = ..., repaired: _Optional[_Union[Repaired, _Mapping]] = ..., not_stored: _Optional[_Union[NotStored, _Mapping]] = ...) -> None: ...

class LogEnd(_message.Message):
    __slots__ = ("term", "index")
    TERM_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    term: int
    index: int
    def __init__(self, term: _Optional[int] = ..., index: _Optional[int] = ...) -> None: ...

class VoteRequest(_message.Message):
    __slots__ = ("term", "log_end", "pre", "transfer")
    TERM_FIELD_NUMBER: _ClassVar[int]
    LOG_END_FIELD_NUMBER: _ClassVar[int]
    PRE_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    term: int
    log_end: LogEnd
    pre: bool
    transfer: bool
    def __init__(self, term: _Optional[int] = ..., log_end: _Optional[_Union[LogEnd, _Mapping]] = ..., pre: _Optional[bool] = ..., transfer: _Optional[bool] = ...) -> None: ...

class VoteReply(_message.Message):
    __slots__ = ("term", "granted", "pre")
    TERM_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    PRE_FIELD_NUMBER: _ClassVar[int]
    term: int
    granted: bool
    pre: bool
    def __init__(self, term: _Optional[int] = ..., granted: _Optional[bool] = ..., pre: _Optional[bool] = ...) -> None: ...

class AppendRequest(_message.Message):
    __slots__ = ("term", "previous_term", "previous_index", "terms", "payloads", "commit", "sent_at", "echo")
    TERM_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_TERM_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_INDEX_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    ECHO_FIELD_NUMBER: _ClassVar[int]
    term: int
    previous_term: int
    previous_index: int
    terms: _containers.RepeatedScalarFieldContainer[int]
    payloads: _containers.RepeatedScalarFieldContainer[bytes]
    commit: int
    sent_at: int
    echo: int
    def __init__(self, term: _Optional[int] = ..., previous_term: _Optional[int] = ..., previous_index: _Optional[int] = ..., terms: _Optional[_Iterable[int]] = ..., payloads: _Optional[_Iterable[bytes]] = ..., commit: _Optional[int] = ..., sent_at: _Optional[int] = ..., echo: _Optional[int] = ...) -> None: ...

class AppendReply(_message.Message):
    __slots__ = ("term", "match", "sent_at", "at", "rejected", "hint_term", "hint_index", "recovering", "needs_image")
    TERM_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    HINT_TERM_FIELD_NUMBER: _ClassVar[int]
    HINT_INDEX_FIELD_NUMBER: _ClassVar[int]
    RECOVERING_FIELD_NUMBER: _ClassVar[int]
    NEEDS_IMAGE_FIELD_NUMBER: _ClassVar[int]
    term: int
    match: int
    sent_at: int
    at: int
    rejected: int
    hint_term: int
    hint_index: int
    recovering: bool
    needs_image: int
    def __init__(self, term: _Optional[int] = ..., match: _Optional[int] = ..., sent_at: _Optional[int] = ..., at: _Optional[int] = ..., rejected: _Optional[int] = ..., hint_term: _Optional[int] = ..., hint_index: _Optional[int] = ..., recovering: _Optional[bool] = ..., needs_image: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("term", "commit", "sent", "sent_at", "context", "quiesce", "echo")
    TERM_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    QUIESCE_FIELD_NUMBER: _ClassVar[int]
    ECHO_FIELD_NUMBER: _ClassVar[int]
    term: int
    commit: int
    sent: int
    sent_at: int
    context: int
    quiesce: bool
    echo: int
    def __init__(self, term: _Optional[int] = ..., commit: _Optional[int] = ..., sent: _Optional[int] = ..., sent_at: _Optional[int] = ..., context: _Optional[int] = ..., quiesce: _Optional[bool] = ..., echo: _Optional[int] = ...) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ("term", "sent_at", "at", "context", "received", "persisted", "commit", "missing", "quiesced", "recovering", "needs_image")
    TERM_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    PERSISTED_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    QUIESCED_FIELD_NUMBER: _ClassVar[int]
    RECOVERING_FIELD_NUMBER: _ClassVar[int]
    NEEDS_IMAGE_FIELD_NUMBER: _ClassVar[int]
    term: int
    sent_at: int
    at: int
    context: int
    received: int
    persisted: int
    commit: int
    missing: bool
    quiesced: bool
    recovering: bool
    needs_image: int
    def __init__(self, term: _Optional[int] = ..., sent_at: _Optional[int] = ..., at: _Optional[int] = ..., context: _Optional[int] = ..., received: _Optional[int] = ..., persisted: _Optional[int] = ..., commit: _Optional[int] = ..., missing: _Optional[bool] = ..., quiesced: _Optional[bool] = ..., recovering: _Optional[bool] = ..., needs_image: _Optional[int] = ...) -> None: ...

class TimeoutNow(_message.Message):
    __slots__ = ("term",)
    TERM_FIELD_NUMBER: _ClassVar[int]
    term: int
    def __init__(self, term: _Optional[int] = ...) -> None: ...

class SnapshotChunk(_message.Message):
    __slots__ = ("term", "mark", "cursor", "data", "next_cursor", "done", "sent_at")
    TERM_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    term: int
    mark: LogEnd
    cursor: bytes
    data: bytes
    next_cursor: bytes
    done: bool
    sent_at: int
    def __init__(self, term: _Optional[int] = ..., mark: _Optional[_Union[LogEnd, _Mapping]] = ..., cursor: _Optional[bytes] = ..., data: _Optional[bytes] = ..., next_cursor: _Optional[bytes] = ..., done: _Optional[bool] = ..., sent_at: _Optional[int] = ...) -> None: ...

class SnapshotReply(_message.Message):
    __slots__ = ("term", "mark", "cursor", "done", "sent_at", "at", "recovering")
    TERM_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    RECOVERING_FIELD_NUMBER: _ClassVar[int]
    term: int
    mark: LogEnd
    cursor: bytes
    done: bool
    sent_at: int
    at: int
    recovering: bool
    def __init__(self, term: _Optional[int] = ..., mark: _Optional[_Union[LogEnd, _Mapping]] = ..., cursor: _Optional[bytes] = ..., done: _Optional[bool] = ..., sent_at: _Optional[int] = ..., at: _Optional[int] = ..., recovering: _Optional[bool] = ...) -> None: ...

class TermQuery(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class TermReply(_message.Message):
    __slots__ = ("term", "nonce")
    TERM_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    term: int
    nonce: int
    def __init__(self, term: _Optional[int] = ..., nonce: _Optional[int] = ...) -> None: ...

class RecoveryQuery(_message.Message):
    __slots__ = ("term", "nonce")
    TERM_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    term: int
    nonce: int
    def __init__(self, term: _Optional[int] = ..., nonce: _Optional[int] = ...) -> None: ...

class RecoveryReply(_message.Message):
    __slots__ = ("term", "nonce", "commit")
    TERM_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    term: int
    nonce: int
    commit: int
    def __init__(self, term: _Optional[int] = ..., nonce: _Optional[int] = ..., commit: _Optional[int] = ...) -> None: ...

class Pulse(_message.Message):
    __slots__ = ("incarnation", "boot", "wall", "formed", "recorded")
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    WALL_FIELD_NUMBER: _ClassVar[int]
    FORMED_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    incarnation: int
    boot: int
    wall: int
    formed: bool
    recorded: int
    def __init__(self, incarnation: _Optional[int] = ..., boot: _Optional[int] = ..., wall: _Optional[int] = ..., formed: _Optional[bool] = ..., recorded: _Optional[int] = ...) -> None: ...

class Forward(_message.Message):
    __slots__ = ("id", "deadline_ms", "call", "admin")
    ID_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    ADMIN_FIELD_NUMBER: _ClassVar[int]
    id: int
    deadline_ms: int
    call: _kv_pb2.Call
    admin: bytes
    def __init__(self, id: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., call: _Optional[_Union[_kv_pb2.Call, _Mapping]] = ..., admin: _Optional[bytes] = ...) -> None: ...

class ForwardReply(_message.Message):
    __slots__ = ("id", "reply", "told")
    ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    id: int
    reply: _kv_pb2.Reply
    told: bytes
    def __init__(self, id: _Optional[int] = ..., reply: _Optional[_Union[_kv_pb2.Reply, _Mapping]] = ..., told: _Optional[bytes] = ...) -> None: ...

class Store(_message.Message):
    __slots__ = ("id", "keys", "versions", "owner")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    id: int
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    versions: _containers.RepeatedScalarFieldContainer[bytes]
    owner: str
    def __init__(self, id: _Optional[int] = ..., keys: _Optional[_Iterable[bytes]] = ..., versions: _Optional[_Iterable[bytes]] = ..., owner: _Optional[str] = ...) -> None: ...

class Stored(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class NotStored(_message.Message):
    __slots__ = ("id", "why")
    ID_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    id: int
    why: str
    def __init__(self, id: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class Fetch(_message.Message):
    __slots__ = ("id", "keys", "digests", "mending")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    MENDING_FIELD_NUMBER: _ClassVar[int]
    id: int
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    digests: bool
    mending: bool
    def __init__(self, id: _Optional[int] = ..., keys: _Optional[_Iterable[bytes]] = ..., digests: _Optional[bool] = ..., mending: _Optional[bool] = ...) -> None: ...

class Fetched(_message.Message):
    __slots__ = ("id", "answers", "recovering")
    ID_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    RECOVERING_FIELD_NUMBER: _ClassVar[int]
    id: int
    answers: _containers.RepeatedScalarFieldContainer[bytes]
    recovering: bool
    def __init__(self, id: _Optional[int] = ..., answers: _Optional[_Iterable[bytes]] = ..., recovering: _Optional[bool] = ...) -> None: ...

class FetchPage(_message.Message):
    __slots__ = ("id", "start", "end", "limit", "bytes_max", "mending")
    ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    MENDING_FIELD_NUMBER: _ClassVar[int]
    id: int
    start: bytes
    end: bytes
    limit: int
    bytes_max: int
    mending: bool
    def __init__(self, id: _Optional[int] = ..., start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., limit: _Optional[int] = ..., bytes_max: _Optional[int] = ..., mending: _Optional[bool] = ...) -> None: ...

class PageFetched(_message.Message):
    __slots__ = ("id", "keys", "versions", "upto", "recovering")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    UPTO_FIELD_NUMBER: _ClassVar[int]
    RECOVERING_FIELD_NUMBER: _ClassVar[int]
    id: int
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    versions: _containers.RepeatedScalarFieldContainer[bytes]
    upto: bytes
    recovering: bool
    def __init__(self, id: _Optional[int] = ..., keys: _Optional[_Iterable[bytes]] = ..., versions: _Optional[_Iterable[bytes]] = ..., upto: _Optional[bytes] = ..., recovering: _Optional[bool] = ...) -> None: ...

class CompareTrees(_message.Message):
    __slots__ = ("id", "bits", "root")
    ID_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    id: int
    bits: int
    root: int
    def __init__(self, id: _Optional[int] = ..., bits: _Optional[int] = ..., root: _Optional[int] = ...) -> None: ...

class TreesCompared(_message.Message):
    __slots__ = ("id", "bits", "equal", "busy", "recovering", "hashes")
    ID_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    RECOVERING_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    id: int
    bits: int
    equal: bool
    busy: bool
    recovering: bool
    hashes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, id: _Optional[int] = ..., bits: _Optional[int] = ..., equal: _Optional[bool] = ..., busy: _Optional[bool] = ..., recovering: _Optional[bool] = ..., hashes: _Optional[_Iterable[int]] = ...) -> None: ...

class FetchHashes(_message.Message):
    __slots__ = ("id", "depth", "nodes", "below")
    ID_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    id: int
    depth: int
    nodes: _containers.RepeatedScalarFieldContainer[int]
    below: int
    def __init__(self, id: _Optional[int] = ..., depth: _Optional[int] = ..., nodes: _Optional[_Iterable[int]] = ..., below: _Optional[int] = ...) -> None: ...

class HashesFetched(_message.Message):
    __slots__ = ("id", "hashes")
    ID_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    id: int
    hashes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, id: _Optional[int] = ..., hashes: _Optional[_Iterable[int]] = ...) -> None: ...

class ListLeaves(_message.Message):
    __slots__ = ("id", "leaves", "start", "limit")
    ID_FIELD_NUMBER: _ClassVar[int]
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    id: int
    leaves: _containers.RepeatedScalarFieldContainer[int]
    start: bytes
    limit: int
    def __init__(self, id: _Optional[int] = ..., leaves: _Optional[_Iterable[int]] = ..., start: _Optional[bytes] = ..., limit: _Optional[int] = ...) -> None: ...

class LeavesListed(_message.Message):
    __slots__ = ("id", "keys", "digests", "upto")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    UPTO_FIELD_NUMBER: _ClassVar[int]
    id: int
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    digests: _containers.RepeatedScalarFieldContainer[int]
    upto: bytes
    def __init__(self, id: _Optional[int] = ..., keys: _Optional[_Iterable[bytes]] = ..., digests: _Optional[_Iterable[int]] = ..., upto: _Optional[bytes] = ...) -> None: ...

class Pull(_message.Message):
    __slots__ = ("id", "keys", "digests", "young")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    YOUNG_FIELD_NUMBER: _ClassVar[int]
    id: int
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    digests: _containers.RepeatedScalarFieldContainer[int]
    young: bool
    def __init__(self, id: _Optional[int] = ..., keys: _Optional[_Iterable[bytes]] = ..., digests: _Optional[_Iterable[int]] = ..., young: _Optional[bool] = ...) -> None: ...

class Pulled(_message.Message):
    __slots__ = ("id", "records")
    ID_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    id: int
    records: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, id: _Optional[int] = ..., records: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Repair(_message.Message):
    __slots__ = ("id", "keys", "versions")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    id: int
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    versions: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, id: _Optional[int] = ..., keys: _Optional[_Iterable[bytes]] = ..., versions: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Repaired(_message.Message):
    __slots__ = ("id", "changed")
    ID_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    id: int
    changed: int
    def __init__(self, id: _Optional[int] = ..., changed: _Optional[int] = ...) -> None: ...
