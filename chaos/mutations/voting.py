"""Rules of elections, leases and reads."""

from collections.abc import Callable
from typing import Any

import msgspec

from chaos.mutations.patching import Rule, around, instead, never, nothing
from kvstore.core.entries import Ballot
from kvstore.core.ids import Index, Millis
from kvstore.replication.raft import election, following, heartbeating, quiescing, reading
from kvstore.replication.raft.effects import Effects, Standing
from kvstore.replication.raft.following import Following
from kvstore.replication.raft.leadership import Asker
from kvstore.replication.raft.messages import AppendRequest, Heartbeat
from kvstore.replication.raft.replica import RaftReplica
from kvstore.replication.raft.settings import RaftSettings
from kvstore.storage import ballot_box


def _forgetful(on_vote_request: Callable[..., None]) -> Callable[..., None]:
    def forgets_its_vote(replica: RaftReplica, now: Millis, sender: Any, request: Any, out: Effects) -> None:
        if not replica.is_leader and replica.campaign is None:
            replica.ballot = Ballot(replica.ballot.term, None)
        on_vote_request(replica, now, sender, request, out)

    return forgets_its_vote


def _at_once(function: Callable[..., None]) -> Callable[..., None]:
    def does_not_wait_for_the_disk(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)
        out = next(arg for arg in args if isinstance(arg, Effects))
        out.send += out.promise
        out.promise.clear()

    return does_not_wait_for_the_disk


def _any_log(replica: RaftReplica, request: Any) -> bool:
    return replica.standing is Standing.VOTER


def _from_the_answer(on_heartbeat_reply: Callable[..., None]) -> Callable[..., None]:
    def counts_from_now(replica: RaftReplica, now: Millis, sender: Any, reply: Any, out: Effects) -> None:
        on_heartbeat_reply(replica, now, sender, msgspec.structs.replace(reply, sent_at=now), out)

    return counts_from_now


def _for_ever(replica: RaftReplica, now: Millis) -> bool:
    leadership = replica.leadership
    return leadership is not None and leadership.lease_until > 0 and replica.commit >= leadership.first_index


def _even_in_handover(replica: RaftReplica, now: Millis) -> bool:
    leadership = replica.leadership
    return leadership is not None and now < leadership.lease_until and replica.commit >= leadership.first_index


def _before_its_own_term(replica: RaftReplica, now: Millis) -> bool:
    leadership = replica.leadership
    return (
        leadership is not None
        and now < leadership.lease_until
        and leadership.handover is None
        and not leadership.forfeited
    )


def _disloyal_at_birth(init: Callable[..., None]) -> Callable[..., None]:
    def begins_without_loyalty(self: Following, now: Millis, *args: Any) -> None:
        init(self, now, *args)
        self.heard_at = Millis(-1_000_000)

    return begins_without_loyalty


def _without_asking(replica: RaftReplica, now: Millis, request: Any, out: Effects) -> None:
    if replica.is_leader:
        out.reads_ready.append((request.context, replica.commit))
    else:
        out.reads_failed.append(request.context)


def _with_the_round_under_way(replica: RaftReplica, now: Millis, leadership: Any, asker: Asker, out: Effects) -> None:
    if leadership.quiescing_since is not None:
        quiescing.wake(replica, now, out)
    if leadership.askers:
        leadership.askers.append(asker)
        leadership.round_index = replica.commit
        return
    leadership.waiting.append(asker)
    reading.begin_round(replica, now, out)


def _any_time(begin_round: Callable[..., None]) -> Callable[..., None]:
    def asks_before_its_own_term(replica: RaftReplica, now: Millis, out: Effects) -> None:
        leadership = replica.leadership
        assert leadership is not None, "only a leader has read rounds"
        kept, leadership.first_index = leadership.first_index, Index(0)
        begin_round(replica, now, out)
        leadership.first_index = kept

    return asks_before_its_own_term


def _old_terms_welcome(hear: Callable[..., None]) -> Callable[..., None]:
    def hears_old_leaders(self: RaftReplica, now: Millis, sender: Any, message: Any, out: Effects) -> None:
        stale = isinstance(message, AppendRequest | Heartbeat) and message.term < self.ballot.term
        if stale and not self.is_leader:
            message = msgspec.structs.replace(message, term=self.ballot.term)
        hear(self, now, sender, message, out)

    return hears_old_leaders


def _freshness_from_now(replica: RaftReplica, now: Millis, echo: Millis | None, commit: Index) -> None:
    if echo is not None:
        replica.following.fresh_at, replica.following.fresh_index = now, commit


RULES = (
    Rule("ballot-on-disk", "A ballot is written down.", instead(ballot_box, "put_ballot", nothing)),
    Rule(
        "vote-after-disk",
        "A vote leaves when it is on disk.",
        around(election, "on_vote_request", _at_once),
    ),
    Rule(
        "campaign-after-disk",
        "A candidate asks when its own vote is on disk.",
        around(election, "campaign", _at_once),
    ),
    Rule("one-vote-a-term", "A voter votes once a term.", around(election, "on_vote_request", _forgetful)),
    Rule(
        "vote-for-longer-logs",
        "A vote is for a log at least as up-to-date.",
        instead(election, "may_vote_for", _any_log),
    ),
    Rule(
        "old-terms-rejected",
        "Leaders of earlier terms are not heard.",
        around(RaftReplica, "_hear", _old_terms_welcome),
    ),
    Rule("lease-ends", "A lease ends.", instead(RaftReplica, "has_lease", _for_ever)),
    Rule(
        "lease-from-speaking",
        "A lease counts from when the leader spoke, not from when it was answered.",
        around(heartbeating, "on_heartbeat_reply", _from_the_answer),
    ),
    Rule(
        "lease-less-drift",
        "A lease is shorter by what clocks may drift apart.",
        instead(RaftSettings, "lease_ms", property(lambda self: self.election_timeout_ms_min)),
    ),
    Rule(
        "lease-given-up",
        "A leader that hands over has no lease.",
        instead(RaftReplica, "has_lease", _even_in_handover),
    ),
    Rule(
        "lease-after-own-entry",
        "A lease serves reads only when an entry of its own term is committed.",
        instead(RaftReplica, "has_lease", _before_its_own_term),
    ),
    Rule("voters-are-loyal", "Nobody votes who heard a leader just now.", instead(following, "in_touch", never)),
    Rule(
        "loyal-after-restart",
        "A restarted voter may have heard a leader just now.",
        around(Following, "__init__", _disloyal_at_birth),
    ),
    Rule(
        "reads-ask", "A read without a lease asks a majority.", instead(reading, "on_read_requested", _without_asking)
    ),
    Rule(
        "reads-ask-anew",
        "A read waits for a round that began after it.",
        instead(reading, "enquire", _with_the_round_under_way),
    ),
    Rule(
        "reads-after-own-entry",
        "A read round begins when an entry of the leader's own term is committed.",
        around(reading, "begin_round", _any_time),
    ),
    Rule(
        "freshness-from-echo",
        "A follower is as fresh as the question the leader answered.",
        instead(following, "learn_freshness", _freshness_from_now),
    ),
)
