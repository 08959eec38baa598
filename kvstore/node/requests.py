"""What a client, or a peer on its behalf, may ask of a node, and what it may answer.

Requests about data name a group (the client knows the ring); requests about the cluster go to group 0, wherever its
leader is. Every answer is an Answer with a receipt or a failure.
"""

from enum import IntEnum

import msgspec

from kvstore.core.errors import KvError, NotLeader, error_from_wire
from kvstore.core.ids import METADATA_GROUP, GroupId
from kvstore.placement.keyspaces import Settings


class Acks(IntEnum):
    """What a write waits for. DEFAULT is the keyspace's own setting."""

    DEFAULT = 0
    LEADER = 1
    MAJORITY = 2
    ALL = 3


class ReadLevel(IntEnum):
    """How fresh a read must be. DEFAULT is linearizable."""

    DEFAULT = 0
    LINEARIZABLE = 1
    LEADER = 2
    FOLLOWER = 3


class Sloppy(IntEnum):
    """Leaderless: whether a hint kept for a replica that is down counts. DEFAULT is the keyspace's own setting."""

    DEFAULT = 0
    YES = 1
    NO = 2


class WriteRequest(msgspec.Struct, frozen=True, gc=False):
    """Append a command batch (its bytes) to the group's log."""

    group: GroupId
    commands: bytes
    acks: int = 0
    write_quorum: int = 0
    """Leaderless: how many replicas must have it on disk; 0: the keyspace's own setting."""
    sloppy: int = 0


class ReadRequest(msgspec.Struct, frozen=True, gc=False):
    """The current versions of some keys of one partition. `max_staleness_ms` 0: any."""

    group: GroupId
    keys: list[bytes]
    level: int = 0
    max_staleness_ms: int = 0
    read_quorum: int = 0
    """Leaderless: how many replicas must answer; 0: the keyspace's own setting."""


class PageRequest(msgspec.Struct, frozen=True, gc=False):
    """The next rows of a partition from `start` to before `end` (empty: to the end)."""

    group: GroupId
    start: bytes
    end: bytes = b""
    limit: int = 0
    bytes_max: int = 0
    keys_only: bool = False
    level: int = 0
    max_staleness_ms: int = 0
    read_quorum: int = 0


class OutcomeRequest(msgspec.Struct, frozen=True, gc=False):
    """How an operation ended in this partition."""

    group: GroupId
    client: int
    sequence: int


class CreateKeyspaceRequest(msgspec.Struct, frozen=True, gc=False):
    """Create a keyspace; group 0's leader plans its partitions."""

    settings: Settings
    if_absent: bool = False
    group: GroupId = METADATA_GROUP


class DropKeyspaceRequest(msgspec.Struct, frozen=True, gc=False):
    """Drop a keyspace with all its data."""

    name: str
    group: GroupId = METADATA_GROUP


class TransferRequest(msgspec.Struct, frozen=True, gc=False):
    """Hand the leadership of a group to a node; empty: to the best follower."""

    group: GroupId
    to: str = ""


class RepairRequest(msgspec.Struct, frozen=True, gc=False):
    """Leaderless: the replica of a group on `node` shall compare itself with those of `peers` now.

    Told is JSON, a `ComparedPeer` for each.
    """

    group: GroupId
    node: str
    peers: list[str]
    check: bool = False
    """Compare, and repair nothing."""


class ScrubRequest(msgspec.Struct, frozen=True, gc=False):
    """Read every row of the partitions on `node`. Told is JSON, a `Scrubbed`."""

    node: str
    group: GroupId = METADATA_GROUP


class StatusRequest(msgspec.Struct, frozen=True, gc=False):
    """A node's own report about itself, as JSON. `node` is who shall answer."""

    node: str
    group: GroupId = METADATA_GROUP


DataRequest = WriteRequest | ReadRequest | PageRequest | OutcomeRequest
AdminRequest = (
    CreateKeyspaceRequest | DropKeyspaceRequest | TransferRequest | RepairRequest | ScrubRequest | StatusRequest
)
Request = DataRequest | AdminRequest


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """How a request was served: what it got, not what it asked for."""

    mode: str
    group: int
    partition: int
    term: int
    node: str
    acknowledged: int = 0
    on_disk: int = 0
    index: int = 0
    stamp: int = 0
    staleness_ms: int = 0
    by_lease: bool = False
    sloppy: bool = False
    siblings: int = 0
    repaired: int = 0


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An error in a form that travels."""

    code: str
    message: str
    definite: bool
    retryable: bool
    facts: bytes
    """MessagePack map of plain values."""

    @classmethod
    def of(cls, error: KvError) -> "Failure":
        facts = {name: value for name, value in error.facts.items() if isinstance(value, str | int | bytes | None)}
        return cls(error.code, str(error), error.definite, error.retryable, msgspec.msgpack.encode(facts))

    @property
    def leader(self) -> str | None:
        """Who leads instead, if that is what the failure says."""
        error = self.error() if self.code == NotLeader.code else None
        return error.leader if isinstance(error, NotLeader) else None

    def error(self) -> KvError:
        """The error again, of its own class."""
        return error_from_wire(self.code, self.message, msgspec.msgpack.decode(self.facts) if self.facts else {})


class Written(msgspec.Struct, frozen=True, gc=False):
    """MessagePack, Results of `core.commands`; leaderless: [[status, stamp, decided, context] …]."""

    results: bytes
    receipt: Receipt


class Found(msgspec.Struct, frozen=True, gc=False):
    """MessagePack [[stamp, value] | nil …] in key order; leaderless: [versions | nil …] (`core.causality.encode`)."""

    versions: bytes
    receipt: Receipt


class PageFound(msgspec.Struct, frozen=True, gc=False):
    """MessagePack [[key, stamp, value] …], and whether there is more; leaderless: [[key, versions] …]."""

    rows: bytes
    more: bool
    receipt: Receipt


class OutcomeFound(msgspec.Struct, frozen=True, gc=False):
    """MessagePack [status, stamp] | nil."""

    outcome: bytes
    receipt: Receipt


class ComparedPeer(msgspec.Struct, frozen=True, gc=False):
    """What a comparison found out. `failed`: why there was none, or why it did not come to its end."""

    peer: str
    failed: str = ""
    differing: int = 0
    pulled: int = 0
    """Keys of which the replica that was asked learnt something …"""
    pushed: int = 0
    """… and of which the other one did."""
    skipped: int = 0
    """Keys, or leaves of the tree, that were just being written and left alone."""
    bytes: int = 0
    ms: int = 0


class Scrubbed(msgspec.Struct, frozen=True, gc=False):
    """What a pass over a node's disk found."""

    rows: int
    bytes: int
    damaged: int
    mending: int
    """Of these: rows that other replicas are asked for, or that were written again."""
    ms: int


class Told(msgspec.Struct, frozen=True, gc=False):
    """An admin request is done; JSON if there is something to tell."""

    json: bytes = b""


Answer = Written | Found | PageFound | OutcomeFound | Told | Failure
