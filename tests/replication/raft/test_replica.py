"""The replica as a whole: birth, facts, strangers, and the dispatch of every event and message."""

import typing
from random import Random

import pytest

from kvstore.core.entries import NO_BALLOT, NOTHING, Ballot, Entry, LogEnd
from kvstore.core.ids import GroupId, Index, Millis, NodeId, Term
from kvstore.replication.raft import effects, messages
from kvstore.replication.raft.effects import Effects, PeerDown, PeerUp, Persisted, Received, Standing, TimePassed
from kvstore.replication.raft.messages import AppendRequest, Heartbeat, RecoveryReply, TermQuery, VoteRequest
from kvstore.replication.raft.replica import RaftReplica
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab
from tests.replication.raft.laws import Laws

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def newborn(voters: tuple[NodeId, ...] = (N1, N2, N3), *, entries: int = 0, start: LogEnd = NOTHING) -> RaftReplica:
    return RaftReplica(
        me=N1,
        group=GroupId(1),
        voters=voters,
        settings=RaftSettings(),
        ballot=NO_BALLOT,
        log_start=start,
        entries=[Entry(Term(1), Index(start.index + i + 1), b"x") for i in range(entries)],
        standing=Standing.VOTER,
        now=Millis(1_000),
        rng=Random(1),
    )


def test_it_is_born_from_what_was_on_disk() -> None:
    replica = newborn(entries=3, start=LogEnd(Term(1), Index(4)))
    assert (replica.log_start, replica.last, replica.commit, replica.persisted) == ((1, 4), (1, 7), 4, 7)
    assert str(replica) == "n1@0 follower log=7@1 commit=4 start=4@1"


def test_it_is_one_of_its_voters() -> None:
    with pytest.raises(AssertionError, match="n1 is not a voter"):
        newborn((N2, N3))


def test_the_first_event_tells_when_to_wake_it() -> None:
    wake = newborn().step(Millis(1_000), TimePassed()).wake_at
    assert wake is not None and 1_500 <= wake <= 1_900


def test_a_single_voter_leads_at_once() -> None:
    replica = newborn((N1,))
    first = replica.step(Millis(1_000), TimePassed())
    assert replica.is_leader and first.ballot == Ballot(Term(1), N1) and first.role_changed
    assert not replica.has_lease(Millis(1_000)), "its first entry is not on disk"
    second = replica.step(Millis(1_001), Persisted(replica.last))
    assert [entry.index for entry in second.committed] == [1] and replica.has_lease(Millis(9_999_999))


def test_strangers_are_not_heard() -> None:
    replica = newborn()
    effects = replica.step(Millis(9_000), Received(NodeId("n9"), VoteRequest(Term(9), LogEnd(Term(9), Index(9)))))
    assert effects == Effects(wake_at=replica.wake_at) and replica.term == 0
    for event in (PeerUp(NodeId("n9")), PeerDown(NodeId("n9"))):
        replica.step(Millis(9_000), event)
    assert not replica.down


def test_what_only_a_leader_knows() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    lab.cut(["n1", "n2"], ["n3"])
    lab.propose("n1", "a")
    lab.settle()
    leader, follower = lab["n1"], lab["n2"]
    assert (leader.stored_on_all, leader.replicas_with(Index(2)), leader.replicas_with(Index(1))) == (1, 2, 3)
    assert (follower.stored_on_all, follower.replicas_with(Index(1)), follower.followers()) == (0, 0, [])
    assert follower.lease_until is None and not follower.has_lease(Millis(0))
    assert [(f.peer, f.match, f.pace) for f in leader.followers()] == [(N2, 2, "stream"), (N3, 1, "stream")]


def test_a_role_is_told_when_it_changes_and_only_then() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    beat = Heartbeat(Term(1), Index(1), Index(1), Millis(1))
    assert not lab.step("n2", Received(N1, beat)).role_changed
    lab.crash("n2")
    lab.start("n2")
    assert lab.step("n2", Received(N1, beat)).role_changed, "it knows its leader now"


@pytest.mark.parametrize(
    "kind", [*typing.get_args(effects.Event), *typing.get_args(messages.Message)], ids=lambda kind: kind.__name__
)
def test_every_event_and_message_is_heard_in_every_role(kind: type) -> None:
    """Values are plausible, nothing more: whatever arrives, the replica keeps its invariants and lives on."""
    plausible = {
        "term": Term(1),
        "log_end": NOTHING,
        "granted": False,
        "previous": NOTHING,
        "entries": (),
        "commit": Index(0),
        "sent_at": Millis(1),
        "at": Millis(1),
        "match": Index(0),
        "sent": Index(0),
        "context": 0,
        "received": Index(0),
        "persisted": Index(0),
        "mark": LogEnd(Term(1), Index(1)),
        "cursor": b"",
        "data": b"\x90",
        "next_cursor": b"1",
        "done": False,
        "nonce": 0,
        "payloads": (b"x",),
        "end": NOTHING,
        "upto": Index(0),
        "node": N2,
        "peer": N2,
        "sender": N2,
        "message": TermQuery(1),
    }
    wanted = kind.__struct_fields__  # type: ignore[attr-defined]
    optional = len(kind.__struct_defaults__)  # type: ignore[attr-defined]
    event = kind(*[plausible[name] for name in wanted[: len(wanted) - optional]])
    for leads in (False, True):
        lab = Lab()
        if leads:
            lab.elect("n1")
        known = event if not isinstance(event, typing.get_args(messages.Message)) else Received(N2, event)
        if leads and isinstance(event, (AppendRequest, Heartbeat, messages.SnapshotChunk)):
            with pytest.raises(AssertionError, match="both lead term 1"):
                lab.step("n1", known)
            continue
        lab.step("n1", known)
        lab.run(3_000)
        assert any(node.alive.is_leader for node in lab.nodes.values())


def test_an_answer_nobody_asked_for_is_no_answer() -> None:
    lab = Lab(watch=Laws())
    lab.elect("n1")
    effects = lab.step("n2", Received(N1, RecoveryReply(Term(1), 0, Index(1))))
    assert effects == Effects(wake_at=lab["n2"].wake_at)
