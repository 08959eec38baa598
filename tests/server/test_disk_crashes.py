"""A disk writer with a journal that dies at any moment: what was reported is there, whole and in order."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

import pytest

from kvstore.core.ids import GroupId, Index
from kvstore.storage.engine import Batch
from kvstore.storage.journal import Way, way_of
from kvstore.storage.keys import (
    BALLOT,
    LOG,
    ballot_key,
    doomed_key,
    log_key,
    log_range,
    meta_key,
    place_key,
    value_prefix,
)
from kvstore.storage.lmdb_engine import WriteTransaction
from kvstore.storage.memory_engine import MemoryEngine
from tests.killing import last_said
from tests.server.station import (
    KIB,
    Station,
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


class Life:
    """Random batches as a node makes them, and the rows after each."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.batches: list[Batch] = []
        self.ways: list[Way] = []
        self.beside: list[bool] = []
        """Whether it goes beside the batches: rows that the log has already."""
        self._engine = MemoryEngine()
        self.rows: list[Rows] = [{}]
        self._ends = {1: 0, 2: 0}

    def next(self) -> Batch:
        number = len(self.batches)
        makers = (
            self._append,
            self._append,
            self._vote,
            self._flush,
            self._flush,
            self._cut,
            self._compact,
            self._drop,
        )
        batch = Batch()
        batch.urgent = True
        beside = self.rng.random() < 0.3
        for _ in range(self.rng.choice((1, 1, 2))):
            make = self._flush if beside else self.rng.choice(makers)
            make(batch, GroupId(self.rng.randint(1, 2)), b"%d" % number)
        self.beside.append(beside)
        self.batches.append(batch)
        self.ways.append(way_of(batch))
        self._engine.commit(batch)
        self.rows.append(rows_in(self._engine))
        return batch

    def _append(self, batch: Batch, group: GroupId, mark: bytes) -> None:
        for _ in range(self.rng.randint(1, 3)):
            self._ends[group] += 1
            batch.put(log_key(group, Index(self._ends[group])), mark * self.rng.randint(1, 40))

    def _vote(self, batch: Batch, group: GroupId, mark: bytes) -> None:
        batch.put(ballot_key(group), mark)

    def _flush(self, batch: Batch, group: GroupId, mark: bytes) -> None:
        for _ in range(self.rng.randint(1, 4)):
            batch.put(value_prefix(group) + b"%d" % self.rng.randint(0, 20), mark * 20)
        batch.delete(value_prefix(group) + b"%d" % self.rng.randint(0, 20))
        batch.put(meta_key(group), mark)

    def _cut(self, batch: Batch, group: GroupId, mark: bytes) -> None:
        self._ends[group] = max(0, self._ends[group] - self.rng.randint(0, 5))
        batch.delete_range(log_key(group, Index(self._ends[group] + 1)), log_range(group)[1])
        self._append(batch, group, mark)

    def _compact(self, batch: Batch, group: GroupId, mark: bytes) -> None:
        batch.delete_range(log_range(group)[0], log_key(group, Index(max(0, self._ends[group] - 3))))
        batch.put(place_key(group), mark)

    def _drop(self, batch: Batch, group: GroupId, mark: bytes) -> None:
        batch.delete_range(*log_range(group))
        batch.delete(ballot_key(group))
        batch.put(place_key(group), mark)
        batch.put(doomed_key(group), mark)


class Photographer:
    """Copies the folder at moments of the writing threads, while neither syncs anything."""

    def __init__(self, folder: Path, pictures: Path, station: Station, rng: Random) -> None:
        self._folder, self._pictures, self._station, self._rng = folder, pictures, station, rng
        self._standing_still = Lock()
        self.submitted = 0
        self.taken: list[tuple[Path, set[int], int]] = []
        """Picture, and which batches had been reported and how many submitted when it was taken."""

    def take(self, chance: float, torn: bool = False) -> None:
        if self._rng.random() > chance:
            return
        picture = copied(self._folder, self._pictures / f"{len(self.taken)}")
        if torn:
            self._tear(picture / "data" / "journal")
        self.taken.append((picture, {done.ticket for done in self._station.completions}, self.submitted))

    def _tear(self, file: Path) -> None:
        """The record that is being written, up to anywhere."""
        data = bytearray(file.read_bytes())
        start = journal_of(self._station).used_bytes
        length = 16 + int.from_bytes(data[start + 8 : start + 12], "big")
        kept = self._rng.randint(0, length)
        data[start + kept : start + length] = self._rng.choice((b"\0", b"\xaa")) * (length - kept)
        file.write_bytes(data)

    def around(self, real: Callable[..., Any], torn: bool) -> Callable[..., Any]:
        def instead(*args: Any) -> Any:
            with self._standing_still:
                self.take(0.5)
                if torn:
                    self.take(0.5, torn=True)
                result = real(*args)
                self.take(0.5)
            return result

        return instead


def is_hot(key: bytes) -> bool:
    return key[:1] in (BALLOT, LOG)


def explains(life: Life, found: Rows, reported: set[int], submitted: int) -> bool:
    """Whether these are the rows of the journal's tables after so many batches, and of the others after so many.

    Both have what was reported. A batch for both files is in the journal first, and any other that is not for the
    journal alone is in both or in none.
    """
    hot_found = {key: value for key, value in found.items() if is_hot(key)}
    cold_found = {key: value for key, value in found.items() if not is_hot(key)}
    hot_least = max((ticket for ticket in reported if not life.beside[ticket - 1]), default=0)
    hots = [
        count
        for count in range(hot_least, submitted + 1)
        if {key: value for key, value in life.rows[count].items() if is_hot(key)} == hot_found
    ]
    colds = [
        count
        for count in range(_cold_least(life, reported), submitted + 1)
        if {key: value for key, value in life.rows[count].items() if not is_hot(key)} == cold_found
    ]
    return any(_fit(life, hot, cold) for hot in hots for cold in colds)


def _cold_least(life: Life, reported: set[int]) -> int:
    """The last one reported that changes anything in the data file."""
    return max((ticket for ticket in reported if life.ways[ticket - 1] is not Way.JOURNAL), default=0)


def _fit(life: Life, hot: int, cold: int) -> bool:
    between = range(min(hot, cold), max(hot, cold))
    ways = [life.ways[place] for place in between if not life.beside[place]]
    return Way.ENGINE not in ways and (hot >= cold or Way.BOTH not in ways)


@pytest.mark.parametrize("seed", range(6))
async def test_a_crash_at_any_moment_leaves_what_was_reported(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    life, rng = Life(seed), Random(seed)
    async with station_on(tmp_path, journal_bytes=2 * KIB) as station:
        photographer = Photographer(tmp_path, tmp_path / "pictures", station, rng)
        monkeypatch.setattr("kvstore.server.journal.os.fdatasync", photographer.around(lambda _: None, torn=True))
        monkeypatch.setattr(WriteTransaction, "commit", photographer.around(WriteTransaction.commit, torn=False))
        while len(life.batches) < 100:
            for _ in range(rng.choice((1, 1, 2, 5))):
                batch, ticket = life.next(), len(life.batches)
                photographer.submitted = ticket
                if life.beside[-1]:
                    station.writer.submit_rows(batch, ticket)
                else:
                    station.writer.submit(batch, ticket)
            await station.heard(rng.randint(len(station.completions), len(life.batches)))
        await station.heard(len(life.batches))
        for beside in (False, True):  # each of both kinds in its order
            tickets = [done.ticket for done in station.completions if life.beside[done.ticket - 1] is beside]
            assert tickets == [place for place, it in enumerate(life.beside, 1) if it is beside]
        assert set(station.errors.values()) == {None}
        assert len(photographer.taken) > 20
    for picture, reported, submitted in photographer.taken:
        found = rows_after_a_crash(picture, 2 * KIB)
        assert explains(life, found, reported, submitted), f"{picture.name}: {len(reported)} of {submitted} reported"
    assert rows_after_a_crash(tmp_path, 2 * KIB) == life.rows[-1]
    assert set(life.ways) == set(Way)


async def test_halves_of_one_batch_reach_the_disk_journal_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = entry(1)
    batch.extend(put(meta_key(1), urgent=True))
    pictures: list[Path] = []
    real = WriteTransaction.commit

    def commit(transaction: WriteTransaction) -> None:
        pictures.append(copied(tmp_path, tmp_path / f"{len(pictures)}"))
        real(transaction)

    async with station_on(tmp_path, journal_bytes=64 * KIB) as station:
        monkeypatch.setattr(WriteTransaction, "commit", commit)
        station.writer.submit(batch, 1)
        await station.heard(1)
    assert list(rows_after_a_crash(pictures[0])) == [log_key(G, Index(1))]


ACKNOWLEDGER = """
    import asyncio, sys
    from pathlib import Path
    from kvstore.core.ids import GroupId, Index
    from kvstore.server.disk_writer import DiskWriter
    from kvstore.server.journal import Journal
    from kvstore.storage.engine import Batch
    from kvstore.storage.keys import ballot_key, log_key, meta_key
    from kvstore.storage.lmdb_engine import LmdbEngine

    async def main():
        folder = Path(sys.argv[1])
        engine = LmdbEngine.open(folder, map_bytes_start=1 << 20)
        journal = Journal.open(folder / "journal", engine, 16 << 10)
        number = int(engine.get(ballot_key(1)) or b"0")

        def submit():
            nonlocal number
            number += 1
            batch = Batch()
            batch.urgent = True
            batch.put(ballot_key(1), b"%d" % number)
            batch.put(log_key(1, number), b"v" * 50)
            if number % 7 == 0:
                batch.put(meta_key(1), b"%d" % number)
            writer.submit(batch, number)

        def on_done(completions):
            for done in completions:
                assert done.error is None
                print(done.ticket, flush=True)
                submit()

        writer = DiskWriter(engine, on_done, journal)
        for _ in range(8):
            submit()
        await asyncio.Event().wait()

    asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_it_reported(tmp_path: Path) -> None:
    reported = 0
    for lines_wanted in (1, 400, 1):
        reported = last_said(ACKNOWLEDGER, str(tmp_path / "data"), lines=lines_wanted, before=reported)
        rows = rows_after_a_crash(tmp_path, 16 * KIB)
        last = int(rows[ballot_key(G)])
        assert last >= reported
        assert [key for key in rows if key[:1] == LOG] == [log_key(G, Index(index)) for index in range(1, last + 1)]
        assert last - 8 <= int(rows.get(meta_key(1), b"0")) + 7


EMBEDDER = """
    import sys
    import kvstore

    with kvstore.open(sys.argv[1]) as db:
        number = int(sys.argv[2])
        while True:
            db.put(b"key%06d" % number, b"value%06d" % number)
            print(number, flush=True)
            number += 1
"""


def test_a_killed_node_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    """The whole node: its votes, its log and its state are what they were."""
    import kvstore

    acknowledged = -1
    for lines_wanted in (1, 300):
        args = str(tmp_path / "db"), str(acknowledged + 1)
        acknowledged = last_said(EMBEDDER, *args, lines=lines_wanted, before=acknowledged)
    with kvstore.open(tmp_path / "db") as db:
        for number in range(acknowledged + 1):
            assert db.get(b"key%06d" % number) == b"value%06d" % number
