"""The checkers accept whatever replicas that keep to `core.causality` can do, and notice when these do not."""

from dataclasses import dataclass, field
from random import Random

import pytest

from chaos.checkers.kept import check as check_kept
from chaos.checkers.siblings import check as check_siblings
from chaos.checkers.verdict import Answer
from chaos.history import Operation
from chaos.workloads.causal_register import KeyHistory, Version
from kvstore.core.causality import (
    UNKNOWN,
    Context,
    Dot,
    Sibling,
    Versions,
    after_write,
    merged,
    newest_only,
    seen_by_writer,
)
from tests.chaos.leaderless_histories import read, write

REPLICAS = 3


@dataclass
class Play:
    """Replicas of one key, and clients that read and write at any of them."""

    rng: Random
    skip_merge: float = 0.0
    """How often a write overwrites what its replica knew."""
    known: list[Versions] = field(default_factory=lambda: [UNKNOWN] * REPLICAS)
    history: list[Operation] = field(default_factory=list)
    seen: list[tuple[tuple[str, ...], str, Context]] = field(default_factory=lambda: [((), "", {})])

    def play(self, steps: int) -> "Play":
        for now in range(1, 2 * steps, 2):
            at = self.rng.randrange(REPLICAS)
            match self.rng.choice(("read", "write", "write", "merge")):
                case "read":
                    self.read(at, now)
                case "write":
                    self.write(at, now)
                case _:
                    self.known[at] = merged(self.known[at], self.rng.choice(self.known))
        return self

    def read(self, at: int, now: int) -> None:
        self.history.append(read(now, *told(self.known[at])))
        self.seen.append((tuple(name for name, _, _ in told(self.known[at])), "", self.known[at].context))

    def write(self, at: int, now: int) -> None:
        names, after, context = self.rng.choice(self.seen[-6:])
        value = None if self.rng.random() < 0.2 else b"v"
        sibling = Sibling(at + 1, now, now, value, 1, now)
        kind = "delete" if value is None else "write"
        self.history.append(write(f"w{now}", now, read=names, after=after, kind=kind))
        before = self.known[at]
        if self.rng.random() < self.skip_merge:
            before = Versions(before.context)
        self.known[at] = after_write(before, sibling, context)
        self.seen.append((names, f"w{now}", seen_by_writer(self.known[at], Dot(at + 1, now))))

    def healed(self) -> Versions:
        everything = UNKNOWN
        for known in self.known:
            everything = merged(everything, known)
        return everything


def told(versions: Versions) -> tuple[Version, ...]:
    return tuple((f"w{each.sequence}", each.stamp, each.value is None) for each in versions.siblings)


@pytest.mark.parametrize("seed", range(60))
def test_replicas_that_keep_to_the_rules_are_believed(seed: int) -> None:
    play = Play(Random(f"rules {seed}")).play(60)
    history = KeyHistory("k", play.history)
    assert check_siblings([history]).answer is Answer.VALID
    verdict = check_kept([history], {"k": told(play.healed())})
    assert verdict.answer is Answer.VALID, str(verdict)


def test_writes_that_do_not_merge_are_noticed() -> None:
    plays = [Play(Random(f"overwrites {seed}"), skip_merge=0.2).play(30) for seed in range(20)]
    verdicts = [check_kept([KeyHistory("k", play.history)], {"k": told(play.healed())}) for play in plays]
    assert sum(verdict.answer is Answer.INVALID for verdict in verdicts) > 10


def test_of_blind_writes_the_newest_is_all_that_lww_keeps() -> None:
    history = [write("w1", 1), write("w3", 3)]
    one, other = (Versions({actor: 1}, (Sibling(actor, 1, stamp, b"", 1, stamp),)) for actor, stamp in ((1, 1), (2, 3)))
    final = {"k": told(newest_only(merged(one, other)))}
    assert check_kept([KeyHistory("k", history)], final, lww=True).answer is Answer.VALID
    assert check_kept([KeyHistory("k", history)], {"k": told(one)}, lww=True).answer is Answer.INVALID
