"""Nothing acknowledged is lost, and what was replaced or deleted stays so: the final state of leaderless keys.

When all is healed and every replica has everything, what is left of a key are exactly the writes that no other write
has replaced. An acknowledged write is among them, or something is whose client had seen it, itself or through others;
if the last writer wins, something with a larger stamp will do. A write of unknown outcome may be there or not.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping

from chaos.checkers.siblings import findings_in
from chaos.checkers.verdict import Verdict, judged
from chaos.workloads.causal_register import KeyHistory, Version, members


def check(
    histories: Iterable[KeyHistory], final: Mapping[Hashable, tuple[Version, ...]], *, lww: bool = False
) -> Verdict:
    """Judge what each key is in the end, tombstones included; a key that is not in `final` was never written."""
    findings: list[str] = []
    judged_keys = set()
    for history in histories:
        judged_keys.add(history.key)
        versions = final.get(history.key, ())
        history.learn_stamps(versions)
        findings += (f"{finding}, in the final state" for finding in findings_in(history, versions, None, lww))
        findings += _come_back(history, versions, lww)
        owed = sum(1 << index for index, write in enumerate(history.writes) if write.is_acknowledged)
        lacking = history.lacking(owed, versions, lww)
        if lacking:
            findings.append(f"key {history.key!r}: lost: {history.told(lacking)}; left: {_told(versions)}")
    findings += (
        f"key {key!r}: nobody ever wrote {versions}" for key, versions in final.items() if key not in judged_keys
    )
    return judged(tuple(findings))


def _come_back(history: KeyHistory, versions: tuple[Version, ...], lww: bool) -> Iterator[str]:
    """What is there although an acknowledged write or delete has replaced it."""
    there = history.set_of(versions) & ~history.repeated
    for index, write in enumerate(history.writes):
        back = there & history.must[index] if write.is_acknowledged else 0
        if lww:
            back = sum(1 << number for number in members(back) if history.stamps[number] < history.stamps[index])
        if back:
            done = "deleted" if write.is_delete else "replaced"
            yield f"key {history.key!r}: back from the dead: {history.told(back)}, {done} by {write.operation}"


def _told(versions: tuple[Version, ...]) -> str:
    return ", ".join(f"{name} at {stamp}" for name, stamp, _ in versions) or "nothing"
