"""The journal's file: made once and missed if gone; what it holds is taken over, whenever the process dies."""

import os
import shutil
from collections.abc import Callable
from errno import EINVAL, EIO, ENOSPC, EOPNOTSUPP
from pathlib import Path
from typing import Any

import pytest

from kvstore.core.errors import Corruption, OutcomeUnknown, StorageFull
from kvstore.core.ids import Index
from kvstore.server.journal import Journal
from kvstore.storage.engine import Batch
from kvstore.storage.journal import load_mark
from kvstore.storage.keys import JOURNALED, log_key, log_range
from kvstore.storage.lmdb_engine import LmdbEngine
from tests.server.shelf import KIB, SIZE, G, Place, append, append_all, entry, hand_over
from tests.server.station import rows_in


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data")


# ── making, missing, resizing ────────────────────────────────────────────────────────────────────────────────────────


def test_a_fresh_journal_has_its_length_and_its_mark(place: Place) -> None:
    with place.opened() as (engine, journal):
        assert (journal.size_bytes, journal.used_bytes, bool(journal.pending)) == (SIZE, 0, False)
        assert place.file.stat().st_size == SIZE
        assert place.file.stat().st_blocks * 512 >= SIZE, "its room is reserved"
        assert place.file.stat().st_mode & 0o777 == 0o600
        mark = load_mark(engine)
        assert mark is not None and (mark.number, mark.size_bytes) == (0, SIZE)


def test_what_was_appended_is_there_at_the_next_start(place: Place) -> None:
    with place.opened() as (engine, journal):
        append_all(journal, 1, 2, 3)
        assert rows_in(engine) == {}, "the data file hears of it later"
        assert journal.pending.size_bytes == 3 * (13 + 5)
    assert place.entries() == [1, 2, 3]
    with place.opened() as (engine, journal):
        mark = load_mark(engine)
        assert mark is not None and mark.number == 3
        assert journal.used_bytes == 0 and not journal.pending
        append_all(journal, 4)
    assert place.entries() == [1, 2, 3, 4]
    assert place.entries() == [1, 2, 3, 4]


def test_every_journal_has_its_own_salt(place: Place, tmp_path: Path) -> None:
    salts = set()
    for number in range(4):
        with Place(tmp_path / f"{number}").opened() as (engine, _):
            mark = load_mark(engine)
            assert mark is not None
            salts.add(mark.salt)
    assert len(salts) == 4


def test_a_missing_file_is_missed(place: Place) -> None:
    with place.opened() as (_, journal):
        append_all(journal, 1)
    place.file.unlink()
    for size_bytes in (SIZE, 0):
        with pytest.raises(
            Corruption, match=r"journal is gone, and with it the last writes.*move the node's directory"
        ):
            place.entries(size_bytes)
    assert not place.file.exists(), "a new one would hide the loss"


def test_a_file_that_was_cut_off_is_missed(place: Place) -> None:
    with place.opened():
        pass
    os.truncate(place.file, SIZE - 1)
    with pytest.raises(Corruption, match=f"cut off: {SIZE - 1} of {SIZE} bytes"):
        place.entries()
    os.truncate(place.file, 0)
    with pytest.raises(Corruption, match="cut off: 0 of"):
        place.entries()


@pytest.mark.parametrize("value", [b"", b"rubbish", b"\0" * 24])
def test_a_damaged_mark_is_told(place: Place, value: bytes) -> None:
    with place.opened() as (engine, _):
        batch = Batch()
        batch.put(JOURNALED, value)
        engine.commit(batch)
    with pytest.raises(Corruption, match="how far the journal was taken over"):
        place.entries()


def test_without_a_journal_what_it_held_is_in_the_data_file_and_the_file_gone(place: Place) -> None:
    with place.opened() as (_, journal):
        append_all(journal, 1, 2)
    assert place.entries(0) == [1, 2]
    assert not place.file.exists()
    with place.engine() as engine:
        assert load_mark(engine) is None
    assert place.entries(0) == [1, 2]

    with place.opened() as (engine, journal):  # and later one again
        hand_over(engine, journal)
        append_all(journal, 3)
    assert place.entries() == [1, 2, 3]


@pytest.mark.parametrize("left_behind", [True, False])
def test_a_later_journal_knows_nothing_of_an_earlier_one(place: Place, left_behind: bool) -> None:
    """Its numbers begin at 1 again, and the file of the old one may still be there: killed before it was removed."""
    with place.opened() as (_, journal):
        append_all(journal, *range(1, 9))
    old = place.file.read_bytes()
    assert place.entries(0) == list(range(1, 9))
    with place.engine() as engine:
        batch = Batch()
        batch.delete_range(*log_range(G))
        engine.commit(batch)
    if left_behind:
        place.file.write_bytes(old)
    with place.opened() as (_, journal):
        append_all(journal, 21)
    assert place.entries() == [21]


@pytest.mark.parametrize("size_bytes", [SIZE // 2, SIZE * 2])
def test_another_size_takes_over_what_is_there(place: Place, size_bytes: int) -> None:
    with place.opened() as (_, journal):
        append_all(journal, *range(1, 61))
        assert journal.used_bytes > SIZE // 2
    with place.opened(size_bytes) as (_, journal):
        assert place.file.stat().st_size == journal.size_bytes == size_bytes
        append_all(journal, 61)
    assert place.entries(size_bytes) == list(range(1, 62))
    os.truncate(place.file, size_bytes - 1)
    with pytest.raises(Corruption, match=f"of {size_bytes} bytes"):
        place.entries(size_bytes)


# ── dying on the way ─────────────────────────────────────────────────────────────────────────────────────────────────


class Died(BaseException):
    """The process ends here."""


def die_at(patch: pytest.MonkeyPatch, call: int, *, late: bool) -> None:
    """End at this of all the calls that change something on disk: before it does, or after."""
    left = call

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left >= 0:
                return real(*args, **more)
            if late:
                real(*args, **more)
            raise Died

        return instead

    patch.setattr(LmdbEngine, "commit", dying(LmdbEngine.commit))
    patch.setattr(Path, "unlink", dying(Path.unlink))
    for name in ("ftruncate", "posix_fallocate", "fsync"):
        patch.setattr(f"kvstore.server.journal.os.{name}", dying(getattr(os, name)))


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("size_bytes", [SIZE, SIZE // 2, SIZE * 2, 0])
def test_dying_while_it_is_opened_harms_nothing(
    place: Place, tmp_path: Path, size_bytes: int, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.opened() as (_, journal):
        append_all(journal, *range(1, 41))
        append(journal, [(log_key(G, Index(30)), None, log_range(G)[1])])
    deaths = 0
    for call in range(20):
        copy = place.copy(tmp_path / f"{call}")
        with monkeypatch.context() as patch:
            die_at(patch, call, late=late)
            try:
                copy.entries(size_bytes)
                break
            except Died:
                deaths += 1
        for size_after in (0, SIZE, size_bytes):
            again = copy.copy(tmp_path / f"{call}-{size_after}")
            assert again.entries(size_after) == again.entries(size_after) == list(range(1, 30))
            shutil.rmtree(again.folder)
    assert deaths >= 3


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_dying_while_the_first_is_made_harms_nothing(
    place: Place, tmp_path: Path, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.engine():
        pass
    for call in range(4):
        copy = place.copy(tmp_path / f"{call}")
        with monkeypatch.context() as patch:
            die_at(patch, call, late=late)
            with pytest.raises(Died):
                copy.entries()
        with copy.opened() as (_, journal):
            append_all(journal, 1)
        assert copy.entries() == [1]


# ── rounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_journal_has_no_room_until_it_was_handed_over(place: Place) -> None:
    index = 0
    with place.opened() as (engine, journal):
        for rounds in range(3):
            while (record := journal.next_record(entry(index + 1))) is not None:
                index += 1
                journal.append(record, entry(index))
                assert journal.used_bytes <= SIZE
            assert SIZE - 100 < journal.used_bytes <= SIZE, rounds
            if rounds < 2:
                hand_over(engine, journal)
            assert len(rows_in(engine)) == len(range(1, index + 1)) - len(journal.pending.as_batch().operations)
        assert place.file.stat().st_size == SIZE
    assert index > 150
    assert place.entries() == list(range(1, index + 1))


def test_a_record_may_fill_the_file_to_the_last_byte_and_not_more(place: Place) -> None:
    with place.opened() as (_, journal):
        overhead = len(journal.next_record(entry(1, b"v" * 1_000)) or b"") - 1_000
        assert journal.next_record(entry(1, b"v" * (SIZE - overhead + 1))) is None
        append(journal, entry(1, b"v" * (SIZE - overhead)))
        assert journal.used_bytes == SIZE
        assert journal.next_record([]) is None
    assert place.entries() == [1]


def test_killed_after_the_hand_over_the_old_round_stays_over(place: Place) -> None:
    """What was deleted since does not come back from records that are still in the file."""
    with place.opened() as (engine, journal):
        append_all(journal, 1, 2, 3)
        hand_over(engine, journal)
        append(journal, [(log_key(G, Index(2)), None, log_range(G)[1])])
    assert place.entries() == [1]


def test_killed_between_the_hand_over_and_the_next_record(place: Place) -> None:
    with place.opened() as (engine, journal):
        append_all(journal, 1, 2, 3)
        engine.commit(journal.handed_over())
        batch = Batch()
        batch.delete_range(*log_range(G))
        engine.commit(batch)
    assert place.entries() == []


def test_the_batch_it_is_handed_over_with_comes_after_it(place: Place) -> None:
    with place.opened() as (engine, journal):
        append_all(journal, 1, 2, 3)
        batch = Batch()
        batch.delete_range(log_range(G)[0], log_key(G, Index(3)))
        batch.delete_range(JOURNALED, JOURNALED + b"\0")
        batch.put(log_key(G, Index(3)), b"another")
        whole = journal.handed_over(batch)
        assert not whole.urgent, "as urgent as the batch: what is refused with it can be handed over alone"
        assert journal.handed_over().urgent
        engine.commit(whole)
        mark = load_mark(engine)
        assert mark is not None and mark.number == 3
        assert rows_in(engine) == {log_key(G, Index(3)): b"another"}


# ── a disk that fails ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_failed_write_leaves_the_outcome_unknown(place: Place, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.opened() as (_, journal):
        append_all(journal, 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing(EIO))
            with pytest.raises(OutcomeUnknown, match="Input/output error"):
                append_all(journal, 2)
        assert journal.pending.size_bytes == 13 + 5
    assert place.entries() == ([1] if call == "pwrite" else [1, 2])


def test_a_record_is_written_whole_in_however_many_pieces(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    with place.opened() as (_, journal):
        monkeypatch.setattr(os, "pwrite", lambda file, data, position: real(file, data[:7], position))
        append_all(journal, 1, 2)
    assert place.entries() == [1, 2]


def test_every_append_waits_for_the_disk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        real(descriptor)
        synced.append(place.file.read_bytes())

    with place.opened() as (_, journal):
        monkeypatch.setattr(os, "fdatasync", fdatasync)
        for index in (1, 2):
            record = journal.next_record(entry(index))
            assert record is not None
            journal.append(record, entry(index))
            assert len(synced) == index and record in synced[-1]


def test_a_closed_journal_takes_nothing(place: Place) -> None:
    with place.opened() as (_, journal):
        journal.close()
        journal.close()
        with pytest.raises(OutcomeUnknown, match="closed"):
            append_all(journal, 1)


@pytest.mark.parametrize("code", [EOPNOTSUPP, EINVAL])
def test_a_file_system_that_cannot_reserve_room_will_do(
    place: Place, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", failing(code))
    with place.opened() as (_, journal):
        append_all(journal, 1)
    assert place.file.stat().st_size == SIZE
    assert place.entries() == [1]


def test_no_room_for_the_file(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", failing(ENOSPC))
        with pytest.raises(StorageFull, match=rf"no room for .*journal, {SIZE} bytes \(storage\.journal_bytes\)"):
            place.entries()
        assert place.file.stat().st_size == 0, "on a full disk nobody needs half of it"
    with place.opened() as (_, journal):
        append_all(journal, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", failing(ENOSPC))
        with pytest.raises(StorageFull):
            place.entries(2 * SIZE)
    assert place.file.stat().st_size == SIZE
    assert place.entries() == [1]


def test_another_error_is_handed_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", failing(EIO))
    with pytest.raises(OSError, match="Input/output"):
        place.entries()


def test_a_data_file_without_room_for_what_the_journal_holds(place: Place) -> None:
    with place.opened(1 << 20) as (_, journal):
        for index in range(1, 21):
            append(journal, entry(index, b"v" * 40_000))
    told = pytest.raises(StorageFull, match=r"no room for what .*journal holds.*storage\.map_bytes_max")
    with place.engine(map_bytes_max=100 * KIB, reserve_bytes=200 * KIB) as engine, told:
        Journal.open(place.file, engine, 1 << 20)
    assert place.entries(1 << 20) == list(range(1, 21)), "with more room it goes on"


def failing(code: int) -> Callable[..., Any]:
    def instead(*_: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return instead
