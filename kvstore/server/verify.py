"""Verify: look at every byte of a data directory that no node uses now, and say what is wrong with it.

Four passes, each only if the one before allows it: the manifest; the pages of the file, walked without LMDB (a damaged
tree could crash it); every row, by table: its checksum and its key; the journal, if a node that was killed left rows in
it, and what the tables promise then (logs have no holes). What a value row holds behind its checksum is the node's
matter and is not judged here.

Nothing is changed or repaired. A running node's directory is refused: what is read must hold still.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from heapq import merge
from pathlib import Path
from typing import NamedTuple

from lmdb.verify import VerifyError
from lmdb.verify import verify as walk_pages

from kvstore.core.errors import ConfigError, Corruption, KvError
from kvstore.core.ids import GroupId
from kvstore.core.records import unseal
from kvstore.node.value_rows import unpack_superseded
from kvstore.server.data_directory import ENGINE_FOLDER, JOURNAL_FILE, MANIFEST_FILE, locked
from kvstore.storage import ballot_box, entry_log, group_places
from kvstore.storage import manifest as manifests
from kvstore.storage.engine import ROW_KEY_BYTES_MAX, Batch, Reader
from kvstore.storage.journal import load_mark, read_records
from kvstore.storage.keys import BALLOT, DOOMED, FLOOR, HISTORY, JOURNALED, LOG, META, OUTCOME, PLACE, VALUE
from kvstore.storage.lmdb_engine import DATA_FILE, LmdbEngine
from kvstore.storage.manifest import Manifest
from kvstore.storage.pending_rows import PendingRows

TABLES = {
    BALLOT: "ballots",
    PLACE: "places",
    LOG: "log entries",
    META: "states",
    VALUE: "values",
    HISTORY: "superseded versions",
    OUTCOME: "outcomes",
    DOOMED: "states being deleted",
    FLOOR: "recovery floor",
    JOURNALED: "journal positions",
}
_KEY_BYTES = {BALLOT: 5, PLACE: 5, LOG: 13, META: 5, HISTORY: 13, OUTCOME: 21, DOOMED: 5, FLOOR: 1, JOURNALED: 1}
_VALUE_KEY_BYTES_MIN = 6
FINDINGS_MAX = 1_000
"""Then we stop writing them down one by one; `Report.omitted` counts the rest."""


class Finding(NamedTuple):
    """One thing that is wrong: where, and what."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


class Report:
    """What was looked at and what was found. Sound if `findings` is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: Manifest | None = None
        self.rows: Counter[str] = Counter()
        """How many rows each table has, by its name in `TABLES`."""
        self.size_bytes = 0
        self.findings: list[Finding] = []
        self.omitted = 0

    @property
    def is_sound(self) -> bool:
        return not self.findings

    def add(self, place: str, problem: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(place, problem))
        else:
            self.omitted += 1


def verify_directory(path: Path | str, pages: bool = True) -> Report:
    """Verify a data directory at rest. `pages=False` leaves out the walk over the pages (some 200 MiB/s).

    Raises ConfigError if there is no such directory, or no data in it, and Unavailable if a node has it open.
    """
    path = Path(path)
    rows = path / ENGINE_FOLDER
    if not (path / MANIFEST_FILE).exists() and not (rows / DATA_FILE).exists():
        raise ConfigError(f"{path} is no data directory: it has neither {MANIFEST_FILE} nor {ENGINE_FOLDER}/")
    with locked(path):
        report = Report(path)
        _verify_manifest(report, path / MANIFEST_FILE)
        if not (rows / DATA_FILE).exists():
            if report.manifest is not None and report.manifest.is_founded:
                report.add(ENGINE_FOLDER, f"{DATA_FILE} is missing, though this node took part in a cluster")
        elif not pages or _verify_pages(report, rows):
            _verify_rows(report, rows)
    return report


def _verify_manifest(report: Report, file: Path) -> None:
    try:
        report.manifest = manifests.parse(file.read_bytes(), str(file))
    except FileNotFoundError:
        report.add(MANIFEST_FILE, "is missing: nobody can say whose data this is")
    except KvError as error:
        report.add(MANIFEST_FILE, str(error))


def _verify_pages(report: Report, rows: Path) -> bool:
    """False if the tree cannot be trusted."""
    try:
        problems: list[str] = walk_pages(str(rows))  # type: ignore[no-untyped-call]
    except (VerifyError, OSError) as error:
        problems = [str(error)]
    for problem in problems:
        report.add("pages", problem)
    if problems:
        report.add("pages", "the rows were not looked at: the tree they hang on is damaged")
    return not problems


def _verify_rows(report: Report, rows: Path) -> None:
    try:
        with closing(LmdbEngine.open(rows, readonly=True)) as engine:
            report.size_bytes = engine.size_bytes()
            for key, value in engine.scan(b"", b"\xff" * (ROW_KEY_BYTES_MAX + 1)):
                _verify_row(report, key, value)
            journaled = _verify_journal(report, engine, rows / JOURNAL_FILE)
            _verify_logs(report, engine, journaled)
    except KvError as error:
        report.add("rows", f"reading stopped: {error}")


def _verify_journal(report: Report, reader: Reader, file: Path) -> Batch:
    """What the data file has not taken over yet; a node that was stopped in order leaves nothing."""
    pending = PendingRows()
    try:
        mark = load_mark(reader)
        if mark is None:
            return Batch()  # made before there were journals, or without one
        for operations in read_records(file.read_bytes(), mark):
            pending.add(operations)
    except FileNotFoundError:
        report.add("journal", "is missing, and with it what the data file has not taken over yet")
    except Corruption as error:
        report.add("journal", str(error))
    batch = pending.as_batch()
    for key, value, _ in batch.operations:
        if value is not None:
            report.rows["journaled"] += 1
            _verify_row(report, key, value)
    return batch


def _verify_row(report: Report, key: bytes, value: bytes) -> None:
    table = key[:1]
    name = TABLES.get(table)
    if name is None:
        report.rows["unknown"] += 1
        report.add(_named(key), "belongs to no table this version knows")
        return
    report.rows[name] += 1
    fits = len(key) >= _VALUE_KEY_BYTES_MIN if table == VALUE else len(key) == _KEY_BYTES[table]
    if not fits:
        report.add(_named(key), f"has a key of {len(key)} bytes")
        return
    try:
        _CHECKS.get(table, _check_seal)(key, value)
    except KvError as error:
        report.add(_named(key), str(error))


def _check_seal(key: bytes, value: bytes) -> None:
    unseal(value, "the row")


def _check_superseded(key: bytes, value: bytes) -> None:
    unseal(unpack_superseded(value).record, "the superseded version")


def _check_doomed(key: bytes, value: bytes) -> None:
    if value:  # its presence says all
        unseal(value, "the row")


_CHECKS: dict[bytes, Callable[[bytes, bytes], object]] = {
    HISTORY: _check_superseded,
    BALLOT: lambda key, value: ballot_box.decode_row(_group_of(key), value),
    PLACE: lambda key, value: group_places.decode_row(_group_of(key), value),
    LOG: entry_log.decode_row,
    DOOMED: _check_doomed,
}


def _verify_logs(report: Report, reader: Reader, journaled: Batch) -> None:
    """Each group's log begins behind its log start and has no holes. Only keys are compared: rows were looked at."""
    starts: dict[int, int] = {}
    for key, value in reader.scan(PLACE, bytes([PLACE[0] + 1])):
        try:
            starts[_group_of(key)] = group_places.decode_row(_group_of(key), value).log_start.index
        except KvError:
            continue  # told before; without its start we cannot judge where its log should begin
    expected: dict[int, int] = {group: start + 1 for group, start in starts.items()}
    for key in _log_keys(reader, journaled):
        group, index = _group_of(key), int.from_bytes(key[5:], "big")
        wanted = expected.get(group)
        if wanted is not None and index < wanted:
            continue  # compacted in the place, its row not yet deleted
        if wanted is not None and index > wanted:
            missing = f"{wanted} is" if index == wanted + 1 else f"{wanted} to {index - 1} are"
            report.add(f"group {group}", f"log entry {missing} missing")
        expected[group] = index + 1


def _log_keys(reader: Reader, journaled: Batch) -> Iterator[bytes]:
    """As a node would find them at its start, sorted."""
    ranges = [(start, end) for start, _, end in journaled.operations if end is not None]
    latest = {key: value for key, value, end in journaled.operations if end is None and key[:1] == LOG}
    kept = (
        key
        for key, _ in reader.scan(LOG, bytes([LOG[0] + 1]))
        if key not in latest and not any(start <= key < end for start, end in ranges)
    )
    return merge(kept, sorted(key for key, value in latest.items() if value is not None))


def _group_of(key: bytes) -> GroupId:
    return GroupId(int.from_bytes(key[1:5], "big"))


def _named(key: bytes) -> str:
    """A row as people can find it again."""
    table, rest = TABLES.get(key[:1], "row"), key[1:]
    if key[:1] in (BALLOT, PLACE, LOG):
        index = f", index {int.from_bytes(rest[4:], 'big')}" if key[:1] == LOG else ""
        return f"{table} of group {_group_of(key)}{index}"
    if key[:1] in TABLES:
        return f"{table} of data {int.from_bytes(rest[:4], 'big')}, key {rest[4:]!r}"
    return f"row {key!r}"
