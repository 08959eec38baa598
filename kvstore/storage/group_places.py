"""Where a group stands on this node: which image of its state is current, where its log starts, what is being received.

    row g(group) := record(msgpack [data, [term, index], standing, staging, [term, index], cursor])

A snapshot is received under a data id of its own (`staging`, 0: none). When it is whole, one small write points the
group at it; the image that was current is marked in the `d` table and deleted in slices. A half-received snapshot is
resumed from its cursor if the sender still has the same one (the same mark), and dropped otherwise.
"""

from collections.abc import Iterator

import msgspec

from kvstore.core.entries import NOTHING, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId
from kvstore.core.records import seal, unseal
from kvstore.storage.engine import Batch, Reader
from kvstore.storage.keys import DOOMED, PLACE, STATE_TABLES, place_key

FIRST_DATA_ID = 1


class GroupPlace(msgspec.Struct, array_like=True, frozen=True):
    """What a node must know of a group before it reads its log: entries up to `log_start` are in the state `data`."""

    data: int
    log_start: LogEnd = NOTHING
    standing: int = 0
    """0: a voter. 1: recovering: it may have voted before and forgotten it. 2: a guest: no replica, hints for some."""
    staging: int = 0
    staging_mark: LogEnd = NOTHING
    """The log position that the snapshot under way stands for."""
    staging_cursor: bytes = b""
    """Everything before this row is on our disk."""

    def with_standing(self, standing: int) -> "GroupPlace":
        return msgspec.structs.replace(self, standing=int(standing))

    def with_log_start(self, log_start: LogEnd) -> "GroupPlace":
        return msgspec.structs.replace(self, log_start=log_start)

    def with_staging(self, data: int, mark: LogEnd = NOTHING, cursor: bytes = b"") -> "GroupPlace":
        """A snapshot is being received (or has come as far as `cursor`); 0 and nothing else drops it."""
        return msgspec.structs.replace(self, staging=data, staging_mark=mark, staging_cursor=cursor)

    def installed(self, mark: LogEnd) -> "GroupPlace":
        """The snapshot under way is whole: it is the state now, and the log starts behind it."""
        assert self.staging, "installing a snapshot that was never received"
        return GroupPlace(self.staging, mark, self.standing)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(GroupPlace)


def put_place(batch: Batch, group: GroupId, place: GroupPlace) -> None:
    batch.put(place_key(group), seal(_ENCODER.encode(place)))


def delete_place(batch: Batch, group: GroupId) -> None:
    """The group has left this node."""
    batch.delete(place_key(group))


def load_place(reader: Reader, group: GroupId) -> GroupPlace | None:
    """None if the group has no place here. Raises Corruption naming the group."""
    row = reader.get(place_key(group))
    return None if row is None else decode_row(group, row)


def load_places(reader: Reader) -> Iterator[tuple[GroupId, GroupPlace]]:
    """Every group that has a place here, by number. Raises Corruption naming the group."""
    for key, row in reader.scan(PLACE, _next_table(PLACE)):
        group = GroupId(int.from_bytes(key[1:], "big"))
        yield group, decode_row(group, row)


def decode_row(group: GroupId, row: bytes) -> GroupPlace:
    """Raises Corruption naming the group."""
    what = f"group {group}: its place"
    try:
        return _DECODER.decode(unseal(row, what))
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corruption(f"{what} makes no sense: {error}", group=group) from error


def next_data_id(reader: Reader) -> int:
    """A data id that no row on this disk mentions. Asked once at the start; the node then counts on by itself."""
    used = [_last_data_id(reader, table) for table in (*STATE_TABLES, DOOMED)]
    for _, place in load_places(reader):
        used += [place.data, place.staging]
    return max(used) + 1


def _last_data_id(reader: Reader, table: bytes) -> int:
    """The highest data id with a row in this table: ids sort first."""
    for key, _ in reader.scan(table, _next_table(table), reverse=True):
        return int.from_bytes(key[1:5], "big")
    return FIRST_DATA_ID - 1


def _next_table(table: bytes) -> bytes:
    return bytes([table[0] + 1])
