"""Sorting while it comes: nothing is lost, and the first from anywhere are found without using it up."""

from hypothesis import given
from hypothesis import strategies as st

from kvstore.node.sorted_runs import SortedRuns

SHORT_KEYS = st.binary(min_size=1, max_size=2)


@given(added=st.lists(st.lists(SHORT_KEYS, max_size=9), max_size=9), start=SHORT_KEYS, count=st.integers(0, 12))
def test_whatever_is_added_is_found_in_order(added: list[list[bytes]], start: bytes, count: int) -> None:
    runs = SortedRuns()
    for keys in added:
        runs.add(list(keys))
    everything = sorted(key for keys in added for key in keys)
    assert runs.count == len(everything)
    assert runs.first(start, count) == [key for key in everything if key >= start][:count]
    assert runs.first(b"", len(everything)) == everything
    assert runs.merged() == everything
