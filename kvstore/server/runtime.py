"""NodeRuntime: the one loop. Events are gathered while the event loop is busy; one step answers all of them.

Everything that happens to a node (frames, calls, the disk's word, time) ends in `submit`; the step runs once per
iteration of the event loop, so whatever arrived together becomes one batch for the disk and one frame per peer.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from random import Random

from kvstore.core.ids import Instant, Millis, NodeId
from kvstore.node.config import NodeConfig
from kvstore.node.effects import Asked, Event, Persisted, RowsWritten, Stopping, TimePassed
from kvstore.node.liveness import Identity
from kvstore.node.node import Node
from kvstore.node.requests import Answer, Request
from kvstore.node.world import carry_out
from kvstore.server.chronicle import Chronicle
from kvstore.server.data_directory import DataDirectory
from kvstore.server.disk_jobs import Completion
from kvstore.server.disk_writer import DiskWriter
from kvstore.server.journal import Journal
from kvstore.server.metrics import Metrics
from kvstore.server.peer_links import PeerLinks
from kvstore.server.real_world import RealWorld
from kvstore.storage.lmdb_engine import LmdbEngine

log = logging.getLogger("kvstore.server")

HAND_OVER_MS_MAX = 3_000
READER_SWEEP_S = 5.0

Reply = Callable[[Answer], None]


class NodeRuntime:
    """One real node on the running event loop, from an open data directory. Doors are opened by `main.py`.

    Raises Corruption or ConfigError for data that this configuration cannot go on with; then nothing was begun.
    """

    def __init__(
        self, config: NodeConfig, directory: DataDirectory, engine: LmdbEngine, journal: Journal | None
    ) -> None:
        self.config, self.directory, self.engine = config, directory, engine
        self.loop = asyncio.get_running_loop()
        self.metrics = Metrics()
        self.ended = self.loop.create_future()
        """Done when the node ends by itself: with the reason."""
        manifest = directory.manifest
        identity = Identity(
            NodeId(config.node.id),
            manifest.incarnation,
            secrets.randbits(63) | 1,
            {str(name): int(number) for name, number in manifest.members.items()},
        )
        self.node = Node(config, identity, engine, self.now(), Random(secrets.randbits(64)))
        self.links = PeerLinks(config, manifest.incarnation, self.submit, self.metrics)
        self._writer = DiskWriter(engine, self._on_disk, journal, self._on_rows)
        world = RealWorld(self, self.links, self._writer)
        self._events: list[Event] = []
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Millis | None = None
        self._handles: dict[int, Reply] = {}
        self._next_handle = 0
        self._ring_watchers: list[Callable[[], None]] = []
        self.unread_bytes = 0
        """Replies that wait for their clients to read them, over all sessions."""
        self.metrics.unread_bytes.set_function(lambda: self.unread_bytes)
        self._sweeper: asyncio.TimerHandle | None = None
        self._chronicle = Chronicle()
        self._world = world
        self.submit(TimePassed())
        self._sweep_readers()

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> Instant:
        """Both clocks. The monotonic one goes on while the process is stopped: leases depend on it."""
        return Instant(Millis(time.monotonic_ns() // 1_000_000), Millis(time.time_ns() // 1_000_000))

    def submit(self, *events: Event) -> None:
        """Things happened; they are part of the next step."""
        self._events += events
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._step)

    def _step(self) -> None:
        if self.ended.done():
            return
        self._scheduled = False
        events, self._events = self._events, []
        self.metrics.steps.inc()
        try:
            carry_out(self.node.step(self.now(), events), self._world)
        except Exception as error:
            log.exception("the node failed in a step")
            self.fail(f"internal error: {error!r}")

    def wake_me_at(self, when: Millis | None) -> None:
        """Arm the timer, unless one is armed that fires early enough: an early TimePassed is harmless."""
        if when is None or (self._timer_at is not None and self._timer_at <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        delay_ms = max(0, when - time.monotonic_ns() // 1_000_000)
        self._timer = self.loop.call_later(delay_ms / 1000, self._ring_alarm)

    def _ring_alarm(self) -> None:
        self._timer_at = self._timer = None
        self.submit(TimePassed())

    def _on_disk(self, completions: list[Completion]) -> None:
        """The writer's word of batches, on the event loop."""
        last = self._last_written(completions)
        if last is None:
            return
        self.metrics.commit_seconds.observe(last.duration_s)
        self.metrics.journal_bytes.set(self.engine.owed_bytes)
        self.submit(Persisted(last.ticket, last.duration_s * 1000))

    def _on_rows(self, completions: list[Completion]) -> None:
        """The same of rows."""
        last = self._last_written(completions)
        if last is None:
            return
        self.metrics.rows_seconds.observe(last.duration_s)
        self.submit(RowsWritten(last.ticket))

    def _last_written(self, completions: list[Completion]) -> Completion | None:
        """None if one of them failed, and then the node ends."""
        failed = next((done for done in completions if done.error is not None), None)
        if failed is None:
            return completions[-1]
        self.fail(f"the disk failed: {failed.error}")
        return None

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, request: Request, deadline_ms: int, reply: Reply) -> None:
        """Put a request to the node; `reply` is called once with the answer, on this loop."""
        self.submit(self.asked(request, deadline_ms, reply))

    def asked(self, request: Request, deadline_ms: int, reply: Reply) -> Asked:
        """The same as an event, for those who submit several at once."""
        self._next_handle += 1
        handle = self._next_handle
        self._handles[handle] = reply
        return Asked(handle, request, Millis(time.monotonic_ns() // 1_000_000 + deadline_ms))

    async def answer(self, request: Request, deadline_ms: int) -> Answer:
        """The same for one who can wait."""
        future: asyncio.Future[Answer] = self.loop.create_future()
        self.ask(request, deadline_ms, lambda answer: None if future.done() else future.set_result(answer))
        return await future

    def reply(self, handle: int, answer: Answer) -> None:
        self._handles.pop(handle)(answer)

    def watch_ring(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` whenever the ring or a leader changed."""
        self._ring_watchers.append(watcher)

    def unwatch_ring(self, watcher: Callable[[], None]) -> None:
        self._ring_watchers.remove(watcher)

    def publish_ring(self) -> None:
        self.metrics.ring_changes.inc()
        self._chronicle.look_at_peers(self.node)
        for watcher in list(self._ring_watchers):
            watcher()

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────

    def fail(self, reason: str) -> None:
        """The node cannot go on."""
        if not self.ended.done():
            log.critical("node %s ends: %s", self.config.node.id, reason)
            self.ended.set_result(reason)

    async def hand_over(self) -> None:
        """Give leaderships away and refuse new requests; returns when that is done, or has taken too long."""
        self.submit(Stopping())
        give_up_at = time.monotonic() + HAND_OVER_MS_MAX / 1000
        while time.monotonic() < give_up_at and not self.ended.done():
            await asyncio.sleep(0.02)
            if not self.links.any_connected or self.node.leads_nothing:
                break

    async def close(self) -> None:
        """Stop stepping, then close links, disk and directory. What was acknowledged is on disk already."""
        if not self.ended.done():
            self.ended.set_result("stopped")
        for timer in (self._timer, self._sweeper):
            if timer is not None:
                timer.cancel()
        await self.links.close()
        await self.loop.run_in_executor(None, self._writer.close)
        self.engine.close()
        self.directory.close()

    def _sweep_readers(self) -> None:
        """The watchdog: an old snapshot pins old pages of the file. And a look around, for the log."""
        self._chronicle.look_at_peers(self.node)
        self._chronicle.look_at_groups(self.node)
        self._chronicle.look_at_siblings(self.node)
        self.engine.close_old_snapshots(self.now().monotonic)
        self.engine.check_disk()
        self._sweeper = self.loop.call_later(READER_SWEEP_S, self._sweep_readers)
