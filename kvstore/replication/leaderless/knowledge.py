"""What an exchange needs of the replica it is made for, and when a record is too young to be compared."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from kvstore.core.causality import decode
from kvstore.core.hybrid_clock import Stamp, wall_of
from kvstore.core.ids import Millis
from kvstore.replication.leaderless.merkle import Tree
from kvstore.replication.leaderless.messages import Record


class Page(NamedTuple):
    """Keys in their order with their digests (`placement.hashing.record_digest`), up to before `upto` (b"": the end).

    `looked_at`: how many keys were looked at to find them.
    """

    entries: list[tuple[bytes, int]]
    upto: bytes
    looked_at: int


class Knowledge(Protocol):
    """What one replica knows. All of it is read at once: nothing changes between two calls but by `merge`."""

    @property
    def tree(self) -> Tree:
        """Told of every change of a record in the same step."""

    @property
    def is_whole(self) -> bool:
        """Whether the tree counts everything that is known; until it does, nothing is compared."""

    @property
    def recovering(self) -> bool:
        """The disk was lost, and what the others had on theirs did not come back yet."""

    def page(self, leaves: Collection[int] | None, start: bytes, limit: int) -> Page:
        """The keys of these leaves (None: of all) from `start` on. Looks at `limit` keys, one at least, and stops."""

    def record(self, key: bytes) -> bytes:
        """Versions, encoded; b"" if nothing is known, which is how a row that is damaged counts, so that it heals."""

    def merge(self, records: list[Record]) -> None:
        """Take note of these; on disk some time later."""


def is_young(record: bytes, wall: Millis, settle_ms: Millis) -> bool:
    """Whether a sibling was written less than `settle_ms` ago by its coordinator's clock.

    Then the coordinator has probably sent it to everybody, and sending it again would repair nothing. A stamp more than
    that in the future is of a clock that went ahead, and says nothing of when it was: not to be waited for.
    """
    newest = max((sibling.stamp for sibling in decode(record).siblings), default=0)
    return -settle_ms <= wall - wall_of(Stamp(newest)) < settle_ms
