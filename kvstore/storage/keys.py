"""Where every row lives: the first byte names the table, fixed-width big-endian numbers follow, so rows sort by use.

    b group                      the group's ballot
    g group                      the group's place: data id, log start, standing (see `group_places.py`)
    l group index                one log entry
    m data                       a state's applied index and what else must move with it
    m data r                     the rounds of a leaderless one (see `node/quorum_rounds.py`)
    v data key                   the current version of a key; leaderless: all that is known of it
    h data stamp                 a version that the write with this stamp superseded
    o data client sequence       outcomes of one client's writes, a row per log entry
    d data                       present while the data id is being deleted
    f                            the floor of a node that once lost its disk (see `node/recovery_floor.py`)
    j                            up to which record of the journal all of it is here (see `journal.py`)

`data` is a 32-bit number that a node gives to one image of a group's state. A snapshot is received under a new data
id; pointing the group at it is one small write, and the old image is deleted in slices afterwards.
"""

from struct import Struct

from kvstore.core.ids import GroupId, Index

BALLOT, PLACE, LOG, META, VALUE, HISTORY, OUTCOME, DOOMED = b"b", b"g", b"l", b"m", b"v", b"h", b"o", b"d"
FLOOR, JOURNALED = b"f", b"j"
STATE_TABLES = (META, VALUE, HISTORY, OUTCOME)
"""The tables that make up a state, in the order a snapshot sends them."""

_U32 = Struct(">cI")
_U32_U64 = Struct(">cIQ")
_U32_U64_U64 = Struct(">cIQQ")


def ballot_key(group: GroupId) -> bytes:
    return _U32.pack(BALLOT, group)


def place_key(group: GroupId) -> bytes:
    return _U32.pack(PLACE, group)


def log_key(group: GroupId, index: Index) -> bytes:
    return _U32_U64.pack(LOG, group, index)


def log_range(group: GroupId) -> tuple[bytes, bytes]:
    """Start and (exclusive) end of a group's log."""
    return _U32.pack(LOG, group), _after(_U32.pack(LOG, group))


def meta_key(data: int) -> bytes:
    return _U32.pack(META, data)


def rounds_key(data: int) -> bytes:
    return meta_key(data) + b"r"


def doomed_key(data: int) -> bytes:
    return _U32.pack(DOOMED, data)


def value_prefix(data: int) -> bytes:
    return _U32.pack(VALUE, data)


def history_prefix(data: int) -> bytes:
    return _U32.pack(HISTORY, data)


def history_key(data: int, stamp: int) -> bytes:
    return _U32_U64.pack(HISTORY, data, stamp)


def outcome_key(data: int, client: int, sequence: int) -> bytes:
    return _U32_U64_U64.pack(OUTCOME, data, client, sequence)


def table_range(table: bytes, data: int) -> tuple[bytes, bytes]:
    """Start and (exclusive) end of one state's rows in one table."""
    prefix = _U32.pack(table, data)
    return prefix, _after(prefix)


def _after(prefix: bytes) -> bytes:
    """The first key that no longer starts with `prefix`."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")
