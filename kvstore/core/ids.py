"""Names for the numbers and strings that travel through the house, so that a term is never taken for an index."""

import re
from typing import NamedTuple, NewType

NodeId = NewType("NodeId", str)
"""A node's configured name, unique in its cluster: `n1`. At most 64 characters of [A-Za-z0-9_.-]."""

Incarnation = NewType("Incarnation", int)
"""A random 63-bit number a node draws when its data directory is new. A node that lost its data is another."""

ClusterId = NewType("ClusterId", str)
"""Names one cluster for ever; a node or client of another cluster is refused."""

TimelineId = NewType("TimelineId", int)
"""32 bits, drawn when a cluster is formed or restored. Version tokens carry it, so that old ones are refused."""

GroupId = NewType("GroupId", int)
"""One Raft group (32 bits). Group 0 holds the cluster's metadata; every partition has one of its own."""

KeyspaceId = NewType("KeyspaceId", int)
"""Never reused, so that a dropped keyspace cannot be mistaken for a new one of the same name."""

PartitionId = NewType("PartitionId", int)
"""0 … partitions-1 inside a keyspace: the top bits of the key's hash."""

ClientId = NewType("ClientId", int)
"""A random 63-bit number drawn by each client; with a sequence number it names one operation for ever."""

Term = NewType("Term", int)
Index = NewType("Index", int)

Millis = NewType("Millis", int)
"""Every instant and duration below the server floor, in milliseconds."""

METADATA_GROUP = GroupId(0)

_HEX = "(0|[1-9a-f][0-9a-f]*)"
_OPERATION_ID = re.compile(f"{_HEX}-{_HEX}")


class Instant(NamedTuple):
    """What the clocks say at the start of a step: one for durations and leases, one for stamping."""

    monotonic: Millis
    wall: Millis


class OperationId(NamedTuple):
    """Names one write for ever. A retry carries the same one, so the store can give the first answer again."""

    client: ClientId
    sequence: int

    def __str__(self) -> str:
        return f"{self.client:x}-{self.sequence:x}"

    @classmethod
    def parse(cls, text: str) -> "OperationId":
        """The inverse of `str()`. Raises ValueError for anything else."""
        parts = _OPERATION_ID.fullmatch(text) if isinstance(text, str) else None
        if parts is None:
            raise ValueError(f"{text!r} is not an operation id, such as 7f3a-1c")
        return cls(ClientId(int(parts[1], 16)), int(parts[2], 16))
