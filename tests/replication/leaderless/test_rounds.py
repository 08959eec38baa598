"""Rounds: votes are cast once, count when they are on disk, and what is older than a round carried out is dropped."""

from kvstore.core.ids import Index
from kvstore.replication.leaderless.rounds import Rounds


def test_a_vote_is_cast_once_and_in_no_round_below() -> None:
    rounds = Rounds(0, 0, needs_floor=False)
    assert rounds.vote(2)
    assert not rounds.vote(2) and not rounds.vote(1)
    assert rounds.vote(3)
    assert (rounds.voted, rounds.collected) == (3, 0)


def test_records_pass_as_read_after_a_vote_once_that_is_on_disk() -> None:
    rounds = Rounds(4, 3, needs_floor=False)
    assert rounds.tag == 4
    for number, index in ((5, 10), (6, 12)):
        rounds.vote(number)
        assert rounds.changed
        rounds.logged(Index(index))
        assert not rounds.changed
    rounds.on_persisted(Index(9))
    assert rounds.tag == 4
    rounds.on_persisted(Index(11))
    assert rounds.tag == 5
    rounds.on_persisted(Index(12))
    assert rounds.tag == 6


def test_what_is_older_than_a_round_carried_out_is_dropped() -> None:
    rounds = Rounds(2, 0, needs_floor=False)
    assert rounds.takes(0)
    rounds.carry_out(2)
    assert not rounds.takes(1)
    assert rounds.takes(2) and rounds.takes(3)
    rounds.carry_out(1)  # late
    assert (rounds.voted, rounds.collected) == (2, 2)
    rounds.carry_out(7)
    assert (rounds.voted, rounds.collected) == (7, 7)


def test_without_its_floor_a_replica_takes_nothing() -> None:
    rounds = Rounds(0, 0, needs_floor=True)
    assert not rounds.takes(0) and not rounds.takes(9)
    rounds.learn_floor(5)
    assert (rounds.voted, rounds.collected) == (5, 5)
    assert not rounds.takes(4)
    assert rounds.takes(5)
