"""A flush of a leaderless replica: records that changed since the last one go to the engine, in slices, in key order.

    row v(data, key) := record(encoded Versions); gone, if the record was removed

Rows go first, then answers (`outcomes.py`), the meta row last. After a crash between two slices the applied index is
still the old one, and some rows are younger than it says. That does no harm: replaying merges. The first slice says
`redo_until`, the last entry being flushed: a record of a later entry is younger than any row, and need not be merged
with it.

Answers do not go before the rows, because the log may be found damaged after the crash, and is lost then. An operation
that is remembered and is none of the siblings counts as replaced (`replication/leaderless/merging.py`): had its sibling
been in the log alone, it would be dropped when it is heard of again, everywhere.

Rows that describe rows (a Merkle tree's leaves) go out in the same batch as those they describe: see `RowTree`.
"""

from typing import Protocol

from kvstore.core.errors import Corruption
from kvstore.core.records import seal, unseal
from kvstore.node.state_flush import Meta
from kvstore.storage.engine import Batch, Engine
from kvstore.storage.keys import value_prefix

Change = tuple[bytes, bytes | None, bytes]
"""(key, record before, record after): before is b"" if there was none, and None if nobody can tell (it is damaged)."""


class RowTree(Protocol):
    """Sums over all records of a partition, in memory, and, if it `has_rows`, over all its rows, on disk."""

    @property
    def has_rows(self) -> bool:
        """Whether `put_rows` wants to know what is replaced, which costs the flush a look at each row."""
        ...

    def changed(self, key: bytes, before: bytes | None, after: bytes) -> None:
        """A key has another record in memory from now on; see `Change`."""
        ...

    def put_rows(self, batch: Batch, changes: list[Change]) -> None:
        """Rows are being replaced in this batch: put the rows that describe them after that.

        What earlier calls put need not be in the engine yet. Batches reach it in their order, each whole or not at all.
        """
        ...


class QuorumFlush:
    """One flush under way: frozen records on their way into the rows of `data`.

    `keys` are those of `records`, sorted, each once; `before` and `after` the meta rows of the old and the new state.
    """

    def __init__(
        self,
        engine: Engine,
        data: int,
        records: dict[bytes, bytes],
        keys: list[bytes],
        before: Meta,
        after: Meta,
        tree: RowTree | None,
    ) -> None:
        self._engine, self._data, self._prefix = engine, data, value_prefix(data)
        self.records, self.keys, self._tree = records, keys, tree
        self._before, self.after = before, after
        self._keys_done = 0
        self.is_done = False
        """The last slice was handed out."""

    @property
    def has_rows(self) -> bool:
        """Whether some rows were not handed out yet."""
        return self._keys_done < len(self.keys)

    def put_rows(self, batch: Batch, rows_max: int) -> int:
        """Put the next rows into a batch; how many. The slice before must be on disk, or in the same batch."""
        begin = self._keys_done
        self._keys_done = end = min(len(self.keys), begin + rows_max)
        prefix, records = self._prefix, self.records
        keys = self.keys[begin:end]
        row_keys, after = [prefix + key for key in keys], [records[key] for key in keys]
        before = self._engine.get_many(row_keys) if self._tree is not None else []
        if all(after):
            batch.put_all(row_keys, list(map(seal, after)))
        else:
            _put_or_delete(batch, row_keys, after)
        if self._tree is not None:
            self._tree.put_rows(batch, list(zip(keys, map(_record_in, before), after, strict=True)))
        if end > begin == 0:
            Meta(self._before.applied, self._before.stamp, self.after.applied.index).put(batch, self._data)
        return end - begin

    def end(self, batch: Batch) -> None:
        """The last slice: rows and answers are on disk, or in this batch."""
        assert not (self.has_rows or self.is_done), "a flush ends once, after all of its rows"
        self.is_done = True
        self.after.put(batch, self._data)


def _put_or_delete(batch: Batch, row_keys: list[bytes], after: list[bytes]) -> None:
    """Records that are b"" were removed."""
    for row_key, record in zip(row_keys, after, strict=True):
        if record:
            batch.put(row_key, seal(record))
        else:
            batch.delete(row_key)


def _record_in(row: bytes | None) -> bytes | None:
    """See `Change`."""
    if row is None:
        return b""
    try:
        return unseal(row)
    except Corruption:
        return None
