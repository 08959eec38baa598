"""GroupHost: one Raft replica inside a node, its rows on disk, and the state it feeds.

It turns a replica's effects into rows of the tick's batch and messages of the tick's frames. What a committed entry
means is left to the two kinds of host: `partition_host.py` and `metadata_host.py`.
"""

from typing import Protocol

from kvstore.core.entries import Entry, LogEnd
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, Index, Millis, NodeId
from kvstore.node.images import Images
from kvstore.node.tick import Tick
from kvstore.replication.raft.effects import (
    ChunkRead,
    ChunkWanted,
    Compact,
    Effects,
    Event,
    PeerDown,
    PeerUp,
    Persisted,
    Standing,
    TimePassed,
)
from kvstore.replication.raft.messages import SnapshotChunk
from kvstore.replication.raft.replica import RaftReplica
from kvstore.storage import ballot_box, entry_log
from kvstore.storage.engine import Batch
from kvstore.storage.group_places import GroupPlace, put_place


class State(Protocol):
    """What both kinds of state can do."""

    applied: LogEnd

    @property
    def flushed(self) -> LogEnd: ...
    @property
    def is_flushing(self) -> bool: ...
    @property
    def needs_flush(self) -> bool: ...
    @property
    def has_slices(self) -> bool: ...
    @property
    def flush_end(self) -> LogEnd: ...
    def begin_flush(self) -> None: ...
    def flush_slice(self, batch: Batch, rows_max: int) -> int: ...
    def end_slice(self) -> bool: ...


class LogLimits:
    """How much of a flushed log is kept for followers that lag."""

    __slots__ = ("bytes_max", "entries_max")

    def __init__(self, entries_max: int, bytes_max: int) -> None:
        self.entries_max, self.bytes_max = entries_max, bytes_max


class GroupHost:
    """What both kinds of host share: rows, messages, flushes, images and log compaction."""

    def __init__(self, group: GroupId, raft: RaftReplica, place: GroupPlace, images: Images, limits: LogLimits) -> None:
        self.group, self.raft, self.place = group, raft, place
        self._images, self._limits = images, limits
        self.voters: tuple[NodeId, ...] = ()
        self.wake_at: Millis | None = Millis(0)
        self.dirty_since: Millis | None = None
        self.leader_changes = 0
        self.stood_up = False
        """The replica has just recovered from the loss of its disk."""
        self._images_under_way = 0
        """Batches that install an image of ours and are not on disk yet."""
        self._appended_bytes = 0
        self._sizes: list[tuple[Index, int]] = []
        """(flushed index, bytes appended until then): where the log may be cut, and how much that leaves."""

    # ── for the two kinds of host to say ─────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> State | None:
        """None while a fresh image is on its way."""
        raise NotImplementedError

    def _open_state(self) -> None:
        """Read the state of `self.place.data` from the engine."""
        raise NotImplementedError

    def _drop_state(self) -> None:
        """The state is being replaced by an image, or is damaged."""
        raise NotImplementedError

    def _damage(self, tick: Tick, error: Corruption) -> None:
        """A row of our state is damaged."""
        raise NotImplementedError

    def _on_committed(self, tick: Tick, entries: list[Entry]) -> None:
        raise NotImplementedError

    def _on_role_changed(self, tick: Tick) -> None:
        raise NotImplementedError

    def _on_reads(self, tick: Tick, effects: Effects) -> None:
        raise NotImplementedError

    # ── the replica's effects ────────────────────────────────────────────────────────────────────────────────────

    def hear(self, tick: Tick, event: Event) -> Effects:
        """Step the replica and take its effects into the tick."""
        effects = self.raft.step(tick.now.monotonic, event)
        self._persist(tick, effects)
        group = self.group
        for peer, message in effects.send:
            tick.send(group, peer, message)
        for peer, message in effects.promise:
            tick.vow(group, peer, message)
        self.wake_at = effects.wake_at
        if effects.committed and self.state is not None:
            self._on_committed(tick, effects.committed)
        if effects.reads_ready or effects.reads_failed:
            self._on_reads(tick, effects)
        if effects.role_changed:
            self.leader_changes += 1
            tick.effects.ring_changed = True
            self._on_role_changed(tick)
        for wanted in effects.chunks_wanted:
            self._read_chunk(tick, wanted)
        for peer in effects.images_over:
            self._images.close(self.group, peer)
        return effects

    def _persist(self, tick: Tick, effects: Effects) -> None:
        if effects.ballot is not None:
            ballot_box.put_ballot(tick.batch, self.group, effects.ballot)
        if effects.standing is not None:
            self.stood_up = effects.standing == Standing.VOTER
            self.place = self.place.with_standing(effects.standing)
            put_place(tick.batch, self.group, self.place)
        if effects.append or effects.truncate_from is not None:
            entry_log.append(tick.batch, self.group, effects.append, effects.truncate_from)
            for entry in effects.append:
                self._appended_bytes += len(entry.payload)
            if effects.append:
                last = effects.append[-1]
                tick.log_ends[self.group] = LogEnd(last.term, last.index)
        if effects.store_chunk is not None:
            self._store_chunk(tick, effects.store_chunk)
        if effects.install is not None:
            self._install(tick, effects.install)

    def on_persisted(self, tick: Tick, end: LogEnd) -> None:
        """The log is on disk up to this entry (or image)."""
        self.hear(tick, Persisted(end))

    def on_peer_up(self, tick: Tick, peer: NodeId, *, restarted: bool) -> None:
        """A node is heard (again)."""
        self.hear(tick, PeerUp(peer, restarted=restarted))

    def on_peer_down(self, tick: Tick, peer: NodeId) -> None:
        """A node is not heard any more."""
        self.hear(tick, PeerDown(peer))

    def on_time(self, tick: Tick) -> None:
        """The instant `wake_at` has come."""
        self.hear(tick, TimePassed())

    # ── flushing and compaction ──────────────────────────────────────────────────────────────────────────────────

    def flush_piece(self, tick: Tick, rows: Batch, rows_max: int) -> int:
        """Put some more of this group's flush among the rows, beginning one if need be; how many.

        0 if it has to wait: our log must be on disk as far as the rows are. (Others may have decided an entry.)
        """
        assert self.state is not None, "nothing to flush while an image is on its way"
        if not self.state.is_flushing:
            self.state.begin_flush()
            self.dirty_since = None
        if self.raft.persisted < self.state.flush_end.index:
            return 0
        return self.state.flush_slice(rows, rows_max)

    def on_image_stored(self, tick: Tick) -> None:
        """An image of ours is on disk."""
        self._images_under_way -= 1
        if not self._images_under_way:  # no newer one is on its way
            self._open_image(tick)

    def on_slice_done(self, tick: Tick) -> None:
        """A slice of a flush of ours is on disk."""
        if self.state is not None and self.state.is_flushing and self.state.end_slice():
            self._sizes.append((self.state.flushed.index, self._appended_bytes))
            self._compact(tick)

    def _open_image(self, tick: Tick) -> None:
        """The image is the state now. What was committed while it went to the disk is applied to it."""
        self._open_state()
        self._sizes.clear()
        state = self.state
        assert state is not None, "the state was just opened"
        missing = self.raft.log.between(state.applied.index, self.raft.commit)
        if missing:
            self._on_committed(tick, missing)

    def _compact(self, tick: Tick, *, whole: bool = False) -> None:
        """Cut the log where what is left is still as much as the limits allow; `whole`: keep only what must be."""
        assert self.state is not None, "there is a state: it was just flushed"
        flushed = self.state.flushed.index
        cut = flushed if whole else min(flushed, self.raft.last.index - self._limits.entries_max)
        while self._sizes and self._appended_bytes - self._sizes[0][1] > self._limits.bytes_max:
            cut = max(cut, self._sizes.pop(0)[0])
        if cut <= self.raft.log_start.index:
            return
        self.hear(tick, Compact(Index(cut)))
        if self.raft.log_start != self.place.log_start:
            entry_log.compact(tick.batch, self.group, self.raft.log_start.index)
            self.place = self.place.with_log_start(self.raft.log_start)
            put_place(tick.batch, self.group, self.place)

    def reclaim(self, tick: Tick, *, full: bool) -> None:
        """Now and then: remove what is past its time; on a full disk, everything that is not the present."""
        if full and self.state is not None and not self.state.is_flushing:
            self._compact(tick, whole=True)

    # ── images of the whole state ────────────────────────────────────────────────────────────────────────────────

    def _read_chunk(self, tick: Tick, wanted: ChunkWanted) -> None:
        if self.state is None:
            return  # damaged, or being replaced: not one to hand on
        try:
            part = self._images.read(self.group, wanted, self.place.data)
        except Corruption as error:
            self._damage(tick, error)
            return
        if part is not None:
            self.hear(tick, ChunkRead(wanted.peer, part.mark, part.cursor, part.data, part.next_cursor, part.done))

    def _store_chunk(self, tick: Tick, chunk: SnapshotChunk) -> None:
        if not chunk.cursor or not self.place.staging:
            if self.place.staging:
                self._images.doom(tick.batch, self.place.staging)
            self.place = self.place.with_staging(self._images.new_data_id(), chunk.mark)
            put_place(tick.batch, self.group, self.place)
        self._images.store(tick.batch, self.place.staging, chunk.data)

    def _install(self, tick: Tick, mark: LogEnd) -> None:
        self._images.doom(tick.batch, self.place.data)
        entry_log.compact(tick.batch, self.group, mark.index)
        self.place = self.place.installed(mark)
        put_place(tick.batch, self.group, self.place)
        tick.log_ends[self.group] = mark
        tick.after.append(self.group)
        self._images_under_way += 1
        self._drop_state()
