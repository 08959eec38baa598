"""Merging what is heard into what a replica knows, with what it remembers of operations.

A retry at a coordinator that had not heard of the first try makes the operation a second dot, a twin. Twins that meet
are one write to clients. But when one of them was replaced before it met the other, that one would come back, beside
what replaced it, and a deleted value with it. Who has seen the operation remembers it (`Table.outcome`), and knows
better: an operation that is remembered and is none of the siblings was replaced. Where the last writer wins, the twin
has a stamp of its own, and competes as any write.
"""

from kvstore.core.causality import Sibling, Versions, merged, newest_only
from kvstore.core.errors import Corruption
from kvstore.replication.leaderless.table import Table


def together(table: Table, known: Versions, heard: Versions, news: list[Sibling], *, lww: bool) -> Versions:
    """What is known of a key once `heard` is; `heard` itself if `known` adds nothing to it. `news`: see `news_of`.

    `known` must be all that the table has of the key: what a damaged row held is remembered, but was not replaced.
    """
    both = merged(heard, known)
    if lww:
        return newest_only(both)
    twins = [each for each in news if _was_replaced(table, each, known)]
    if not twins:
        return both
    return Versions(both.context, tuple(each for each in both.siblings if each not in twins))


def news_of(versions: Versions, known: Versions) -> list[Sibling]:
    """Writes of clients that are new to us."""
    seen = known.context
    return [each for each in versions.siblings if each.client and seen.get(each.actor, 0) < each.counter]


def _was_replaced(table: Table, sibling: Sibling, known: Versions) -> bool:
    try:
        if table.outcome(sibling.client, sibling.sequence) is None:
            return False
    except Corruption:
        return False  # rather twice than not at all
    return all(each.operation != sibling.operation for each in known.siblings)
