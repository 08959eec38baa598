"""What replicas of a leaderless partition say to each other, and what must be true before they do.

Records travel as (key, versions): the bytes of `kvstore.core.causality.encode`, made once by whoever merged them. An
empty `versions` says that the sender knows nothing of the key. Every question carries a number that its asker chose,
never twice in one life; the answer repeats it.
"""

import msgspec

from kvstore.core.ids import NodeId

Record = tuple[bytes, bytes]
Operation = tuple[int, int, int]
"""(client, sequence, stamp)."""


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


class NotStored(msgspec.Struct, frozen=True, gc=False):
    """None of the records of that Store are kept: they were hints that the sender does not take, and this is why."""

    id: int
    why: str


class Fetch(msgspec.Struct, frozen=True, gc=False):
    """What do you know of these keys? `digests`: their digests are enough.

    `mending`: the asker has lost what it knew of them. Who has lost that, too, says that it knows nothing: two who
    waited for each other would wait for ever.
    """

    id: int
    keys: list[bytes]
    digests: bool = False
    mending: bool = False


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """The versions, or digests, in the order of the keys.

    `recovering`: the sender has lost its disk and has not got everything back yet, so that this counts for no quorum.
    """

    id: int
    answers: list[bytes]
    recovering: bool = False


class FetchPage(msgspec.Struct, frozen=True, gc=False):
    """What do you know of the keys from `start` to before `end` (empty: to the end)?

    No more than `limit` of them, and no more once there are `bytes_max` bytes. `mending`: as in `Fetch`.
    """

    id: int
    start: bytes
    end: bytes
    limit: int
    bytes_max: int
    mending: bool = False


class PageFetched(msgspec.Struct, frozen=True, gc=False):
    """Records in the order of their keys. `upto`: nothing is missing before this key; empty: nor after it."""

    id: int
    records: list[Record]
    upto: bytes
    recovering: bool = False


# ── anti-entropy: what two replicas say until they know the same (comparing.py, answering.py) ────────────────────────


class CompareTrees(msgspec.Struct, frozen=True, gc=False):
    """My tree has so many bits and this root: is yours the same? The first question of an exchange."""

    id: int
    bits: int
    root: int


class TreesCompared(msgspec.Struct, frozen=True, gc=False):
    """Whether the roots are equal; if not, the hashes of the first level below.

    `busy`: the sender is in another exchange, ask again later; then, and if the trees have different `bits`, nothing
    else is said. `recovering`: the sender has lost its disk, so that being equal to it proves nothing.
    """

    id: int
    bits: int
    equal: bool = False
    busy: bool = False
    recovering: bool = False
    hashes: list[int] = []


class FetchHashes(msgspec.Struct, frozen=True, gc=False):
    """The hashes of your nodes at depth `below` that are under these nodes at `depth`, or are these, if it is equal."""

    id: int
    depth: int
    nodes: list[int]
    below: int


class HashesFetched(msgspec.Struct, frozen=True, gc=False):
    """The hashes, parent by parent."""

    id: int
    hashes: list[int]


class ListLeaves(msgspec.Struct, frozen=True, gc=False):
    """Which keys from `start` on have you in these leaves (none named: in all)? Look at `limit` keys and then stop."""

    id: int
    leaves: list[int]
    start: bytes
    limit: int


class LeavesListed(msgspec.Struct, frozen=True, gc=False):
    """Keys in their order, with their digests. `upto`: nothing is missing before this key; empty: nor after it."""

    id: int
    keys: list[bytes]
    digests: list[int]
    upto: bytes


class Pull(msgspec.Struct, frozen=True, gc=False):
    """What do you know of these keys, unless it has the digest that what I know has?

    `young`: also say what was written only moments ago, which may well be on its way to me.
    """

    id: int
    keys: list[bytes]
    digests: list[int]
    young: bool = False


class Pulled(msgspec.Struct, frozen=True, gc=False):
    """The versions of the first of these keys, as many as fit; empty: nothing that you lack. At least one."""

    id: int
    records: list[bytes]


class Repair(msgspec.Struct, frozen=True, gc=False):
    """You seem to lack these: merge them. Unlike with a `Store`, nobody counts on their being on disk."""

    id: int
    records: list[Record]


class Repaired(msgspec.Struct, frozen=True, gc=False):
    """They are merged; so many of them changed something."""

    id: int
    changed: int


Question = CompareTrees | FetchHashes | ListLeaves | Pull | Repair
Answer = TreesCompared | HashesFetched | LeavesListed | Pulled | Repaired
Exchange = Question | Answer
"""What replicas say in an exchange: the asker's questions and the other one's answers."""

Message = Store | Stored | NotStored | Fetch | Fetched | FetchPage | PageFetched | Exchange
