"""Was anything lost? What the demo's clients were promised, against what the store has in the end."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.checkers.linearizable import check
from chaos.checkers.verdict import Answer
from chaos.history import Operation, Outcome
from chaos.workloads.register import RegisterModel

SHOWN_MAX = 5
SEARCH_S = 30.0


@dataclass(frozen=True, slots=True)
class DemoVerdict:
    """One line for people, the findings behind it, and whether all is well."""

    acknowledged: int
    lost: tuple[str, ...]
    """Keys whose acknowledged value is not there."""
    disorder: tuple[str, ...]
    """Why the histories fit no order, or why that could not be found out."""

    @property
    def is_good(self) -> bool:
        return not self.lost and not self.disorder

    def __str__(self) -> str:
        if self.is_good:
            return f"OK: {self.acknowledged:,} acknowledged writes, 0 lost"
        if self.lost:
            names = ", ".join(self.lost[:SHOWN_MAX]) + (", …" if len(self.lost) > SHOWN_MAX else "")
            return f"FAILED: {self.acknowledged:,} acknowledged writes, {len(self.lost):,} lost: {names}"
        return f"FAILED: {self.acknowledged:,} acknowledged writes, none missing, but {self.disorder[0]}"


def missing_rows(expected: Mapping[str, bytes], found: Mapping[str, bytes | None]) -> list[str]:
    """Keys whose value is not the one that was imported."""
    return [key for key, value in expected.items() if found.get(key) != value]


def missing_writes(operations: Sequence[Operation]) -> list[str]:
    """Keys with one acknowledged put and no other write, whose value the last get did not see, or that had no get.

    It asks no model and searches nothing: a second, simpler judge beside the one of the whole history.
    """
    writes: dict[str, list[Operation]] = {}
    seen: dict[str, Operation] = {}
    for operation in operations:
        if operation.kind != "get":
            writes.setdefault(str(operation.key), []).append(operation)
        elif operation.outcome is Outcome.OK:
            seen[str(operation.key)] = operation
    lone = {key: only[0] for key, only in writes.items() if len(only) == 1 and only[0].outcome is Outcome.OK}
    return [key for key, put in lone.items() if put.kind == "put" and not _sees(seen.get(key), put)]


def _sees(get: Operation | None, put: Operation) -> bool:
    assert put.returned_at is not None, "it was acknowledged"
    return get is not None and get.output == put.input and get.invoked_at > put.returned_at


def disorder(operations: Sequence[Operation]) -> list[str]:
    """Nothing if every key's history fits one order (linearizable); else why not, or that the search took too long."""
    until = time.monotonic() + SEARCH_S
    verdict = check(operations, RegisterModel(), out_of_time=lambda: time.monotonic() > until)
    return [] if verdict.answer is Answer.VALID else list(verdict.findings)
