"""No acknowledged write is lost: what a key holds at the end is its last acknowledged write, or a later one.

"Later" as far as clients can tell: of two acknowledged writes the second is later if it was invoked after the first
had returned. A write of unknown outcome may have happened at any time from its invocation on, so it is never too old.
Linear in the history, and independent of the search of `linearizable`, which finds a lost write only if somebody reads.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping

from chaos.checkers.verdict import Verdict, judged
from chaos.history import Operation, Outcome
from chaos.workloads.register import is_write, written_value

ABSENT = None


def check(
    operations: Iterable[Operation],
    final: Mapping[Hashable, Hashable],
    *,
    initial: Callable[[Hashable], Hashable] = lambda key: ABSENT,
) -> Verdict:
    """Judge register operations against what each key holds once all is healed and every client has stopped.

    A key that is not in `final` is absent (None). `initial` says what a key held before the history.
    """
    writes: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        if is_write(operation):
            writes.setdefault(operation.key, []).append(operation)
    findings: list[str] = []
    for key in dict.fromkeys((*writes, *final)):
        finding = _finding(key, writes.get(key, []), final.get(key, ABSENT), initial(key))
        if finding:
            findings.append(finding)
    return judged(tuple(findings))


def _finding(key: Hashable, writes: list[Operation], held: Hashable, initial: Hashable) -> str:
    acknowledged = [write for write in writes if write.outcome is Outcome.OK]
    newest = max(acknowledged, key=lambda write: write.invoked_at, default=None)
    if newest is None and held == initial:
        return ""
    sources = [write for write in writes if written_value(write) == held]
    possible = [write for write in sources if write.outcome is not Outcome.FAILED]
    if any(newest is None or write.returned_at is None or write.returned_at >= newest.invoked_at for write in possible):
        return ""
    if possible or held == initial:
        return f"key {key!r} holds {held!r}, older than the acknowledged {newest}"
    if sources:
        return f"key {key!r} holds {held!r}, of a write that failed: {sources[0]}"
    return f"key {key!r} holds {held!r}, which nobody wrote"
