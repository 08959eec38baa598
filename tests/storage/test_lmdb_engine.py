"""The disk door: what survives a killed process, how the map grows, who may pin pages, and how damage is told."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from threading import Thread
from typing import Any

import lmdb
import pytest

from kvstore.core.errors import Corruption, KvError, RequestTooLarge, StorageFull, Unavailable
from kvstore.core.ids import Millis
from kvstore.storage.engine import Batch
from kvstore.storage.lmdb_engine import DATA_FILE, LmdbEngine, translated
from tests.killing import last_said

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
Open = Callable[..., LmdbEngine]


class Clock:
    """A clock that stands until it is moved."""

    now = Millis(0)

    def __call__(self) -> Millis:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def open_engine(folder: Path, clock: Clock) -> Iterator[Open]:
    opened: list[LmdbEngine] = []

    def open_it(**settings: Any) -> LmdbEngine:
        for engine in opened:
            engine.close()
        opened.append(LmdbEngine.open(folder, now_ms=clock, snapshot_ms_max=Millis(60_000), **settings))
        return opened[-1]

    yield open_it
    for engine in opened:
        engine.close()


def put(**rows: bytes) -> Batch:
    batch = Batch()
    for key, value in rows.items():
        batch.put(key.encode(), value)
    return batch


def many(count: int, size: int, prefix: bytes = b"row") -> Batch:
    batch = Batch()
    for number in range(count):
        batch.put(b"%s%06d" % (prefix, number), b"v" * size)
    return batch


# ── what survives ──


def test_everything_is_there_after_reopening(open_engine: Open) -> None:
    engine = open_engine()
    engine.commit(many(1_000, 100))
    engine.commit(put(row000500=b"changed"))
    engine = open_engine()
    assert len(list(engine.scan(b"", b"\xff"))) == 1_000
    assert engine.get(b"row000500") == b"changed"
    assert engine.size_bytes() > 100_000


COMMITTER = """
    import sys
    from pathlib import Path
    from kvstore.storage.engine import Batch
    from kvstore.storage.lmdb_engine import LmdbEngine

    engine = LmdbEngine.open(Path(sys.argv[1]), map_bytes_start=1 << 20)
    number = int(engine.get(b"latest") or b"0")
    while True:
        number += 1
        batch = Batch()
        batch.put(b"latest", b"%d" % number)
        batch.put(b"row%09d" % number, b"v" * 500)
        engine.commit(batch)
        print(number, flush=True)  # the acknowledgement: after this line the batch must never be lost
"""


def test_a_killed_process_loses_nothing_it_acknowledged(folder: Path, open_engine: Open) -> None:
    acknowledged = 0
    for lines_wanted in (1, 40, 150):
        acknowledged = last_said(COMMITTER, str(folder), lines=lines_wanted, before=acknowledged)
        engine = open_engine()
        latest = int(engine.get(b"latest") or b"0")
        rows = [int(key[3:]) for key, _ in engine.scan(b"row", b"rox")]
        assert latest in (acknowledged, acknowledged + 1), "at most the one batch that was under way"
        assert rows == list(range(1, latest + 1)), "a batch is there whole or not at all"
        engine.close()


def test_two_threads_one_writes_one_reads_and_batches_stay_whole(open_engine: Open) -> None:
    engine = open_engine(map_bytes_start=MIB)
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(300):
                engine.commit(put(left=b"%d" % number, right=b"%d" % number, **{f"fat{number}": b"f" * 10_000}))
        except BaseException as error:
            failures.append(error)

    writer = Thread(target=write)
    writer.start()
    seen = []
    while writer.is_alive():
        engine.refresh()
        snapshot = engine.snapshot()
        try:
            left, right = snapshot.get(b"left"), snapshot.get(b"right")
        except Unavailable:  # the map grew below the snapshot
            continue
        assert left == right
        seen.append(int(engine.get(b"left") or b"-1"))
    writer.join()
    assert not failures
    assert seen == sorted(seen)
    assert engine.get(b"left") == b"299"
    assert len(list(engine.scan(b"fat", b"fau"))) == 300


def test_a_transaction_may_be_filled_by_another_thread(open_engine: Open) -> None:
    engine = open_engine()
    transaction = engine.begin()
    filler = Thread(target=transaction.apply, args=(put(a=b"1"),))
    filler.start()
    filler.join()
    assert engine.get(b"a") is None
    transaction.commit()
    assert engine.get(b"a") == b"1"


def test_two_writers_are_a_mistake_and_no_deadlock(open_engine: Open) -> None:
    engine = open_engine()
    transaction = engine.begin()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            engine.commit(put(a=b"1"))
        except AssertionError as error:
            failures.append(error)

    other = Thread(target=write)
    other.start()
    other.join()
    assert [str(failure) for failure in failures] == ["another thread has a write transaction open"]
    transaction.abort()
    engine.commit(put(a=b"2"))


def test_an_aborted_transaction_leaves_nothing(open_engine: Open) -> None:
    engine = open_engine()
    transaction = engine.begin()
    transaction.apply(put(a=b"1"))
    transaction.abort()
    transaction.abort()
    assert engine.get(b"a") is None
    engine.commit(put(b=b"1"))


def test_range_deletes_can_be_bounded(open_engine: Open) -> None:
    engine = open_engine()
    engine.commit(many(100, 10))
    wipe = Batch()
    wipe.delete_range(b"row000000", b"row000050")
    wipe.delete_range(b"row000050", b"row000100")
    transaction = engine.begin()
    with pytest.raises(RequestTooLarge, match="more than"):
        transaction.apply(wipe, rows_deleted_max=99)
    transaction.abort()
    transaction = engine.begin()
    transaction.apply(wipe, rows_deleted_max=100)
    transaction.commit()
    assert list(engine.scan(b"", b"\xff")) == []


# ── the map ──


def test_the_map_grows_and_what_was_open_says_so(open_engine: Open) -> None:
    engine = open_engine(map_bytes_start=MIB)
    engine.commit(put(first=b"1"))
    snapshot, scan = engine.snapshot(), engine.scan(b"", b"\xff")
    for number in range(32):
        engine.commit(many(100, 5_000, prefix=b"%02d" % number))
    assert engine.file_bytes() > 16 * MIB
    assert engine.get(b"first") == b"1"
    assert len(list(engine.scan(b"0", b"4"))) == 3_200
    with pytest.raises(Unavailable, match="the map grew"):
        snapshot.get(b"first")
    with pytest.raises(Unavailable, match="the map grew"):
        next(scan)
    assert open_engine(map_bytes_start=MIB).get(b"first") == b"1"


def test_one_batch_may_be_larger_than_the_map(open_engine: Open) -> None:
    engine = open_engine(map_bytes_start=MIB)
    engine.commit(put(large=b"v" * 20 * MIB))
    assert len(engine.get(b"large") or b"") == 20 * MIB


def test_pages_that_a_snapshot_pins_fill_the_map_and_come_back(open_engine: Open) -> None:
    engine = open_engine(map_bytes_max=4 * MIB, reserve_bytes=MIB)
    engine.commit(many(100, 10_000))
    snapshot = engine.snapshot()
    with pytest.raises(StorageFull, match="mapsize limit"):
        for _ in range(20):
            engine.commit(many(100, 10_000))
    assert not engine.is_full()
    snapshot.close()
    for _ in range(20):
        engine.commit(many(100, 10_000))
    assert engine.file_bytes() <= 5 * MIB


def test_without_views_rewriting_does_not_grow_the_file(open_engine: Open) -> None:
    engine = open_engine(map_bytes_max=64 * MIB)
    for _ in range(50):
        engine.commit(many(100, 10_000))
    assert engine.file_bytes() < 6 * MIB
    assert engine.size_bytes() < 2 * MIB


# ── the watchdog ──


def test_old_snapshots_are_closed_and_say_so(open_engine: Open, clock: Clock) -> None:
    engine = open_engine()
    engine.commit(put(a=b"1"))
    old, scan = engine.snapshot(), engine.scan(b"", b"\xff")
    clock.now = Millis(10_000)
    engine.commit(put(a=b"2"))
    young = engine.snapshot()
    clock.now = Millis(20_000)
    engine.commit(put(a=b"3"))

    assert engine.close_old_snapshots(Millis(70_000)) == 0
    assert old.get(b"a") == b"1"
    assert engine.close_old_snapshots(Millis(70_001)) == 1
    with pytest.raises(Unavailable, match="older than 60000 ms"):
        old.get(b"a")
    with pytest.raises(Unavailable, match="older than 60000 ms"):
        next(scan)
    with pytest.raises(Unavailable, match="older than 60000 ms"):
        list(old.scan(b"", b"\xff"))
    assert young.get(b"a") == b"2"
    assert engine.get(b"a") == b"3"


def test_a_snapshot_of_what_is_still_the_latest_is_never_too_old(open_engine: Open, clock: Clock) -> None:
    engine = open_engine()
    engine.commit(put(a=b"1"))
    snapshot = engine.snapshot()
    clock.now = Millis(10_000_000)
    assert engine.close_old_snapshots(clock.now) == 0
    assert snapshot.get(b"a") == b"1"


def test_the_watchdog_lets_go_of_a_view_that_nobody_renewed(open_engine: Open) -> None:
    """Commits of another thread, and no reads: only the watchdog comes by."""
    engine = open_engine(map_bytes_max=4 * MIB, reserve_bytes=MIB)

    def write() -> None:
        engine.commit(many(100, 10_000))

    for _ in range(20):
        writer = Thread(target=write)
        writer.start()
        writer.join()
        engine.close_old_snapshots(Millis(0))
    assert len(list(engine.scan(b"", b"\xff"))) == 100


# ── damage ──


def test_a_file_that_was_cut_off_is_refused(open_engine: Open, folder: Path) -> None:
    open_engine().commit(many(1_000, 1_000))
    open_engine().close()
    data = (folder / DATA_FILE).read_bytes()
    (folder / DATA_FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(Corruption, match="was cut off"):
        open_engine()


def test_a_file_that_is_no_database_is_refused(open_engine: Open, folder: Path) -> None:
    folder.mkdir()
    (folder / DATA_FILE).write_bytes(b"not a database " * 1_000)
    with pytest.raises(Corruption, match=r"opening .*data"):
        open_engine()


def test_a_page_of_rubbish_is_told_as_corruption(open_engine: Open, folder: Path) -> None:
    open_engine().commit(many(1_000, 1_000))
    open_engine().close()
    data = bytearray((folder / DATA_FILE).read_bytes())
    for page in range(2, len(data) // 4096):  # all but the two meta pages
        data[page * 4096 : page * 4096 + 16] = b"\xaa" * 16
    (folder / DATA_FILE).write_bytes(data)
    engine = open_engine()
    snapshot = engine.snapshot()
    for _ in range(3):
        with pytest.raises(Corruption):
            engine.get(b"row000001")
        with pytest.raises(Corruption):
            list(engine.scan(b"", b"\xff"))
        with pytest.raises(Corruption):
            snapshot.get(b"row000001")


def test_one_directory_is_open_once(open_engine: Open, folder: Path) -> None:
    open_engine()
    with pytest.raises(Unavailable, match="opening"):
        LmdbEngine.open(folder)


DISK_FAILS = """
    import resource, signal, sys
    from pathlib import Path
    from kvstore.core.errors import OutcomeUnknown, Unavailable
    from kvstore.storage.engine import Batch
    from kvstore.storage.lmdb_engine import LmdbEngine

    def commit(key, value):
        batch = Batch()
        batch.put(key, value)
        engine.commit(batch)

    engine = LmdbEngine.open(Path(sys.argv[1]))
    commit(b"before", b"1")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
    try:
        commit(b"during", b"v" * (2 << 20))
    except OutcomeUnknown as error:
        print("unknown:", error)
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    try:
        commit(b"after", b"1")
    except Unavailable as error:
        print("refused:", error)
    print(engine.get(b"before"), engine.get(b"during"), engine.get(b"after"))
"""


def test_after_a_failed_write_every_later_one_is_refused(folder: Path) -> None:
    command = [sys.executable, "-c", dedent(DISK_FAILS), str(folder)]
    told = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, check=True).stdout.splitlines()
    assert told[0].startswith("unknown: committing failed")
    assert told[1].startswith("refused: ") and "takes no more writes" in told[1]
    assert told[2] == "b'1' None None"


DISK_IS_FULL = """
    import sys
    from pathlib import Path
    from kvstore.core.errors import StorageFull
    from kvstore.storage.engine import Batch
    from kvstore.storage.lmdb_engine import LmdbEngine

    def rows(first, last):
        batch = Batch()
        for number in range(first, last):
            batch.put(b"%06d" % number, b"v" * 1000)
        return batch

    engine = LmdbEngine.open(Path(sys.argv[1]) / "data")
    number = 0
    try:
        while True:
            engine.commit(rows(number, number + 100))
            number += 100
    except StorageFull as error:
        print("full:", error)
    assert engine.is_full()
    assert len(list(engine.scan(b"", b"z"))) == number > 1_000
    for first in range(0, number, 50):
        wipe = Batch()
        wipe.delete_range(b"%06d" % first, b"%06d" % (first + 50))
        engine.commit(wipe)
    assert not engine.is_full()
    engine.commit(rows(0, 1_000))
    engine.close()
    engine = LmdbEngine.open(Path(sys.argv[1]) / "data")
    print(len(list(engine.scan(b"", b"z"))))
"""


@pytest.mark.parametrize("watched", [True, False])
def test_a_disk_that_is_really_full(tmp_path: Path, watched: bool) -> None:
    """On a file system of 16 MiB of its own: seen coming, and (as if other programs had filled it) not seen coming."""
    private = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=16m tmpfs {tmp_path} && exec "
    if shutil.which("unshare") is None or subprocess.run([*private, mount + "true"], capture_output=True).returncode:
        pytest.skip("this machine lets us mount no file system")
    script = dedent(DISK_IS_FULL)
    if watched:
        script = script.replace("number += 100", "number += 100; engine.check_disk()")
    command = shlex.join([sys.executable, "-c", script, str(tmp_path)])
    told = subprocess.run([*private, mount + command], capture_output=True, cwd=ROOT, text=True)
    assert told.returncode == 0, told.stderr
    full, count = told.stdout.splitlines()
    assert ("delete something" if watched else "is full") in full
    assert count == "1000"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (lmdb.MapFullError, StorageFull),
        (lmdb.DiskError, StorageFull),
        (lmdb.CorruptedError, Corruption),
        (lmdb.PageNotFoundError, Corruption),
        (lmdb.PanicError, Unavailable),
        (lmdb.Error, Unavailable),
    ],
)
def test_foreign_errors_stop_here(theirs: type[lmdb.Error], ours: type[KvError]) -> None:
    error = translated(theirs("what"), "doing")
    assert type(error) is ours
    assert str(error).startswith("doing: what")
    assert error.facts == ({"map_full": True} if theirs is lmdb.MapFullError else {})


def test_a_condemned_engine_still_reads(open_engine: Open) -> None:
    engine = open_engine()
    engine.commit(put(a=b"1"))
    engine.condemn("a test said so")
    with pytest.raises(Unavailable, match="a test said so"):
        engine.commit(put(a=b"2"))
    assert engine.get(b"a") == b"1"
