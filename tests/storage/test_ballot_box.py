"""A ballot is never forgotten, and a damaged one is never guessed."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.entries import NO_BALLOT, Ballot
from kvstore.core.errors import Corruption
from kvstore.core.ids import GroupId, NodeId, Term
from kvstore.core.records import seal
from kvstore.storage.ballot_box import load_ballot, put_ballot
from kvstore.storage.engine import Batch
from kvstore.storage.keys import BALLOT, ballot_key
from kvstore.storage.memory_engine import MemoryEngine

GROUP = GroupId(3)
BALLOTS = st.builds(Ballot, st.integers(0, (1 << 64) - 1), st.none() | st.text(max_size=64))


def engine_with(*ballots: Ballot) -> MemoryEngine:
    engine = MemoryEngine()
    for ballot in ballots:
        batch = Batch()
        put_ballot(batch, GROUP, ballot)
        engine.commit(batch)
    return engine


def test_a_group_that_never_voted() -> None:
    assert load_ballot(MemoryEngine(), GROUP) == NO_BALLOT
    assert load_ballot(engine_with(Ballot(Term(1), NodeId("n1"))), GroupId(4)) == NO_BALLOT


@given(BALLOTS, BALLOTS)
def test_the_last_ballot_counts(first: Ballot, second: Ballot) -> None:
    assert load_ballot(engine_with(first, second), GROUP) == second


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_ballot_is_named_and_not_guessed(seed: int) -> None:
    engine = engine_with(Ballot(Term(4), NodeId("n2")))
    engine.flip_bit(Random(seed), [BALLOT])
    with pytest.raises(Corruption, match="group 3: the ballot"):
        load_ballot(engine, GROUP)


@pytest.mark.parametrize("body", [b"", b"12345678", bytes(8) + b"\x01\xff\xfe"])
def test_a_ballot_that_makes_no_sense(body: bytes) -> None:
    engine, batch = MemoryEngine(), Batch()
    batch.put(ballot_key(GROUP), seal(body))
    engine.commit(batch)
    with pytest.raises(Corruption, match="group 3: the ballot makes no sense"):
        load_ballot(engine, GROUP)
