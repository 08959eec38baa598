"""The disk writer with a journal: what goes where, what is refused, and what a failing disk does to it."""

import asyncio
from collections.abc import AsyncIterator
from errno import EIO
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kvstore.core.errors import KeyTooLarge, OutcomeUnknown, StorageFull, Unavailable
from kvstore.core.ids import GroupId, Index
from kvstore.server.disk_jobs import Job, route
from kvstore.server.disk_writer import FsyncFault
from kvstore.server.journal import Journal
from kvstore.storage.engine import Batch
from kvstore.storage.journal import split
from kvstore.storage.keys import (
    BALLOT,
    JOURNALED,
    LOG,
    ballot_key,
    log_key,
    log_range,
    meta_key,
    place_key,
    value_prefix,
)
from kvstore.storage.lmdb_engine import LmdbEngine, WriteTransaction
from kvstore.storage.memory_engine import MemoryEngine
from tests.server.station import (
    KIB,
    MIB,
    Station,
    batch_of,
    copied,
    entry,
    journal_of,
    put,
    rows_after_a_crash,
    rows_in,
    station_on,
)

ROOT = Path(__file__).parents[2]
G = GroupId(1)
Rows = dict[bytes, bytes]


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    async with station_on(tmp_path, journal_bytes=64 * KIB) as made:
        yield made


# ── which way ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_log_entries_wait_for_the_journal_alone(station: Station, tmp_path: Path) -> None:
    for index in range(1, 4):
        station.writer.submit(entry(index), index)
    done = await station.heard(3)
    assert [each.error for each in done] == [None] * 3 and done[0].duration_s > 0
    assert rows_in(station.engine) == {}
    assert station.engine.owed_bytes == journal_of(station).pending.size_bytes == 3 * (13 + 5)
    assert list(rows_after_a_crash(copied(tmp_path, tmp_path / "copy"))) == [log_key(G, Index(i)) for i in (1, 2, 3)]


async def test_rows_of_a_state_go_to_the_data_file_without_a_word_in_the_journal(station: Station) -> None:
    """An empty record would be a second wait for the disk, and fill the journal with nothing to hand over."""
    station.writer.submit(put(meta_key(1), urgent=True), 1)
    await station.heard(1)
    assert rows_in(station.engine) == {meta_key(1): b"v"}
    assert journal_of(station).used_bytes == 0


async def test_entries_beside_a_slice_of_a_flush_go_both_ways(station: Station) -> None:
    batch = entry(1)
    batch.extend(put(meta_key(1), urgent=True))
    station.writer.submit(batch, 1)
    await station.heard(1)
    assert rows_in(station.engine) == {meta_key(1): b"v"}
    assert journal_of(station).pending.as_batch().operations == entry(1).operations


async def test_everything_else_takes_the_journals_rows_along(station: Station) -> None:
    station.writer.submit(entry(1), 1)
    station.writer.submit(entry(2), 2)
    await station.heard(2)
    compaction = batch_of((log_range(G)[0], None, log_key(G, Index(2))), (place_key(G), b"cut at 1", None), urgent=True)
    station.writer.submit(compaction, 3)
    await station.heard(3)
    assert rows_in(station.engine) == {log_key(G, Index(2)): b"entry", place_key(G): b"cut at 1"}
    assert station.engine.owed_bytes == journal_of(station).used_bytes == 0 and not journal_of(station).pending


async def test_a_full_journal_begins_a_new_round(tmp_path: Path) -> None:
    async with station_on(tmp_path, journal_bytes=4 * KIB) as station:
        used = []
        for index in range(1, 400):
            station.writer.submit(entry(index), index)
            await station.heard(index)
            used.append(journal_of(station).used_bytes)
        rounds = used.count(0)
        assert 2 <= rounds <= 8 and max(used) <= 4 * KIB
        crashed = rows_after_a_crash(copied(tmp_path, tmp_path / "copy"), 4 * KIB)
    assert crashed == rows_after_a_crash(tmp_path, 4 * KIB)
    assert list(crashed) == [log_key(G, Index(index)) for index in range(1, 400)]


async def test_a_batch_larger_than_the_journal_goes_to_the_data_file(tmp_path: Path) -> None:
    async with station_on(tmp_path, journal_bytes=4 * KIB) as station:
        station.writer.submit(entry(1), 1)
        station.writer.submit(entry(2, b"v" * 5 * KIB), 2)
        await station.heard(2)
        assert len(rows_in(station.engine)) == 2


async def test_what_the_data_file_may_have_no_room_for_is_not_promised(tmp_path: Path) -> None:
    """A node that was full would find at its start that it cannot take over what its journal holds."""
    async with station_on(tmp_path, MIB, reserve_bytes=MIB, journal_bytes=16 * MIB) as station:
        index = 0
        while not index or station.completions[-1].error is None:
            index += 1
            station.writer.submit(entry(index, b"v" * 16 * KIB), index)
            await station.heard(index)
        assert station.errors[index] is StorageFull and index > 50
        copied(tmp_path, tmp_path / "copy")
    assert len(rows_after_a_crash(tmp_path)) == index - 1
    engine = LmdbEngine.open(tmp_path / "copy" / "data", map_bytes_max=MIB, reserve_bytes=MIB)
    journal = Journal.open(tmp_path / "copy" / "data" / "journal", engine, 16 * MIB)
    assert journal is not None and len(rows_in(engine)) == index - 1
    journal.close()
    engine.close()


@pytest.mark.parametrize("key", [BALLOT + b"k" * 600, LOG + b"k" * 511])
async def test_what_makes_no_sense_is_refused_before_it_reaches_the_journal(station: Station, key: bytes) -> None:
    station.writer.submit(entry(1), 1)
    await station.heard(1)
    station.writer.submit(put(key, urgent=True), 2)
    station.writer.submit(entry(2), 3)
    await station.heard(3)
    station.writer.submit(entry(3), 4)
    await station.heard(4)
    assert station.errors == {1: None, 2: KeyTooLarge, 3: Unavailable, 4: None}
    assert [*rows_in(station.engine), *journal_of(station).pending.as_batch().operations] == [
        log_key(G, Index(1)),
        *entry(3).operations,
    ]


async def test_a_value_that_is_no_bytes_never_reaches_the_journal(
    station: Station, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    station.writer.submit(entry(1), 1)
    station.writer.submit(batch_of((log_key(G, Index(2)), "text", None), urgent=True), 2)  # type: ignore[arg-type]
    await station.heard(2)
    assert station.errors == {1: None, 2: OutcomeUnknown}
    assert rows_after_a_crash(copied(tmp_path, tmp_path / "copy")) == {log_key(G, Index(1)): b"entry"}
    assert "the disk writer failed" in caplog.text


# ── full ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_refused_takes_nothing_of_the_journal_along(tmp_path: Path, seed: int) -> None:
    """Accepted rows stay, refused ones never come, deleted ones never come back: at once and after a crash."""
    rng, model = Random(seed), MemoryEngine()
    refused = 0
    async with station_on(tmp_path, 200 * KIB, reserve_bytes=4 * MIB, journal_bytes=128 * KIB) as station:
        batches: list[Batch] = []
        while len(batches) < 300:
            for _ in range(rng.choice((1, 1, 1, 4))):
                batches.append(some_batch(rng))
                station.writer.submit(batches[-1], len(batches) - 1)
            await station.heard(len(batches))
        for error in station.errors.values():
            assert error in (None, StorageFull)
            refused += error is not None
        for done in station.completions:
            if done.error is None:
                model.commit(batches[done.ticket])
        copied(tmp_path, tmp_path / "copy")
    assert 20 < refused < 250
    wanted = rows_in(model)
    assert rows_after_a_crash(tmp_path / "copy", 128 * KIB) == wanted
    assert rows_after_a_crash(tmp_path, 128 * KIB) == wanted


async def test_what_the_journal_holds_counts_as_data(tmp_path: Path) -> None:
    """The gate in front of the clients must close before the data file is asked to take it over."""
    async with station_on(tmp_path, MIB, journal_bytes=16 * MIB) as station:
        for index in range(1, 61):
            station.writer.submit(entry(index, b"v" * 20 * KIB), index)
        await station.heard(60)
        assert set(station.errors.values()) == {None} and rows_in(station.engine) == {}
        assert station.engine.is_full()
        station.writer.submit(put(log_key(G, Index(61)), b"v" * 20 * KIB), 61)
        station.writer.submit(batch_of((log_range(G)[0], None, log_key(G, Index(60)))), 62)
        await station.heard(62)
        assert station.errors[61] is StorageFull and station.errors[62] is None
        assert not station.engine.is_full()
    assert list(rows_after_a_crash(tmp_path, 16 * MIB)) == [log_key(G, Index(60))]


async def test_while_the_journal_cannot_be_handed_over_nothing_passes_it_by(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delete would pass on its own, and the journal would bring back at the next start what it deleted."""
    real = WriteTransaction.apply

    def apply(transaction: WriteTransaction, batch: Batch, *more: Any) -> None:
        if any(key == JOURNALED for key, _, _ in batch.operations):
            raise StorageFull("no room for what the journal holds")
        real(transaction, batch, *more)

    deleting = batch_of((log_key(G, Index(1)), None, None), (place_key(G), None, None), urgent=True)
    station.writer.submit(entry(1), 1)
    await station.heard(1)
    with monkeypatch.context() as patch:
        patch.setattr(WriteTransaction, "apply", apply)
        station.writer.submit(deleting, 2)
        await station.heard(2)
        copied(tmp_path, tmp_path / "copy")
    assert list(rows_after_a_crash(tmp_path / "copy")) == [log_key(G, Index(1))]
    station.writer.submit(deleting, 3)
    await station.heard(3)
    assert station.errors == {1: None, 2: StorageFull, 3: None}
    assert rows_in(station.engine) == {} and not journal_of(station).pending


def some_batch(rng: Random) -> Batch:
    batch = Batch()
    batch.urgent = rng.random() < 0.3
    for _ in range(rng.randint(1, 3)):
        group, index = GroupId(rng.randint(1, 2)), rng.randint(1, 30)
        size = rng.choice((10, 1_000, 6_000)) if not batch.urgent else 10
        match rng.randint(0, 5):
            case 0 | 1:
                batch.put(log_key(group, Index(index)), b"%d" % rng.randint(0, 9) * size)
            case 2 | 3:
                batch.put(value_prefix(group) + b"%d" % rng.randint(0, 60), b"%d" % rng.randint(0, 9) * size)
            case 4:
                batch.put(place_key(group), b"%d" % rng.randint(0, 9) * size)
            case _ if rng.random() < 0.5:
                batch.delete_range(log_key(group, Index(index)), log_range(group)[1])
            case _:
                batch.delete(log_key(group, Index(index)))
    return batch


# ── a failing disk, and the end ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("with_rows", [False, True], ids=["journal", "both"])
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
async def test_after_a_failed_append_nothing_is_written_any_more(
    station: Station, tmp_path: Path, call: str, with_rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not through the transaction either that was open, and perhaps filled, when it failed."""
    station.writer.submit(entry(1), 1)
    await station.heard(1)

    def failing(*_: Any) -> None:
        raise OSError(EIO, "Input/output error")

    batch = entry(2)
    if with_rows:
        batch.extend(put(meta_key(1), urgent=True))
    with monkeypatch.context() as patch:
        patch.setattr(f"kvstore.server.journal.os.{call}", failing)
        station.writer.submit(batch, 2)
        await station.heard(2)
    for ticket, later in enumerate((entry(3), put(place_key(G), urgent=True), put(meta_key(1), urgent=True)), 3):
        station.writer.submit(later, ticket)
        await station.heard(ticket)
    assert station.errors == {1: None, 2: OutcomeUnknown, 3: Unavailable, 4: Unavailable, 5: Unavailable}
    assert "Input/output error" in str(station.completions[1].error)
    assert rows_in(station.engine) == {}
    entries = [log_key(G, Index(1)), log_key(G, Index(2))]
    assert list(rows_after_a_crash(copied(tmp_path, tmp_path / "copy"))) in (entries[:1], entries)


async def test_an_injected_fault_stops_the_journal_too(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    station.writer.fault = FsyncFault(error="Input/output error")
    station.writer.submit(entry(1), 1)
    await station.heard(1)
    station.writer.fault = FsyncFault()
    station.writer.submit(entry(2), 2)
    station.writer.submit(put(place_key(G)), 3)
    await station.heard(3)
    assert station.errors == {1: OutcomeUnknown, 2: Unavailable, 3: Unavailable}
    assert not journal_of(station).pending and rows_in(station.engine) == {}


async def test_a_slow_disk_shows_in_the_duration(station: Station) -> None:
    station.writer.fault = FsyncFault(delay_ms=30)
    station.writer.submit(entry(1), 1)
    (done,) = await station.heard(1)
    assert done.duration_s >= 0.03 and done.error is None


async def test_half_a_batch_refused_ends_the_writing(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other half is in the journal already: nobody can say that nothing was written."""

    def full(*_: Any) -> None:
        raise StorageFull("the disk is full")

    batch = entry(1)
    batch.extend(put(meta_key(1), urgent=True))
    with monkeypatch.context() as patch:
        patch.setattr(WriteTransaction, "commit", full)
        station.writer.submit(batch, 1)
        await station.heard(1)
    station.writer.submit(entry(2), 2)
    await station.heard(2)
    assert station.errors == {1: OutcomeUnknown, 2: Unavailable}


async def test_a_writer_that_ends_in_order_leaves_an_empty_journal(tmp_path: Path) -> None:
    async with station_on(tmp_path, journal_bytes=64 * KIB) as station:
        for index in range(1, 4):
            station.writer.submit(entry(index), index)
        await station.heard(3)
        await asyncio.get_running_loop().run_in_executor(None, station.writer.close)
        assert len(rows_in(station.engine)) == 3
        assert not journal_of(station).pending
        (tmp_path / "data" / "journal").write_bytes(bytes(64 * KIB))  # nothing in it is needed any more
    assert len(rows_after_a_crash(tmp_path)) == 3


async def test_a_writer_that_cannot_hand_over_at_the_end_leaves_it_to_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise StorageFull("the disk is full")

    async with station_on(tmp_path, journal_bytes=64 * KIB) as station:
        station.writer.submit(entry(1), 1)
        await station.heard(1)
        with monkeypatch.context() as patch:
            patch.setattr(LmdbEngine, "commit", full)
            await asyncio.get_running_loop().run_in_executor(None, station.writer.close)
        assert "keeps its rows until the next start" in caplog.text
    assert list(rows_after_a_crash(tmp_path)) == [log_key(G, Index(1))]


# ── routing alone ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_journal_everything_goes_to_the_data_file(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data", map_bytes_start=MIB)
    job = Job()
    job.batches = [entry(1), put(meta_key(1))]
    route(job, engine, None)
    assert job.record is None and job.rows is not None and len(job.rows.operations) == 2 and not job.hands_over
    engine.close()


def test_the_halves_of_a_job_are_those_of_its_batches(tmp_path: Path) -> None:
    engine = LmdbEngine.open(tmp_path / "data", map_bytes_start=MIB)
    journal = Journal.open(tmp_path / "data" / "journal", engine, 64 * KIB)
    assert journal is not None
    job = Job()
    job.batches = [put(meta_key(1)), entry(1), put(ballot_key(G))]
    route(job, engine, journal)
    hot, cold = split(job.merged())
    assert job.rows is not None and (job.operations, job.rows.operations) == (hot.operations, cold.operations)
    assert job.rows.urgent, "what was admitted is not refused after its other half was written"
    journal.close()
    engine.close()
