"""What a partition does, said naively: one dict, every answer ever given, every version there ever was."""

from kvstore.core.commands import Command, Condition, Kind, Status, WriteBatch, decode_batch, decode_payload
from kvstore.core.entries import Entry
from kvstore.node.outcomes import WINDOW_STAMPS, Answer

Whole = tuple[int, int, int]
"""status, stamp, decided"""


def whole(answer: Answer) -> Whole:
    return (answer[0], answer[1], answer[-1])


class PartitionModel:
    """`apply` as `PartitionState.apply`; everything else is plain to see."""

    def __init__(self) -> None:
        self.versions: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self.outcomes: dict[tuple[int, int], Whole] = {}
        self.stamp = 0

    def apply(self, entry: Entry) -> list[list[Whole]]:
        payload = decode_payload(entry.payload)
        stamp, answers = payload.first_stamp, []
        for data in payload.batches:
            batch = decode_batch(data)
            answers.append(self._apply_batch(batch, stamp))
            stamp += len(batch.commands)
        self.stamp = stamp
        return answers

    def _apply_batch(self, batch: WriteBatch, stamp: int) -> list[Whole]:
        if not batch.atomic:
            return [self._once(batch.client, command, stamp + i) for i, command in enumerate(batch.commands)]
        known = [self.outcome(batch.client, command.sequence, stamp) for command in batch.commands]
        stamps = range(stamp, stamp + len(batch.commands))
        if any(answer is not None for answer in known):
            refusals = known
        else:
            refusals = [self._refusal(command, at) for command, at in zip(batch.commands, stamps, strict=True)]
        answers = []
        for command, refusal, at in zip(batch.commands, refusals, stamps, strict=True):
            if any(each is not None for each in refusals):
                answer = refusal or (Status.NOT_EXECUTED.value, 0, at)
            else:
                answer = self._write(command, at)
            answers.append(answer)
        for command, answer in zip(batch.commands, answers, strict=True):
            self.outcomes[batch.client, command.sequence] = answer
        return answers

    def _once(self, client: int, command: Command, stamp: int) -> Whole:
        known = self.outcome(client, command.sequence, stamp)
        if known is not None:
            return known
        answer = self._refusal(command, stamp) or self._write(command, stamp)
        self.outcomes[client, command.sequence] = answer
        return answer

    def _refusal(self, command: Command, stamp: int) -> Whole | None:
        current = self.read(command.key)
        found = current[0] if current is not None else 0
        held = {
            Condition.NONE: True,
            Condition.ABSENT: current is None,
            Condition.STAMP: current is not None and found == command.stamp,
        }[Condition(command.condition)]
        return None if held else (Status.FAILED_CONDITION.value, found, stamp)

    def _write(self, command: Command, stamp: int) -> Whole:
        if command.kind == Kind.DELETE and self.read(command.key) is None:
            return (Status.NOT_FOUND.value, 0, stamp)
        value = None if command.kind == Kind.DELETE else command.value
        self.versions.setdefault(command.key, []).insert(0, (stamp, value))
        return (Status.WRITTEN.value, stamp, stamp)

    def read(self, key: bytes) -> tuple[int, bytes] | None:
        versions = self.versions.get(key)
        if not versions or versions[0][1] is None:
            return None
        return versions[0][0], versions[0][1]

    def outcome(self, client: int, sequence: int, stamp: int) -> Whole | None:
        answer = self.outcomes.get((client, sequence))
        return answer if answer is not None and answer[2] >= stamp - WINDOW_STAMPS else None

    def rows(self, start: bytes, end: bytes) -> list[tuple[bytes, int, bytes]]:
        alive = ((key, self.read(key)) for key in sorted(self.versions))
        return [(key, *found) for key, found in alive if found is not None and start <= key and (not end or key < end)]

    def kept(self, key: bytes, count: int, horizon: int) -> list[tuple[int, bytes | None]]:
        """The versions that must still be there: the newest, and those superseded since the horizon."""
        versions = self.versions.get(key, [])[: max(1, count)]
        superseded_at = [stamp for stamp, _ in versions]
        return versions[:1] + [one for one, at in zip(versions[1:], superseded_at, strict=False) if at >= horizon]
