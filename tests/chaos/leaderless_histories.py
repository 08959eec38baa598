"""Histories of leaderless registers, written down by hand: short words for their operations."""

from collections.abc import Iterable

from chaos.history import Operation, Outcome
from chaos.workloads.causal_register import KeyHistory, Version


def write(
    name: str,
    begin: int,
    end: int | None = None,
    *,
    read: Iterable[str] = (),
    after: str = "",
    quorum: int = 2,
    sloppy: bool = False,
    outcome: Outcome = Outcome.OK,
    kind: str = "write",
    stamp: int | None = None,
    repeated: bool = False,
) -> Operation:
    """A write of that name from `begin` to `end` (the next instant unless said); its stamp is `begin` unless said."""
    returned_at = None if outcome is Outcome.UNKNOWN else begin + 1 if end is None else end
    given = (begin if stamp is None else stamp, repeated) if outcome is Outcome.OK else None
    return Operation("c", kind, "k", (name, tuple(read), after, quorum, sloppy), given, begin, returned_at, outcome)


def delete(name: str, begin: int, end: int | None = None, *, read: Iterable[str] = (), quorum: int = 2) -> Operation:
    return write(name, begin, end, read=read, quorum=quorum, kind="delete")


def unknown(name: str, begin: int, *, read: Iterable[str] = ()) -> Operation:
    return write(name, begin, read=read, outcome=Outcome.UNKNOWN)


def seen(name: str, stamp: int, tombstone: bool = False) -> Version:
    return (name, stamp, tombstone)


def read(begin: int, *versions: Version, end: int | None = None, quorum: int = 2, process: str = "r") -> Operation:
    return Operation(process, "read", "k", quorum, versions, begin, begin + 1 if end is None else end, Outcome.OK)


def told(*operations: Operation) -> list[KeyHistory]:
    """The history, whose only key is "k"."""
    return [KeyHistory("k", operations)]
