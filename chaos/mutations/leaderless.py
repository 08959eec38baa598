"""Rules of leaderless replicas: who must have what on disk, what is merged, dots, repair, anti-entropy."""

from collections.abc import Callable
from functools import partial
from typing import Any

from chaos.mutations.patching import Rule, always, around, instead, never
from kvstore.core.causality import Context, Dot, Sibling, Versions, after_write
from kvstore.core.entries import Entry, LogEnd
from kvstore.core.ids import Index, NodeId
from kvstore.node import quorum_tree
from kvstore.node.liveness import Identity
from kvstore.node.quorum_host import QuorumHost
from kvstore.node.quorum_state import QuorumState
from kvstore.node.tick import Tick
from kvstore.replication.leaderless import writes
from kvstore.replication.leaderless.effects import Effects
from kvstore.replication.leaderless.reads import Read, Reads
from kvstore.replication.leaderless.replica import LeaderlessReplica
from kvstore.storage import entry_log


def _on_disk_already(self: LeaderlessReplica) -> Index:
    return self.persisted


def _overwrites(known: Versions, sibling: Sibling, context: Context) -> Versions:
    return Versions(after_write(known, sibling, context).context, (sibling,))


def _believes(self: LeaderlessReplica, key: bytes, known: Versions, heard: Versions) -> Versions:
    return heard


def _same_actor(init: Callable[..., None]) -> Callable[..., None]:
    def is_who_it_was(self: LeaderlessReplica, *, me: NodeId, actor: int, **others: Any) -> None:
        init(self, me=me, actor=int.from_bytes(me.encode(), "big"), **others)

    return is_who_it_was


def _has_seen_all(after: Versions, dot: Dot) -> Context:
    return after.context


def _does_not_repair(
    self: Reads, replica: LeaderlessReplica, now: Any, read: Read, ours: Any, lacking: Any, out: Effects
) -> None:
    self.finish(read, out)


def _all_alike(self: QuorumState, key: bytes) -> bytes:
    return b"alike"


def _one_is_enough(hear: Callable[..., None]) -> Callable[..., None]:
    def with_one(self: Any, replica: Any, now: Any, asked: Any, out: Effects) -> None:
        hear(self, replica, now, asked._replace(needed=1), out)

    return with_one


def _forgets_the_log(self: QuorumHost, tick: Tick) -> None:
    """As if everything that is known were in the rows."""
    if self.state.is_flushing and self.state.end_slice():
        entry_log.compact(tick.batch, self.group, Index(self.state.applied.index))


def _does_not_replay(self: QuorumState, entry: Entry) -> None:
    self.advance(LogEnd(entry.term, entry.index))


def _of_nothing(hashed: int, record: bytes) -> int:
    return 0


Leaderless = partial(Rule, mode="leaderless")

RULES = (
    Leaderless("stored-is-on-disk", "What is said to be stored is on disk.", instead(Tick, "vow", Tick.send)),
    Leaderless(
        "coordinators-disk-counts-later",
        "A coordinator counts its own disk when that has the write.",
        instead(LeaderlessReplica, "log_index", property(_on_disk_already)),
    ),
    Leaderless(
        "writes-merge", "A write leaves what its client had not seen.", instead(writes, "after_write", _overwrites)
    ),
    Leaderless(
        "stores-merge", "What is heard is merged with what is known.", instead(LeaderlessReplica, "together", _believes)
    ),
    Leaderless(
        "dots-once", "Every life of a node is another actor.", around(LeaderlessReplica, "__init__", _same_actor)
    ),
    Leaderless(
        "answers-cover-what-was-seen",
        "The context of an answer covers no sibling that its client has not seen.",
        instead(writes, "seen_by_writer", _has_seen_all),
    ),
    Leaderless(
        "reads-ask-r", "A read asks as many replicas as it should.", around(Reads, "on_read_asked", _one_is_enough)
    ),
    Leaderless(
        "read-repair", "What a read found is stored before it is told.", instead(Reads, "_repair", _does_not_repair)
    ),
    Leaderless("strict-is-strict", "A hint counts for no strict write.", instead(QuorumHost, "_is_sloppy", always)),
    Leaderless("digests-differ", "Replicas that differ say so.", instead(QuorumState, "digest", _all_alike)),
    Leaderless(
        "lost-disk-is-noticed", "A node whose disk was lost knows it.", instead(Identity, "wiped", property(never))
    ),
    Leaderless(
        "recovering-is-no-answer",
        "A replica that lost its disk counts for no read until it has everything.",
        instead(LeaderlessReplica, "is_recovering", property(never)),
    ),
    Leaderless(
        "log-until-rows",
        "The log is kept until the rows have it.",
        instead(QuorumHost, "on_slice_done", _forgets_the_log),
    ),
    Leaderless(
        "log-is-replayed", "A start takes what is in the log.", instead(QuorumState, "replay", _does_not_replay)
    ),
    Leaderless(
        "trees-differ", "Replicas that differ have other trees.", instead(quorum_tree, "record_digest", _of_nothing)
    ),
)
