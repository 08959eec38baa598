"""Images: all rows of one instant in any number of parts; damage stays where it is; what is doomed goes in slices."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.commands import Command, CommandBatch, EntryPayload, Kind, encode
from kvstore.core.entries import NOTHING, Entry, LogEnd
from kvstore.core.errors import Corruption, MalformedFrame
from kvstore.core.ids import GroupId, Index, NodeId, Term
from kvstore.node import images
from kvstore.node.images import Images, Part
from kvstore.node.partition_state import History, PartitionState
from kvstore.replication.raft.effects import ChunkWanted
from kvstore.storage.engine import Batch
from kvstore.storage.keys import HISTORY, META, OUTCOME, STATE_TABLES, VALUE, table_range
from kvstore.storage.memory_engine import MemoryEngine

GROUP, PEER, OTHER = GroupId(1), NodeId("n2"), NodeId("n3")
DATA, COPY = 5, 9
HISTORY_KEPT = History(10, 600)


class Source:
    """A partition's state on a disk, written through its own flushes."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.state = PartitionState(self.engine, DATA, HISTORY_KEPT)
        self.sequence = 0

    def write(self, key: bytes, value: bytes) -> None:
        """One entry, flushed."""
        self.sequence += 1
        commands = [Command(self.sequence, Kind.PUT.value, key, value)]
        payload = encode(EntryPayload((1 << 40) + self.sequence, [encode(CommandBatch(7, 0, False, commands))]))
        self.state.apply(Entry(Term(1), Index(self.sequence), payload))
        self.state.begin_flush()
        while self.state.has_slices:
            batch = Batch()
            self.state.flush_slice(batch, 100)
            self.engine.commit(batch)
            self.state.end_slice()

    def rows(self, table: bytes, data: int = DATA) -> list[tuple[bytes, bytes]]:
        return list(self.engine.scan(*table_range(table, data)))

    def damage(self, table: bytes, which: int = -1) -> None:
        key, row = self.rows(table)[which]
        batch = Batch()
        batch.put(key, row[:-1] + bytes([row[-1] ^ 4]))
        self.engine.commit(batch)

    @property
    def views(self) -> int:
        return self.engine._rows.views


@pytest.fixture
def source() -> Source:
    """20 keys, each written twice: rows in every table."""
    source = Source()
    for round_number in range(2):
        for number in range(20):
            source.write(b"key%02d" % number, b"%d of round %d" % (number, round_number) * 3)
    return source


def wanted(part: Part | None = None, peer: NodeId = PEER, mark_min: int = 0) -> ChunkWanted:
    if part is None:
        return ChunkWanted(peer, None, b"", Index(mark_min))
    return ChunkWanted(peer, part.mark, part.next_cursor, Index(mark_min))


def parts_of(sender: Images, peer: NodeId = PEER) -> Iterator[Part]:
    part = sender.read(GROUP, wanted(peer=peer), DATA)
    while part is not None:
        yield part
        part = None if part.done else sender.read(GROUP, wanted(part, peer), DATA)


def copied(parts: list[Part]) -> MemoryEngine:
    """A disk that got them, under another data id."""
    engine = MemoryEngine()
    receiver = Images(engine, 1024, 1)
    for part in parts:
        batch = Batch()
        receiver.store(batch, COPY, part.data)
        engine.commit(batch)
    return engine


def bare(engine: MemoryEngine, data: int) -> list[tuple[bytes, bytes]]:
    """The rows of a state without their data id."""
    return [(key[:1] + key[5:], row) for table in STATE_TABLES for key, row in engine.scan(*table_range(table, data))]


@pytest.mark.parametrize("chunk_bytes", [1, 50, 700, 1 << 20])
def test_however_it_is_cut_the_copy_is_the_state(source: Source, chunk_bytes: int) -> None:
    sender = Images(source.engine, chunk_bytes, 100)
    parts = list(parts_of(sender))
    assert (len(parts) == 1) is (chunk_bytes == 1 << 20)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {part.mark for part in parts} == {LogEnd(Term(1), Index(40))}
    engine = copied(parts)
    assert bare(engine, COPY) == bare(source.engine, DATA)
    copy = PartitionState(engine, COPY, HISTORY_KEPT)
    assert copy.applied == source.state.applied and copy.stamp == source.state.stamp
    for number in range(20):
        assert copy.versions_of(b"key%02d" % number) == source.state.versions_of(b"key%02d" % number)
        assert copy.outcome(7, number + 1) == source.state.outcome(7, number + 1)


def test_a_part_holds_what_is_asked_for_and_one_row_at_least(source: Source) -> None:
    rows = len(bare(source.engine, DATA))
    assert len(list(parts_of(Images(source.engine, 1, 100)))) == rows
    largest = max(len(key) + len(row) for key, row in bare(source.engine, DATA))
    for part in parts_of(Images(source.engine, 500, 100)):
        assert len(part.data) < 500 + 2 * largest


def test_all_parts_show_the_instant_of_the_first(source: Source) -> None:
    sender = Images(source.engine, 300, 100)
    before, parts = bare(source.engine, DATA), []
    for part in parts_of(sender):
        parts.append(part)
        source.write(b"key%02d" % len(parts), b"later")
    assert len(parts) > 3 and bare(copied(parts), COPY) == before
    [fresh, *_] = parts_of(sender, OTHER)
    assert fresh.mark.index == 40 + len(parts)


def test_a_part_is_read_again_as_often_as_it_is_asked_for(source: Source) -> None:
    sender = Images(source.engine, 300, 100)
    first = sender.read(GROUP, wanted(), DATA)
    assert first is not None
    again = [sender.read(GROUP, wanted(first), DATA) for _ in range(3)]
    assert again[0] is not None and again[0].cursor == first.next_cursor and again == [again[0]] * 3


@pytest.mark.parametrize("asked", [None, LogEnd(Term(1), Index(39))])
def test_another_image_than_the_open_one_is_cut_anew_from_the_start(source: Source, asked: LogEnd | None) -> None:
    sender = Images(source.engine, 300, 100)
    sender.read(GROUP, wanted(), DATA)
    source.write(b"key", b"new")
    part = sender.read(GROUP, ChunkWanted(PEER, asked, b"vkey10"), DATA)
    assert part is not None and part.cursor == b"" and part.mark.index == 41
    assert source.views == 1, "the older snapshot is closed"


def test_an_image_that_is_too_old_is_not_cut(source: Source) -> None:
    sender = Images(source.engine, 300, 100)
    assert sender.read(GROUP, wanted(mark_min=41), DATA) is None
    assert source.views == 0
    part = sender.read(GROUP, wanted(mark_min=40), DATA)
    assert part is not None and part.mark.index == 40


def test_a_state_that_has_applied_nothing_is_no_image() -> None:
    assert Images(MemoryEngine(), 300, 100).read(GROUP, wanted(), DATA) is None


def test_when_the_watchdog_has_closed_the_snapshot_a_new_image_begins(source: Source) -> None:
    sender = Images(source.engine, 300, 100)
    first = sender.read(GROUP, wanted(), DATA)
    assert first is not None
    sender._open[GROUP, PEER].snapshot.close()
    source.write(b"key", b"new")
    again = sender.read(GROUP, wanted(first), DATA)
    assert again is not None and (again.cursor, again.mark.index) == (b"", 41)


@pytest.mark.parametrize("which", [0, -1], ids=["the first row", "the last row"])
@pytest.mark.parametrize("table", STATE_TABLES)
@pytest.mark.parametrize("chunk_bytes", [200, 1 << 20])
def test_a_damaged_row_never_leaves(source: Source, table: bytes, which: int, chunk_bytes: int) -> None:
    source.damage(table, which)
    sender, left = Images(source.engine, chunk_bytes, 100), []
    damaged = source.rows(table)[which][1]
    with pytest.raises(Corruption, match="fails its checksum"):
        for part in parts_of(sender):
            left.append(part)
    assert not any(damaged in part.data for part in left)
    assert source.views == 0, "the image is closed"


@pytest.mark.parametrize("row", [b"", b"\0", b"\0\0\xff\xffkey"])
def test_a_row_cut_short_never_leaves(source: Source, row: bytes) -> None:
    for table in (META, VALUE, HISTORY, OUTCOME):
        batch = Batch()
        batch.put(table_range(table, DATA)[0] + b"\0\0\0\0\0\0\0\1", row)
        if table == META:
            batch = Batch()
            batch.put(table_range(table, DATA)[0], row)
        before = source.rows(table)
        source.engine.commit(batch)
        with pytest.raises(Corruption):
            list(parts_of(Images(source.engine, 1 << 20, 100)))
        mend = Batch()
        mend.delete_range(*table_range(table, DATA))
        for key, value in before:
            mend.put(key, value)
        source.engine.commit(mend)
    assert list(parts_of(Images(source.engine, 1 << 20, 100)))[-1].done


def test_rows_of_the_neighbours_stay_out(source: Source) -> None:
    batch = Batch()
    for data in (DATA - 1, DATA + 1):
        for table in STATE_TABLES:
            batch.put(table_range(table, data)[0] + b"x", b"foreign")
    source.engine.commit(batch)
    assert not any(b"foreign" in part.data for part in parts_of(Images(source.engine, 300, 100)))


def test_closing_lets_go_of_the_snapshots(source: Source) -> None:
    sender = Images(source.engine, 300, 100)
    for group in (GROUP, GroupId(2)):
        for peer in (PEER, OTHER):
            sender.read(group, wanted(peer=peer), DATA)
    assert source.views == 4
    sender.close(GROUP, PEER)
    sender.close(GROUP, PEER)
    assert source.views == 3
    sender.close_all(GROUP)
    assert source.views == 2
    sender.close_all(GroupId(2))
    assert source.views == 0


@given(st.binary(max_size=40))
def test_bytes_from_anywhere_are_rows_or_malformed(data: bytes) -> None:
    batch = Batch()
    try:
        Images(MemoryEngine(), 300, 100).store(batch, COPY, data)
    except MalformedFrame as error:
        assert "not a part of an image" in str(error)
    for key, _, _ in batch.operations:
        assert key[1:5] == COPY.to_bytes(4, "big") or len(key) < 5


def test_data_ids_are_never_given_twice() -> None:
    sender = Images(MemoryEngine(), 300, 100)
    assert [sender.new_data_id() for _ in range(3)] == [100, 101, 102]


def test_a_doomed_state_goes_in_slices_and_leaves_the_others(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DOOMED_ROWS_PER_BATCH", 7)
    keeper = Images(source.engine, 300, 100)
    left = bare(source.engine, DATA)
    batch = Batch()
    batch.put(table_range(VALUE, COPY)[0] + b"kept", b"row")
    keeper.doom(batch, DATA)
    source.engine.commit(batch)
    assert keeper.has_doomed
    for _ in range(100):
        if not keeper.has_doomed:
            break
        keeper = Images(source.engine, 300, 100)  # a restart in the middle changes nothing
        batch = Batch()
        keeper.remove_some(batch)
        source.engine.commit(batch)
        now = bare(source.engine, DATA)
        assert len(left) - len(now) <= 7 + 1 + len(STATE_TABLES) * 7
        left = now
    assert left == [] and not keeper.has_doomed
    assert not Images(source.engine, 300, 100).has_doomed
    assert [key for key, _ in source.rows(VALUE, COPY)] == [table_range(VALUE, COPY)[0] + b"kept"]


def test_the_mark_of_an_image_is_never_nothing(source: Source) -> None:
    assert all(part.mark != NOTHING for part in parts_of(Images(source.engine, 300, 100)))
