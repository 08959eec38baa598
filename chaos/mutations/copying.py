"""Rules of logs, commitment and images."""

from collections.abc import Callable, Iterable
from typing import Any

from chaos.mutations.patching import Rule, around, instead
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.ids import GroupId, Index, Millis
from kvstore.node.group_host import GroupHost
from kvstore.node.tick import Tick
from kvstore.replication.raft import appending, commitment
from kvstore.replication.raft.effects import Compact, Effects
from kvstore.replication.raft.log import Log
from kvstore.replication.raft.replica import RaftReplica
from kvstore.storage import entry_log
from kvstore.storage.engine import Batch
from kvstore.storage.group_places import GroupPlace, put_place
from kvstore.storage.memory_engine import MemoryEngine


def _own_term_or_not(advance: Callable[..., None]) -> Callable[..., None]:
    def commits_older_terms(replica: RaftReplica, now: Millis, out: Effects) -> None:
        leadership = replica.leadership
        assert leadership is not None, "only a leader counts"
        kept, leadership.first_index = leadership.first_index, Index(0)
        advance(replica, now, out)
        leadership.first_index = kept

    return commits_older_terms


def _unpersisted(advance: Callable[..., None]) -> Callable[..., None]:
    def counts_itself_early(replica: RaftReplica, now: Millis, out: Effects) -> None:
        kept, replica.log.persisted = replica.log.persisted, replica.log.last.index
        advance(replica, now, out)
        replica.log.persisted = kept

    return counts_itself_early


def _beyond_verified(replica: RaftReplica, leader_commit: Index, out: Effects) -> None:
    index = Index(min(leader_commit, replica.log.last.index))
    if index > replica.commit:
        out.committed += replica.log.between(replica.commit, index)
        replica.commit = index


def _acks_all_it_has(on_append_request: Callable[..., None]) -> Callable[..., None]:
    def says_its_whole_log_matches(replica: RaftReplica, now: Millis, sender: Any, request: Any, out: Effects) -> None:
        replica.following.verified = replica.log.last.index
        on_append_request(replica, now, sender, request, out)

    return says_its_whole_log_matches


def _acks_at_once(on_append_request: Callable[..., None]) -> Callable[..., None]:
    def acknowledges_before_the_disk(
        replica: RaftReplica, now: Millis, sender: Any, request: Any, out: Effects
    ) -> None:
        on_append_request(replica, now, sender, request, out)
        out.send += out.promise
        out.promise.clear()

    return acknowledges_before_the_disk


def _any_previous(has: Callable[..., bool]) -> Callable[..., bool]:
    def has_that_index(self: Log, end: LogEnd) -> bool:
        return end.index <= self.last.index

    return has_that_index


def _keeps_conflicts(append: Callable[..., None]) -> Callable[..., None]:
    def never_truncates(batch: Batch, group: GroupId, entries: Iterable[Entry], truncate_from: Index | None) -> None:
        append(batch, group, entries, None)

    return never_truncates


def _without_mark(self: GroupPlace, mark: LogEnd) -> GroupPlace:
    return GroupPlace(self.staging, self.log_start, self.standing)


def _compacts_applied(self: GroupHost, tick: Tick, *, whole: bool = False) -> None:
    state = self.state
    assert state is not None, "there is a state: it was just flushed"
    cut = min(state.applied.index, self.raft.last.index - 4)
    if cut > self.raft.log_start.index:
        self.hear(tick, Compact(Index(cut)))
        entry_log.compact(tick.batch, self.group, self.raft.log_start.index)
        self.place = self.place.with_log_start(self.raft.log_start)
        put_place(tick.batch, self.group, self.place)


class _Live:
    """Looks at the engine itself, as it is at every moment."""

    def __init__(self, engine: MemoryEngine) -> None:
        self.get, self.scan = engine.get, engine.scan

    def close(self) -> None:
        """There is nothing to close."""


RULES = (
    Rule(
        "own-term-commits",
        "Only entries of the leader's own term are committed by counting.",
        around(commitment, "advance", _own_term_or_not),
    ),
    Rule(
        "leader-counts-its-disk",
        "The leader counts its own log only as far as it is on disk.",
        around(commitment, "advance", _unpersisted),
    ),
    Rule(
        "follower-acks-its-disk",
        "An append is answered when it is on disk.",
        around(appending, "on_append_request", _acks_at_once),
    ),
    Rule(
        "acks-what-matches",
        "A follower acknowledges only what equals the leader's log.",
        around(appending, "on_append_request", _acks_all_it_has),
    ),
    Rule(
        "commits-what-matches",
        "A follower commits only what equals the leader's log.",
        instead(commitment, "learn", _beyond_verified),
    ),
    Rule(
        "logs-match", "Entries are taken only behind the entry that precedes them.", around(Log, "has", _any_previous)
    ),
    Rule("conflicts-go", "A suffix that lost is deleted from disk.", around(entry_log, "append", _keeps_conflicts)),
    Rule(
        "image-has-its-mark",
        "An installed image is the log up to its mark.",
        instead(GroupPlace, "installed", _without_mark),
    ),
    Rule("image-is-an-instant", "All parts of an image show one instant.", instead(MemoryEngine, "snapshot", _Live)),
    Rule(
        "cut-only-what-is-flushed",
        "The log is cut only as far as the state is on disk.",
        instead(GroupHost, "_compact", _compacts_applied),
    ),
)
