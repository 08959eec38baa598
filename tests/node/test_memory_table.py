"""The memory table against lists of versions."""

from hypothesis import given
from hypothesis import strategies as st

from kvstore.node.memory_table import ROW_OVERHEAD_BYTES, MemoryTable
from kvstore.node.waste import Waste

KEYS = st.sampled_from([b"a", b"b", b"c", b"dd"])
ROWS = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=3)), max_size=6)


@given(st.lists(ROWS))
def test_every_version_is_found_however_it_came(batches: list[list[tuple[bytes, bytes | None]]]) -> None:
    table, model, writes, stamp = MemoryTable(), dict[bytes, list[tuple[int, bytes | None]]](), 0, 100
    for rows in batches:
        values = [value for _, value in rows if value is not None]
        if len(values) == len(rows):
            table.put_all([key for key, _ in rows], values, stamp)
        for key, value in rows:
            if len(values) < len(rows):
                table.put(key, stamp, value)
            model.setdefault(key, []).insert(0, (stamp, value))
            assert table.numbers[writes] == len(model[key])
            writes, stamp = writes + 1, stamp + 1
        stamp += 5
    assert len(table) == writes and list(table.stamps) == sorted(table.stamps)
    assert {key: list(table.versions(key)) for key in table.newest} == model
    assert all(table.get(key) == versions[0] for key, versions in model.items()) and table.get(b"none") is None
    sizes = [len(key) + len(value or b"") for key, versions in model.items() for _, value in versions]
    assert table.size_bytes == sum(sizes) + ROW_OVERHEAD_BYTES * writes


def test_given_away_it_is_taken_apart_a_little_at_a_time() -> None:
    table, waste = MemoryTable(), Waste()
    table.put_all([b"%d" % i for i in range(100)], [b""] * 100, 1)
    table.give_away(waste)
    before = len(waste)
    waste.free(10)
    assert len(waste) == before - 10
    waste.free(10_000)
    assert len(waste) == 0
