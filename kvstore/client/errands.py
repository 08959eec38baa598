"""Errands: requests about the cluster rather than about keys, asked of whichever node can answer them."""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

from kvstore.client.conversation import State
from kvstore.client.dispatch import Dispatch
from kvstore.client.link import Link
from kvstore.client.retrying import GiveUp, judge
from kvstore.core.errors import KvError, NotConnected, NotLeader

T = TypeVar("T")
LOOK_AGAIN_S: Final = 0.005
"""While a connection is being made, look so often whether it is there."""


async def ask_cluster(
    dispatch: Dispatch, ask: Callable[[Link, float], Awaitable[T]], deadline: float, *, repeatable: bool
) -> T:
    """The answer of some node; `ask` gets a link and the seconds left.

    Definite errors are tried again until the deadline, at another node if one is named. Indefinite ones only if the
    request is `repeatable`: asked twice it does no more than once.
    """
    await dispatch.ready(deadline)
    leader, avoid, tries, dice = "", "", 0, Random()
    while True:
        node = ""
        try:
            link, node = await _link(dispatch, leader, avoid, deadline)
            return await ask(link, deadline - dispatch.clock())
        except KvError as error:
            if not (repeatable or error.definite):
                raise
            tries += 1
            left_s = deadline - dispatch.clock()
            verdict = judge(error, tries=tries, doubtful=False, left_s=left_s, asked=node, dice=dice)
            if isinstance(verdict, GiveUp):
                raise verdict.error from error
            leader = (error.leader or "") if isinstance(error, NotLeader) else ""
            avoid = node
            await sleep(verdict.wait_s)


async def _link(dispatch: Dispatch, first: str, avoid: str, deadline: float) -> tuple[Link, str]:
    """A link that is open, and whose. Raises NotConnected."""
    while True:
        conversation = dispatch.board.anyone(first, avoid=avoid)
        if conversation is None:
            raise dispatch.board.unreachable()
        if conversation.state is State.OPEN and conversation.link is not None:
            return conversation.link, conversation.node
        if dispatch.clock() >= deadline:
            raise NotConnected(f"{conversation.address} could not be reached before the deadline; nothing was sent")
        await sleep(LOOK_AGAIN_S)


async def fetch_ring(dispatch: Dispatch, deadline: float) -> None:
    """Learn the newest ring some node has."""

    async def ask(link: Link, left_s: float) -> None:
        dispatch.learn(await link.get_ring(left_s))

    await ask_cluster(dispatch, ask, deadline, repeatable=True)
