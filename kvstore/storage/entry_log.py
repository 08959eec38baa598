"""The log of a group as rows: append, truncate, compact, and loading it again with every doubt resolved.

    row l(group, index) := record(term:8 payload)

An index is the key, so a row can be missing or bad, never in the wrong place. Loading says which.
"""

from collections.abc import Iterable
from struct import Struct

from kvstore.core.entries import Entry
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, Index, Term
from kvstore.core.records import seal, unseal
from kvstore.storage.engine import Batch, Reader
from kvstore.storage.keys import log_key, log_range

_TERM = Struct(">Q")
_INDEX_BYTES = 8


def append(batch: Batch, group: GroupId, entries: Iterable[Entry], truncate_from: Index | None) -> None:
    """Add entries after dropping those from `truncate_from` on: another leader's log won (Raft §5.3)."""
    if truncate_from is not None:
        batch.delete_range(log_key(group, truncate_from), log_range(group)[1])
    for entry in entries:
        batch.put(log_key(group, entry.index), seal(_TERM.pack(entry.term) + entry.payload))


def compact(batch: Batch, group: GroupId, upto: Index) -> None:
    """Drop the entries up to and including `upto`: the state has them."""
    batch.delete_range(log_range(group)[0], log_key(group, Index(upto + 1)))


def reset(batch: Batch, group: GroupId) -> None:
    """Drop the whole log: a snapshot takes its place, or the group is gone."""
    batch.delete_range(*log_range(group))


def load(reader: Reader, group: GroupId, after: Index) -> list[Entry]:
    """The entries after `after`, verified: every checksum holds, no index is missing, terms never decrease.

    Raises Corruption naming group and index. Entries missing at the end cannot be noticed here: that the engine keeps
    what it acknowledged is its promise.
    """
    entries: list[Entry] = []
    last_term = Term(0)
    for key, row in reader.scan(log_key(group, Index(after + 1)), log_range(group)[1]):
        entry = decode_row(key, row)
        expected = after + 1 + len(entries)
        if entry.index != expected:
            raise Corruption(
                f"group {group}: log entry {expected} is missing, the next one is {entry.index}",
                group=group,
                index=expected,
            )
        if entry.term < last_term:
            raise Corruption(
                f"group {group}: log entry {entry.index} is of term {entry.term}, after one of term {last_term}",
                group=group,
                index=entry.index,
            )
        last_term = entry.term
        entries.append(entry)
    return entries


def decode_row(key: bytes, row: bytes) -> Entry:
    """One entry from its row. Raises Corruption naming group and index."""
    group = int.from_bytes(key[1:-_INDEX_BYTES], "big")
    index = Index(int.from_bytes(key[-_INDEX_BYTES:], "big"))
    what = f"group {group}: log entry {index}"
    try:
        body = unseal(row, what)
    except Corruption as error:
        error.facts.update(group=group, index=index)
        raise
    if len(body) < _TERM.size:
        raise Corruption(f"{what} is too short ({len(body)} bytes)", group=group, index=index)
    return Entry(Term(_TERM.unpack_from(body)[0]), index, body[_TERM.size :])
