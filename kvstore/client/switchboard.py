"""Switchboard: all conversations of a client; finds the node for a request and keeps away from those that are down."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from kvstore.client.conversation import Conversation, Correspondent, State
from kvstore.client.failures import placed
from kvstore.client.link import Link
from kvstore.client.parcels import Parcel
from kvstore.client.retrying import WAIT_S_FIRST, WAIT_S_MAX
from kvstore.client.routing import Directory
from kvstore.core.errors import KvError, NotConnected
from kvstore.v1 import kv_pb2 as pb

CONNECTING_MAX: Final = 3
"""So many endpoints are tried at once until the ring is known."""
REFUSED_WAIT_S: Final = 5.0
"""An endpoint that refused us for good, say of another cluster, is left alone for so long."""
SILENCE_S: Final = 1.0
"""A node that owes answers and says nothing at all for so long is suspected to be stopped."""


class Switchboard:
    """Conversations by address and by node. Connects when somebody needs it."""

    def __init__(
        self,
        endpoints: Sequence[str],
        connect: Callable[[str], Link],
        correspondent: Correspondent,
        hello: Callable[[], pb.SessionHello],
        directory: Directory,
        loop: AbstractEventLoop,
        clock: Callable[[], float],
        dice: Random,
    ) -> None:
        self._connect, self._correspondent, self._hello = connect, correspondent, hello
        self._directory, self._loop, self._clock, self._dice = directory, loop, clock, dice
        self._by_address: dict[str, Conversation] = {}
        self._by_node: dict[str, Conversation] = {}
        seeds = list(endpoints)
        dice.shuffle(seeds)  # clients of the same URL must not all start with the same node
        self._seeds = [self._at(address) for address in seeds]

    @property
    def conversations(self) -> list[Conversation]:
        return list(self._by_address.values())

    @property
    def reached(self) -> bool:
        """Whether any node can be talked to now."""
        return any(conversation.state is State.OPEN for conversation in self._by_address.values())

    def _at(self, address: str) -> Conversation:
        known = self._by_address.get(address)
        if known is None:
            known = Conversation(address, self._correspondent, self._connect, self._loop, self._clock)
            self._by_address[address] = known
        return known

    def _to(self, node: str) -> Conversation | None:
        """The conversation with a node of the ring; None if it has no address."""
        known, info = self._by_node.get(node), self._directory.nodes.get(node)
        if known is not None and (
            known.state is not State.DOWN or info is None or info.client_address == known.address
        ):
            return known
        if info is None or not info.client_address:
            return known
        return self._at(info.client_address)  # never talked to, or it moved

    def welcomed(self, conversation: Conversation) -> None:
        """An address turned out to be this node's."""
        self._by_node[conversation.node] = conversation

    def find(self, parcel: Parcel) -> Conversation | None:
        """Whom to give a parcel, connecting if need be; None if nobody is worth a try now."""
        if parcel.only:
            return self._first([self._to(parcel.only)])
        if not parcel.any_replica:
            leader = self._by_node.get(self._directory.leader_of(parcel.group))
            if leader is not None and leader.state is State.OPEN and not leader.suspect and leader.node != parcel.avoid:
                return leader
        order = self._directory.whom_to_ask(
            parcel.group, any_replica=parcel.any_replica, avoid=parcel.avoid, dice=self._dice
        )
        return self._first([*(self._to(node) for node in order), *self._seeds])

    def anyone(self, first: str = "", avoid: str = "") -> Conversation | None:
        """Whom to ask about the cluster: this node if possible, else one we are connected to, else any."""
        ring = [conversation for node in self._directory.nodes if (conversation := self._to(node)) is not None]
        known = list(dict.fromkeys([*self._by_address.values(), *ring]))
        known.sort(key=lambda one: (one.state is not State.OPEN, bool(avoid) and one.node == avoid))
        return self._first([self._to(first) if first else None, *known])

    def _first(self, candidates: Sequence[Conversation | None]) -> Conversation | None:
        now, silent = self._clock(), None
        for conversation in candidates:
            if conversation is None or not conversation.usable(now):
                continue
            if not conversation.suspect:
                conversation.open(self._hello())
                return conversation
            silent = silent or conversation
        return silent  # connected, and better than nobody

    def knock(self) -> float:
        """Try endpoints, a few at once, to learn the ring. Returns the seconds after which to try again."""
        now = self._clock()
        connecting = sum(conversation.state is State.CONNECTING for conversation in self._by_address.values())
        for seed in self._seeds:
            if connecting >= CONNECTING_MAX:
                break
            if seed.state in (State.ASLEEP, State.DOWN) and seed.usable(now):
                seed.open(self._hello())
                connecting += 1
        retries = [seed.retry_at - now for seed in self._seeds if seed.state is State.DOWN]
        return max(WAIT_S_FIRST, min(retries, default=WAIT_S_MAX))

    @property
    def all_failed(self) -> bool:
        """Whether every endpoint was tried and failed."""
        return all(seed.state is State.DOWN or seed.failures for seed in self._seeds)

    def lost(self, conversation: Conversation) -> None:
        """Leave it alone for a while that grows with every failure."""
        bound_s = min(WAIT_S_MAX, WAIT_S_FIRST * 2.0 ** min(conversation.failures, 30))
        wait_s = REFUSED_WAIT_S if conversation.refused else self._dice.random() * bound_s
        conversation.retry_at = self._clock() + wait_s

    def unreachable(self) -> KvError:
        """Why nobody can be asked: the only node's own reason, a refusal if all refused us, else NotConnected."""
        down = [one for one in self._by_address.values() if one.error is not None]
        told = [one.error for one in down if one.error is not None and (one.refused or one.error.retryable)]
        if told and (all(one.refused for one in down) or len(self._by_address) == 1):
            return told[0]
        reasons = "; ".join(placed(one.address, one.error) for one in down if one.error is not None)
        return NotConnected(f"no node could be reached ({reasons or 'none is known'}); nothing was sent")

    def silent(self) -> list[Conversation]:
        """Nodes that owe answers and said nothing for too long, newly suspected."""
        now = self._clock()
        found = []
        for conversation in self._by_address.values():
            if conversation.state is not State.OPEN or conversation.suspect or not conversation.asked:
                continue
            oldest = next(iter(conversation.asked.values()))
            if now - max(conversation.heard, oldest.sent) > SILENCE_S:
                conversation.suspect = True
                found.append(conversation)
        return found

    def somebody_else(self, conversation: Conversation) -> bool:
        """Whether there is another node worth a try."""
        now = self._clock()
        others = [*self._by_address.values(), *(self._to(node) for node in self._directory.nodes)]
        return any(
            other is not None and other is not conversation and not other.suspect and other.usable(now)
            for other in others
        )

    async def close(self) -> None:
        for conversation in self._by_address.values():
            await conversation.close()
