"""The other half of an exchange: what a replica answers when it is asked. It remembers nothing between questions."""

from typing import Final, assert_never

from kvstore.core.errors import InvalidRequest
from kvstore.core.ids import Millis
from kvstore.placement.hashing import key_hash, record_digest
from kvstore.replication.leaderless.knowledge import Knowledge, is_young
from kvstore.replication.leaderless.merkle import BITS_MAX, FIRST_BITS, children
from kvstore.replication.leaderless.messages import (
    Answer,
    CompareTrees,
    FetchHashes,
    HashesFetched,
    LeavesListed,
    ListLeaves,
    Pull,
    Pulled,
    Question,
    Repair,
    Repaired,
    TreesCompared,
)
from kvstore.replication.leaderless.pace import ExchangeSettings

HASHES_MAX: Final = 1 << BITS_MAX
"""Nobody is told more at once, whatever it asks for."""


def answer_to(question: Question, ours: Knowledge, settings: ExchangeSettings, wall: Millis) -> Answer:
    """What we say to that. Raises InvalidRequest if it cannot be answered."""
    match question:
        case CompareTrees():
            return _compared(question, ours)
        case FetchHashes():
            return _hashes(question, ours)
        case ListLeaves():
            return _listed(question, ours, settings)
        case Pull():
            return _pulled(question, ours, settings, wall)
        case Repair():
            return _repaired(question, ours)
        case _:
            assert_never(question)


def _compared(question: CompareTrees, ours: Knowledge) -> TreesCompared:
    tree, recovering = ours.tree, ours.recovering
    if tree.bits != question.bits:
        return TreesCompared(question.id, tree.bits, recovering=recovering)
    if tree.root == question.root:
        return TreesCompared(question.id, tree.bits, equal=True, recovering=recovering)
    hashes = tree.hashes(FIRST_BITS, range(1 << FIRST_BITS))
    return TreesCompared(question.id, tree.bits, recovering=recovering, hashes=hashes)


def _hashes(question: FetchHashes, ours: Knowledge) -> HashesFetched:
    depth, nodes, below = question.depth, question.nodes, question.below
    if not depth <= below <= ours.tree.bits:
        raise InvalidRequest(f"hashes at depth {below} below depth {depth}")
    if len(nodes) << (below - depth) > HASHES_MAX or any(node >> depth for node in nodes):
        raise InvalidRequest(f"the hashes at depth {below} of {len(nodes)} nodes at depth {depth}")
    return HashesFetched(question.id, ours.tree.hashes(below, children(nodes, depth, below)))


def _listed(question: ListLeaves, ours: Knowledge, settings: ExchangeSettings) -> LeavesListed:
    leaves = frozenset(question.leaves) if question.leaves else None
    page = ours.page(leaves, question.start, max(1, min(question.limit, settings.page_keys)))
    keys = [key for key, _ in page.entries]
    return LeavesListed(question.id, keys, [digest for _, digest in page.entries], page.upto)


def _pulled(question: Pull, ours: Knowledge, settings: ExchangeSettings, wall: Millis) -> Pulled:
    records: list[bytes] = []
    size = 0
    for key, digest in zip(question.keys, question.digests, strict=True):
        record = ours.record(key)
        if record_digest(key_hash(key), record) == digest:
            record = b""
        if record and not question.young and is_young(record, wall, settings.settle_ms):
            record = b""
        if records and size + len(record) > settings.batch_bytes:
            break
        records.append(record)
        size += len(record)
    return Pulled(question.id, records)


def _repaired(question: Repair, ours: Knowledge) -> Repaired:
    before = [ours.record(key) for key, _ in question.records]
    ours.merge(question.records)
    changed = sum(ours.record(key) != was for (key, _), was in zip(question.records, before, strict=True))
    return Repaired(question.id, changed)
