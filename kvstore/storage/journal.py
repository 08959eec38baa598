"""The journal: ballots and log entries, which must be on disk before a promise leaves, one record after the other.

A commit of the data file writes every page on the way to a changed row, waits, writes the page that points at them, and
waits again. An append to a file that is already as long as it will ever be waits once, for a few hundred bytes. So what
is waited for goes to the journal, and the data file hears of it later, of what is left of it by then: most log entries
have been compacted away before the data file ever sees them.

    record := number:8 length:4 checksum:4 operations
    checksum := crc32 of number, length and operations, beginning with the journal's salt
    operations := msgpack [[key, value | nil, end | nil], …]                            see `engine.Operation`

Records are numbered without a gap for as long as the data lives. The data file's row `j` says up to which record it
has everything. Once it has all of them the journal is written from its beginning again, over the old records; no fsync
is spent on emptying it: what an older round left behind has numbers that `j` covers.

The salt is drawn when the file is made and known to row `j` alone. So the records of another journal are none, and
nobody who may store a value can write something into it that reads as a record.

Reading it after a crash: the records from the beginning on, as long as each is whole and bears the next number. The
last one may be torn; nobody was told that it was written. A broken record that has a successor was on disk and was
damaged since: Corruption. (The very last record is the exception nobody can make: damaged or torn, it looks the same.)
So is a file shorter than it was made, and one that begins with later records than `j` asks for.

Which batch goes which way (`way_of`) rests on what the tables are to each other:

    JOURNAL   only ballots are put and log entries put, cut off or compacted
    BOTH      rows of a state are written, a slice of a flush or of an image, and perhaps new log entries or ballots.
              Neither needs the other. The journal is first.
    ENGINE    everything else, as one transaction with all that the journal holds. Above all compaction, whose rows must
              not vanish before the state has them.
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import msgspec

from kvstore.core.errors import Corruption
from kvstore.core.records import seal, unseal
from kvstore.storage.engine import Batch, Operation, Reader
from kvstore.storage.keys import BALLOT, DOOMED, JOURNALED, LOG, STATE_TABLES

_HEAD = Struct(">QII")
_NUMBER = Struct(">Q")
_MARK = Struct(">QQI")
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[tuple[bytes, bytes | None, bytes | None]])
_BYTES_OR_NONE = (bytes, type(None))
_HOT = frozenset((BALLOT[0], LOG[0]))
_STATE = frozenset(table[0] for table in (*STATE_TABLES, DOOMED))
_WAYS_OUT = (
    "Restore the node's directory; or move it away, so that the node starts empty, under a new incarnation, "
    "and fetches its data from the other replicas"
)


class Way(Enum):
    """Where a batch has to be before it counts as written."""

    JOURNAL = "journal"
    BOTH = "journal, then the data file"
    ENGINE = "the data file, with everything the journal holds"


def way_of(batch: Batch) -> Way:
    """See the module's text."""
    hot = cold = deletes = False
    for key, value, end in batch.operations:
        table = key[0] if key else -1
        if table in _HOT:
            hot = True
            deletes = deletes or value is None
        elif table in _STATE:
            cold = True
        else:
            return Way.ENGINE
        if end is not None and end > bytes((table + 1,)):
            return Way.ENGINE  # a range of more than one table
    if not cold:
        return Way.JOURNAL if hot else Way.ENGINE
    return Way.ENGINE if deletes else Way.BOTH


def split(batch: Batch) -> tuple[Batch, Batch]:
    """What goes to the journal, and what goes to the data file after it."""
    hot, cold = Batch(urgent=batch.urgent), Batch(urgent=batch.urgent)
    for operation in batch.operations:
        part = hot if operation[0][0] in _HOT else cold
        part.operations.append(operation)
        part.size_bytes += len(operation[0]) + len(operation[1] or b"")
    return hot, cold


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def encode_record(number: int, operations: Sequence[Operation], salt: int) -> bytes:
    """Raises TypeError for what is no bytes: it could be written, but never be read again."""
    for key, value, end in operations:
        if key.__class__ is not bytes or value.__class__ not in _BYTES_OR_NONE or end.__class__ not in _BYTES_OR_NONE:
            raise TypeError(f"expected bytes, got {(key, value, end)}")
    body = _ENCODER.encode(operations)
    return _HEAD.pack(number, len(body), _checksum(number, body, salt)) + body


def read_records(data: bytes, mark: "Mark") -> list[list[Operation]]:
    """The operations of every record that the data file does not have yet, oldest first. Raises Corruption; see above.

    `data` is the whole file.
    """
    if len(data) < mark.size_bytes:
        raise Corruption(f"the journal was cut off: {len(data)} of {mark.size_bytes} bytes are there. {_WAYS_OUT}")
    records: list[list[Operation]] = []
    position, number = 0, None
    while (found := _record_at(data, position, number, mark.salt)) is not None:
        number, body = found
        if number > mark.number + 1 + len(records):
            raise Corruption(f"the journal begins with record {number}, {_lacking(mark.number + 1)}. {_WAYS_OUT}")
        position += _HEAD.size + len(body)
        if number > mark.number:
            records.append(_decoded(number, body))
        number += 1
    broken = mark.number + 1 + len(records)
    if any(True for _ in _places_of(data, broken + 1, position, mark.salt)):
        raise Corruption(f"record {broken} of the journal is damaged, and records after it are whole. {_WAYS_OUT}")
    return records


def _lacking(number: int) -> str:
    return f"and the data file has nothing from record {number} on: the two are not of the same time"


def _record_at(data: bytes, position: int, number: int | None, salt: int) -> tuple[int, bytes] | None:
    """The whole record that begins here, if it has the number that is wanted (None: any)."""
    if position + _HEAD.size > len(data):
        return None
    found, length, checksum = _HEAD.unpack_from(data, position)
    start = position + _HEAD.size
    if not found or (number is not None and found != number) or start + length > len(data):
        return None
    body = data[start : start + length]
    return (found, body) if checksum == _checksum(found, body, salt) else None


def _places_of(data: bytes, number: int, start: int, salt: int) -> Iterator[int]:
    """Where after `start` a whole record with this number begins."""
    mark = _NUMBER.pack(number)
    position = data.find(mark, start)
    while position >= 0:
        if _record_at(data, position, number, salt) is not None:
            yield position
        position = data.find(mark, position + 1)


def _checksum(number: int, body: bytes, salt: int) -> int:
    return crc32(body, crc32(_HEAD.pack(number, len(body), 0), salt))


def _decoded(number: int, body: bytes) -> list[Operation]:
    try:
        return list(_DECODER.decode(body))
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corruption(f"record {number} of the journal makes no sense: {error}") from error


# ── how far the data file is ─────────────────────────────────────────────────────────────────────────────────────────


class Mark(NamedTuple):
    """What the data file knows of its journal."""

    number: int
    """It has every record up to this one."""
    size_bytes: int
    """The file is at least so long."""
    salt: int
    """32 bits."""


def put_mark(batch: Batch, mark: Mark) -> None:
    batch.put(JOURNALED, seal(_MARK.pack(*mark)))


def load_mark(reader: Reader) -> Mark | None:
    """None if there was never a journal beside this data. Raises Corruption."""
    row = reader.get(JOURNALED)
    if row is None:
        return None
    body = unseal(row, "the row that says how far the journal was taken over")
    if len(body) != _MARK.size:
        raise Corruption(f"the row that says how far the journal was taken over has {len(body)} bytes")
    return Mark(*_MARK.unpack(body))
