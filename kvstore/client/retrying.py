"""What may be tried again, and when (pure).

A *definite* error says that nothing happened: the same request may be sent again. After an *indefinite* one a write may
have happened; it is sent again only because it carries its operation id, by which the store recognises it and gives the
first answer again. DeadlineExceeded is final: there is no time left.

Waiting is "full jitter" (Marc Brooker, "Exponential Backoff And Jitter", 2015): a random time between nothing and a
bound that doubles with each try, so that clients that failed together do not come back together.
"""

from dataclasses import dataclass
from random import Random

from kvstore.core.errors import (
    ClockTooFarAhead,
    Corruption,
    DeadlineExceeded,
    KvError,
    NotConnected,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    StorageFull,
)

WAIT_S_FIRST = 0.010
WAIT_S_MAX = 1.0
DETOURS_MAX = 3
"""So often a redirection is followed at once; then it is a loop, and waited for like any other error."""
PATIENCE = {StorageFull: 3, Corruption: 3, ClockTooFarAhead: 3}
"""Errors that another replica may not have, but that do not pass by themselves within a deadline: so many tries."""


@dataclass(frozen=True, slots=True)
class Again:
    """Send it again after so many seconds."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell the caller."""

    error: KvError


def judge(error: KvError, *, tries: int, doubtful: bool, left_s: float, asked: str, dice: Random) -> Again | GiveUp:
    """What to do after the `tries`-th failed try, with `left_s` seconds until the deadline.

    `doubtful`: an earlier try of this write may have happened. `asked` is the node that answered.
    """
    if isinstance(error, DeadlineExceeded) or not error.retryable:
        return GiveUp(honest(error, doubtful))
    if tries >= PATIENCE.get(type(error), tries + 1):
        return GiveUp(honest(error, doubtful))
    wait_s = waiting_time(error, tries, asked, dice)
    if isinstance(error, Overloaded):
        hopeless = wait_s >= left_s
    else:
        wait_s = min(wait_s, left_s / 2)  # a last try before the deadline is better than none
        hopeless = left_s < WAIT_S_FIRST
    return GiveUp(honest(error, doubtful)) if hopeless else Again(wait_s)


def waiting_time(error: KvError, tries: int, asked: str, dice: Random) -> float:
    """Seconds until the next try."""
    if isinstance(error, Overloaded):
        return error.retry_after_ms / 1000 * (1 + dice.random() / 4)
    if isinstance(error, NotLeader) and error.leader not in (None, "", asked) and tries <= DETOURS_MAX:
        return 0.0
    return dice.random() * min(WAIT_S_MAX, WAIT_S_FIRST * 2.0 ** min(tries - 1, 30))


def honest(error: KvError, doubtful: bool) -> KvError:
    """The error to raise: a last try that definitely failed says nothing about an earlier one that got lost."""
    if not doubtful or not error.definite:
        return error
    unknown = OutcomeUnknown(f"an earlier try may have happened; the last one failed: {error}", **error.facts)
    unknown.__cause__ = error
    return unknown


def interrupted(is_write: bool, why: str, node: str) -> KvError:
    """The answer will not come. A write may have happened; for a read it does not matter."""
    return OutcomeUnknown(why, node=node) if is_write else NotConnected(why, node=node)


def expired(*, sent: bool, doubtful: bool, reached: bool, last: KvError | None) -> KvError:
    """The error of an operation whose deadline has passed.

    `sent`: it is with a node now. `reached`: any node could be reached. If nothing of it can have happened, the last
    definite error says more than that time ran out.
    """
    why = f"; the last try failed: {last}" if last is not None else ""
    if sent or doubtful:
        return DeadlineExceeded(f"no answer before the deadline{why}")
    if last is not None and last.definite:
        return last
    if not reached:
        return NotConnected(f"no node could be reached before the deadline{why}; nothing was sent")
    return DeadlineExceeded("not sent before the deadline: too much was waiting")
