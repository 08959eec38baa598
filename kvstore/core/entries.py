"""Entry, Ballot and LogEnd: what a log and a voter remember."""

from typing import NamedTuple

from kvstore.core.ids import Index, NodeId, Term


class Ballot(NamedTuple):
    """The two facts a voter may never forget. They are on disk before any message that depends on them leaves."""

    term: Term
    voted_for: NodeId | None


class LogEnd(NamedTuple):
    """Where a log stops. A later term wins, then a longer log: "more up-to-date" (Raft §5.4.1) is just `>`."""

    term: Term
    index: Index  # type: ignore[assignment]  # the word of the field wins over `tuple.index`, which nobody calls

    def __str__(self) -> str:
        return f"{self.index}@{self.term}"


class Entry(NamedTuple):
    """One decision in a group's log. An empty payload is a leader's first entry of its term: it changes nothing."""

    term: Term
    index: Index  # type: ignore[assignment]
    payload: bytes


NOTHING = LogEnd(Term(0), Index(0))
NO_BALLOT = Ballot(Term(0), None)
