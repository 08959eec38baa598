"""What is seen together is concurrent: nothing that was replaced, refused or never written, and nothing twice.

Holds for every read, whatever its quorum: what one replica knows, and what several know together, never contains both
a write and one whose client had seen it. That nothing concurrent is missing is for `regular` and `kept` to say, since
it is promised to some reads only, and to the final state.
"""

from collections.abc import Iterable, Iterator

from chaos.checkers.verdict import Verdict, judged
from chaos.history import Instant
from chaos.workloads.causal_register import KeyHistory, Version, members


def check(histories: Iterable[KeyHistory], *, lww: bool = False) -> Verdict:
    """Judge every read. With `lww` there is never more than one version."""
    findings = []
    for history in histories:
        for read in history.reads:
            findings += [
                f"{finding}, in {read.operation}"
                for finding in findings_in(history, read.versions, read.returned_at, lww)
            ]
    return judged(tuple(findings))


def findings_in(history: KeyHistory, versions: tuple[Version, ...], at: Instant | None, lww: bool) -> Iterator[str]:
    """What is wrong with these versions being seen together at that instant (None: when all is over)."""
    where = f"key {history.key!r}:"
    names = [name for name, _, _ in versions]
    if len(set(names)) < len(names):
        yield f"{where} one write is several siblings"
    if lww and len(versions) > 1:
        yield f"{where} {len(versions)} siblings although the last writer wins"
    for name, _, is_tombstone in versions:  # a retry has its own stamp
        number = history.number.get(name)
        if number is None:
            yield f"{where} {name!r} was never written"
            continue
        write = history.writes[number]
        if at is not None and write.operation.invoked_at > at:
            yield f"{where} {name!r} is seen before it is written"
        if write.is_refused:
            yield f"{where} a write that was refused is there: {write.operation}"
        if write.is_delete is not is_tombstone:
            yield f"{where} {name!r} has become {'a tombstone' if is_tombstone else 'a value'}"
    there = history.set_of(versions)
    for number in members(there & history.replaced_by(there) & ~history.repeated):
        by = next(each for each in members(there) if history.must[each] >> number & 1)
        yield f"{where} {history.told(1 << number)} is there beside what replaced it, {history.told(1 << by)}"
