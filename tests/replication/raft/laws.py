"""The laws of Raft as an observer who sees every step of every replica, and remembers more than any of them.

Figure 3 of the Raft paper (election safety, append-only, log matching, leader completeness, state machine safety),
what must be on disk before it is said, one vote a term over all lives of a disk, and what readers are promised.
"""

from kvstore.core.entries import Ballot, Entry, LogEnd
from kvstore.core.ids import Index, NodeId, Term
from kvstore.replication.quorum import majority
from kvstore.replication.raft.effects import Effects, Event, ReadRequested, Standing
from kvstore.replication.raft.messages import (
    AppendReply,
    Message,
    SnapshotReply,
    TermReply,
    VoteReply,
    VoteRequest,
)
from tests.lab import Lab, Node, Watch


def must_wait_for_the_disk(message: Message) -> bool:
    """Persist before promise: what may not be among the messages that leave at once."""
    match message:
        case VoteReply(granted=True, pre=False) | VoteRequest(pre=False) | SnapshotReply() | TermReply():
            return True
        case AppendReply(rejected=0):
            return True
    return False


class Laws(Watch):
    """Raises AssertionError, naming the law, at the step that breaks it."""

    def __init__(self) -> None:
        self.leaders: dict[Term, NodeId] = {}
        self.entries: dict[tuple[Term, Index], tuple[Term | None, bytes]] = {}  # and the term of the one before
        self.committed: list[Entry] = []
        self.votes: dict[tuple[NodeId, Term], NodeId] = {}
        self.asked_when: dict[int, int] = {}  # a read's context: how much was committed when it was asked
        self.history: list[tuple[int, int]] = [(0, 0)]  # (our time, committed) whenever it grew
        self.wiped = False  # then "on a majority of disks" cannot be looked up any more

    def stepped(self, lab: Lab, node: Node, event: Event, effects: Effects) -> None:
        for _, message in effects.send:
            assert not must_wait_for_the_disk(message), f"persist before promise: {node.name} sends {message} at once"
        self._log_matching(node, effects)
        if node.alive.is_leader:
            self._leader(node)
        self._state_machine_safety(lab, node, effects)
        self._readers(lab, node, event, effects)

    def left(self, lab: Lab, sender: NodeId, to: NodeId, message: Message) -> None:
        disk = lab.nodes[sender].disk
        match message:
            case VoteReply(term=term, granted=True, pre=False):
                self._vote(sender, term, to, disk.ballot)
            case VoteRequest(term=term, pre=False):
                self._vote(sender, term, sender, disk.ballot)
            case AppendReply(rejected=0, recovering=recovering, match=match):
                assert disk.end.index >= match, f"persist before promise: {sender} has {disk.end}, says {match}"
                assert recovering or disk.standing is Standing.VOTER, f"{sender} is no voter on its disk"
            case TermReply(term=term):
                assert disk.ballot.term >= term, f"persist before promise: {sender} tells an unrecorded term"

    def disk_lost(self, node: NodeId) -> None:
        """Its votes for others stand; the one for itself counted in the memory of its own campaign only."""
        self.wiped = True
        self.votes = {vote: who for vote, who in self.votes.items() if not (vote[0] == who == node)}

    def _vote(self, voter: NodeId, term: Term, candidate: NodeId, ballot: Ballot) -> None:
        recorded = ballot.term > term or ballot == (term, candidate)
        assert recorded, f"persist before promise: {voter} votes for {candidate} in {term}, its disk says {ballot}"
        assert self.votes.setdefault((voter, term), candidate) == candidate, f"one vote a term: {voter} in term {term}"

    def _log_matching(self, node: Node, effects: Effects) -> None:
        log = node.alive.log
        for entry in effects.append:
            known = log.term_at(Index(entry.index - 1)), entry.payload
            same = self.entries.setdefault((entry.term, entry.index), known)
            assert same == known, f"log matching: two entries {entry.index}@{entry.term}"

    def _leader(self, node: Node) -> None:
        """At most one a term, and it holds everything that was committed before."""
        replica = node.alive
        leader = self.leaders.get(replica.term)
        if leader == node.name:
            return
        assert leader is None, f"election safety: {leader} and {node.name} both lead term {replica.term}"
        self.leaders[replica.term] = node.name
        if self.committed and self.committed[-1].index > replica.log_start.index:
            last = self.committed[-1]
            has = replica.log.has(LogEnd(last.term, last.index))
            assert has, f"leader completeness: {node.name} leads term {replica.term} without {last.index}@{last.term}"

    def _state_machine_safety(self, lab: Lab, node: Node, effects: Effects) -> None:
        for entry in effects.committed:
            if entry.index <= len(self.committed):
                known = self.committed[entry.index - 1]
                assert known == entry, f"state machine safety: {node.name} commits {entry}, another {known}"
                continue
            assert entry.index == len(self.committed) + 1, f"{node.name} commits {entry.index} too early"
            if not self.wiped:
                holders = sum(other.disk.term_at(entry.index) == entry.term for other in lab.nodes.values())
                assert holders >= majority(len(lab.nodes)), f"{entry} is committed and on {holders} disks only"
            self.committed.append(entry)
        if effects.committed:
            self.history.append((lab.now, len(self.committed)))

    def _readers(self, lab: Lab, node: Node, event: Event, effects: Effects) -> None:
        replica = node.alive
        if isinstance(event, ReadRequested):
            self.asked_when[event.context] = len(self.committed)
        for context, index in effects.reads_ready:
            asked = self.asked_when[context]
            assert index >= asked, f"stale read: {node.name} answers from {index}, {asked} was committed before it"
        for other in lab.nodes.values():
            if other.replica is not None and other.replica.has_lease(lab.clock(other)):
                behind = len(self.committed) > other.replica.commit
                assert not behind, f"stale lease: {other.name} holds one at {other.replica.commit}"
        if replica.fresh is not None:
            instant, index = replica.fresh
            ours = (instant - node.clock_offset) / node.clock_rate
            before = max(committed for when, committed in self.history if when < ours or committed == 0)
            assert index >= before, f"stale follower: {node.name} is fresh as of {ours} at {index}, not {before}"
