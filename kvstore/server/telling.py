"""What a keyspace's answers say of keys, as unary calls tell it: records and version tokens, in both modes."""

from dataclasses import dataclass

import msgspec

from kvstore.core.causality import UNKNOWN, Context, Versions, decode, encode_context, seen_by_writer
from kvstore.core.commands import Condition, Result, Status
from kvstore.core.errors import InvalidRequest, KvError, PreconditionFailed, SiblingsExceeded, WrongMode
from kvstore.core.hybrid_clock import Stamp, wall_of
from kvstore.core.ids import GroupId, TimelineId
from kvstore.core.versions import NOTHING_SEEN, CausalVersion, Version
from kvstore.placement.hashing import key_hash
from kvstore.placement.keyspaces import Keyspace
from kvstore.v1 import kv_pb2 as pb

Known = tuple[int, bytes] | Versions | None
"""What is there: stamp and value; in a leaderless keyspace all that is known of the key."""
Terms = tuple[int, int, bytes]
"""Condition, its stamp, and context of a command."""

_ROWS = msgspec.msgpack.Decoder(list[tuple[int, bytes] | None])
_KNOWN = msgspec.msgpack.Decoder(list[bytes | None])
_PAGE = msgspec.msgpack.Decoder(list[tuple[bytes, int, bytes]])
_KNOWN_PAGE = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])


@dataclass(frozen=True, slots=True)
class Teller:
    """Of one keyspace, as the ring has it now."""

    keyspace: Keyspace
    timeline: TimelineId

    @property
    def is_leaderless(self) -> bool:
        return self.keyspace.settings.mode == "leaderless"

    def group_of(self, key: bytes) -> GroupId:
        return self.keyspace.partitions[self.keyspace.partition_of(key)].group

    def rows(self, found: bytes) -> list[Known]:
        """What a read found, in the order of its keys."""
        if self.is_leaderless:
            return [decode(known) if known else UNKNOWN for known in _KNOWN.decode(found)]
        return list(_ROWS.decode(found))

    def page(self, rows: bytes) -> list[tuple[bytes, Known]]:
        """The keys of a page and what is there: in a leaderless keyspace deletes, too."""
        if self.is_leaderless:
            return [(key, decode(known)) for key, known in _KNOWN_PAGE.decode(rows)]
        return [(key, (stamp, value)) for key, stamp, value in _PAGE.decode(rows)]

    def record(self, key: bytes, known: Known) -> pb.Record:
        """A key that was never written has no version, except in a leaderless keyspace."""
        if known is None:
            return pb.Record(key=key)
        if isinstance(known, Versions):
            return self._leaderless_record(key, known)
        stamp, value = known
        written_ms = wall_of(Stamp(stamp))
        return pb.Record(key=key, exists=True, value=value, version=self.version(key, stamp), written_ms=written_ms)

    def _leaderless_record(self, key: bytes, known: Versions) -> pb.Record:
        newest = max((one.stamp for one in known.siblings), default=0)
        record = pb.Record(key=key, version=self._causal(key, newest, known.context))
        for one in sorted(known.writes, key=lambda each: (each.stamp, each.dot)):
            if one.value is None:
                continue
            record.exists, record.value, record.written_ms = True, one.value, wall_of(Stamp(one.stamp))
            version = self._causal(key, one.stamp, seen_by_writer(known, one.dot))
            record.siblings.add(value=one.value, version=version, written_ms=record.written_ms)
        if len(record.siblings) > 1:
            record.ClearField("value")
        else:
            record.ClearField("siblings")
        return record

    def _causal(self, key: bytes, stamp: int, context: Context) -> str:
        return self.version(key, stamp, encode_context(context))

    def version(self, key: bytes, stamp: int, context: bytes = NOTHING_SEEN) -> str:
        """The token of a version of a key."""
        group = self.group_of(key)
        if not self.is_leaderless:
            return str(Version(self.timeline, group, Stamp(stamp)))
        return str(CausalVersion(self.timeline, group, Stamp(stamp), key_hash(key), context))

    def written(self, key: bytes, result: Result) -> str:
        """The token of what a command wrote; empty if there was nothing to delete. Raises what refused it."""
        match result.status:
            case Status.WRITTEN:
                return self.version(key, result.stamp, result.context or NOTHING_SEEN)
            case Status.NOT_FOUND:
                return ""
            case Status.TOO_MANY_SIBLINGS:
                raise SiblingsExceeded(
                    f"{key!r} has {result.stamp} unresolved siblings and takes no more; nothing was written", key=key
                )
            case Status.NOT_EXECUTED:
                raise InvalidRequest("not executed, because another operation of its batch was refused", key=key)
        raise _precondition_failed(key, self.version(key, result.stamp) if result.stamp else None)

    def terms(self, key: bytes, if_absent: bool, if_version: str, context: str) -> Terms:
        """The terms of a write. Raises InvalidRequest, WrongTimeline or WrongMode."""
        if bool(if_absent) + bool(if_version) + bool(context) > 1:
            raise InvalidRequest("if_absent, if_version and context exclude each other")
        if context:
            return Condition.NONE.value, 0, self._seen(key, context)
        if not if_version:
            return (Condition.ABSENT if if_absent else Condition.NONE).value, 0, b""
        version = Version.parse(if_version)
        version.check(self.timeline)
        version.check_group(self.group_of(key), key)
        return Condition.STAMP.value, version.stamp, b""

    def _seen(self, key: bytes, token: str) -> bytes:
        if not self.is_leaderless:
            raise WrongMode(f"keyspace {self.keyspace.name!r} has a leader: use if_version, not context")
        version = Version.parse(token)
        if not isinstance(version, CausalVersion):
            raise InvalidRequest(f"{token} is a version of a keyspace with a leader; read the key again")
        version.check(self.timeline)
        version.check_key(key_hash(key), key)
        version.check_group(self.group_of(key), key)
        return version.context


def _precondition_failed(key: bytes, version: str | None) -> KvError:
    there = f"its version is {version}" if version else "it does not exist"
    return PreconditionFailed(f"the condition does not hold: {there}; nothing was written", key=key, version=version)
