"""Rules of nodes that lost their disk, and of lives that are over."""

from typing import Any

from chaos.mutations.patching import Rule, instead, never, nothing, together
from kvstore.core.ids import Index, Millis
from kvstore.node.groups import Groups
from kvstore.node.liveness import Identity
from kvstore.replication.raft import contact, election, recovery
from kvstore.replication.raft.effects import Effects, Standing
from kvstore.replication.raft.replica import RaftReplica


def _by_its_log(replica: RaftReplica, request: Any) -> bool:
    return bool(request.log_end >= replica.log.last)


def _believes_all(replica: Any, now: Millis, leadership: Any, progress: Any, reply: Any) -> bool:
    progress.recovering = False
    progress.heard_at = now
    if reply.sent_at > progress.at_sent:
        progress.at_sent, progress.at = reply.sent_at, reply.at
    return True


def _at_first_contact(replica: RaftReplica, now: Millis, out: Effects) -> None:
    """A voter again as soon as the terms are known, whatever is on disk."""
    state = replica.recovery
    if state is not None and state.settled and replica.leader is not None:
        replica.recovery = None
        replica.standing = out.standing = Standing.VOTER


def _without_terms(replica: RaftReplica, now: Millis, out: Effects) -> None:
    state = replica.recovery
    assert state is not None, "only a recovering replica asks"
    state.settled = True
    _tick(replica, now, out)


_tick = recovery.tick


def _always_a_voter(self: Groups, told_upto: Index | None) -> Standing:
    return Standing.VOTER


RULES = (
    Rule("wiped-is-noticed", "A node whose disk was lost knows it.", instead(Identity, "wiped", property(never))),
    Rule(
        "recovering-does-not-vote",
        "A recovering replica does not vote.",
        instead(election, "may_vote_for", _by_its_log),
    ),
    Rule(
        "recovering-does-not-count",
        "A recovering replica counts for nothing.",
        together(instead(contact, "take_note", _believes_all), instead(contact, "distrust", nothing)),
    ),
    Rule(
        "recovery-waits-for-entries",
        "A recovering replica has everything before it votes.",
        instead(recovery, "consider", _at_first_contact),
    ),
    Rule(
        "recovery-asks-terms",
        "A recovering replica asks everyone's term first.",
        instead(recovery, "tick", _without_terms),
    ),
    Rule(
        "recovery-floor",
        "Groups heard of while catching up after a loss may be old ones.",
        instead(Groups, "_standing_after", _always_a_voter),
    ),
)
