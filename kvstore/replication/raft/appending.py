"""Sending entries, accepting them, and finding where two logs meet (thesis §3.5, §10.2.1 pipelining)."""

from typing import TYPE_CHECKING

from kvstore.core.entries import Entry, LogEnd
from kvstore.core.ids import Index, Millis, NodeId
from kvstore.replication.raft import commitment, contact, following, quiescing, recovery, snapshotting, transferring
from kvstore.replication.raft.effects import Effects, Propose, Standing
from kvstore.replication.raft.leadership import Leadership
from kvstore.replication.raft.messages import AppendReply, AppendRequest
from kvstore.replication.raft.progress import News, Pace, Progress

if TYPE_CHECKING:
    from kvstore.replication.raft.replica import RaftReplica

# --- leader -----------------------------------------------------------------------------------------------------------


def on_propose(replica: "RaftReplica", now: Millis, proposal: Propose, out: Effects) -> None:
    """Take payloads into the log and send them on; our own disk works at the same time (§10.2.1)."""
    leadership = replica.leadership
    if leadership is None or leadership.handover is not None or replica.damaged:
        out.refused = True
        return
    payloads = proposal.payloads
    if leadership.uncommitted_bytes >= replica.settings.uncommitted_bytes_max:
        out.refused = out.overloaded = True
        return
    if leadership.quiescing_since is not None:
        quiescing.wake(replica, now, out)
    leadership.idle_since = now
    term, index = replica.ballot.term, Index(replica.log.last.index + 1)
    entries = [Entry(term, Index(i), payload) for i, payload in enumerate(payloads, index)]
    leadership.uncommitted_bytes += sum(map(len, payloads))
    out.accepted = (term, index)
    enlist(replica, now, leadership, entries, out)


def enlist(replica: "RaftReplica", now: Millis, leadership: Leadership, entries: list[Entry], out: Effects) -> None:
    """Write entries of our own and send them to everyone whose window is open."""
    replica.log.extend(entries)
    out.append = entries
    for progress in leadership.followers:
        send_more(replica, now, leadership, progress, out)


def send_more(replica: "RaftReplica", now: Millis, leadership: Leadership, progress: Progress, out: Effects) -> None:
    """Send a follower what it lacks, as far as its pace and its window allow."""
    log, settings = replica.log, replica.settings
    last = log.last.index
    if progress.pace is Pace.STREAM:
        while (
            progress.next <= last
            and len(progress.window) < settings.inflight_appends_max
            and progress.window_bytes < settings.inflight_bytes_max
        ):
            if progress.next <= log.start.index:
                snapshotting.begin(replica, now, progress, out)
                return
            progress.sent(now, *_send(replica, now, leadership, progress, out))
    elif progress.pace is Pace.PROBE and progress.probed_at is None:
        if progress.next <= log.start.index:
            snapshotting.begin(replica, now, progress, out)
            return
        progress.probed_at = now
        _send(replica, now, leadership, progress, out)


def _send(
    replica: "RaftReplica", now: Millis, leadership: Leadership, progress: Progress, out: Effects
) -> tuple[Index, int]:
    """One message with what comes next. Returns its last index and its bytes."""
    log = replica.log
    before = Index(progress.next - 1)
    entries, size = log.batch_after(before, replica.settings.append_bytes_max)
    term_before = log.term_at(before)
    assert term_before is not None, f"entry {before} was compacted and cannot be sent"
    request = AppendRequest(
        replica.ballot.term,
        LogEnd(term_before, before),
        entries,
        replica.commit,
        now,
        progress.at if now < leadership.lease_until and replica.has_lease(now) else None,
    )
    out.send.append((progress.peer, request))
    return Index(before + len(entries)), size


def on_append_reply(replica: "RaftReplica", now: Millis, sender: NodeId, reply: AppendReply, out: Effects) -> None:
    """A follower has our entries on disk, or lacks the one before them."""
    leadership = replica.leadership
    if leadership is None:
        return
    progress = leadership.progress[sender]
    if not contact.take_note(replica, now, leadership, progress, reply):
        return
    if reply.rejected:
        _step_back(replica, progress, reply)
    else:
        acknowledge(replica, now, progress, reply.match, out)
    if reply.needs_image is not None:
        snapshotting.mend(replica, now, progress, reply.needs_image, out)
    if progress.next <= replica.log.last.index or progress.pace is Pace.PROBE:
        send_more(replica, now, leadership, progress, out)


def acknowledge(replica: "RaftReplica", now: Millis, progress: Progress, match: Index, out: Effects) -> None:
    """The follower has everything up to `match` on its disk."""
    if match > replica.log.last.index:
        return  # of a log that we do not have: no follower of this term can say so
    if match > progress.match or progress.recovering:
        progress.accept(now, match)
        if match > replica.commit and not progress.recovering:
            commitment.advance(replica, now, out)
        if progress.pace is Pace.SNAPSHOT:
            snapshotting.consider(replica, progress, out)
        transferring.consider(replica, progress, out)
    elif progress.pace is Pace.PROBE:
        progress.turn(News.ACCEPTED)


def _step_back(replica: "RaftReplica", progress: Progress, reply: AppendReply) -> None:
    """The logs differ at `rejected`: go back to where they may meet (§5.3), and ask there."""
    if progress.recovering:
        progress.match = Index(0)
    if reply.rejected <= progress.match or progress.pace is Pace.SNAPSHOT:
        return  # late: we know better by now
    if progress.pace is Pace.PROBE and reply.rejected != progress.next - 1:
        return  # late: an answer to an earlier probe, or to what we sent before it
    if progress.pace is Pace.STREAM and reply.match < progress.match:
        return  # late: it has more since; without this, every message after a lost one would make us start over
    progress.turn(News.REJECTED)
    log, hint = replica.log, reply.hint
    meet = log.meeting_point(hint).index if hint.index >= log.start.index else hint.index
    progress.probed_at = None
    progress.next = Index(max(progress.match, meet) + 1)


# --- follower ---------------------------------------------------------------------------------------------------------


def on_append_request(
    replica: "RaftReplica", now: Millis, sender: NodeId, request: AppendRequest, out: Effects
) -> None:
    """Take the leader's entries, if our log has the one before them."""
    following.hear_leader(replica, now, sender, out)
    log, state = replica.log, replica.following
    previous, entries = request.previous, request.entries
    if previous.index > log.start.index and not log.has(previous):
        # Log matching (§5.3): "the follower refuses the new entries" if it lacks the one before.
        out.send.append((sender, _rejection(replica, now, request)))
        return
    end = Index(previous.index + len(entries))
    if entries and previous.index == log.last.index:
        out.append = list(entries)
        log.extend(out.append)
    elif end > log.start.index:
        _merge(replica, entries, out)
    if end > state.verified:
        state.verified = end
    if request.commit > replica.commit:
        commitment.learn(replica, request.commit, out)
    following.learn_freshness(replica, now, request.echo, request.commit)
    # Persist before promise: this reply leaves when everything up to `verified` is on disk.
    out.promise.append(
        (
            sender,
            AppendReply(
                replica.ballot.term,
                state.verified,
                request.sent_at,
                following.my_clock(replica, now),
                recovering=replica.standing is Standing.RECOVERING,
                needs_image=snapshotting.needs_image(replica),
            ),
        )
    )
    if replica.recovery is not None:
        recovery.consider(replica, now, out)


def _merge(replica: "RaftReplica", entries: tuple[Entry, ...], out: Effects) -> None:
    """Entries that overlap with ours: what is equal stays, a suffix that differs goes (§5.3)."""
    log = replica.log
    for position, entry in enumerate(entries):
        if entry.index <= log.start.index:
            continue  # compacted: committed, hence equal
        term = log.term_at(entry.index)
        if term == entry.term:
            continue
        if term is not None:
            assert entry.index > replica.commit, f"entry {entry.index} is committed and must not change"
            log.truncate(entry.index)
            out.truncate_from = entry.index
        out.append = list(entries[position:])
        log.extend(out.append)
        return


def _rejection(replica: "RaftReplica", now: Millis, request: AppendRequest) -> AppendReply:
    log, previous = replica.log, request.previous
    return AppendReply(
        replica.ballot.term,
        replica.following.verified,
        request.sent_at,
        following.my_clock(replica, now),
        rejected=previous.index,
        hint=log.meeting_point(previous),
        recovering=replica.standing is Standing.RECOVERING,
        needs_image=snapshotting.needs_image(replica),
    )
