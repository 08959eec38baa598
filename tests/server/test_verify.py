"""A sound directory has no findings; every kind of damage is found, and named so that people can find it again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kvstore.core.entries import Ballot, Entry, LogEnd
from kvstore.core.errors import ConfigError, Unavailable
from kvstore.core.ids import ClusterId, GroupId, Index, NodeId, Term
from kvstore.core.records import seal
from kvstore.node.value_rows import pack_superseded
from kvstore.server.data_directory import ENGINE_FOLDER, JOURNAL_FILE, MANIFEST_FILE, DataDirectory
from kvstore.server.verify import FINDINGS_MAX, Report, verify_directory
from kvstore.storage import entry_log
from kvstore.storage.ballot_box import put_ballot
from kvstore.storage.engine import Batch
from kvstore.storage.group_places import GroupPlace, put_place
from kvstore.storage.keys import (
    BALLOT,
    JOURNALED,
    LOG,
    PLACE,
    ballot_key,
    doomed_key,
    history_key,
    log_key,
    meta_key,
    outcome_key,
    place_key,
    value_prefix,
)
from kvstore.storage.lmdb_engine import DATA_FILE

GROUP = GroupId(3)
Change = Callable[[Batch], None]


def change(path: Path, *changes: Change) -> None:
    """Open the directory as a node would and commit something."""
    with DataDirectory.open_or_create(path, ClusterId("c1"), NodeId("n1")) as directory:
        engine = directory.open_engine()
        batch = Batch()
        for each in changes:
            each(batch)
        engine.commit(batch)
        engine.close()


def put(key: bytes, value: bytes) -> Change:
    return lambda batch: batch.put(key, value)


def delete(key: bytes) -> Change:
    return lambda batch: batch.delete(key)


def a_life(batch: Batch) -> None:
    """Rows of every table."""
    put_ballot(batch, GROUP, Ballot(Term(2), NodeId("n1")))
    put_place(batch, GROUP, GroupPlace(1, LogEnd(Term(1), Index(10))))
    entry_log.append(batch, GROUP, [Entry(Term(2), Index(index), b"payload") for index in range(11, 31)], None)
    batch.put(meta_key(1), seal(b"applied"))
    for number in range(100):
        batch.put(value_prefix(1) + b"key%03d" % number, seal(b"a value that can be found in the file %03d" % number))
    batch.put(history_key(1, 77), pack_superseded(b"key", seal(b"older"), False))
    batch.put(outcome_key(1, 5, 6), seal(b"answers"))
    batch.put(doomed_key(9), b"")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    change(tmp_path, a_life)
    return tmp_path


def told(report: Report) -> list[str]:
    return [str(finding) for finding in report.findings]


def test_a_sound_directory(path: Path) -> None:
    report = verify_directory(path)
    assert told(report) == []
    assert report.is_sound
    assert report.manifest is not None and report.manifest.node == "n1"
    assert report.size_bytes > 4096
    assert report.rows == {
        "ballots": 1,
        "places": 1,
        "log entries": 20,
        "states": 1,
        "values": 100,
        "superseded versions": 1,
        "outcomes": 1,
        "states being deleted": 1,
    }


@pytest.mark.parametrize(
    ("key", "finding"),
    [
        (ballot_key(GROUP), "ballots of group 3: group 3: the ballot fails its checksum"),
        (place_key(GROUP), "places of group 3: group 3: its place fails its checksum"),
        (log_key(GROUP, Index(15)), "log entries of group 3, index 15: group 3: log entry 15 fails its checksum"),
        (meta_key(1), "states of data 1, key b'': the row fails its checksum"),
        (value_prefix(1) + b"key007", "values of data 1, key b'key007': the row fails its checksum"),
        (history_key(1, 77), "superseded versions of data 1, key b'\\x00"),
        (outcome_key(1, 5, 6), "outcomes of data 1, key b'\\x00"),
        (doomed_key(9), "states being deleted of data 9, key b'': the row fails its checksum"),
    ],
)
def test_a_bad_row_of_every_table(path: Path, key: bytes, finding: str) -> None:
    change(path, put(key, b"\x00\x00\x00\x00not what was sealed"))
    report = verify_directory(path)
    (only,) = told(report)
    assert only.startswith(finding)
    assert not report.is_sound


@pytest.mark.parametrize(
    ("key", "finding"),
    [
        (b"zebra", "row b'zebra': belongs to no table this version knows"),
        (b"\xff" * 511, "belongs to no table"),
        (BALLOT + b"abc", "has a key of 4 bytes"),
        (PLACE + b"abcdefgh", "has a key of 9 bytes"),
        (LOG + b"abc", "has a key of 4 bytes"),
        (value_prefix(1), "has a key of 5 bytes"),
    ],
)
def test_keys_that_fit_no_table(path: Path, key: bytes, finding: str) -> None:
    change(path, put(key, seal(b"sound")))
    assert finding in told(verify_directory(path))[0]


def test_a_body_that_makes_no_sense_below_a_good_checksum(path: Path) -> None:
    change(path, put(place_key(GROUP), seal(b"\xc1")), put(ballot_key(GROUP), seal(b"short")))
    assert [finding.problem.split(": ")[1].split(" makes")[0] for finding in verify_directory(path).findings] == [
        "the ballot",
        "its place",
    ]


def test_holes_in_a_log(path: Path) -> None:
    change(path, delete(log_key(GROUP, Index(14))), *(delete(log_key(GROUP, Index(index))) for index in (20, 21, 22)))
    assert told(verify_directory(path)) == [
        "group 3: log entry 14 is missing",
        "group 3: log entry 20 to 22 are missing",
    ]


def test_a_log_that_begins_too_late(path: Path) -> None:
    change(path, delete(log_key(GROUP, Index(11))))
    assert told(verify_directory(path)) == ["group 3: log entry 11 is missing"]


def test_rows_of_a_compacted_log_that_are_still_there_are_no_finding(path: Path) -> None:
    change(path, lambda batch: put_place(batch, GROUP, GroupPlace(1, LogEnd(Term(2), Index(25)))))
    assert verify_directory(path).is_sound


def test_a_flipped_byte_in_the_file(path: Path) -> None:
    file = path / ENGINE_FOLDER / DATA_FILE
    data = bytearray(file.read_bytes())
    place = data.index(b"a value that can be found in the file 042")
    data[place + 3] ^= 0x10
    file.write_bytes(data)
    (only,) = told(verify_directory(path))
    assert only == "values of data 1, key b'key042': the row fails its checksum (45 bytes)"


@pytest.mark.parametrize("pages", [True, False])
def test_a_damaged_tree_is_told_and_not_walked_into(path: Path, pages: bool) -> None:
    file = path / ENGINE_FOLDER / DATA_FILE
    data = bytearray(file.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 16] = b"\xaa" * 16
    file.write_bytes(data)
    report = verify_directory(path, pages=pages)
    assert ("the rows were not looked at" if pages else "reading stopped") in told(report)[-1]
    assert not report.rows


@pytest.mark.parametrize("kept", [0, 100, 4096, 3 * 4096])
def test_a_file_that_was_cut_off(path: Path, kept: int) -> None:
    file = path / ENGINE_FOLDER / DATA_FILE
    file.write_bytes(file.read_bytes()[:kept])
    assert not verify_directory(path).is_sound


def test_manifests_that_are_missing_half_or_newer(path: Path) -> None:
    manifest = path / MANIFEST_FILE
    content = manifest.read_bytes()
    for wrong, finding in ((content[:50], "half-written"), (b'{"format": 99}', "newer version")):
        manifest.write_bytes(wrong)
        (only,) = told(verify_directory(path))
        assert only.startswith("manifest.json: ") and finding in only
    manifest.unlink()
    report = verify_directory(path)
    assert told(report) == ["manifest.json: is missing: nobody can say whose data this is"]
    assert report.rows["values"] == 100, "the rows are looked at all the same"


def test_rows_that_are_gone(path: Path) -> None:
    with DataDirectory.open_or_create(path, ClusterId("c1"), NodeId("n1")) as directory:
        directory.record_founding({"n1": 1})
    (path / ENGINE_FOLDER / DATA_FILE).unlink()
    assert told(verify_directory(path)) == ["data: data.mdb is missing, though this node took part in a cluster"]


def test_a_directory_in_use_is_refused(path: Path) -> None:
    with (
        DataDirectory.open_or_create(path, ClusterId("c1"), NodeId("n1")),
        pytest.raises(Unavailable, match="in use by another process"),
    ):
        verify_directory(path)


def test_what_is_no_data_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no data directory"):
        verify_directory(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_changed(path: Path) -> None:
    before = (path / ENGINE_FOLDER / DATA_FILE).read_bytes()
    verify_directory(path)
    verify_directory(path)
    assert (path / ENGINE_FOLDER / DATA_FILE).read_bytes() == before


def test_findings_without_end_are_counted(path: Path) -> None:
    change(path, *(put(b"z%06d" % number, b"") for number in range(FINDINGS_MAX + 5)))
    report = verify_directory(path)
    assert len(report.findings) == FINDINGS_MAX
    assert report.omitted == 5


# ── a journal ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def killed(path: Path) -> Path:
    """A node was killed: its data file goes up to entry 30, its journal cuts off from 29 on and writes other ones."""
    with DataDirectory.open_or_create(path, ClusterId("c1"), NodeId("n1")) as directory:
        engine = directory.open_engine()
        journal = directory.open_journal(engine, 1 << 16)
        assert journal is not None
        for first in (29, 34):
            batch = Batch()
            put_ballot(batch, GROUP, Ballot(Term(3), NodeId("n2")))
            entries = [Entry(Term(3), Index(index), b"later") for index in range(first, first + 5)]
            entry_log.append(batch, GROUP, entries, Index(first))
            record = journal.next_record(batch.operations)
            assert record is not None
            journal.append(record, batch.operations)
        journal.close()
        engine.close()
    return path


def test_rows_in_the_journal_are_looked_at_like_all_others(killed: Path) -> None:
    before = (killed / ENGINE_FOLDER / JOURNAL_FILE).read_bytes()
    report = verify_directory(killed)
    assert told(report) == []
    assert report.rows["journaled"] == 11, "a ballot and ten entries"
    assert report.rows["log entries"] == 30
    assert report.rows["journal positions"] == 1
    assert (killed / ENGINE_FOLDER / JOURNAL_FILE).read_bytes() == before


def test_what_was_taken_over_is_not_counted_again(killed: Path) -> None:
    with DataDirectory.open_or_create(killed, ClusterId("c1"), NodeId("n1")) as directory:
        engine = directory.open_engine()
        journal = directory.open_journal(engine, 1 << 16)
        assert journal is not None
        journal.close()
        engine.close()
    report = verify_directory(killed)
    assert told(report) == [] and report.rows["journaled"] == 0 and report.rows["log entries"] == 28


def test_a_damaged_journal(killed: Path) -> None:
    file = killed / ENGINE_FOLDER / JOURNAL_FILE
    data = bytearray(file.read_bytes())
    data[data.index(b"later")] ^= 1
    file.write_bytes(data)
    (only,) = told(verify_directory(killed))
    assert only.startswith("journal: record 1 of the journal is damaged, and records after it are whole")


def test_a_journal_that_is_missing_or_was_cut_off(killed: Path) -> None:
    file = killed / ENGINE_FOLDER / JOURNAL_FILE
    file.write_bytes(file.read_bytes()[:1_000])
    assert told(verify_directory(killed))[0].startswith("journal: the journal was cut off: 1000 of 65536 bytes")
    file.unlink()
    assert told(verify_directory(killed)) == [
        "journal: is missing, and with it what the data file has not taken over yet"
    ]


def test_a_damaged_mark(killed: Path) -> None:
    with DataDirectory.open_or_create(killed, ClusterId("c1"), NodeId("n1")) as directory:
        engine = directory.open_engine()
        batch = Batch()
        batch.put(JOURNALED, b"rubbish")
        engine.commit(batch)
        engine.close()
    assert [finding.split(": ")[0] for finding in told(verify_directory(killed))] == [
        "journal positions of data 0, key b''",
        "journal",
    ]


def test_a_hole_between_the_data_file_and_the_journal(killed: Path) -> None:
    change(killed, delete(log_key(GROUP, Index(28))))
    assert told(verify_directory(killed)) == ["group 3: log entry 28 is missing"]


def test_a_bad_row_in_the_journal(killed: Path) -> None:
    with DataDirectory.open_or_create(killed, ClusterId("c1"), NodeId("n1")) as directory:
        engine = directory.open_engine()
        journal = directory.open_journal(engine, 1 << 16)
        assert journal is not None
        batch = Batch()
        batch.put(log_key(GROUP, Index(39)), b"never sealed")
        record = journal.next_record(batch.operations)
        assert record is not None
        journal.append(record, batch.operations)
        journal.close()
        engine.close()
    (only,) = told(verify_directory(killed))
    assert only.startswith("log entries of group 3, index 39: group 3: log entry 39 fails its checksum")
