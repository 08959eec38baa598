"""What a checker answers: valid, invalid with its story, or unknown with the reason."""

import enum
from collections.abc import Hashable
from dataclasses import dataclass

from chaos.history import Operation


class Answer(enum.Enum):
    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Story:
    """Why a history is not linearizable: how far any order gets, and what then has no place.

    `placed` is one order of the longest prefix that works; `states` are all the states the object can be in at that
    point, whichever order was taken. `stuck` returned next and fits none of them; `concurrent` are the operations open
    at that moment, which were allowed to happen before it and do not help.
    """

    key: Hashable
    placed: tuple[Operation, ...]
    states: tuple[Hashable, ...]
    stuck: Operation
    concurrent: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one checker. `findings` are sentences: what is wrong, or why nobody can say."""

    answer: Answer
    findings: tuple[str, ...] = ()
    story: Story | None = None
    steps: int = 0  # configurations looked at, the cost of the answer

    def __str__(self) -> str:
        return self.answer.value + (f": {'; '.join(self.findings)}" if self.findings else "")


def judged(findings: tuple[str, ...]) -> Verdict:
    """The verdict of a checker that always finishes: valid exactly if it found nothing."""
    return Verdict(Answer.INVALID if findings else Answer.VALID, findings)
