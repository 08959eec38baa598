"""The ballot of a group, rewritten whole: the term it has seen and the vote it gave.

row b(group) := record(term:8 voted:1 node)      voted: 1 if a vote was given, then the node's name in UTF-8
"""

from struct import Struct
from struct import error as StructError

from kvstore.core.entries import NO_BALLOT, Ballot
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, NodeId, Term
from kvstore.core.records import seal, unseal
from kvstore.storage.engine import Batch, Reader
from kvstore.storage.keys import ballot_key

_HEAD = Struct(">QB")


def put_ballot(batch: Batch, group: GroupId, ballot: Ballot) -> None:
    """Must be on disk before any message that depends on it leaves (Raft §5.2)."""
    name = (ballot.voted_for or "").encode()
    batch.put(ballot_key(group), seal(_HEAD.pack(ballot.term, ballot.voted_for is not None) + name))


def load_ballot(reader: Reader, group: GroupId) -> Ballot:
    """NO_BALLOT if the group never voted nor saw a term. Raises Corruption: a guess could be a second vote."""
    row = reader.get(ballot_key(group))
    if row is None:
        return NO_BALLOT
    return decode_row(group, row)


def decode_row(group: GroupId, row: bytes) -> Ballot:
    """Raises Corruption naming the group."""
    what = f"group {group}: the ballot"
    body = unseal(row, what)
    try:
        term, voted = _HEAD.unpack_from(body)
        name = body[_HEAD.size :].decode()
    except (ValueError, StructError) as error:
        raise Corruption(f"{what} makes no sense: {error}", group=group) from error
    return Ballot(Term(term), NodeId(name) if voted else None)
