"""A folder with a data file and its journal, opened and left as often as a test likes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvstore.core.ids import GroupId, Index
from kvstore.server.journal import Journal
from kvstore.storage.engine import Operation
from kvstore.storage.keys import LOG, log_key
from kvstore.storage.lmdb_engine import LmdbEngine

KIB = 1 << 10
SIZE = 4 * KIB
G = GroupId(1)


def entry(index: int, value: bytes = b"entry") -> list[Operation]:
    return [(log_key(G, Index(index)), value, None)]


class Place:
    """A folder with a data file, and the journal's file in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "journal"

    @contextmanager
    def engine(self, map_bytes_max: int = 64 << 20, reserve_bytes: int = 16 << 20) -> Iterator[LmdbEngine]:
        engine = LmdbEngine.open(
            self.folder, map_bytes_max=map_bytes_max, map_bytes_start=1 << 20, reserve_bytes=reserve_bytes
        )
        try:
            yield engine
        finally:
            engine.close()

    @contextmanager
    def opened(self, size_bytes: int = SIZE) -> Iterator[tuple[LmdbEngine, Journal]]:
        """It ends as if killed: nothing is handed over."""
        with self.engine() as engine:
            journal = Journal.open(self.file, engine, size_bytes)
            assert journal is not None
            try:
                yield engine, journal
            finally:
                journal.close()

    def entries(self, size_bytes: int = SIZE) -> list[int]:
        """The log entries that are there after the next start."""
        with self.engine() as engine:
            journal = Journal.open(self.file, engine, size_bytes)
            if journal is not None:
                journal.close()
            return [int.from_bytes(key[5:], "big") for key, _ in engine.scan(LOG, bytes([LOG[0] + 1]))]

    def copy(self, folder: Path) -> "Place":
        shutil.copytree(self.folder, folder)
        return Place(folder)


def append(journal: Journal, operations: list[Operation]) -> None:
    record = journal.next_record(operations)
    assert record is not None
    journal.append(record, operations)


def append_all(journal: Journal, *indexes: int) -> None:
    for index in indexes:
        append(journal, entry(index))


def hand_over(engine: LmdbEngine, journal: Journal) -> None:
    engine.commit(journal.handed_over())
    journal.restart()
