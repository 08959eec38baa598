"""Causality: which writes a value has seen, and which values of a key are concurrent with each other.

Every write event has a *dot*: (actor, counter). An actor is one life of a node (drawn anew at each start) and counts
its writes, over all keys, never the same number twice. A *context* (a version vector: actor -> counter) says which
writes of a key somebody has seen: all of that actor up to that counter. `Versions` is what a replica knows of one key,
a dotted version vector set: the values that nobody has replaced (*siblings*), each with its dot, and one context that
covers these and everything they replaced. (Preguiça et al., "Brief Announcement: Efficient Causality Tracking in
Distributed Storage Systems With Dotted Version Vectors", PODC 2012; Almeida et al., "Scalable and Accurate Causality
Tracking for Eventually Consistent Stores", 2014.)

    after_write(known, sibling, context)   what the replica that took a write knows then: it replaces what its client
                                           had seen, and is concurrent with everything else
    merged(known, other)                   what a replica knows after hearing what another one knows

Merging is all there is to replication: it does not matter in which order, or how often (a join-semilattice). A value is
dropped in a merge if the other side has seen its dot and does not hold it any more: then somebody replaced it. So
whoever speaks of a key must have its own earlier dots of that key in mind: an actor that forgot some (it crashed before
they were on disk) would have them dropped as if they were replaced. Therefore a new life is a new actor, and what is
sent is the whole knowledge of the key, never a write alone.

The same operation may get two dots, when its retry went to another coordinator that had not heard of the first try.
Such *twins* are told to clients as one, but are kept as two: if one gave way to the other, a context would cover its
dot although nobody has seen the write, and replace it where it is the only one. (One that is replaced before the other
arrives: `replication/leaderless/merging.py`.) A delete is a write without a value (a tombstone).
"""

from typing import NamedTuple

import msgspec

from kvstore.core.errors import Corruption

Context = dict[int, int]
"""A version vector: of each actor, everything up to this counter. Never changed once somebody else has it."""


class Dot(NamedTuple):
    """One write event."""

    actor: int
    counter: int


class Sibling(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One value of a key, or None for a tombstone; by which write, when (hybrid stamp), and of which operation."""

    actor: int
    counter: int
    stamp: int
    value: bytes | None
    client: int = 0
    sequence: int = 0
    """The operation id; client 0: none."""

    @property
    def dot(self) -> Dot:
        return Dot(self.actor, self.counter)

    @property
    def operation(self) -> tuple[int, int]:
        """(client, sequence)."""
        return (self.client, self.sequence)


class Versions(msgspec.Struct, frozen=True):
    """What is known of a key. Siblings are in the order of their dots; their dots are covered by the context."""

    context: Context
    siblings: tuple[Sibling, ...] = ()

    @property
    def is_deleted(self) -> bool:
        """Whether a reader finds nothing: at most tombstones are left."""
        return all(sibling.value is None for sibling in self.siblings)

    @property
    def writes(self) -> tuple[Sibling, ...]:
        """The siblings as clients see them: every write once, of twins the newest."""
        if len(self.siblings) <= 1:
            return self.siblings
        newest = {each.operation: each for each in sorted(self.siblings, key=_age)}
        return tuple(each for each in self.siblings if not each.client or newest[each.operation] is each)

    @property
    def values(self) -> list[bytes]:
        return [sibling.value for sibling in self.writes if sibling.value is not None]


UNKNOWN = Versions({})
"""What is known of a key that nobody ever wrote."""


def covers(context: Context, dot: Dot) -> bool:
    """Whether that write was seen."""
    return context.get(dot.actor, 0) >= dot.counter


def descends(later: Context, earlier: Context) -> bool:
    """Whether `later` has seen everything that `earlier` has.

    >>> descends({1: 3, 2: 1}, {1: 2}), descends({1: 2}, {1: 3})
    (True, False)
    """
    for actor, counter in earlier.items():  # noqa: SIM110 -- a generator costs more than the few actors of a key
        if later.get(actor, 0) < counter:
            return False
    return True


def joined(one: Context, other: Context) -> Context:
    """What both have seen together.

    >>> joined({1: 3, 2: 1}, {1: 2, 3: 5})
    {1: 3, 2: 1, 3: 5}
    """
    both = dict(one)
    for actor, counter in other.items():
        if counter > both.get(actor, 0):
            both[actor] = counter
    return both


def after_write(known: Versions, sibling: Sibling, context: Context) -> Versions:
    """What a replica knows that takes a write of its own actor, whose client had seen `context`."""
    assert known.context.get(sibling.actor, 0) < sibling.counter, f"{sibling.dot} is used already"
    left = [each for each in known.siblings if context.get(each.actor, 0) < each.counter]
    seen = dict(known.context) if context == known.context else joined(known.context, context)
    seen[sibling.actor] = max(sibling.counter, seen.get(sibling.actor, 0))
    return Versions(seen, _in_order([*left, sibling]))


def seen_by_writer(after: Versions, dot: Dot) -> Context:
    """The context to give to the client of the write `dot`: it covers that and whatever is replaced, but no sibling.

    A sibling by the same actor with a smaller counter cannot be left out without leaving out the write, too: then the
    client's next write with this context finds its own value as a sibling. A false conflict; nothing is lost.

    >>> after = Versions({1: 7, 2: 4}, (Sibling(1, 7, 0, b"mine"), Sibling(2, 3, 0, b"theirs")))
    >>> seen_by_writer(after, Dot(1, 7))
    {1: 7, 2: 2}
    """
    if len(after.siblings) == 1 and after.siblings[0].dot == dot:
        return after.context  # nearly always
    seen = dict(after.context)
    mine = {sibling.operation for sibling in after.siblings if sibling.dot == dot and sibling.client}
    for sibling in after.siblings:
        if sibling.dot != dot and sibling.operation not in mine and sibling.counter <= seen[sibling.actor]:
            seen[sibling.actor] = sibling.counter - 1
    return {actor: counter for actor, counter in seen.items() if counter > 0}


def merged(one: Versions, other: Versions) -> Versions:
    """What is known once both are. Commutative, associative, idempotent; `one` itself if that adds nothing to it."""
    if not one.context:
        return other
    seen = one.context  # the dots are not made objects here: this is the hot path of every replica
    if len(one.siblings) == 1 and descends(seen, other.context):
        only = one.siblings[0]
        if other.context.get(only.actor, 0) < only.counter:
            return one  # nearly always: a write that replaces all there was
    stay = [sibling for sibling in one.siblings if _stays(sibling, other)]
    come = [sibling for sibling in other.siblings if seen.get(sibling.actor, 0) < sibling.counter]
    if descends(seen, other.context):
        if len(stay) == len(one.siblings):
            return one
        return Versions(one.context, tuple(stay))
    return Versions(joined(one.context, other.context), _in_order(stay + come))


def _stays(sibling: Sibling, other: Versions) -> bool:
    """Whether nobody on the other side has replaced it."""
    actor, counter = sibling.actor, sibling.counter
    if other.context.get(actor, 0) < counter:
        return True
    return any(each.counter == counter and each.actor == actor for each in other.siblings)


def _in_order(siblings: list[Sibling]) -> tuple[Sibling, ...]:
    return (
        tuple(siblings) if len(siblings) <= 1 else tuple(sorted(siblings, key=lambda each: (each.actor, each.counter)))
    )


def _age(sibling: Sibling) -> tuple[int, int, int]:
    return (sibling.stamp, sibling.actor, sibling.counter)


def newest_only(versions: Versions) -> Versions:
    """Last writer wins: of several siblings the one with the largest stamp (then dot). The others count as replaced.

    Where this is done after every merge, it must also be all that replaces anything: writes go in without the context
    of their client. One that replaced, by its context, a sibling with a larger stamp than its own would lose to others
    that had lost to that one, and where such a circle is merged nothing is left.
    """
    if len(versions.siblings) <= 1:
        return versions
    return Versions(versions.context, (max(versions.siblings, key=_age),))


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_ENCODER = msgspec.msgpack.Encoder()
_VERSIONS = msgspec.msgpack.Decoder(tuple[list[tuple[int, int]], tuple[Sibling, ...]])
_UNREAD = msgspec.msgpack.Decoder(tuple[msgspec.Raw, list[msgspec.Raw]])
_CONTEXT = msgspec.msgpack.Decoder(list[tuple[int, int]])


def encode(versions: Versions) -> bytes:
    """MessagePack [[[actor, counter] …], [sibling …]]; equal knowledge gives equal bytes."""
    return _ENCODER.encode((sorted(versions.context.items()), versions.siblings))


def decode(data: bytes) -> Versions:
    """The inverse of `encode`. Raises Corruption."""
    try:
        context, siblings = _VERSIONS.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corruption(f"these are no versions of a key: {error}") from error
    return Versions(dict(context), siblings)


def siblings_in(data: bytes) -> int:
    """How many siblings `decode` would find, twins counted each, without looking at them. Raises Corruption."""
    try:
        return len(_UNREAD.decode(data)[1])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corruption(f"these are no versions of a key: {error}") from error


def encode_context(context: Context) -> bytes:
    """MessagePack [[actor, counter] …], by actor."""
    return _ENCODER.encode(sorted(context.items()))


def decode_context(data: bytes) -> Context:
    """The inverse of `encode_context`. Raises Corruption."""
    try:
        return dict(_CONTEXT.decode(data))
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Corruption(f"this is no context: {error}") from error
