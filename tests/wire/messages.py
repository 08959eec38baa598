"""Every message that nodes send each other, drawn from the types of its own fields."""

from types import UnionType
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from kvstore.core.entries import NOTHING, Entry, LogEnd
from kvstore.node import requests
from kvstore.node.effects import Addressed, Forward, ForwardReply, Pulse
from kvstore.node.requests import Acks, ReadLevel, Sloppy
from kvstore.placement.keyspaces import Settings
from kvstore.replication.leaderless import messages as leaderless
from kvstore.replication.raft import messages as raft

U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
BLOBS = st.binary(max_size=12)
NARROW: dict[str, st.SearchStrategy[int]] = {
    "group": U32, "partition": U32, "deadline_ms": U32, "limit": U32, "bytes_max": U32, "max_staleness_ms": U32,
    "staleness_ms": U32, "acknowledged": U32, "on_disk": U32, "acks": st.sampled_from(Acks).map(int),
    "level": st.sampled_from(ReadLevel).map(int), "sloppy": st.sampled_from(Sloppy).map(int), "siblings": U32,
    "repaired": U32, "read_quorum": U32, "write_quorum": U32, "bits": U32, "depth": U32, "below": U32, "changed": U32,
}  # fmt: skip
"""Fields that the wire keeps in fewer bits than a Python integer has."""


def drawn(kind: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any instance of a struct; fields by name may be given."""
    known, hints = {**NARROW, **given}, get_type_hints(kind)
    if kind is requests.Receipt:
        known["sloppy"] = st.booleans()
    names = [field.name for field in msgspec.structs.fields(kind)]
    return st.builds(kind, **{name: known[name] if name in known else _of_type(hints[name]) for name in names})


def _of_type(hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(hint, NewType):
        return _of_type(hint.__supertype__)
    if get_origin(hint) in (Union, UnionType):
        return st.one_of([_of_type(part) for part in get_args(hint)])
    if get_origin(hint) in (list, tuple):
        return st.lists(_of_type(get_args(hint)[0]), max_size=3)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: U64, bool: st.booleans(), bytes: BLOBS, str: st.text(max_size=6), type(None): st.none(),
        LogEnd: st.builds(LogEnd, U64, U64),
    }  # fmt: skip
    if hint in simple:
        return simple[hint]
    return drawn(hint)


@st.composite
def append_requests(draw: st.DrawFn) -> raft.AppendRequest:
    """Its entries follow each other: that is what the wire relies on."""
    request: raft.AppendRequest = draw(drawn(raft.AppendRequest, entries=st.just(()), previous=PREVIOUS))
    terms = draw(st.lists(st.tuples(U64, BLOBS), max_size=3))
    first = request.previous.index + 1
    entries = tuple(Entry(term, first + i, payload) for i, (term, payload) in enumerate(terms))  # type: ignore[arg-type]
    return msgspec.structs.replace(request, entries=entries)


PREVIOUS = st.builds(LogEnd, U64, st.integers(0, 1 << 62))


def _reply(accepted: bool) -> st.SearchStrategy[Any]:
    if accepted:
        return drawn(raft.AppendReply, rejected=st.just(0), hint=st.just(NOTHING))
    return drawn(raft.AppendReply, rejected=st.integers(1, (1 << 64) - 1))


DATA_REQUESTS = st.one_of(
    [drawn(kind) for kind in (
        requests.WriteRequest, requests.ReadRequest, requests.PageRequest, requests.OutcomeRequest)]
)  # fmt: skip
SETTINGS = drawn(Settings, acks=st.text(max_size=6), sloppy=st.booleans())
ADMIN_REQUESTS = st.one_of(
    drawn(requests.RepairRequest),
    drawn(requests.ScrubRequest),
    drawn(requests.CreateKeyspaceRequest, settings=SETTINGS),
    drawn(requests.DropKeyspaceRequest),
    drawn(requests.TransferRequest),
    drawn(requests.StatusRequest),
)
DATA_ANSWERS = st.one_of(
    [drawn(kind) for kind in (
        requests.Written, requests.Found, requests.PageFound, requests.OutcomeFound, requests.Failure)]
)  # fmt: skip
ANSWERS = DATA_ANSWERS | drawn(requests.Told)

RECORDS = st.lists(st.tuples(BLOBS, BLOBS), max_size=3)
NODES = st.lists(U32, max_size=3)


@st.composite
def with_digests(draw: st.DrawFn, kind: type[leaderless.LeavesListed | leaderless.Pull]) -> Any:
    """One digest for each key."""
    pairs = draw(st.lists(st.tuples(BLOBS, U64), max_size=3))
    keys, digests = [key for key, _ in pairs], [digest for _, digest in pairs]
    return draw(drawn(kind, keys=st.just(keys), digests=st.just(digests)))


LEADERLESS: dict[type, st.SearchStrategy[Any]] = {kind: drawn(kind) for kind in get_args(leaderless.Message)} | {
    leaderless.Store: drawn(leaderless.Store, records=RECORDS),
    leaderless.PageFetched: drawn(leaderless.PageFetched, records=RECORDS),
    leaderless.Repair: drawn(leaderless.Repair, records=RECORDS),
    leaderless.FetchHashes: drawn(leaderless.FetchHashes, nodes=NODES),
    leaderless.ListLeaves: drawn(leaderless.ListLeaves, leaves=NODES),
    leaderless.LeavesListed: with_digests(leaderless.LeavesListed),
    leaderless.Pull: with_digests(leaderless.Pull),
}

BY_KIND: dict[type, st.SearchStrategy[Any]] = {
    kind: drawn(kind) for kind in get_args(raft.Message) if kind not in (raft.AppendRequest, raft.AppendReply)
} | {
    raft.AppendRequest: append_requests(),
    raft.AppendReply: _reply(True) | _reply(False),
    **LEADERLESS,
    Pulse: drawn(Pulse),
    Forward: drawn(Forward, request=DATA_REQUESTS | ADMIN_REQUESTS),
    ForwardReply: drawn(ForwardReply, answer=ANSWERS),
}
ADDRESSED: st.SearchStrategy[Addressed] = st.tuples(U32, st.one_of(list(BY_KIND.values())))
