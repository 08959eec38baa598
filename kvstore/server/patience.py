"""Patience: what a unary caller cannot do for itself, a node does for it.

Our own client keeps all nodes in sight and follows leaders. Who calls from another language, or with grpcurl, has one
node and one call: while leaders move, that node asks again for it, until the call's deadline. That is safe because
every write carries an operation id, the caller's or one drawn here, by which the store knows what it has done already.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from kvstore.core.errors import NoLeader, NotConnected, NotLeader, NotReady, OutcomeUnknown
from kvstore.node.requests import Answer, Failure

WAIT_S_FIRST: Final = 0.02
WAIT_S_MAX: Final = 0.25
PASSING: Final = frozenset(kind.code for kind in (NoLeader, NotConnected, NotLeader, NotReady, OutcomeUnknown))
"""Failures that an election mends. An overloaded or a full node is the caller's business."""


async def patiently(ask: Callable[[int], Awaitable[Answer]], deadline_ms: int, stopping: Callable[[], bool]) -> Answer:
    """Ask, with what is left of the deadline in milliseconds, until an answer will do or no time is left.

    Between two tries it waits a random time below a bound that doubles ("full jitter"). A node that is `stopping` asks
    once: others will serve.
    """
    end = time.monotonic() + deadline_ms / 1000
    bound_s, doubtful = WAIT_S_FIRST, False
    while True:
        answer = await ask(int((end - time.monotonic()) * 1000))
        if not isinstance(answer, Failure):
            return answer
        left_s = end - time.monotonic()
        if answer.code not in PASSING or stopping() or left_s < WAIT_S_FIRST:
            return _honest(answer, doubtful)
        doubtful = doubtful or not answer.definite
        await asyncio.sleep(min(random.uniform(0, bound_s), left_s / 2))
        bound_s = min(2 * bound_s, WAIT_S_MAX)


def _honest(failure: Failure, doubtful: bool) -> Failure:
    """A last try that definitely failed says nothing about an earlier one that got lost."""
    if not doubtful or not failure.definite:
        return failure
    return Failure.of(OutcomeUnknown(f"an earlier try may have happened; the last one failed: {failure.message}"))
