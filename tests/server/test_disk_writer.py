"""The writer thread: order, sharing of commits, refusals one by one, and what a failing disk does to it."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

import pytest

from kvstore.core.errors import EmptyKey, KeyTooLarge, OutcomeUnknown, StorageFull, Unavailable
from kvstore.server import data_file
from kvstore.server.disk_jobs import FsyncFault
from kvstore.storage.engine import Batch
from kvstore.storage.lmdb_engine import LmdbEngine, WriteTransaction
from tests.killing import last_said
from tests.server.station import KIB, MIB, Station, batch_of, put, station_on

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    async with station_on(tmp_path) as made:
        yield made


async def test_a_batch_is_committed_and_readable_when_it_is_reported(station: Station) -> None:
    seen: list[bytes | None] = []
    station.on_report = lambda it: seen.append(it.engine.get(b"a"))
    station.writer.submit(put(b"a", b"1"), 7)
    (done,) = await station.heard(1)
    assert (done.ticket, done.error) == (7, None)
    assert done.duration_s > 0
    assert seen == [b"1"]


async def test_what_waits_shares_one_commit_and_tickets_keep_their_order(station: Station) -> None:
    for ticket in range(200):
        station.writer.submit(batch_of((b"k%03d" % ticket, b"v", None), (b"latest", b"%d" % ticket, None)), ticket)
    assert station.writer.waiting == 199, "one is under way"
    assert station.writer.waiting_bytes > 199
    done = await station.heard(200)
    assert [each.ticket for each in done] == list(range(200))
    assert [len(report) for report in station.reports] == [1, 199]
    assert len({each.duration_s for each in done}) == 2, "those that shared a commit took as long as it"
    assert station.engine.get(b"latest") == b"199"
    assert len(list(station.engine.scan(b"k", b"l"))) == 200
    assert station.writer.waiting == station.writer.waiting_bytes == 0


async def test_a_later_batch_of_the_same_commit_wins(station: Station) -> None:
    station.writer.submit(put(b"a", b"1"), 1)
    station.writer.submit(batch_of((b"a", None, b"b")), 2)
    station.writer.submit(put(b"a", b"3"), 3)
    await station.heard(3)
    assert station.engine.get(b"a") == b"3"


async def test_batches_submitted_from_the_report_go_on(station: Station) -> None:
    def go_on(station: Station) -> None:
        if len(station.completions) < 50:
            station.writer.submit(put(b"%d" % len(station.completions)), len(station.completions))

    station.on_report = go_on
    station.writer.submit(put(b"0"), 0)
    await station.heard(50)
    assert len(list(station.engine.scan(b"", b"\xff"))) == 50


async def test_one_commit_takes_a_bearable_amount(station: Station) -> None:
    for ticket in range(8):
        station.writer.submit(put(b"%d" % ticket, b"v" * 5 * MIB), ticket)
    await station.heard(8)
    assert [len(report) for report in station.reports] == [1, 3, 3, 1]


@pytest.mark.parametrize("rows", [100, data_file.OPERATIONS_ON_LOOP_MAX + 1])
async def test_small_and_huge_batches_arrive_whole(station: Station, rows: int) -> None:
    station.writer.submit(batch_of(*((b"%06d" % row, b"v", None) for row in range(rows))), 1)
    await station.heard(1)
    assert len(list(station.engine.scan(b"", b"\xff"))) == rows

    station.writer.submit(batch_of((b"", None, b"\xff")), 2)  # on the loop, or left to the thread: too many rows
    done = await station.heard(2)
    assert [each.error for each in done] == [None, None]
    assert list(station.engine.scan(b"", b"\xff")) == []


async def test_the_map_grows_under_way(tmp_path: Path) -> None:
    async with station_on(tmp_path, map_bytes_start=64 * KIB) as station:
        for ticket in range(40):
            station.writer.submit(put(b"%02d" % ticket, b"v" * 100 * KIB), ticket)
            if ticket % 10 == 9:
                await station.heard(ticket + 1)
        assert set(station.errors.values()) == {None}
        assert len(list(station.engine.scan(b"", b"\xff"))) == 40


@pytest.mark.parametrize(("key", "error"), [(b"", EmptyKey), (b"k" * 600, KeyTooLarge)])
async def test_a_batch_that_makes_no_sense_takes_along_only_what_puts_after_it(
    station: Station, key: bytes, error: type[Exception]
) -> None:
    station.writer.submit(put(b"under way"), 0)
    station.writer.submit(put(b"a"), 1)
    station.writer.submit(put(key), 2)
    station.writer.submit(put(b"b"), 3)
    station.writer.submit(batch_of((b"under way", None, None)), 4)
    await station.heard(5)
    assert station.errors == {0: None, 1: None, 2: error, 3: Unavailable, 4: None}
    assert [row for row, _ in station.engine.scan(b"", b"\xff")] == [b"a"]

    station.writer.submit(put(b"c"), 5)
    await station.heard(6)
    assert station.errors[5] is None


# ── full ──


async def fill(station: Station) -> int:
    """Put rows until one is refused. Returns the number of rows."""
    ticket = 0
    while True:
        station.writer.submit(put(b"row%06d" % ticket, b"v" * 16 * KIB), ticket)
        if (await station.heard(ticket + 1))[-1].error is not None:
            assert station.errors[ticket] is StorageFull
            return ticket
        ticket += 1


async def test_when_full_deletes_pass_and_make_room(tmp_path: Path) -> None:
    async with station_on(tmp_path, map_bytes_max=2 * MIB) as station:
        rows = await fill(station)
        station.writer.submit(put(b"refused", b"v" * 16 * KIB), 1_000)
        station.writer.submit(batch_of((b"row000000", None, None)), 1_001)
        station.writer.submit(put(b"refused with it"), 1_002)
        station.writer.submit(batch_of((b"row000001", None, b"row000020")), 1_003)
        await station.heard(rows + 5)
        assert station.errors[1_000] is station.errors[1_002] is StorageFull
        assert station.errors[1_001] is station.errors[1_003] is None
        assert "a batch before this one" in str(next(d.error for d in station.completions if d.ticket == 1_002))
        assert station.engine.get(b"refused with it") is None

        station.writer.submit(put(b"room again", b"v" * 16 * KIB), 1_004)
        await station.heard(rows + 6)
        assert station.errors[1_004] is None
        assert len(list(station.engine.scan(b"row", b"rox"))) == rows - 20


async def test_a_log_gets_no_hole_from_batches_that_were_submitted_too_early(tmp_path: Path) -> None:
    """Entry 1 is refused while entry 2, smaller, already waits for the next commit."""
    async with station_on(tmp_path, map_bytes_max=2 * MIB) as station:
        rows = await fill(station)
        station.writer.submit(put(b"entry 1", b"v" * 64 * KIB), 1_001)
        assert station.writer.waiting == 0, "it is under way"
        station.writer.submit(put(b"entry 2", b"v"), 1_002)
        station.writer.submit(batch_of((b"row000000", None, None)), 1_003)
        assert station.writer.waiting == 2, "these wait for the next commit"
        await station.heard(rows + 4)
        assert station.errors[1_001] is station.errors[1_002] is StorageFull
        assert station.errors[1_003] is None
        assert list(station.engine.scan(b"entry", b"entrz")) == []
        assert station.writer.waiting_bytes == 0


async def test_urgent_batches_use_the_reserve_even_in_mixed_company(tmp_path: Path) -> None:
    async with station_on(tmp_path, map_bytes_max=2 * MIB) as station:
        rows = await fill(station)
        station.writer.submit(put(b"urgent", b"v" * 16 * KIB, urgent=True), 1_000)
        station.writer.submit(put(b"ordinary", b"v" * 16 * KIB), 1_001)
        await station.heard(rows + 3)
        assert station.errors[1_000] is None
        assert station.errors[1_001] is StorageFull


# ── a failing disk ──


@pytest.mark.parametrize("on_loop", [True, False])
async def test_after_a_failed_fsync_everything_is_refused(
    station: Station, on_loop: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not on_loop:
        monkeypatch.setattr(data_file, "OPERATIONS_ON_LOOP_MAX", 0)
    station.writer.submit(put(b"before"), 1)
    await station.heard(1)
    station.writer.fault = FsyncFault(error="Input/output error")
    with caplog.at_level(logging.ERROR):
        station.writer.submit(put(b"during"), 2)
        station.writer.submit(put(b"behind"), 3)
        await station.heard(3)
    station.writer.fault = FsyncFault()
    station.writer.submit(put(b"after"), 4)
    await station.heard(4)
    assert station.errors == {1: None, 2: OutcomeUnknown, 3: Unavailable, 4: Unavailable}
    assert "Input/output error" in str(station.completions[-1].error)
    assert [key for key, _ in station.engine.scan(b"", b"\xff")] == [b"before"]


async def test_a_slow_disk_shows_in_the_duration(station: Station) -> None:
    station.writer.fault = FsyncFault(delay_ms=30)
    station.writer.submit(put(b"a"), 1)
    (done,) = await station.heard(1)
    assert done.duration_s >= 0.03
    assert done.error is None


async def test_a_mistake_of_ours_is_told_and_ends_the_writing(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    """A value that is no bytes cannot be; if it is, no ticket may be left unanswered."""
    station.writer.submit(batch_of((b"a", "text", None)), 1)  # type: ignore[arg-type]
    await station.heard(1)
    station.writer.submit(put(b"b"), 2)
    await station.heard(2)
    assert station.errors == {1: OutcomeUnknown, 2: Unavailable}
    assert "the disk writer failed" in caplog.text


# ── the end ──


async def test_closing_finishes_what_is_under_way_and_refuses_the_rest(tmp_path: Path) -> None:
    async with station_on(tmp_path) as station:
        station.writer.fault = FsyncFault(delay_ms=50)
        station.writer.submit(put(b"under way"), 1)
        station.writer.submit(put(b"waiting"), 2)
        await asyncio.get_running_loop().run_in_executor(None, station.writer.close)
        station.writer.close()
        await station.heard(1)
        with pytest.raises(Unavailable, match="closed"):
            station.writer.submit(put(b"late"), 3)
        assert station.errors == {1: None}
        assert station.engine.get(b"under way") == b"v"
        assert station.engine.get(b"waiting") is None


async def test_closing_waits_until_the_event_loop_has_filled_the_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LMDB does not survive that one thread ends a transaction while another one puts rows into it."""
    async with station_on(tmp_path) as station:
        closer = threading.Thread(target=station.writer.close)
        fill = WriteTransaction.apply
        closed_too_soon = []

        def fill_while_closing(self: WriteTransaction, batch: Batch, rows_deleted_max: int | None = None) -> None:
            closer.start()
            closer.join(timeout=0.3)
            closed_too_soon.append(not closer.is_alive())
            fill(self, batch, rows_deleted_max)

        monkeypatch.setattr(WriteTransaction, "apply", fill_while_closing)
        station.writer.submit(put(b"a"), 1)
        await asyncio.get_running_loop().run_in_executor(None, closer.join)
        assert closed_too_soon == [False]
        await station.heard(1)
        assert station.errors == {1: None} and station.engine.get(b"a") == b"v"


LOOP_THAT_ENDS_EARLY = """
    import asyncio, sys
    from pathlib import Path
    from kvstore.server.disk_jobs import FsyncFault
    from kvstore.server.disk_writer import DiskWriter
    from kvstore.storage.engine import Batch
    from kvstore.storage.lmdb_engine import LmdbEngine

    engine = LmdbEngine.open(Path(sys.argv[1]))

    async def main():
        started = asyncio.Event()
        writer = DiskWriter(engine, lambda completions: started.set())
        writer.submit(Batch(), 0)
        await started.wait()
        writer.fault = FsyncFault(delay_ms=100)
        batch = Batch()
        batch.put(b"a", b"1")
        writer.submit(batch, 1)
        return writer

    writer = asyncio.run(main())
    writer.close()
    print(engine.get(b"a"))
    engine.close()
"""


def test_an_event_loop_that_ends_first_does_no_harm(tmp_path: Path) -> None:
    command = [sys.executable, "-c", dedent(LOOP_THAT_ENDS_EARLY), str(tmp_path / "data")]
    told = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert told.stdout == "b'1'\n"
    assert "event loop was closed" in told.stderr


ACKNOWLEDGER = """
    import asyncio, sys
    from pathlib import Path
    from kvstore.server.disk_writer import DiskWriter
    from kvstore.storage.engine import Batch
    from kvstore.storage.lmdb_engine import LmdbEngine

    async def main():
        engine = LmdbEngine.open(Path(sys.argv[1]), map_bytes_start=1 << 20)
        number = int(engine.get(b"latest") or b"0")

        def submit():
            nonlocal number
            number += 1
            batch = Batch()
            batch.put(b"latest", b"%d" % number)
            batch.put(b"row%09d" % number, b"v" * 500)
            writer.submit(batch, number)

        def on_done(completions):
            for done in completions:
                assert done.error is None
                print(done.ticket, flush=True)
                submit()

        writer = DiskWriter(engine, on_done)
        for _ in range(8):
            submit()
        await asyncio.Event().wait()

    asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_it_reported(tmp_path: Path) -> None:
    reported = 0
    for lines_wanted in (1, 300):
        reported = last_said(ACKNOWLEDGER, str(tmp_path / "data"), lines=lines_wanted, before=reported)
        engine = LmdbEngine.open(tmp_path / "data")
        rows = [int(key[3:]) for key, _ in engine.scan(b"row", b"rox")]
        assert rows == list(range(1, int(engine.get(b"latest") or b"0") + 1))
        assert rows[-1] >= reported
        engine.close()
