"""What a request may ask for: how fresh a read must be, how safe a write, how long it may take."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import TypeVar

from kvstore.core.errors import ConsistencyNotSupported, InvalidRequest
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


READ_LEVELS = {
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
    """What requests ask for unless the call says otherwise. `acks=None` is the keyspace's own setting."""

    consistency: Consistency = Consistency.LINEARIZABLE
    acks: Acks | None = None
    timeout_s: float = TIMEOUT_DEFAULT_S
    max_staleness_ms: int = 0

    def changed(
        self,
        *,
        consistency: str | None = None,
        acks: str | None = None,
        timeout: float | str | None = None,
        max_staleness: float | str | None = None,
    ) -> "Options":
        """A copy with some things changed; None leaves a thing as it is. Raises InvalidRequest for nonsense."""
        options = self
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
                raise InvalidRequest(f"max_staleness is for consistency='follower', not {options.consistency.value!r}")
            bound_ms = max(1, round(seconds_of(max_staleness, "max_staleness") * 1000))
            options = replace(options, max_staleness_ms=bound_ms)
        return options

    @property
    def reads(self) -> tuple[int, int]:
        """What makes two reads alike enough to travel together: the level and the bound, as they go on the wire."""
        return READ_LEVELS[self.consistency], self.max_staleness_ms
