"""A disk writer on a real folder, and what it reports."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from kvstore.core.ids import GroupId, Index
from kvstore.server.disk_writer import Completion, DiskWriter
from kvstore.server.journal import Journal
from kvstore.storage.engine import Batch, Operation
from kvstore.storage.keys import JOURNALED, log_key
from kvstore.storage.lmdb_engine import DATA_FILE, LmdbEngine
from kvstore.storage.memory_engine import MemoryEngine

KIB, MIB = 1 << 10, 1 << 20
GROUP = GroupId(1)


def batch_of(*operations: Operation, urgent: bool = False) -> Batch:
    batch = Batch()
    for key, value, end in operations:
        batch.operations.append((key, value, end))
        batch.size_bytes += len(key) + len(value or b"")
    batch.urgent = urgent
    return batch


def put(key: bytes, value: bytes = b"v", urgent: bool = False) -> Batch:
    return batch_of((key, value, None), urgent=urgent)


class Station:
    """A writer over an engine, and what it reported, call by call."""

    on_report: Callable[["Station"], None] | None = None

    def __init__(self, engine: LmdbEngine, journal: Journal | None) -> None:
        self.engine, self.journal = engine, journal
        self.reports: list[list[Completion]] = []
        self._news = asyncio.Event()
        self.writer = DiskWriter(engine, self._hear, journal)

    def _hear(self, completions: list[Completion]) -> None:
        self.reports.append(completions)
        self._news.set()
        if self.on_report is not None:
            self.on_report(self)

    @property
    def completions(self) -> list[Completion]:
        return [completion for report in self.reports for completion in report]

    @property
    def errors(self) -> dict[int, type[Exception] | None]:
        return {done.ticket: type(done.error) if done.error else None for done in self.completions}

    async def heard(self, tickets: int) -> list[Completion]:
        """Everything reported, once it is about so many tickets."""
        while len(self.completions) < tickets:
            self._news.clear()
            await self._news.wait()
        return self.completions


@asynccontextmanager
async def station_on(
    path: Path,
    map_bytes_max: int = 64 * MIB,
    map_bytes_start: int = MIB,
    reserve_bytes: int = 16 * MIB,
    journal_bytes: int = 0,
) -> AsyncIterator[Station]:
    engine = LmdbEngine.open(
        path / "data", map_bytes_max=map_bytes_max, map_bytes_start=map_bytes_start, reserve_bytes=reserve_bytes
    )
    station = Station(engine, Journal.open(path / "data" / "journal", engine, journal_bytes))
    try:
        station.writer.submit(Batch(), -1)
        await station.heard(1)
        station.reports.clear()  # from here on the writer is idle, and a batch is under way as soon as it is submitted
        yield station
    finally:
        station.writer.close()
        engine.close()


def entry(index: int, value: bytes = b"entry", group: GroupId = GROUP) -> Batch:
    return put(log_key(group, Index(index)), value, urgent=True)


def journal_of(station: Station) -> Journal:
    assert station.journal is not None
    return station.journal


def rows_in(engine: LmdbEngine | MemoryEngine) -> dict[bytes, bytes]:
    return {key: value for key, value in engine.scan(b"", b"\xff") if key != JOURNALED}


def rows_after_a_crash(folder: Path, journal_bytes: int = 64 * KIB) -> dict[bytes, bytes]:
    """What a process that starts on this folder finds."""
    engine = LmdbEngine.open(folder / "data", map_bytes_start=MIB)
    try:
        journal = Journal.open(folder / "data" / "journal", engine, journal_bytes)
        assert journal is not None
        journal.close()
        return rows_in(engine)
    finally:
        engine.close()


def copied(folder: Path, to: Path) -> Path:
    (to / "data").mkdir(parents=True)
    for name in (DATA_FILE, "journal"):
        shutil.copy(folder / "data" / name, to / "data" / name)
    return to
