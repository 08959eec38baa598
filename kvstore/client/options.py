"""What a request may ask for: how fresh a read must be, how safe a write, how long it may take.

Leader mode knows `consistency` and `acks`; leaderless mode counts replicas: `read`, `write` and `sloppy`. A level of
the other mode is refused, never taken for something like it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import Any, NamedTuple, TypeVar

from kvstore.client.records import KeyspaceInfo
from kvstore.core.errors import ConsistencyNotSupported, InvalidRequest
from kvstore.placement.keyspaces import majority_of
from kvstore.v1 import kv_pb2 as pb

TIMEOUT_DEFAULT_S = 5.0
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s|m|h)?\s*")
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, None: 1000}


class Consistency(StrEnum):
    """How fresh a read must be."""

    LINEARIZABLE = "linearizable"
    """The latest acknowledged value, as if there were one copy of the data."""
    LEADER = "leader"
    """What the node that believes to lead has: a little cheaper, stale if that node was just cut off."""
    FOLLOWER = "follower"
    """What any replica has: may be stale, by at most `max_staleness` if that is set."""


class Acks(StrEnum):
    """How many replicas must have a write before it is acknowledged."""

    MAJORITY = "majority"
    ALL = "all"
    LEADER = "leader"
    """The leader alone: may be lost with it. The receipt says so."""


class Quorum(StrEnum):
    """How many of a leaderless keyspace's replicas must answer a read or have a write; a number does it, too."""

    ONE = "one"
    QUORUM = "quorum"
    """A majority."""
    ALL = "all"


Level = Quorum | int
Resolver = Callable[[bytes, list[Any]], Any]
"""What a value is if there are several: from the key and its concurrent values, oldest first."""
LAST_WRITER_WINS = "lww"
"""Stands for a resolver: the newest write, be it a delete, hides the others."""


class ReadWay(NamedTuple):
    """What makes two reads of a keyspace alike enough to travel together, as it goes on the wire."""

    level: int = 0
    bound_ms: int = 0
    quorum: int = 0


class WriteWay(NamedTuple):
    """The same of writes."""

    acks: int = 0
    quorum: int = 0
    sloppy: int = 0


READ_LEVELS = {
    None: pb.READ_LEVEL_LINEARIZABLE,
    Consistency.LINEARIZABLE: pb.READ_LEVEL_LINEARIZABLE,
    Consistency.LEADER: pb.READ_LEVEL_LEADER,
    Consistency.FOLLOWER: pb.READ_LEVEL_FOLLOWER,
}
WRITE_ACKS = {
    None: pb.ACKS_UNSPECIFIED,
    Acks.LEADER: pb.ACKS_LEADER,
    Acks.MAJORITY: pb.ACKS_MAJORITY,
    Acks.ALL: pb.ACKS_ALL,
}
SLOPPY = {None: pb.SLOPPY_UNSPECIFIED, True: pb.SLOPPY_YES, False: pb.SLOPPY_NO}
LEADER_READS = "consistency=" + "|".join(Consistency)
LEADER_WRITES = "acks=" + "|".join(Acks)
COUNTED_READS = "read=" + "|".join(Quorum) + ", or a number of replicas"
COUNTED_WRITES = "write=" + "|".join(Quorum) + ", or a number of replicas, and sloppy"

_Word = TypeVar("_Word", Consistency, Acks)


def _word(kind: type[_Word], what: str, word: str) -> _Word:
    try:
        return kind(word)
    except ValueError:
        allowed = ", ".join(kind)
        raise ConsistencyNotSupported(f"{what} {word!r} does not exist here; choose one of: {allowed}") from None


def consistency_of(word: str) -> Consistency:
    """Raises ConsistencyNotSupported, naming the allowed words."""
    return _word(Consistency, "consistency", word)


def acks_of(word: str) -> Acks:
    """Raises ConsistencyNotSupported, naming the allowed words."""
    return _word(Acks, "acks", word)


def level_of(level: int | str, what: str) -> Level:
    """A number of replicas, or a word for one. Raises ConsistencyNotSupported, naming what is allowed."""
    if isinstance(level, str):
        if level.isdecimal():
            return level_of(int(level), what)
        try:
            return Quorum(level)
        except ValueError:
            pass
    elif isinstance(level, int) and not isinstance(level, bool) and level > 0:
        return level
    raise ConsistencyNotSupported(f"{what} {level!r} does not exist; choose one of: {', '.join(Quorum)}, or a number")


def flag_of(flag: bool | str, what: str) -> bool:
    """Yes or no, also from the words of a URL. Raises InvalidRequest."""
    words = {True: True, False: False, "yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}
    if not isinstance(flag, bool | str) or flag not in words:
        raise InvalidRequest(f"{what} must be yes or no, got {flag!r}")
    return words[flag]


def resolver_of(resolver: "Resolver | str") -> "Resolver | str | None":
    """A function, `lww`, or `raise` for none. Raises InvalidRequest."""
    if callable(resolver) or resolver == LAST_WRITER_WINS:
        return resolver
    if resolver == "raise":
        return None
    raise InvalidRequest(f"a resolver is a function of key and values, 'lww' or 'raise', got {resolver!r}")


def seconds_of(duration: float | str, what: str = "timeout") -> float:
    """A duration in seconds, from a number of seconds or from text like `2s`, `500ms`, `1.5m`. Raises InvalidRequest.

    >>> seconds_of("250ms"), seconds_of(2)
    (0.25, 2.0)
    """
    if isinstance(duration, str):
        found = _DURATION.fullmatch(duration)
        if found is None:
            raise InvalidRequest(f"{what} {duration!r} is not a duration: write 2s, 500ms, 1m or a number of seconds")
        duration = float(found[1]) * _UNIT_MS[found[2]] / 1000
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not isfinite(duration) or duration <= 0:
        raise InvalidRequest(f"{what} must be a positive number of seconds, got {duration!r}")
    return float(duration)


@dataclass(frozen=True, slots=True)
class Options:
    """What requests ask for unless the call says otherwise. None is linearizable, or the keyspace's own setting."""

    consistency: Consistency | None = None
    acks: Acks | None = None
    timeout_s: float = TIMEOUT_DEFAULT_S
    max_staleness_ms: int = 0
    read: Level | None = None
    write: Level | None = None
    sloppy: bool | None = None
    resolver: Resolver | str | None = None
    """Leaderless: what concurrent values come to; None: a ConflictError."""

    def changed(
        self,
        *,
        consistency: str | None = None,
        acks: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
        read: int | str | None = None,
        write: int | str | None = None,
        sloppy: bool | None = None,
        resolver: Resolver | str | None = None,
    ) -> "Options":
        """A copy with some things changed; None leaves a thing as it is. Raises InvalidRequest for nonsense."""
        options = self
        if read is not None:
            options = replace(options, read=level_of(read, "read"))
        if write is not None:
            options = replace(options, write=level_of(write, "write"))
        if sloppy is not None:
            options = replace(options, sloppy=flag_of(sloppy, "sloppy"))
        if resolver is not None:
            options = replace(options, resolver=resolver_of(resolver))
        if consistency is not None:
            options = replace(options, consistency=consistency_of(consistency))
            if options.consistency is not Consistency.FOLLOWER:
                options = replace(options, max_staleness_ms=0)  # it belongs to follower reads and goes with them
        if acks is not None:
            options = replace(options, acks=acks_of(acks))
        if timeout is not None:
            options = replace(options, timeout_s=seconds_of(timeout))
        if max_staleness is not None:
            if options.consistency is not Consistency.FOLLOWER:
                raise InvalidRequest(
                    f"max_staleness is for consistency='follower', not {options.consistency or 'linearizable'!s}"
                )
            bound_ms = max(1, round(seconds_of(max_staleness, "max_staleness") * 1000))
            options = replace(options, max_staleness_ms=bound_ms)
        return options

    def read_way(self, keyspace: KeyspaceInfo) -> ReadWay:
        """How to read there. Raises ConsistencyNotSupported for a level of another mode, or more replicas than are."""
        if not keyspace.is_leaderless:
            self._refuse(keyspace, LEADER_READS, read=self.read)
            return ReadWay(READ_LEVELS[self.consistency], self.max_staleness_ms)
        self._refuse(keyspace, COUNTED_READS, consistency=self.consistency)
        return ReadWay(quorum=_replicas(self.read, "read", keyspace))

    def write_way(self, keyspace: KeyspaceInfo) -> WriteWay:
        """How to write there. Raises as `read_way` does."""
        if not keyspace.is_leaderless:
            self._refuse(keyspace, LEADER_WRITES, write=self.write, sloppy=self.sloppy)
            return WriteWay(WRITE_ACKS[self.acks])
        self._refuse(keyspace, COUNTED_WRITES, acks=self.acks)
        return WriteWay(quorum=_replicas(self.write, "write", keyspace), sloppy=SLOPPY[self.sloppy])

    @staticmethod
    def _refuse(keyspace: KeyspaceInfo, allowed: str, **chosen: object) -> None:
        for name, level in chosen.items():
            if level is not None:
                raise ConsistencyNotSupported(
                    f"keyspace {keyspace.name!r} is in mode {keyspace.mode}, which knows no {name}={level}; "
                    f"allowed: {allowed}"
                )


def _replicas(level: Level | None, what: str, keyspace: KeyspaceInfo) -> int:
    """How many replicas, 0 for as many as the keyspace says."""
    match level:
        case None:
            return 0
        case Quorum.ONE:
            return 1
        case Quorum.QUORUM:
            return majority_of(keyspace.replicas)
        case Quorum.ALL:
            return keyspace.replicas
    if level > keyspace.replicas:
        raise ConsistencyNotSupported(
            f"{what}={level}: keyspace {keyspace.name!r} has {keyspace.replicas} replicas of each partition; "
            f"allowed: {', '.join(Quorum)}, or a number from 1 to {keyspace.replicas}"
        )
    return level
