"""When a follower is too far behind to stream, or its state is damaged: send the state itself (thesis §5).

The leader's node reads its state in chunks (`chunks_wanted`, `ChunkRead`); each travels alone, is on the follower's
disk before it is acknowledged, and is sent again after a silence. The follower collects them in a staging image,
under the mark and term of the sender; the last one installs it. A transfer goes on at the acknowledged cursor after
a cut; a new leader, or a follower that was restarted, begins again.
"""

from typing import TYPE_CHECKING

from kvstore.core.entries import LogEnd
from kvstore.core.ids import Index, Millis, NodeId, Term
from kvstore.replication.raft import commitment, contact, following, quiescing, recovery
from kvstore.replication.raft.effects import ChunkRead, ChunkWanted, Effects, Standing
from kvstore.replication.raft.leadership import Leadership
from kvstore.replication.raft.messages import AppendReply, SnapshotChunk, SnapshotReply
from kvstore.replication.raft.progress import News, Pace, Progress, Transfer

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica


# --- leader -----------------------------------------------------------------------------------------------------------


def begin(replica: "RaftReplica", now: Millis, progress: Progress, out: Effects) -> None:
    """The entries it needs are gone: open an image for it, and stop sending entries until it is there."""
    progress.turn(News.BEHIND)
    _open(replica, now, progress, replica.log.start.index, out)


def mend(replica: "RaftReplica", now: Millis, progress: Progress, at_least: Index, out: Effects) -> None:
    """Its state is damaged, its log may be fine: send an image while entries go on as before."""
    leadership = replica.leadership
    if leadership is not None and leadership.quiescing_since is not None:
        quiescing.wake(replica, now, out)
    progress.needs_image = at_least
    _open(replica, now, progress, at_least, out)


def _open(replica: "RaftReplica", now: Millis, progress: Progress, at_least: Index, out: Effects) -> None:
    """Begin a transfer, unless one is under way that will do."""
    transfer = progress.transfer
    if transfer is None or (transfer.mark is not None and transfer.mark.index < at_least):
        progress.transfer = Transfer(now)
        _ask(replica, progress, progress.transfer, out)


def _ask(replica: "RaftReplica", progress: Progress, transfer: Transfer, out: Effects) -> None:
    at_least = Index(max(replica.log.start.index, progress.needs_image or 0))
    out.chunks_wanted.append(ChunkWanted(progress.peer, transfer.mark, transfer.cursor, at_least))


def on_chunk_read(replica: "RaftReplica", now: Millis, event: ChunkRead, out: Effects) -> None:
    """Our node has read what we asked for: send it."""
    leadership = replica.leadership
    transfer = leadership.progress[event.peer].transfer if leadership is not None else None
    if transfer is None:
        out.images_over.append(event.peer)
        return
    if event.mark != transfer.mark:
        if event.cursor:
            return  # of an image that we no longer send
        transfer.mark, transfer.cursor = event.mark, b""
    if event.cursor != transfer.cursor:
        return  # late: the follower has that part
    transfer.moved_at = transfer.sent_at = now
    chunk = SnapshotChunk(
        replica.ballot.term, event.mark, event.cursor, event.data, event.next_cursor, event.done, sent_at=now
    )
    out.send.append((event.peer, chunk))


def on_snapshot_reply(replica: "RaftReplica", now: Millis, sender: NodeId, reply: SnapshotReply, out: Effects) -> None:
    """The follower has a part, or the whole."""
    leadership = replica.leadership
    if leadership is None:
        return
    progress = leadership.progress[sender]
    if not contact.take_note(replica, now, leadership, progress, reply):
        return
    transfer = progress.transfer
    if transfer is None or reply.mark != transfer.mark or reply.sent_at < transfer.sent_at:
        return
    transfer.heard_at = now
    if reply.done:
        progress.needs_image = None
        progress.accept(now, Index(max(progress.match, reply.mark.index)))
        close(progress, News.INSTALLED, out)
    elif reply.cursor != transfer.cursor:
        transfer.cursor = reply.cursor
        transfer.moved_at = now
        _ask(replica, progress, transfer, out)


def consider(replica: "RaftReplica", progress: Progress, out: Effects) -> None:
    """It got on without the image it waited for, perhaps because the answer to the last chunk was lost."""
    if progress.pace is Pace.SNAPSHOT and progress.needs_image is None and progress.match >= replica.log.start.index:
        close(progress, News.INSTALLED, out)


def close(progress: Progress, news: News, out: Effects) -> None:
    """No more chunks for this follower."""
    progress.transfer = None
    progress.turn(news)
    out.images_over.append(progress.peer)


def tick(replica: "RaftReplica", now: Millis, leadership: Leadership, out: Effects) -> None:
    """Repeat what may have been lost; give up on who stays silent."""
    settings = replica.settings
    for progress in leadership.followers:
        transfer = progress.transfer
        if transfer is None:
            continue
        if now - transfer.heard_at >= settings.snapshot_patience_ms:
            close(progress, News.GIVEN_UP, out)
            progress.probed_at = now  # its next answer to a heartbeat begins anew
        elif now - transfer.moved_at >= settings.snapshot_retry_ms:
            transfer.moved_at = now
            _ask(replica, progress, transfer, out)


# --- follower ---------------------------------------------------------------------------------------------------------


class Staging:
    """The image that is being received."""

    __slots__ = ("cursor", "mark", "term")

    def __init__(self, mark: LogEnd, term: Term) -> None:
        self.mark = mark
        self.term = term
        self.cursor = b""  # wanted next


def needs_image(replica: "RaftReplica") -> Index | None:
    """From where on an image would do: it must reach our log, or entries we promised to keep would be lost."""
    return replica.log.start.index if replica.damaged else None


def ask_for_image(replica: "RaftReplica", now: Millis, out: Effects) -> None:
    """Tell the leader without being asked that we are damaged."""
    if replica.leader is None or replica.is_leader:
        return
    out.promise.append(
        (
            replica.leader,
            AppendReply(
                replica.ballot.term,
                replica.following.verified,
                Millis(0),
                following.my_clock(replica, now),
                recovering=replica.standing is Standing.RECOVERING,
                needs_image=needs_image(replica),
            ),
        )
    )


def on_snapshot_chunk(replica: "RaftReplica", now: Millis, sender: NodeId, chunk: SnapshotChunk, out: Effects) -> None:
    """Store it if it is the next one; the last one installs the image."""
    following.hear_leader(replica, now, sender, out)
    if _has_it_already(replica, chunk.mark, out):
        _reply(replica, now, sender, chunk, b"", True, out)
        return
    log = replica.log
    if chunk.mark.index < log.start.index or (log.has(chunk.mark) and log.persisted < chunk.mark.index):
        return  # too old for us; or our disk is behind: its word about the mark could mean our own entry there
    staging = replica.staging
    if staging is None or staging.mark != chunk.mark or staging.term != chunk.term:
        if chunk.cursor:
            _reply(replica, now, sender, chunk, b"", False, out)  # we lack the beginning
            return
        staging = replica.staging = Staging(chunk.mark, chunk.term)
    done = False
    if chunk.cursor == staging.cursor:
        out.store_chunk = chunk
        staging.cursor = chunk.next_cursor
        if chunk.done:
            done = True
            _install(replica, now, chunk.mark, out)
    _reply(replica, now, sender, chunk, staging.cursor, done, out)
    if done:
        recovery.consider(replica, now, out)


def _has_it_already(replica: "RaftReplica", mark: LogEnd, out: Effects) -> bool:
    """Whether our log gets us to the mark by itself: the mark is committed, so all of an equal log up to it is."""
    if replica.damaged:
        return False
    if mark.index > replica.commit and replica.log.has(mark):
        replica.following.verified = max(replica.following.verified, mark.index)
        commitment.learn(replica, mark.index, out)
    return replica.commit >= mark.index


def _install(replica: "RaftReplica", now: Millis, mark: LogEnd, out: Effects) -> None:
    """The state is now that of the mark. What our log has after it stays if the logs are equal there (thesis §5.3)."""
    log = replica.log
    if not log.has(mark):
        if log.last.index > mark.index:
            out.truncate_from = Index(mark.index + 1)
        replica.following.verified = mark.index
    log.install(mark)
    out.install = replica.installing = mark
    replica.commit = mark.index  # perhaps back to it: what follows the mark will be delivered again
    replica.staging = None
    if replica.damaged:
        replica.damaged = False
        following.be_patient(replica, now)  # no longer more than others


def _reply(
    replica: "RaftReplica",
    now: Millis,
    leader: NodeId,
    chunk: SnapshotChunk,
    cursor: bytes,
    done: bool,
    out: Effects,
) -> None:
    """Persist before promise: it leaves when the chunk, or the installed image, is on disk."""
    reply = SnapshotReply(
        replica.ballot.term,
        chunk.mark,
        cursor,
        done,
        chunk.sent_at,
        following.my_clock(replica, now),
        recovering=replica.standing is Standing.RECOVERING,
    )
    out.promise.append((leader, reply))
