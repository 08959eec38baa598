"""Writes: merge them into what we know, tell all replicas, answer each when enough have it on disk."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kvstore.core.causality import (
    Context,
    Dot,
    Sibling,
    Versions,
    after_write,
    decode_context,
    encode,
    encode_context,
    newest_only,
    seen_by_writer,
)
from kvstore.core.commands import Command, Kind, Status
from kvstore.core.errors import Corruption, InvalidRequest, KvError, QuorumNotMet
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.ids import Instant, Millis
from kvstore.replication.leaderless.effects import Effects, Refused, WriteAsked, Wrote
from kvstore.replication.leaderless.storing import Storing

if TYPE_CHECKING:
    from kvstore.replication.leaderless.replica import LeaderlessReplica

Result = tuple[int, int, int, bytes]

_DELETE = int(Kind.DELETE)
_WRITTEN = int(Status.WRITTEN)
_TOO_MANY = int(Status.TOO_MANY_SIBLINGS)
_NOTHING_SEEN = encode_context({})


class Write:
    """One client's commands, which wait until enough replicas have them on disk."""

    __slots__ = ("deadline", "handle", "needed", "results", "siblings", "sloppy")

    def __init__(
        self, handle: int, needed: int, results: list[Result], siblings: int, deadline: Millis, *, sloppy: bool
    ) -> None:
        self.handle, self.needed, self.results, self.siblings = handle, needed, results, siblings
        self.deadline, self.sloppy = deadline, sloppy

    def is_over(self, replica: "LeaderlessReplica", now: Instant, storing: Storing, out: Effects) -> bool:
        """Answer if that can be done; whether nothing more is waited for."""
        on_disk = storing.count(sloppy=self.sloppy)
        if on_disk >= self.needed:
            sloppy = len(storing.stored) < self.needed
            out.replies.append((self.handle, Wrote(self.results, on_disk, self.siblings, sloppy)))
            return True
        if storing.possible(replica.down, sloppy=self.sloppy) < self.needed:
            names = ", ".join(storing.names(sloppy=self.sloppy))
            out.replies.append((self.handle, Refused(QuorumNotMet(needed=self.needed, got=on_disk, replicas=names))))
            return True
        return now.monotonic >= self.deadline


class Writes:
    """Those that travel together."""

    __slots__ = ("_waiting",)
    is_write = True

    def __init__(self, waiting: list[Write]) -> None:
        self._waiting = waiting

    def handles(self) -> list[int]:
        """See `storing.Waiter`."""
        return [write.handle for write in self._waiting]

    def on_progress(self, replica: "LeaderlessReplica", now: Instant, storing: Storing, out: Effects) -> bool:
        """See `storing.Waiter`."""
        self._waiting = [write for write in self._waiting if not write.is_over(replica, now, storing, out)]
        return not self._waiting


def on_writes_asked(replica: "LeaderlessReplica", now: Instant, asked: Sequence[WriteAsked], out: Effects) -> None:
    """Take what clients want written: one entry in our log, and one message to each of the others, for all of it."""
    records: dict[bytes, bytes] = {}
    waiting: list[Write] = []
    for one in asked:
        write = _taken(replica, now, one, records, out)
        if write is not None:
            waiting.append(write)
    if waiting:
        changed = list(records.items())
        replica.log(changed)
        sloppy = any(write.sloppy for write in waiting)
        replica.deliveries.begin(replica, now, changed, replica.peers, Writes(waiting), out, sloppy=sloppy)


def _taken(
    replica: "LeaderlessReplica", now: Instant, asked: WriteAsked, records: dict[bytes, bytes], out: Effects
) -> Write | None:
    """Take one client's commands; None if they are answered already.

    Nothing is changed if one of them makes no sense, or too few replicas are up. `records` are what is to be stored.
    """
    try:
        replica.check_reachable(asked.needed, sloppy=asked.sloppy)
        contexts = [_context_of(replica, command) for command in asked.commands]
        known = [replica.table.known(command.key) for command in asked.commands]
    except Corruption as error:
        for command in asked.commands:
            replica.known_or_nothing(command.key)
        out.replies.append((asked.handle, Refused(error)))
        return None
    except KvError as error:
        out.replies.append((asked.handle, Refused(error)))
        return None
    _witness(replica, known)
    stamp = replica.clock.reserve(now.wall, len(asked.commands))
    results: list[Result] = []
    siblings, is_refused = 0, True
    for offset, (command, context, before) in enumerate(zip(asked.commands, contexts, known, strict=True)):
        if command.key in records:  # perhaps changed since
            before = replica.table.known(command.key)
        result, versions = _write(replica, asked.client, command, context, before, Stamp(stamp + offset), records)
        results.append(result)
        siblings = max(siblings, len(versions.writes))
        is_refused = is_refused and result[0] == _TOO_MANY
    if is_refused:
        out.replies.append((asked.handle, Wrote(results, 0, siblings)))
        return None
    return Write(asked.handle, asked.needed, results, siblings, asked.deadline, sloppy=asked.sloppy)


def _context_of(replica: "LeaderlessReplica", command: Command) -> Context:
    """Raises InvalidRequest for one that makes no sense: what it claims to have seen could never be written."""
    if not command.context:
        return {}
    try:
        context = decode_context(command.context)
    except Corruption as error:
        raise InvalidRequest(f"{error}; read the key again", key=command.key) from error
    if context.get(replica.actor, 0) > replica.counter or any(counter <= 0 for counter in context.values()):
        raise InvalidRequest("the context has seen writes that never happened; read the key again", key=command.key)
    return context


def _witness(replica: "LeaderlessReplica", known: list[Versions]) -> None:
    """Our stamps will be larger than those of whatever we replace."""
    replica.clock.witness(Stamp(max((each.stamp for versions in known for each in versions.siblings), default=0)))


def _write(
    replica: "LeaderlessReplica",
    client: int,
    command: Command,
    context: Context,
    known: Versions,
    stamp: Stamp,
    records: dict[bytes, bytes],
) -> tuple[Result, Versions]:
    """One command; its record, as known afterwards, is among those to be stored, whether it changed or not."""
    key, table = command.key, replica.table
    first = table.outcome(client, command.sequence)
    if first is not None:
        records[key] = table.record(key) or encode(known)
        return _again(known, client, command.sequence, first[1]), known
    is_delete = command.kind == _DELETE
    if is_delete and not command.context:
        context = known.context  # whatever is there
    sibling = Sibling(
        replica.actor, replica.counter + 1, stamp, None if is_delete else command.value, client, command.sequence
    )
    if replica.settings.lww:
        is_newest = all(each.stamp < stamp for each in known.siblings)  # as our stamps are made to be
        after = newest_only(after_write(known, sibling, known.context if is_newest else {}))  # by stamps alone
    elif _is_too_much(replica, known, after := after_write(known, sibling, context)):
        return (_TOO_MANY, len(known.siblings), stamp, _NOTHING_SEEN), known
    replica.counter += 1
    if key in records:  # once more in the same step, of which only the last record is logged
        for each in known.siblings:
            if each not in after.siblings:
                replica.log_operation(each)
    records[key] = record = encode(after)
    replica.learn(key, record, after, [sibling])
    return (_WRITTEN, stamp, stamp, encode_context(seen_by_writer(after, sibling.dot))), after


def _again(known: Versions, client: int, sequence: int, stamp: int) -> Result:
    """A retry of what was written before: the same dot, if nobody has replaced it since."""
    for sibling in known.siblings:
        if (sibling.client, sibling.sequence) == (client, sequence):
            dot = Dot(sibling.actor, sibling.counter)
            return (_WRITTEN, stamp, stamp, encode_context(seen_by_writer(known, dot)))
    return (_WRITTEN, stamp, stamp, _NOTHING_SEEN)


def _is_too_much(replica: "LeaderlessReplica", known: Versions, after: Versions) -> bool:
    """Whether the write would add a sibling to too many, or bytes to too many. What makes it less is let in."""
    settings = replica.settings
    if len(after.siblings) <= 1:
        return False
    if len(after.siblings) > max(settings.siblings_max, len(known.siblings)):
        return True
    size = sum(map(len, after.values))
    return size > max(settings.record_bytes_max, sum(map(len, known.values)))
