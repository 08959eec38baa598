"""Dispatch: brings parcels to the right node, and again to another if that fails, until an answer or the deadline.

    lanes ──parcels──▶ Dispatch ──▶ Conversation ──calls──▶ Link ──▶ node
      ▲                 │    ▲           │
      └──── answers ────┘    └─ replies, rings, losses

It holds what belongs to the client as a whole: the ring, the conversations, the numbers of writes, the room for what is
outstanding, and one alarm clock for all deadlines. It decides little by itself: where to go is `routing`, whether and
when to try again is `retrying`.
"""

import logging
from asyncio import AbstractEventLoop, Task, get_running_loop
from collections.abc import Callable, Coroutine, Sequence
from math import inf
from random import Random
from time import monotonic
from typing import Any, Final

from kvstore.client.alarm import Alarm
from kvstore.client.conversation import Conversation
from kvstore.client.failures import failure_error, placed
from kvstore.client.introduction import Introduction
from kvstore.client.lanes import Lanes
from kvstore.client.link import Link
from kvstore.client.parcels import Parcel
from kvstore.client.retrying import GiveUp, expired, honest, interrupted, judge
from kvstore.client.room import BYTES_MAX, OPERATIONS_MAX, Room
from kvstore.client.routing import Directory
from kvstore.client.sequencer import Sequencer
from kvstore.client.switchboard import Switchboard
from kvstore.core.errors import (
    ClientClosed,
    Corruption,
    DeadlineExceeded,
    KvError,
    MalformedFrame,
    NoLeader,
    NotConnected,
    NotLeader,
    NotReady,
    OutcomeUnknown,
    QuorumNotMet,
    QuorumUnreachable,
    RequestTooLarge,
    UnknownKeyspace,
    WrongCluster,
    WrongPartition,
    WrongTimeline,
)
from kvstore.core.ids import ClientId
from kvstore.v1 import kv_pb2 as pb
from kvstore.v1 import ring_pb2

REFRESH_S: Final = 1.0
SOFTWARE: Final = "kvstore-python"
SUSPICIONS_MAX: Final = 3
"""A call that was in so many sessions which a node ended in anger is taken to be the reason."""
ELSEWHERE: Final = (NotLeader, NotReady, NotConnected, NoLeader, Corruption, QuorumUnreachable, QuorumNotMet)
"""Errors after which another node is asked first."""

log = logging.getLogger("kvstore.client")


class Dispatch:
    """One client's engine. Made anywhere; belongs to the event loop that first awaits `ready`."""

    def __init__(
        self,
        endpoints: Sequence[str],
        connect: Callable[[str], Link],
        *,
        client: ClientId | None = None,
        dice: Random | None = None,
        clock: Callable[[], float] = monotonic,
        operations_max: int = OPERATIONS_MAX,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        self.directory = Directory()
        self.names = Sequencer(client)
        self.room = Room(operations_max, bytes_max)
        self.clock = clock
        self.closed = False
        self._endpoints, self._connect = tuple(endpoints), connect
        self._dice = dice or Random()
        self._live: dict[Parcel, None] = {}
        self._tasks: set[Task[None]] = set()
        self._refreshing: Task[None] | None = None
        self._running = False

    # The beginning and the end.

    def _start(self) -> None:
        self.loop: AbstractEventLoop = get_running_loop()
        self.board = Switchboard(
            self._endpoints, self._connect, self, self._hello, self.directory, self.loop, self.clock, self._dice
        )
        self._introduction = Introduction(self.directory, self.board, self.loop, self.clock)
        self.alarm = Alarm(self.loop, self.clock, self._sweep)
        self.lanes = Lanes(self.names, self, self.loop)
        self._running = True

    def _hello(self) -> pb.SessionHello:
        known = self.directory
        return pb.SessionHello(
            client=self.names.client, cluster=known.cluster, timeline=known.timeline, software=SOFTWARE
        )

    async def ready(self, deadline: float, patient: bool = True) -> None:
        """Return when the ring is known, connecting if need be. Raises ClientClosed, NotConnected or what refused us.

        Impatient: fails as soon as every endpoint has failed once, not only at the deadline.
        """
        if self.closed:
            raise ClientClosed()
        if not self._running:
            self._start()
        if self.loop is not get_running_loop():
            raise RuntimeError("a client belongs to the event loop that used it first; make another for this loop")
        if not self.directory.known:
            await self._introduction.wait(deadline, patient)

    async def close(self) -> None:
        """Whoever waits gets ClientClosed, or OutcomeUnknown if its write is under way."""
        if self.closed:
            return
        self.closed = True
        if not self._running:
            return
        for route in self.directory.routes:
            route.live = False
        self.room.close(ClientClosed)
        self._introduction.fail(ClientClosed)
        for parcel in list(self._live):
            closed: KvError = ClientClosed()
            if parcel.is_write and (parcel.attempt or parcel.doubtful):
                closed = OutcomeUnknown("the client was closed while the write was under way")
            self._give_up(parcel, closed)
        self.alarm.stop()
        await self.board.close()
        for task in list(self._tasks):
            await task

    def _do(self, work: Coroutine[Any, Any, None]) -> Task[None]:
        """Something to be done on the side. It fails loudly in the log, for nobody awaits it."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("work on the side failed", exc_info=task.exception())

    # The way of a parcel.

    def enqueue(self, parcel: Parcel) -> None:
        """A new parcel. Its answer, or error, never comes before this returns."""
        self._live[parcel] = None
        self.wake_by(parcel.deadline)
        self._send(parcel)

    def _send(self, parcel: Parcel) -> None:
        if not parcel.route.live:
            error = UnknownKeyspace(f"keyspace {parcel.route.info.name!r} was dropped")
            self.loop.call_soon(self._give_up, parcel, honest(error, parcel.doubtful))
            return
        conversation = self.board.find(parcel)
        if conversation is None:
            self.loop.call_soon(self._failed, parcel, self.board.unreachable())
            return
        parcel.place = conversation
        conversation.put(parcel)

    def answered(self, parcel: Parcel, reply: pb.Reply) -> None:
        """A node answered."""
        if reply.WhichOneof("body") == "failure":
            self._failed(parcel, failure_error(reply.failure))
            return
        try:
            parcel.settle(reply)
        except MalformedFrame as error:
            parcel.doubtful = parcel.is_write
            self._failed(parcel, error)
            return
        self._finish(parcel)
        served_by = reply.receipt.node
        if parcel.proves_leader and served_by and self.directory.heard_leader(parcel.group, served_by):
            self._moved([parcel.group])

    def _failed(self, parcel: Parcel, error: KvError) -> None:
        """A try failed: again, or give up."""
        if parcel.finished:
            return
        parcel.place = None
        parcel.tries += 1
        parcel.last_error = error
        parcel.doubtful = parcel.doubtful or (parcel.is_write and not error.definite)
        self._learn_from(parcel, error)
        if not parcel.prune() or (isinstance(error, RequestTooLarge) and self._halve(parcel)):
            self._finish(parcel)
            return
        left_s = max(parcel.deadlines) - self.clock()
        verdict = judge(
            error, tries=parcel.tries, doubtful=parcel.doubtful, left_s=left_s, asked=parcel.node, dice=self._dice
        )
        if isinstance(verdict, GiveUp):
            self._give_up(parcel, verdict.error)
        else:
            parcel.timer = self.loop.call_later(verdict.wait_s, self._try_again, parcel)

    def _halve(self, parcel: Parcel) -> bool:
        """Ask in two parcels for what was too much for one answer. Returns whether that can be done."""
        halves = parcel.halves()
        for half in halves:
            half.suspicions = parcel.suspicions
            self.room.claim(half.count, half.size)
            self.enqueue(half)
        return bool(halves)

    def _learn_from(self, parcel: Parcel, error: KvError) -> None:
        parcel.avoid = parcel.node if isinstance(error, ELSEWHERE) else ""
        if isinstance(error, NotLeader):
            if error.leader:
                self.directory.heard_leader(parcel.group, error.leader)
            else:
                self.directory.heard_not_leader(parcel.group, parcel.node)
        elif isinstance(error, WrongPartition | UnknownKeyspace):
            self.refresh()

    def _try_again(self, parcel: Parcel) -> None:
        parcel.timer = None
        if parcel.finished:
            return
        if parcel.prune():
            self._send(parcel)
        else:
            self._finish(parcel)

    def _give_up(self, parcel: Parcel, error: KvError) -> None:
        parcel.fail(error)
        self._finish(parcel)

    def unwanted(self, parcel: Parcel) -> None:
        """Nobody waits for it any more, and it was not sent."""
        self._finish(parcel)

    def _finish(self, parcel: Parcel) -> None:
        if parcel.finished:
            return
        parcel.finished = True
        del self._live[parcel]
        if parcel.home is not None:
            parcel.home.leave(parcel)
        if parcel.timer is not None:
            parcel.timer.cancel()
        if parcel.counted:
            self.room.give(parcel.count, parcel.size)

    # Time.

    def wake_by(self, deadline: float) -> None:
        """Look at the deadlines at that instant at the latest."""
        if deadline < self.alarm.at:
            self.alarm.wake_by(deadline)

    def _sweep(self, now: float) -> float | None:
        """Tell those whose deadline has passed, and look for nodes that fell silent. Returns the next deadline."""
        nearest = inf
        for parcel in list(self._live):
            if parcel.deadline <= now:
                self._expire(parcel, now)
            nearest = min(nearest, parcel.deadline)
        self.room.expire(now, self._no_room)
        nearest = min(nearest, self.room.nearest(inf))
        for conversation in self.board.silent():
            self._turn_away_from(conversation)
        return nearest if self._live or self.room.waiting else None

    def _expire(self, parcel: Parcel, now: float) -> None:
        error = expired(
            sent=bool(parcel.attempt), doubtful=parcel.doubtful, reached=self.board.reached, last=parcel.last_error
        )
        parcel.expire(now, error)
        if parcel.deadline == inf:
            if parcel.place is not None:
                parcel.place.withdraw(parcel)
            self._finish(parcel)

    @staticmethod
    def _no_room() -> KvError:
        return DeadlineExceeded("not sent before the deadline: too much was outstanding")

    def _turn_away_from(self, conversation: Conversation) -> None:
        """A node owes answers and is silent, perhaps stopped: ask somebody else, if there is anybody."""
        if not self.board.somebody_else(conversation):
            return
        for parcel in list(conversation.asked.values()):
            conversation.withdraw(parcel)
            self._failed(parcel, interrupted(parcel.is_write, f"node {conversation.node} is silent", conversation.node))

    # What conversations bring.

    def welcomed(self, conversation: Conversation, welcome: pb.SessionWelcome) -> None:
        """A node answered our hello."""
        try:
            self.directory.check(welcome.cluster, welcome.timeline)
        except (WrongCluster, WrongTimeline) as error:
            conversation.hang_up(error)
        else:
            self.board.welcomed(conversation)

    def heard_ring(self, conversation: Conversation, ring: ring_pb2.Ring) -> None:
        """A node published the ring, or what it knows of leaders."""
        try:
            self.learn(ring)
        except (WrongCluster, WrongTimeline) as error:
            conversation.hang_up(error)

    def learn(self, ring: ring_pb2.Ring) -> None:
        """Take what is new in a ring. Raises WrongCluster or WrongTimeline."""
        news = self.directory.learn(ring)
        self._introduction.news()
        for route in news.dropped:
            route.live = False
        self._moved(news.moved)

    def _moved(self, groups: Sequence[int]) -> None:
        """These groups have new leaders: nobody waits for the old ones, nor for the next try."""
        if groups:
            for parcel in [parcel for parcel in self._live if parcel.group in groups]:
                self._redirect(parcel)

    def _redirect(self, parcel: Parcel) -> None:
        """Ask the new leader. It may be the node that was asked already: but it was not leading then, and whoever it
        passed the request on to may be gone.
        """
        if parcel.timer is not None:
            parcel.timer.cancel()
        elif parcel.any_replica or parcel.place is None:
            return
        elif parcel.attempt or parcel.place.node != self.directory.leader_of(parcel.group):
            parcel.doubtful = parcel.doubtful or (parcel.is_write and parcel.attempt != 0)
            parcel.place.withdraw(parcel)
        else:
            return
        parcel.avoid = ""
        self._try_again(parcel)

    def lost(self, conversation: Conversation, waiting: list[Parcel], asked: list[Parcel], error: KvError) -> None:
        """A node could not be reached, or the link broke, or it refused us."""
        log.debug("%s: %s", conversation, error)
        self.board.lost(conversation)
        self._introduction.news()
        for parcel in waiting:
            self._failed(parcel, NotConnected(placed(conversation.address, error), node=conversation.node))
        for parcel in asked:
            self._interrupt(parcel, error)

    def _interrupt(self, parcel: Parcel, error: KvError) -> None:
        """The session ended before this was answered, by accident or for something that was said in it."""
        if not error.retryable:
            parcel.suspicions += 1
            if parcel.suspicions >= SUSPICIONS_MAX:  # wherever it goes, sessions end
                parcel.doubtful = parcel.is_write
                self._failed(parcel, error)
                return
            if isinstance(error, RequestTooLarge) and self._halve(parcel):
                self._finish(parcel)
                return
        self._failed(parcel, interrupted(parcel.is_write, f"the link to {parcel.node} broke: {error}", parcel.node))

    def part_from(self, link: Link) -> None:
        """Close a link on the side."""
        self._do(link.close())

    def refresh(self) -> None:
        """Fetch the ring anew, unless that is under way."""
        if not self.closed and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = self._do(self._refresh())

    async def _refresh(self) -> None:
        conversation = self.board.anyone()
        if conversation is None or conversation.link is None:
            return
        try:
            self.heard_ring(conversation, await conversation.link.get_ring(REFRESH_S))
        except KvError as error:
            log.debug("the ring could not be fetched from %s: %s", conversation.address, error)

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self._live)} under way" if self._running else "not connected"
        return f"cluster={self.directory.cluster or '?'} {state}"
