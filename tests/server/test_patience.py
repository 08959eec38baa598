"""Patience: asking again for a caller that cannot, as long as that may help, and no longer than it wants."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from kvstore.core.errors import InvalidRequest, KvError, NoLeader, NotLeader, NotReady, OutcomeUnknown, Overloaded
from kvstore.node.requests import Answer, Failure, Told
from kvstore.server import patience
from kvstore.server.patience import patiently


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAIT_S_MAX", 0.001)


def asking(*answers: KvError | Answer) -> tuple[Callable[[int], Awaitable[Answer]], list[int]]:
    """Gives these answers, the last one for ever; and what was left of the deadline at each try."""
    given = list(answers)
    lefts: list[int] = []

    async def ask(left_ms: int) -> Answer:
        lefts.append(left_ms)
        answer = given.pop(0) if len(given) > 1 else given[0]
        await asyncio.sleep(0)
        return Failure.of(answer) if isinstance(answer, KvError) else answer

    return ask, lefts


async def test_an_election_is_waited_for() -> None:
    done = Told()
    ask, lefts = asking(NoLeader(), NotLeader(), OutcomeUnknown(), NotReady(), done)
    assert await patiently(ask, 60_000, lambda: False) is done
    assert len(lefts) == 5 and lefts == sorted(lefts, reverse=True) and lefts[0] <= 60_000


@pytest.mark.parametrize("error", [Overloaded(), InvalidRequest()])
async def test_what_no_election_mends_is_told_at_once(error: KvError) -> None:
    ask, lefts = asking(error, Told())
    answer = await patiently(ask, 60_000, lambda: False)
    assert isinstance(answer, Failure) and answer.code == error.code and len(lefts) == 1


async def test_the_deadline_ends_it_with_the_last_failure() -> None:
    ask, lefts = asking(NoLeader("nobody leads"))
    began = time.monotonic()
    answer = await patiently(ask, 100, lambda: False)
    assert time.monotonic() - began < 60
    assert isinstance(answer, Failure) and (answer.code, answer.message) == ("NoLeader", "nobody leads")
    assert len(lefts) > 1


async def test_a_lost_try_is_not_forgotten() -> None:
    """The first may have happened; that the last one did not is no comfort."""
    ask, _ = asking(OutcomeUnknown("the connection to n1 was lost"), NoLeader("nobody leads"))
    answer = await patiently(ask, 100, lambda: False)
    assert isinstance(answer, Failure) and answer.code == "OutcomeUnknown" and not answer.definite
    assert answer.message == "an earlier try may have happened; the last one failed: nobody leads"


async def test_a_node_that_stops_sends_the_caller_away() -> None:
    ask, lefts = asking(NotReady("the node is stopping"), Told())
    answer = await patiently(ask, 60_000, lambda: True)
    assert isinstance(answer, Failure) and answer.code == "NotReady" and len(lefts) == 1
