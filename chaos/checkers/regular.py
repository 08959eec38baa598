"""Quorum reads are fresh and never go back: what R + W > N promises to strict quorums.

`check`             a read finds every write that was acknowledged before the read began and whose quorum must meet the
                    read's, or something that replaced it (Lamport's regular register; a key with several siblings is
                    one with several latest writes)
`check_monotonic`   what a read has found, no later read misses whose quorum must meet the read's, whoever reads

Both are linear in the reads, times the quorums there are.
"""

from bisect import bisect_left
from collections.abc import Iterable
from operator import itemgetter

from chaos.checkers.verdict import Verdict, judged
from chaos.history import Instant
from chaos.workloads.causal_register import KeyHistory


class Debts:
    """Sets of writes that are owed from an instant on, to those whose quorum is large enough."""

    def __init__(self, entries: Iterable[tuple[Instant, int, int]], quorum_max: int) -> None:
        """Entries: (from when, to which quorums at least, which writes)."""
        self._by_quorum: list[list[tuple[Instant, int]]] = [[] for _ in range(quorum_max + 1)]
        for at, quorum, writes in sorted(entries):
            for ledger in self._by_quorum[quorum:]:
                ledger.append((at, writes | (ledger[-1][1] if ledger else 0)))

    def owed(self, before: Instant, quorum: int) -> int:
        """All that was owed to that quorum earlier than this instant."""
        ledger = self._by_quorum[quorum]
        place = bisect_left(ledger, before, key=itemgetter(0))
        return ledger[place - 1][1] if place else 0


def check(histories: Iterable[KeyHistory], replicas: int, *, lww: bool = False) -> Verdict:
    """Judge the reads that must be fresh, among `replicas` (N)."""
    findings = []
    for history in histories:
        acknowledged = (
            (write.operation.returned_at, replicas - write.quorum + 1, 1 << index)
            for index, write in enumerate(history.writes)
            if write.is_acknowledged and write.is_strict and write.operation.returned_at is not None
        )
        debts = Debts(acknowledged, replicas)
        findings += _unpaid(history, debts, replicas, lww, "misses what had been acknowledged before")
    return judged(tuple(findings))


def check_monotonic(histories: Iterable[KeyHistory], replicas: int, quorum_min: int, *, lww: bool = False) -> Verdict:
    """Judge all reads against those of at least the quorum `quorum_min`, before them."""
    findings = []
    for history in histories:
        reads = [read for read in history.reads if read.quorum >= quorum_min]
        found = ((read.returned_at, replicas - read.quorum + 1, history.set_of(read.versions)) for read in reads)
        findings += _unpaid(history, Debts(found, replicas), replicas, lww, "misses what had been read before")
    return judged(tuple(findings))


def _unpaid(history: KeyHistory, debts: Debts, replicas: int, lww: bool, says: str) -> list[str]:
    findings = []
    for read in history.reads:
        owed = debts.owed(read.invoked_at, read.quorum)
        lacking = history.lacking(owed, read.versions, lww, missed=replicas - read.quorum)
        if lacking:
            findings.append(f"key {history.key!r}: {read.operation} {says}: {history.told(lacking)}")
    return findings
