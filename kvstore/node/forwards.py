"""Forwards: requests that this node passed on to peers, and requests that peers passed on to it."""

from typing import NamedTuple

from kvstore.core.errors import NoLeader, OutcomeUnknown
from kvstore.core.ids import NodeId
from kvstore.node.effects import NODE_LEVEL, Forward
from kvstore.node.gate import Gate
from kvstore.node.liveness import Liveness
from kvstore.node.requests import Failure, Request
from kvstore.node.tick import Tick

DEADLINE_MS_MIN = 1
HOPS_MAX = 3
"""A request follows the leader so often; then its client hears who is thought to lead."""


class Forwarded(NamedTuple):
    """An open request of ours that a peer was asked to answer."""

    handle: int
    to: NodeId
    request: Request
    hops: int


class Forwards:
    """Both directions. `first_number` is drawn: an answer to a request of an earlier life must not meet one of this."""

    def __init__(self, liveness: Liveness, gate: Gate, first_number: int) -> None:
        self._liveness, self._gate = liveness, gate
        self._open: dict[int, Forwarded] = {}
        self._for_peers: dict[int, tuple[NodeId, int]] = {}
        self._number = first_number

    # ── of ours, to peers ──

    def forward(self, tick: Tick, handle: int, request: Request, to: NodeId, *, hops: int = 1) -> None:
        """Pass an open request to the node that should answer it."""
        if to not in self._liveness.peers:
            tick.reply(handle, Failure.of(NoLeader(f"{to} is not a node of this cluster")))
            return
        if not self._liveness.peers[to].up:
            tick.reply(handle, Failure.of(NoLeader(f"{to}, who should answer this, is down; nothing was written")))
            return
        self._number += 1
        self._open[self._number] = Forwarded(handle, to, request, hops)
        left = self._gate.left_ms(handle, tick.now.monotonic)
        tick.send(NODE_LEVEL, to, Forward(self._number, max(DEADLINE_MS_MIN, left), request))

    def answered(self, number: int) -> Forwarded | None:
        """What this was the number of; None if nobody waits for it any more."""
        return self._open.pop(number, None)

    def give_up(self, tick: Tick, to: NodeId) -> None:
        """The answers of a node that is gone will not come; whether it did what was asked nobody can say."""
        for number in [number for number, forwarded in self._open.items() if forwarded.to == to]:
            handle = self._open.pop(number).handle
            tick.reply(handle, Failure.of(OutcomeUnknown(f"the connection to {to} was lost while it was asked")))

    def forget_closed(self) -> None:
        """Nobody waits any more for what the gate has closed."""
        self._open = {number: one for number, one in self._open.items() if self._gate.is_open(one.handle)}

    # ── of peers, to us ──

    def take_on(self, peer: NodeId, number: int) -> int:
        """A handle for a peer's request: negative, so that it never meets one of the outside's."""
        self._number += 1
        self._for_peers[-self._number] = (peer, number)
        return -self._number

    def asked_by(self, handle: int) -> tuple[NodeId, int]:
        """Which peer's request this is, and its number there. Asked once, with the answer."""
        return self._for_peers.pop(handle)
