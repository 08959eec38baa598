"""What is known of a key of a leaderless keyspace (`core.causality.Versions`), as users see it."""

from collections.abc import Callable
from typing import TypeVar

from kvstore.client import records
from kvstore.client.options import LAST_WRITER_WINS, Resolver
from kvstore.client.records import Receipt, Record
from kvstore.client.routing import Route
from kvstore.core.causality import Context, Sibling, Versions, encode_context, newest_only, seen_by_writer
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.versions import CausalVersion
from kvstore.placement.hashing import key_hash

V = TypeVar("V")
Way = Resolver | str | None
"""How several values become one: `Options.resolver`."""


def is_present(known: Versions, way: Way) -> bool:
    """Whether a reader finds anything, perhaps several values."""
    return not (newest_only(known) if way == LAST_WRITER_WINS else known).is_deleted


def found(known: Versions, way: Way) -> list[Sibling]:
    """What a reader is to choose from: none, one, or several values that nobody has replaced; the oldest first.

    A delete that is concurrent with a put leaves the put's value, except where the last writer wins.
    """
    left = newest_only(known) if way == LAST_WRITER_WINS else known
    return sorted((one for one in left.writes if one.value is not None), key=lambda one: (one.stamp, one.dot))


def record_of(
    route: Route, stored: bytes, key: bytes, known: Versions, decode: Callable[[bytes], V], receipt: Receipt | None
) -> Record[V]:
    """The record of a key, whose version is a context that covers all of this: deletes and what was replaced, too."""

    def version(context: Context, stamp: int) -> CausalVersion:
        seen = encode_context(context)
        return CausalVersion(route.timeline, route.group_of(stored), Stamp(stamp), key_hash(stored), seen)

    siblings = tuple(
        records.Sibling(decode(one.value), version(seen_by_writer(known, one.dot), one.stamp))
        for one in found(known, None)
        if one.value is not None
    )
    newest = max((one.stamp for one in known.siblings), default=0)
    content = siblings[-1].value if siblings else None
    return Record(key, bool(siblings), content, version(known.context, newest), receipt, siblings)


def decided(record: Record[V], known: Versions, way: Way) -> list[V]:
    """What a reader gets: nothing, or the one value. Raises ConflictError if nobody says how several become one."""
    if callable(way) and len(record.siblings) > 1:
        return [way(record.key, [sibling.value for sibling in record.siblings])]
    if way == LAST_WRITER_WINS:
        return [record.siblings[-1].value] if is_present(known, way) else []
    if len(record.siblings) > 1:
        raise records.conflict(record)
    return [sibling.value for sibling in record.siblings]
