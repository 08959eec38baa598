"""What each group has decided, told once: the log in the order it was first applied anywhere, and its plain meaning.

Every node's log, state and answers are compared with this. The meaning is written down a second time here, in the
simplest form, without windows, flushes or caches: a dictionary that remembers everything.
"""

from bisect import bisect_right

from kvstore.core.commands import Command, Condition, Kind, Status, WriteBatch, decode_batch, decode_payload
from kvstore.core.entries import Entry
from kvstore.core.ids import GroupId

Result = tuple[int, int]
"""(status, stamp) of one command."""


class Violation(Exception):
    """A promise was broken. `check` names it."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


class GroupOracle:
    """One partition's log (or group 0's, of which only the entries are compared) and what it means."""

    def __init__(self, group: GroupId) -> None:
        self.group = group
        self.entries: list[tuple[int, bytes]] = []
        """(term, payload) by index - 1."""
        self.decided_in: list[int] = []
        """Per entry, a term by which it was certainly decided."""
        self.answers: dict[tuple[int, int], Result] = {}
        self.decided_at: dict[tuple[int, int], int] = {}
        """Where in the log an operation got its answer."""
        self.stamp = 0
        self._indexes: dict[bytes, list[int]] = {}
        self._versions: dict[bytes, list[tuple[int, bytes | None]]] = {}

    @property
    def length(self) -> int:
        return len(self.entries)

    def decided_before(self, term: int) -> int:
        """Up to where the log was certainly decided by leaders of earlier terms."""
        for index in range(self.length, 0, -1):
            if self.decided_in[index - 1] < term:
                return index
        return 0

    # --- the log ------------------------------------------------------------------------------------------------------

    def take(self, node: str, entry: Entry, term: int) -> None:
        """A node in `term` has applied an entry: the first to do so defines it, all others must agree.

        Raises Violation.
        """
        known = self.length
        if entry.index <= known:
            expected = self.entries[entry.index - 1]
            if expected != (entry.term, entry.payload):
                raise Violation(
                    "state-machine safety",
                    f"group {self.group}: {node} applied at {entry.index} an entry of term {entry.term}, "
                    f"others one of term {expected[0]}",
                )
            return
        if entry.index != known + 1:
            raise Violation(
                "log matching", f"group {self.group}: {node} applied {entry.index}, nobody has applied {known + 1}"
            )
        if self.entries and entry.term < self.entries[-1][0]:
            raise Violation("log matching", f"group {self.group}: term {entry.term} after {self.entries[-1][0]}")
        self.entries.append((entry.term, entry.payload))
        self.decided_in.append(term)
        if entry.payload and self.group != 0:
            self._apply(entry)

    # --- its meaning --------------------------------------------------------------------------------------------------

    def _apply(self, entry: Entry) -> None:
        payload = decode_payload(entry.payload)
        if payload.first_stamp <= self.stamp:
            raise Violation(
                "stamps rise",
                f"group {self.group}: entry {entry.index} starts at stamp {payload.first_stamp}, "
                f"after {self.stamp} was given",
            )
        stamp = payload.first_stamp
        for data in payload.batches:
            batch = decode_batch(data)
            if batch.atomic:
                self._apply_atomic(entry.index, batch, stamp)
            else:
                for offset, command in enumerate(batch.commands):
                    self._apply_one(entry.index, batch.client, command, stamp + offset)
            stamp += len(batch.commands)
        self.stamp = stamp - 1

    def _apply_one(self, index: int, client: int, command: Command, stamp: int) -> None:
        operation = (client, command.sequence)
        if operation in self.answers:
            return
        refusal = self._refusal(command)
        self._answer(operation, index, refusal if refusal is not None else self._write(index, command, stamp))

    def _apply_atomic(self, index: int, batch: WriteBatch, stamp: int) -> None:
        operations = [(batch.client, command.sequence) for command in batch.commands]
        if all(operation in self.answers for operation in operations):
            return
        refusals = [self._refusal(command) for command in batch.commands]
        refused = any(refusal is not None for refusal in refusals)
        for offset, (operation, command, refusal) in enumerate(zip(operations, batch.commands, refusals, strict=True)):
            if refusal is not None:
                self._answer(operation, index, refusal)
            elif refused:
                self._answer(operation, index, (Status.NOT_EXECUTED.value, 0))
            else:
                self._answer(operation, index, self._write(index, command, stamp + offset))

    def _answer(self, operation: tuple[int, int], index: int, result: Result) -> None:
        self.answers[operation] = result
        self.decided_at[operation] = index

    def _refusal(self, command: Command) -> Result | None:
        if command.condition == Condition.NONE:
            return None
        current = self.read(command.key)
        stamp = 0 if current is None else current[0]
        holds = stamp == 0 if command.condition == Condition.ABSENT else stamp == command.stamp and stamp != 0
        return None if holds else (Status.FAILED_CONDITION.value, stamp)

    def _write(self, index: int, command: Command, stamp: int) -> Result:
        if command.kind == Kind.DELETE and self.read(command.key) is None:
            return (Status.NOT_FOUND.value, 0)
        value = None if command.kind == Kind.DELETE else command.value
        self._indexes.setdefault(command.key, []).append(index)
        self._versions.setdefault(command.key, []).append((stamp, value))
        return (Status.WRITTEN.value, stamp)

    # --- asking -------------------------------------------------------------------------------------------------------

    def read(self, key: bytes, index: int | None = None) -> tuple[int, bytes] | None:
        """(stamp, value) of a key after the entry at `index` (None: the latest)."""
        versions = self._versions.get(key)
        if not versions:
            return None
        place = len(versions) if index is None else bisect_right(self._indexes[key], index)
        if place == 0:
            return None
        stamp, value = versions[place - 1]
        return None if value is None else (stamp, value)

    def rows(self, index: int) -> list[tuple[bytes, int, bytes]]:
        """(key, stamp, value) of all keys after the entry at `index`, in key order."""
        found = ((key, self.read(key, index)) for key in sorted(self._versions))
        return [(key, version[0], version[1]) for key, version in found if version is not None]


class Oracle:
    """All groups of a universe."""

    def __init__(self) -> None:
        self._groups: dict[GroupId, GroupOracle] = {}

    def group(self, group: GroupId) -> GroupOracle:
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = GroupOracle(group)
        return found
