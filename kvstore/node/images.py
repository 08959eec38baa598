"""Whole states in parts: cutting an image for a follower, storing one that arrives, removing old ones.

A part is MessagePack [[row, value] …], a row being the table's letter and what follows the data id, in key order of
the tables `STATE_TABLES`; the cursor is the last row sent. An image is cut from a snapshot of the engine that stays
open until the transfer is over, so all its parts show the same instant: that of the applied index among its rows.
Every row is verified before it leaves: damage is the sender's to be mended, and must not travel to who has none.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from kvstore.core.entries import LogEnd
from kvstore.core.errors import Corruption, MalformedFrame, Unavailable
from kvstore.core.ids import GroupId, NodeId
from kvstore.core.records import unseal
from kvstore.node.state_flush import load_applied
from kvstore.node.value_rows import unpack_superseded
from kvstore.replication.raft.effects import ChunkWanted
from kvstore.storage.engine import Batch, Engine, Snapshot
from kvstore.storage.keys import DOOMED, HISTORY, META, OUTCOME, STATE_TABLES, VALUE, doomed_key, table_range

DATA_ID_BYTES = 4
DOOMED_ROWS_PER_BATCH = 1_000
_ROWS = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])
_WHAT = {META: "state meta", VALUE: "value", OUTCOME: "outcomes"}


class Part(NamedTuple):
    """What `ChunkRead` wants to know."""

    mark: LogEnd
    cursor: bytes
    data: bytes
    next_cursor: bytes
    done: bool


class _Image(NamedTuple):
    mark: LogEnd
    snapshot: Snapshot
    data: int


class Images:
    """All images a node sends or has to remove."""

    def __init__(self, engine: Engine, chunk_bytes: int, next_data_id: int) -> None:
        self._engine, self._chunk_bytes = engine, chunk_bytes
        self._next_data_id = next_data_id
        self._open: dict[tuple[GroupId, NodeId], _Image] = {}
        self._doomed = deque(int.from_bytes(key[1:], "big") for key, _ in engine.scan(DOOMED, DOOMED + b"\xff" * 5))

    def new_data_id(self) -> int:
        self._next_data_id += 1
        return self._next_data_id - 1

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, group: GroupId, wanted: ChunkWanted, data: int) -> Part | None:
        """The part after the cursor; from a new image if the one asked about is gone. None if ours is too old yet.

        Raises Corruption if a row of it is damaged: nothing of this part may leave, and the image is closed.
        """
        image = self._open.get((group, wanted.peer))
        if image is not None and image.mark == wanted.mark:
            try:
                return self._part(image, wanted.cursor)
            except Unavailable:  # the watchdog closed the snapshot: a new image will do
                pass
            except Corruption:
                self.close(group, wanted.peer)
                raise
        self.close(group, wanted.peer)
        return self._first_part(group, wanted, data)

    def _first_part(self, group: GroupId, wanted: ChunkWanted, data: int) -> Part | None:
        snapshot = self._engine.snapshot()
        try:
            image = _Image(load_applied(snapshot, data), snapshot, data)
            part = self._part(image, b"") if image.mark.index >= max(1, wanted.mark_min) else None
        except Corruption:
            snapshot.close()
            raise
        if part is None:
            snapshot.close()
        else:
            self._open[group, wanted.peer] = image
        return part

    def _part(self, image: _Image, cursor: bytes) -> Part:
        rows: list[tuple[bytes, bytes]] = []
        size = 0
        for row, value in self._rows_after(image, cursor):
            if size >= self._chunk_bytes:
                return Part(image.mark, cursor, msgspec.msgpack.encode(rows), rows[-1][0], done=False)
            rows.append((row, value))
            size += len(row) + len(value)
        return Part(image.mark, cursor, msgspec.msgpack.encode(rows), rows[-1][0] if rows else cursor, done=True)

    def _rows_after(self, image: _Image, cursor: bytes) -> Iterator[tuple[bytes, bytes]]:
        tables = STATE_TABLES[STATE_TABLES.index(cursor[:1]) :] if cursor else STATE_TABLES
        for table in tables:
            start, end = table_range(table, image.data)
            if table == cursor[:1]:
                start += cursor[1:] + b"\0"
            for key, value in image.snapshot.scan(start, end):
                check_row(table, value)
                yield table + key[1 + DATA_ID_BYTES :], value

    def close(self, group: GroupId, peer: NodeId) -> None:
        image = self._open.pop((group, peer), None)
        if image is not None:
            image.snapshot.close()

    def close_all(self, group: GroupId) -> None:
        for opened, peer in list(self._open):
            if opened == group:
                self.close(opened, peer)

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────

    def store(self, batch: Batch, data: int, part: bytes) -> None:
        """Put the rows of a part under a data id."""
        try:
            rows = _ROWS.decode(part)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise MalformedFrame(f"not a part of an image: {error}") from error
        number = data.to_bytes(DATA_ID_BYTES, "big")
        for row, value in rows:
            batch.put(row[:1] + number + row[1:], value)

    # ── removing ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def has_doomed(self) -> bool:
        return bool(self._doomed)

    def doom(self, batch: Batch, data: int) -> None:
        """Nobody points at this data id any more: its rows go in slices, also after a restart."""
        batch.put(doomed_key(data), b"")
        self._doomed.append(data)

    def remove_some(self, batch: Batch) -> None:
        """The next slice of a doomed state."""
        data = self._doomed[0]
        for table in STATE_TABLES:
            start, end = table_range(table, data)
            for count, (key, _) in enumerate(self._engine.scan(start, end)):
                if count == DOOMED_ROWS_PER_BATCH:
                    batch.delete_range(start, key)
                    return
            batch.delete_range(start, end)
        batch.delete(doomed_key(data))
        self._doomed.popleft()


def check_row(table: bytes, row: bytes) -> None:
    """Raises Corruption if the row is not what was written."""
    if table == HISTORY:
        unseal(unpack_superseded(row).record, "superseded value")
    else:
        unseal(row, _WHAT[table])
