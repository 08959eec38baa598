"""A machine: its clocks, its disk, its manifest, and the node process that runs on it, or is stopped, or is not there.

What arrives waits in an inbox; a little later one step takes all of it, as the event loop of a real node does. First
the inbox is emptied, then the clocks are read, then the node steps: the instant of a step is never earlier than what
it hears. A process can be stopped between reading the clocks and the last of its effects, for any time.
"""

from collections.abc import Callable
from typing import Protocol

from kvstore.core.errors import Corruption, NotConnected
from kvstore.core.ids import Incarnation, Millis, NodeId
from kvstore.node.config import NodeConfig
from kvstore.node.effects import (
    Addressed,
    Asked,
    Effects,
    Event,
    Founding,
    FrameArrived,
    LinkLost,
    Persisted,
    RowsWritten,
    Stopping,
    TimePassed,
)
from kvstore.node.liveness import Identity
from kvstore.node.node import Node
from kvstore.node.requests import Answer, Failure, Request
from kvstore.node.world import carry_out
from kvstore.sim.clock import Clock
from kvstore.sim.dice import Dice, between
from kvstore.sim.disk import Disk
from kvstore.sim.network import Network
from kvstore.sim.scheduler import SECOND, Micros, Scheduler
from kvstore.sim.world import NotedWorld
from kvstore.storage.engine import Batch

INBOX_MAX = 5_000
"""What waits for a stopped process; beyond it frames are dropped, as full buffers do."""

STOP_PATIENCE: Micros = 3 * SECOND
"""A process that was asked to end does so when it leads nothing any more, or after this time."""


class NodeBroke(Exception):
    """A node did what no node may do: it raised, or gave up. The cause, if any, is chained."""

    def __init__(self, node: NodeId, what: str) -> None:
        super().__init__(f"{node}: {what}")
        self.node = node


class Watcher(Protocol):
    """Sees everything, from outside the universe. Raise to end the run."""

    def started(self, machine: "Machine") -> None:
        """A node has been built from its disk and has not stepped yet."""
        ...

    def stepped(self, machine: "Machine", effects: Effects) -> None:
        """A step was made; its effects have not been carried out yet."""
        ...

    def replied(self, machine: "Machine", request: Request, answer: Answer, asked_at: Micros) -> None:
        """An answer leaves for a client, whose request had arrived at that instant."""
        ...

    def failed(self, machine: "Machine", reason: str) -> None:
        """A node says that it cannot go on; its process is gone."""
        ...


class Machine:
    """One computer of the universe."""

    def __init__(
        self,
        config: NodeConfig,
        scheduler: Scheduler,
        dice: Dice,
        network: Network,
        clock: Clock,
        watcher: Watcher,
        *,
        fsync_us: tuple[Micros, Micros],
        step_us: tuple[Micros, Micros],
    ) -> None:
        self.name = NodeId(config.node.id)
        self.config, self.clock, self.watcher = config, clock, watcher
        rng = dice.stream(f"disk {self.name}")
        self.disk = Disk(scheduler, self.name, rng, fsync_us, self._on_synced, self._on_rows)
        self.node: Node | None = None
        self.paused = False
        self.failure = ""
        self.manifest: dict[str, int] = {}
        self.wipes = 0
        self.is_rotten = False
        """A bit of its disk was flipped; a new disk mends that."""
        self.lives = 0
        self.steps = 0
        self.stepped_at: Micros = 0
        """When the clocks were read for the latest step."""
        self._scheduler, self._dice, self._network = scheduler, dice, network
        self._rng = dice.stream(f"machine {self.name}")
        self._step_us = step_us
        self._inbox: list[Event] = []
        self._asked: dict[int, tuple[Request, Callable[[Answer | None], None], Micros]] = {}
        self._is_due = False
        self._wake_at: Micros | None = None
        self._alarm_at: Micros | None = None
        self._owed: NotedWorld | None = None
        self._stop_in_step: Callable[[], None] | None = None
        self._ends_at: Micros | None = None
        self.incarnation = self._new_incarnation()

    def _new_incarnation(self) -> Incarnation:
        return Incarnation(self._rng.getrandbits(62) + 1)

    @property
    def is_up(self) -> bool:
        """Whether a process is there; it may be stopped."""
        return self.node is not None

    @property
    def now(self) -> Micros:
        return self._scheduler.now

    @property
    def is_stopping(self) -> bool:
        """Whether its process was asked to end, and has not yet."""
        return self._ends_at is not None

    # --- life and death -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a node from what the disk holds."""
        assert self.node is None, f"a node runs on {self.name} already"
        self.lives += 1
        rng = self._dice.stream(f"node {self.name} life {self.lives}")
        identity = Identity(self.name, self.incarnation, rng.getrandbits(62) + 1, self.manifest)
        try:
            self.node = Node(self.config, identity, self.disk.engine, self.clock.instant(self.now), rng)
        except Corruption as error:
            self.fail(f"cannot start: {error}")
            return
        except Exception as error:
            raise NodeBroke(self.name, f"could not start: {type(error).__name__}: {error}") from error
        self.failure = ""
        self.watcher.started(self)
        self._hear(TimePassed())

    def crash(self, torn: bool) -> None:
        """Lose power: the process is gone, and what was not synced with it. Some peers notice at once."""
        if self.node is None:
            return
        self._die()
        for peer in self.config.peers:
            if self._rng.random() < 0.5:
                self._network.reset(self.name, NodeId(peer.id))
        survived, lost = self.disk.lose_power(torn)
        self._tell(f"loses power: {survived} unsynced batches survive, {lost} are lost")

    def stop(self) -> None:
        """Ask the process to end: it hands over what it leads, and `end`s."""
        if self.node is not None and self._ends_at is None:
            self._ends_at = self.now + STOP_PATIENCE
            self._hear(Stopping())

    def end(self) -> None:
        """End in an orderly way: what was given to the disk gets there, and every peer sees its connection end."""
        if self.node is None:
            return
        self._die()
        self.disk.finish()
        for peer in self.config.peers:
            self._network.reset(self.name, NodeId(peer.id))
        self._tell("ends")

    def rot(self, tables: bytes) -> None:
        """Flip one bit of one row in these tables, if there is any."""
        key = self.disk.engine.flip_bit(self._rng, [bytes([table]) for table in tables])
        self.is_rotten |= key is not None
        self._tell(f"has a flipped bit in row {key!r}")

    def wipe(self) -> None:
        """Lose power and the disk. The next life has an empty one, and is another incarnation."""
        self._die()
        self.disk.wipe()
        self.incarnation = self._new_incarnation()
        self.manifest = {}
        self.wipes += 1
        self.is_rotten = False
        self._tell("loses its disk")

    def _die(self) -> None:
        self.node = None
        self.paused = False
        self._inbox = []
        self._is_due = False
        self._wake_at = self._alarm_at = None
        self._owed = self._stop_in_step = self._ends_at = None
        asked, self._asked = self._asked, {}
        for _, on_answer, _ in asked.values():
            on_answer(None)

    def in_next_step(self, stop: Callable[[], None]) -> None:
        """Let something befall the process in the middle of its next step."""
        if self.node is not None and not self.paused:
            self._stop_in_step = stop

    def pause(self) -> None:
        """Stop the process."""
        if self.node is not None:
            self.paused = True
            self._tell("is stopped")

    def resume(self) -> None:
        """Let it go on, with what it was doing when it was stopped."""
        self._stop_in_step = None
        if not self.paused:
            return
        self.paused = False
        self._tell("goes on")
        owed, self._owed = self._owed, None
        if owed is not None:
            owed.settle(self, len(owed.owed))
        if self.node is not None:
            self._hear(TimePassed())

    # --- hearing ------------------------------------------------------------------------------------------------------

    def receive(self, what: FrameArrived | LinkLost) -> None:
        """A frame arrives from the network, or the news that a connection broke."""
        if self.node is not None and len(self._inbox) < INBOX_MAX:
            self._hear(what)

    def ask(self, handle: int, request: Request, left_ms: int, on_answer: Callable[[Answer | None], None]) -> None:
        """A client's request arrives. `on_answer(None)` if the connection breaks; nothing at all is possible, too."""
        if self.node is None:
            on_answer(Failure.of(NotConnected(f"{self.name} refuses the connection")))
            return
        self._asked[handle] = (request, on_answer, self.now)
        self._hear(Asked(handle, request, Millis(self.clock.monotonic(self.now) + left_ms)))

    def _on_synced(self, ticket: int, duration_ms: float) -> None:
        if self.node is not None:
            self._hear(Persisted(ticket, duration_ms))

    def _on_rows(self, ticket: int) -> None:
        if self.node is not None:
            self._hear(RowsWritten(ticket))

    def _hear(self, event: Event) -> None:
        self._inbox.append(event)
        self._make_due()

    def _make_due(self) -> None:
        if not self._is_due and not self.paused:
            self._is_due = True
            delay = between(self._rng, *self._step_us)
            self._scheduler.after(delay, self.name, "step", self._on_due, self.lives)

    # --- stepping -----------------------------------------------------------------------------------------------------

    def _on_due(self, life: int) -> None:
        if self.node is None or life != self.lives:
            return
        self._is_due = False
        if not self.paused:
            self._step(self.node)

    def _step(self, node: Node) -> None:
        events, self._inbox = self._inbox, []
        self.steps += 1
        self.stepped_at = self.now
        try:
            effects = node.step(self.clock.instant(self.now), events)
        except Exception as error:
            raise NodeBroke(self.name, f"{type(error).__name__}: {error}") from error
        self.watcher.stepped(self, effects)
        if self.node is not node:
            return  # somebody saw the step and pulled the plug
        if self._scheduler.trace.is_told:
            self._tell_step(events, effects)
        if self._stop_in_step is not None:
            self._step_half(effects, self._stop_in_step)
            return
        carry_out(effects, self)
        if self._ends_at is not None and (node.leads_nothing or self.now >= self._ends_at):
            self.end()

    def _step_half(self, effects: Effects, stop: Callable[[], None]) -> None:
        """Carry out a drawn part of the effects; the rest after the process goes on, if it ever does."""
        self._stop_in_step = None
        noted = NotedWorld()
        carry_out(effects, noted)
        noted.settle(self, self._rng.randint(0, len(noted.owed)))
        self._owed = noted
        stop()

    # --- what the node may ask of its world (kvstore.node.world.World) ------------------------------------------------

    def record_founding(self, founding: Founding) -> None:
        self.manifest = dict(founding.members)

    def send(self, peer: NodeId, messages: list[Addressed]) -> None:
        self._network.send(self.name, self.incarnation, peer, messages)

    def persist(self, batch: Batch, ticket: int) -> None:
        self.disk.write(batch, ticket)

    def write_rows(self, rows: Batch, ticket: int) -> None:
        self.disk.write_rows(rows, ticket)

    def reply(self, handle: int, answer: Answer) -> None:
        request, on_answer, asked_at = self._asked.pop(handle)
        self.watcher.replied(self, request, answer, asked_at)
        on_answer(answer)

    def publish_ring(self) -> None:
        """Nobody watches rings here: clients look at them when they need one."""

    def fail(self, reason: str) -> None:
        self._tell(f"gives up: {reason}")
        self._die()
        self.disk.lose_power(torn=False)
        self.failure = reason
        self.watcher.failed(self, reason)

    def wake_me_at(self, when: Millis | None) -> None:
        self._wake_at = None if when is None else self.clock.when(when, self.now)
        self._set_alarm()

    def set_clock_rate(self, rate: int) -> None:
        """The monotonic clock runs faster or slower from now on; the alarm moves along."""
        wanted = self.clock.monotonic(self._wake_at) if self._wake_at is not None else None
        self.clock.set_rate(rate, self.now)
        self.wake_me_at(wanted)

    def _set_alarm(self) -> None:
        """One alarm in the heap is enough, if it is early enough."""
        wake_at = self._wake_at
        if wake_at is None or (self._alarm_at is not None and self._alarm_at <= wake_at):
            return
        self._alarm_at = wake_at
        self._scheduler.post(wake_at, self.name, "alarm", self._on_alarm, self.lives, wake_at)

    def _on_alarm(self, life: int, at: Micros) -> None:
        if life != self.lives or at != self._alarm_at or self.node is None:
            return
        self._alarm_at = None
        if self._wake_at is None or self.paused:
            return
        if self._wake_at > at:
            self._set_alarm()
        elif not self._is_due:
            self._hear(TimePassed())

    # --- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, words: str) -> None:
        self._scheduler.trace.tell(self.now, f"{self.name} {words}")

    def _tell_step(self, events: list[Event], effects: Effects) -> None:
        for event in events:
            if isinstance(event, FrameArrived):
                for group, message in event.messages:
                    self._tell(f"<- {event.sender} [{group}] {message}")
            elif not isinstance(event, TimePassed):
                self._tell(f"<- {event}")
        for peer, messages in effects.send.items():
            for group, message in messages:
                self._tell(f"-> {peer} [{group}] {message}")
        if effects.batch is not None:
            self._tell(f"=> disk #{effects.ticket}, {len(effects.batch.operations)} writes")
        if effects.rows is not None:
            self._tell(f"=> rows #{effects.rows_ticket}, {len(effects.rows.operations)} writes")
        for handle, answer in effects.replies:
            self._tell(f"=> client #{handle} {answer}")


class Unwatched:
    """Nobody looks."""

    def started(self, machine: Machine) -> None:
        """Nothing to see."""

    def stepped(self, machine: Machine, effects: Effects) -> None:
        """Nothing to see."""

    def replied(self, machine: Machine, request: Request, answer: Answer, asked_at: Micros) -> None:
        """Nothing to see."""

    def failed(self, machine: Machine, reason: str) -> None:
        """Nothing to see."""
