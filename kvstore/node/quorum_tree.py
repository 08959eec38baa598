"""The Merkle tree of a leaderless replica (`replication/leaderless/merkle.py`) over what its `QuorumState` knows.

It is told of every change before it happens, and costs a write two hashes of records, one of the key and a few XORs.
It is kept in memory alone: after a start the records are counted once, page by page, in the order of their keys, while
the replica does its work. Changes of keys before the cursor are counted at once, the others when the cursor comes
there; until it has come to the end, the tree says nothing (`is_whole`). Why no rows: leaves lie at random, so rows for
them would be written about as often as those they describe, and each flush would have to read every row it replaces.

A damaged row cannot be counted. It counts as nothing until another record takes its place; one that was counted when it
could still be read is a reason to count everything anew.
"""

from collections.abc import Collection

from kvstore.core.errors import Corruption
from kvstore.node.quorum_flush import Change
from kvstore.node.quorum_state import QuorumState
from kvstore.placement.hashing import digest_change, key_hash, record_digest
from kvstore.replication.leaderless.knowledge import Page
from kvstore.replication.leaderless.merkle import Tree
from kvstore.replication.leaderless.messages import Record
from kvstore.storage.engine import Batch

PAGE_BYTES = 1 << 20
"""So much is read at once: some milliseconds."""


class QuorumTree:
    """See above. Making one tells the state of it."""

    has_rows = False

    def __init__(self, state: QuorumState, bits: int) -> None:
        self.tree = Tree(bits)
        self._state = state
        self._cursor: bytes | None = b""
        """Keys before this one are counted; None: all of them."""
        self._unread: set[bytes] = set()
        """Keys of damaged rows, which count as nothing."""
        state.tree = self

    @property
    def is_whole(self) -> bool:
        """Whether everything is counted."""
        return self._cursor is None

    def changed(self, key: bytes, before: bytes | None, after: bytes) -> None:
        """See `RowTree`."""
        if self._cursor is not None and key >= self._cursor:
            return
        if before is None:
            if key not in self._unread:
                self._recount()
                return
            self._unread.discard(key)
            before = b""
        hashed, change = digest_change(key, before, after)
        self.tree.change(hashed, change, 0)

    def put_rows(self, batch: Batch, changes: list[Change]) -> None:
        """It has none."""

    def _recount(self) -> None:
        self.tree, self._cursor = Tree(self.tree.bits), b""
        self._unread.clear()

    def count(self, limit: int) -> int:
        """Count the next records, `limit` at most; how many were looked at. Once `is_whole`, there are none."""
        if self._cursor is None:
            return 0
        records, upto, unread = self._read(self._cursor, limit)
        for key, record in records:
            hashed = key_hash(key)
            self.tree.change(hashed, 0, record_digest(hashed, record))
        self._unread.update(unread)
        self._cursor = upto or None
        return len(records) + len(unread)

    def page(self, leaves: Collection[int] | None, start: bytes, limit: int) -> Page:
        """See `Knowledge`. Keys of damaged rows are not listed."""
        records, upto, unread = self._read(start, limit)
        hashed = [(key, key_hash(key), record) for key, record in records]
        if leaves is not None:
            mask = (1 << self.tree.bits) - 1
            hashed = [each for each in hashed if each[1] & mask in leaves]
        entries = [(key, record_digest(whole, record)) for key, whole, record in hashed]
        return Page(entries, upto, len(records) + len(unread))

    def _read(self, start: bytes, limit: int) -> tuple[list[Record], bytes, list[bytes]]:
        """A page that ends behind the first damaged row, if there is one, and that row's key."""
        try:
            records, upto = self._state.page(start, b"", limit, PAGE_BYTES)
            return records, upto, []
        except Corruption as error:
            key = error.facts.get("key")
            if not isinstance(key, bytes) or key < start:
                raise
        records, upto = self._state.page(start, key, limit, PAGE_BYTES) if key > start else ([], b"")
        assert not upto, "the page before a damaged row ends there: the same page has just come to it"
        return records, key + b"\0", [key]
