""" "More up-to-date" is just `>`."""

from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.entries import NO_BALLOT, NOTHING, Ballot, Entry, LogEnd
from kvstore.core.ids import Index, NodeId, Term

ENDS = st.builds(LogEnd, st.integers(0, 9), st.integers(0, 9))


@given(ENDS, ENDS)
def test_a_later_term_wins_then_a_longer_log(ours: LogEnd, theirs: LogEnd) -> None:
    """Raft §5.4.1, word for word."""
    if ours.term != theirs.term:
        assert (ours > theirs) is (ours.term > theirs.term)
    else:
        assert (ours > theirs) is (ours.index > theirs.index)
    assert ours >= NOTHING


def test_the_names_of_the_fields_win_over_those_of_tuples() -> None:
    entry = Entry(Term(2), Index(7), b"payload")
    assert (entry.term, entry.index, entry.payload) == (2, 7, b"payload")
    assert str(LogEnd(Term(2), Index(7))) == "7@2"


def test_a_fresh_voter_remembers_nothing() -> None:
    assert Ballot(Term(0), None) == NO_BALLOT
    assert Ballot(Term(1), NodeId("n1")) != Ballot(Term(1), None)
