"""RaftReplica: who hears what. Dispatch, and the become_* methods."""

from collections.abc import Iterable
from enum import Enum
from random import Random
from typing import assert_never

from kvstore.core.entries import Ballot, Entry, LogEnd
from kvstore.core.ids import GroupId, Index, Millis, NodeId, Term
from kvstore.replication.raft import (
    appending,
    commitment,
    election,
    following,
    heartbeating,
    quiescing,
    reading,
    recovery,
    snapshotting,
    transferring,
)
from kvstore.replication.raft.effects import (
    ChunkRead,
    Compact,
    Damaged,
    Effects,
    Event,
    PeerDown,
    PeerUp,
    Persisted,
    Propose,
    ReadRequested,
    Received,
    Standing,
    TimePassed,
    TransferLeadership,
)
from kvstore.replication.raft.election import Campaign
from kvstore.replication.raft.following import Following
from kvstore.replication.raft.leadership import Leadership
from kvstore.replication.raft.log import Log
from kvstore.replication.raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    HeartbeatReply,
    Message,
    RecoveryQuery,
    RecoveryReply,
    SnapshotChunk,
    SnapshotReply,
    TermQuery,
    TermReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from kvstore.replication.raft.progress import PeerStatus
from kvstore.replication.raft.recovery import Recovery
from kvstore.replication.raft.settings import RaftSettings
from kvstore.replication.raft.snapshotting import Staging


class Role(Enum):
    """What a replica is at the moment."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class RaftReplica:
    """One node's copy of one group, as a function from events to effects. It owns no clock, disk, socket or dice."""

    __slots__ = (
        "ballot",
        "campaign",
        "commit",
        "damaged",
        "down",
        "following",
        "group",
        "installing",
        "leader",
        "leadership",
        "log",
        "me",
        "peers",
        "preferred_leader",
        "quiesced",
        "recovery",
        "rng",
        "role",
        "settings",
        "staging",
        "standing",
        "voters",
        "wake_at",
    )

    def __init__(
        self,
        *,
        me: NodeId,
        group: GroupId,
        voters: tuple[NodeId, ...],
        settings: RaftSettings,
        ballot: Ballot,
        log_start: LogEnd,
        entries: Iterable[Entry],
        standing: Standing,
        now: Millis,
        rng: Random,
        preferred_leader: NodeId | None = None,
    ) -> None:
        """`log_start` is the last entry compacted away (its state is in the state machine); `entries` follow it.

        The commit index starts at `log_start`; entries after it are delivered again as they prove to be committed.
        The first event should be TimePassed, whose effects tell when to wake us.
        """
        assert me in voters, f"{me} is not a voter of group {group}"
        self.me = me
        self.group = group
        self.voters = voters
        self.peers = tuple(node for node in voters if node != me)
        self.settings = settings
        self.rng = rng
        self.preferred_leader = preferred_leader

        self.ballot = ballot
        self.standing = standing
        self.log = Log(log_start, entries)
        self.commit: Index = log_start.index

        self.role = Role.FOLLOWER
        self.leader: NodeId | None = None
        self.campaign: Campaign | None = None
        self.leadership: Leadership | None = None
        self.staging: Staging | None = None
        self.installing: LogEnd | None = None  # the mark of an image that is on its way to our disk
        self.recovery = Recovery(rng.getrandbits(62), now) if standing is Standing.RECOVERING else None
        self.damaged = False
        self.quiesced = False
        self.down: set[NodeId] = set()  # peers whose node is not heard; only ever asked for membership
        self.wake_at: Millis | None = now
        self.following = Following(now, rng.getrandbits(60), self.commit)
        following.be_patient(self, now)

    # --- what others may know -----------------------------------------------------------------------------------------

    @property
    def term(self) -> Term:
        return self.ballot.term

    @property
    def is_leader(self) -> bool:
        return self.leadership is not None

    @property
    def last(self) -> LogEnd:
        return self.log.last

    @property
    def log_start(self) -> LogEnd:
        return self.log.start

    @property
    def persisted(self) -> Index:
        """Up to where our own disk has the log, as far as we were told."""
        return self.log.persisted

    @property
    def stored_on_all(self) -> Index:
        """Leader: up to where every voter has the log on disk. Others cannot know: 0."""
        if self.leadership is None:
            return Index(0)
        return min([Index(0) if p.recovering else p.match for p in self.leadership.followers] + [self.log.persisted])

    def replicas_with(self, index: Index) -> int:
        """Leader: how many replicas, ourselves included, are known to have this entry on disk."""
        if self.leadership is None:
            return 0
        others = sum(progress.match >= index and not progress.recovering for progress in self.leadership.followers)
        return others + (self.log.persisted >= index)

    def has_lease(self, now: Millis) -> bool:
        """Whether nobody else can have been elected by now, so that our commit index is everyone's."""
        leadership = self.leadership
        return (
            leadership is not None
            and now < leadership.lease_until
            and self.commit >= leadership.first_index
            and leadership.handover is None
            and not leadership.forfeited
        )

    @property
    def lease_until(self) -> Millis | None:
        return None if self.leadership is None else self.leadership.lease_until

    @property
    def fresh(self) -> tuple[Millis, Index] | None:
        """(instant of our clock, index): nothing above the index had been acknowledged to anyone at that instant."""
        state = self.following
        return None if state.fresh_at is None else (state.fresh_at, state.fresh_index)

    def followers(self) -> list[PeerStatus]:
        """Leader: what it believes of the others, in voter order."""
        if self.leadership is None:
            return []
        return [progress.status(progress.peer in self.down) for progress in self.leadership.followers]

    def __str__(self) -> str:
        words = [f"{self.me}@{self.term} {self.role.value} log={self.last} commit={self.commit}"]
        if self.log.start.index:
            words.append(f"start={self.log.start}")
        if self.log.persisted != self.last.index:
            words.append(f"persisted={self.log.persisted}")
        if self.leader is not None and not self.is_leader:
            words.append(f"leader={self.leader}")
        states = (self.recovery is not None, "recovering"), (self.damaged, "damaged"), (self.quiesced, "quiet")
        return " ".join(words + [word for holds, word in states if holds])

    def next_tick(self, now: Millis) -> Millis:
        """The next multiple of the heartbeat interval: all groups of a node tick at once, in one frame per peer."""
        interval = self.settings.heartbeat_ms
        return Millis((now // interval + 1) * interval)

    # --- who hears what -----------------------------------------------------------------------------------------------

    def step(self, now: Millis, event: Event) -> Effects:
        """Take one event at an instant of the monotonic clock; say what the world owes us for it."""
        out = Effects()
        match event:
            case Received(sender=sender, message=message):
                if sender in self.peers:
                    self._hear(now, sender, message, out)
            case Persisted(end=end):
                self._on_persisted(now, end, out)
            case Propose():
                appending.on_propose(self, now, event, out)
            case ReadRequested():
                reading.on_read_requested(self, now, event, out)
            case TimePassed():
                self._on_time_passed(now, out)
            case Compact(upto=upto):
                self._on_compact(upto)
            case ChunkRead():
                snapshotting.on_chunk_read(self, now, event, out)
            case TransferLeadership():
                transferring.on_transfer_leadership(self, now, event, out)
            case PeerUp():
                quiescing.on_peer_up(self, now, event, out)
            case PeerDown():
                quiescing.on_peer_down(self, now, event, out)
            case Damaged():
                self._on_damaged(now, out)
            case _:
                assert_never(event)
        out.wake_at = self.wake_at
        return out

    def _hear(self, now: Millis, sender: NodeId, message: Message, out: Effects) -> None:
        """First the messages that follow their own rules about terms; for all others the term is checked here."""
        match message:
            case VoteRequest():
                election.on_vote_request(self, now, sender, message, out)
                return
            case VoteReply():
                election.on_vote_reply(self, now, sender, message, out)
                return
            case TermQuery():
                recovery.on_term_query(self, now, sender, message, out)
                return
            case TermReply():
                recovery.on_term_reply(self, now, sender, message, out)
                return
        if message.term != self.ballot.term:
            if message.term < self.ballot.term:
                # §5.1: "if a server receives a request with a stale term number, it rejects the request".
                if isinstance(message, (AppendRequest, Heartbeat, SnapshotChunk)):
                    out.send.append((sender, self._too_old()))
                return
            # §5.1: "if one server's current term is smaller than the other's, then it updates its current term".
            self.become_follower(now, out, message.term, None)
        self._hear_of_this_term(now, sender, message, out)

    def _hear_of_this_term(self, now: Millis, sender: NodeId, message: Message, out: Effects) -> None:
        match message:
            case AppendReply():
                appending.on_append_reply(self, now, sender, message, out)
            case AppendRequest():
                appending.on_append_request(self, now, sender, message, out)
            case HeartbeatReply():
                heartbeating.on_heartbeat_reply(self, now, sender, message, out)
            case Heartbeat():
                heartbeating.on_heartbeat(self, now, sender, message, out)
            case SnapshotReply():
                snapshotting.on_snapshot_reply(self, now, sender, message, out)
                if self.leadership is not None:
                    appending.send_more(self, now, self.leadership, self.leadership.progress[sender], out)
            case SnapshotChunk():
                snapshotting.on_snapshot_chunk(self, now, sender, message, out)
            case TimeoutNow():
                election.on_timeout_now(self, now, out)
            case RecoveryQuery():
                recovery.on_recovery_query(self, now, sender, message, out)
            case RecoveryReply():
                recovery.on_recovery_reply(self, now, message, out)
            case _:
                raise AssertionError(f"{type(message).__name__} follows its own rules about terms")

    def _too_old(self) -> AppendReply:
        """Tells a leader of an earlier term about ours. It answers nothing: zero instants, nothing matched."""
        lost = self.standing is Standing.RECOVERING
        return AppendReply(self.ballot.term, Index(0), Millis(0), Millis(0), rejected=Index(1), recovering=lost)

    def _on_time_passed(self, now: Millis, out: Effects) -> None:
        if self.wake_at is None or now < self.wake_at:
            return
        if self.leadership is not None:
            heartbeating.tick(self, now, out)
        elif self.recovery is not None:
            recovery.tick(self, now, out)
        else:
            election.lose_patience(self, now, out)

    def _on_persisted(self, now: Millis, end: LogEnd, out: Effects) -> None:
        news = self.log.settle(end)
        if self.installing is not None and not self.log.awaits(self.installing):
            self.installing, news = None, True
        if not news:
            return
        if self.leadership is not None:
            commitment.advance(self, now, out)
        elif self.recovery is not None:
            recovery.consider(self, now, out)

    def _on_compact(self, upto: Index) -> None:
        """What is not committed, or not on disk, is not for the state machine to call durable."""
        self.log.compact(min(upto, self.commit, self.log.persisted))

    def _on_damaged(self, now: Millis, out: Effects) -> None:
        """Somebody else must lead, and send us an image."""
        if self.damaged:
            return
        self.damaged = True
        if self.leadership is None:
            quiescing.wake(self, now, out)
            following.be_patient(self, now)
            snapshotting.ask_for_image(self, now, out)
            return
        transferring.on_transfer_leadership(self, now, TransferLeadership(None), out)
        if self.leadership.handover is None:
            self.become_follower(now, out, self.ballot.term, None)

    # --- the only places where the role changes -----------------------------------------------------------------------

    def become_follower(self, now: Millis, out: Effects, term: Term, leader: NodeId | None) -> None:
        """Follow the leader of a term, or nobody for now. A term we have not seen comes without a vote."""
        assert term >= self.ballot.term, f"terms never fall: {self.ballot.term} to {term}"
        if term > self.ballot.term:
            self.ballot = out.ballot = Ballot(term, None)
            self.following.verified = self.commit  # what is committed is in every later leader's log
        if self.leadership is not None:
            reading.fail_all(self.leadership, out)
            out.images_over += [p.peer for p in self.leadership.followers if p.transfer is not None]
            self.leadership = None
        self.campaign = None
        if self.role is not Role.FOLLOWER or self.quiesced:
            self.quiesced = False
            following.be_patient(self, now)
        self._enter(Role.FOLLOWER, leader, out)

    def become_candidate(self, now: Millis, out: Effects, attempt: Campaign) -> None:
        """Ask for votes, or first (`pre`) whether there would be any."""
        assert self.leadership is None, "a leader does not campaign"
        assert self.standing is Standing.VOTER, "a replica that lost its disk does not campaign"
        if not attempt.pre:
            self.following.verified = self.commit
        self.campaign = attempt
        self.quiesced = False
        following.be_patient(self, now)
        self._enter(Role.PRE_CANDIDATE if attempt.pre else Role.CANDIDATE, None, out)

    def become_leader(self, now: Millis, out: Effects) -> None:
        """The election is won: speak up with an empty entry, whose commit carries all earlier ones (§5.4.2, §8)."""
        assert self.role is Role.CANDIDATE, f"a {self.role.value} cannot become leader"
        self.campaign = None
        first = Index(self.log.last.index + 1)
        self.wake_at = self.next_tick(now)
        self.leadership = leadership = Leadership(self.peers, first, now)
        leadership.uncommitted_bytes = sum(len(e.payload) for e in self.log.between(self.commit, self.log.last.index))
        self._enter(Role.LEADER, self.me, out)
        appending.enlist(self, now, leadership, [Entry(self.ballot.term, first, b"")], out)

    def _enter(self, role: Role, leader: NodeId | None, out: Effects) -> None:
        out.role_changed |= role is not self.role or leader != self.leader
        self.role = role
        self.leader = leader
