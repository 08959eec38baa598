"""What replicas of a leaderless partition say to each other, and what must be true before they do.

Records travel as (key, versions): the bytes of `kvstore.core.causality.encode`, made once by whoever merged them. An
empty `versions` says that the sender knows nothing of the key. Every question carries a number that its asker chose,
never twice in one life; the answer repeats it.
"""

import msgspec

from kvstore.core.ids import NodeId

Record = tuple[bytes, bytes]


class Store(msgspec.Struct, frozen=True, gc=False):
    """Merge these into what you know, and say so when that is on disk.

    Sent by the coordinator of a write when it has merged the write itself; by a reader that repairs; by who returns
    hints. `owner`: keep them as hints for that node, if it is not empty.
    """

    id: int
    records: list[Record]
    owner: NodeId = NodeId("")


class Stored(msgspec.Struct, frozen=True, gc=False):
    """All records of that Store are merged, and on the sender's disk."""

    id: int


class Fetch(msgspec.Struct, frozen=True, gc=False):
    """What do you know of these keys? `digests`: their digests are enough."""

    id: int
    keys: list[bytes]
    digests: bool = False


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """The versions, or digests, in the order of the keys.

    `recovering`: the sender has lost its disk and has not got everything back yet, so that this counts for no quorum.
    """

    id: int
    answers: list[bytes]
    recovering: bool = False


class FetchPage(msgspec.Struct, frozen=True, gc=False):
    """What do you know of the keys from `start` to before `end` (empty: to the end)?

    No more than `limit` of them, and no more once there are `bytes_max` bytes.
    """

    id: int
    start: bytes
    end: bytes
    limit: int
    bytes_max: int


class PageFetched(msgspec.Struct, frozen=True, gc=False):
    """Records in the order of their keys. `upto`: nothing is missing before this key; empty: nor after it."""

    id: int
    records: list[Record]
    upto: bytes
    recovering: bool = False


Message = Store | Stored | Fetch | Fetched | FetchPage | PageFetched
