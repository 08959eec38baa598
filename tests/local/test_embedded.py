"""An embedded database: the whole API on a folder, one owner at a time, and damage that is refused, never returned."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import lmdb
import pytest

import kvstore
from kvstore.core.errors import (
    ClientClosed,
    Corruption,
    ForeignData,
    KeyspaceExists,
    KeyTooLarge,
    KvError,
    NotFound,
    NotYetAvailable,
    PreconditionFailed,
    Unavailable,
    UnknownKeyspace,
    VersionSkew,
)
from kvstore.core.ids import ClusterId, NodeId
from kvstore.local.process import wait_until
from kvstore.node.config import NodeConfig, StorageConfig
from kvstore.server.data_directory import ENGINE_FOLDER, MANIFEST_FILE, DataDirectory
from kvstore.storage.lmdb_engine import DATA_FILE

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


def test_what_was_written_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with kvstore.open(tmp_path / "notes") as db:
        version = db.put("key", b"value")
        db.put_many({f"many:{i}": b"%d" % i for i in range(300)})
        db.delete("many:7")
        assert db.get("key") == b"value"
    with kvstore.open(tmp_path / "notes") as db:
        record = db.read("key")
        assert (record.value, record.version) == (b"value", version)
        assert db.get("many:299") == b"299"
        assert not db.exists("many:7")
        assert db.put("key", b"next", if_version=version) > version


def test_a_leaderless_keyspace_keeps_siblings_and_contexts(tmp_path: Path) -> None:
    with kvstore.open(tmp_path / "notes") as db:
        assert db.create_keyspace("carts", mode="leaderless").read_quorum == 1
        carts = db.keyspace("carts")
        first = carts.put("42", b"milk")
        carts.put_many({f"many:{i}": b"%d" % i for i in range(300)})
    with kvstore.open(tmp_path / "notes", keyspace="carts") as carts:
        assert carts.get("42") == b"milk" and carts.read("42").version == first
        carts.put("42", b"tea")  # who wrote this had not seen the milk
        record = carts.read("42")
        assert [sibling.value for sibling in record.siblings] == [b"milk", b"tea"]
        seen = str(record.version)
    with kvstore.open(tmp_path / "notes", keyspace="carts") as carts:
        carts.put("42", b"both", context=seen)
        assert carts.get("42") == b"both" and len(list(carts.scan("many:"))) == 300
        assert carts.delete("42") and carts.get("42") is None


def test_it_opens_where_there_is_no_folder_yet_and_again_and_again(tmp_path: Path) -> None:
    for number in range(3):
        with kvstore.open(tmp_path / "deep" / "down") as db:
            db.put(f"life:{number}", b"")
            assert len(list(db.scan("life:"))) == number + 1


def test_a_scan_is_ordered_and_bounded(tmp_path: Path) -> None:
    with kvstore.open(tmp_path / "db") as db:
        db.put_many({f"s:{i:03}": b"%d" % i for i in range(200)})
        db.put("t:1", b"outside")
        assert [key for key, _ in db.scan("s:")] == [b"s:%03d" % i for i in range(200)]
        assert [value for _, value in db.scan("s:", limit=3)] == [b"0", b"1", b"2"]


def test_keyspaces(tmp_path: Path) -> None:
    with kvstore.open(tmp_path / "db") as db:
        db.create_keyspace("carts", partitions=2)
        db.keyspace("carts").put("key", b"cart")
        assert not db.exists("key")
        with pytest.raises(KeyspaceExists):
            db.create_keyspace("carts")
        with pytest.raises(NotYetAvailable):
            db.create_keyspace("later", mode="multileader")
        assert {info.name for info in db.list_keyspaces()} == {"default", "carts"}
    with kvstore.open(tmp_path / "db", keyspace="carts") as db:
        assert db.get("key") == b"cart"
        db.drop_keyspace("carts")
        with pytest.raises(UnknownKeyspace):
            db.put("key", b"too late")


def test_errors_leave_everything_as_it_was(tmp_path: Path) -> None:
    with kvstore.open(tmp_path / "db") as db:
        db.put("key", b"1")
        with pytest.raises(PreconditionFailed):
            db.put("key", b"2", if_absent=True)
        with pytest.raises(KeyTooLarge):
            db.put("k" * 481, b"2")
        with pytest.raises(NotFound):
            db.mapping()["missing"]
        assert db.get("key") == b"1"
    with pytest.raises(ClientClosed):
        db.get("key")


def test_a_second_owner_in_this_process_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    with kvstore.open(tmp_path / "db") as db:
        with pytest.raises(Unavailable, match="is in use by another process"):
            kvstore.open(tmp_path / "db")
        db.put("key", b"value")
    with kvstore.open(tmp_path / "db") as db:
        assert db.get("key") == b"value"


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    program = f"""
        import kvstore
        try:
            kvstore.open({str(tmp_path / "db")!r})
        except kvstore.errors.Unavailable as error:
            print(error)
    """
    with kvstore.open(tmp_path / "db") as db:
        other = subprocess.run(
            [sys.executable, "-c", dedent(program)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        assert "is in use by another process" in other.stdout
        db.put("key", b"value")


def test_a_process_that_was_killed_has_lost_nothing_it_was_told_was_written(tmp_path: Path) -> None:
    program = f"""
        import os, signal, kvstore
        db = kvstore.open({str(tmp_path / "db")!r})
        for i in range(50):
            db.put(f"key:{{i}}", b"value")
            print(i, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run(
        [sys.executable, "-c", dedent(program)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert killed.returncode == -9 and len(killed.stdout.split()) == 50
    with kvstore.open(tmp_path / "db") as db:
        assert len(list(db.scan("key:"))) == 50


async def test_the_same_for_asyncio(tmp_path: Path) -> None:
    db = await kvstore.open_async(tmp_path / "db")
    async with db:
        await asyncio.gather(*(db.put(f"key:{i}", b"%d" % i) for i in range(100)))
        assert await db.get("key:99") == b"99"
    with pytest.raises(ClientClosed):
        await db.get("key:99")
    async with await kvstore.open_async(tmp_path / "db") as again:
        assert await again.get("key:42") == b"42"


# ── damage ──


def damage(folder: Path, key: bytes) -> None:
    """Flip a bit in the current value of a key, where it lies."""
    path = folder / ENGINE_FOLDER
    with lmdb.open(str(path), map_size=1 << 30, max_dbs=0) as environment, environment.begin(write=True) as change:
        rows = [(bytes(row), bytes(value)) for row, value in change.cursor() if row[:1] == b"v" and row[5:] == key]
        assert len(rows) == 1, "the value was not flushed"
        [(row, value)] = rows
        change.put(row, value[:-1] + bytes([value[-1] ^ 1]))


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database in which `bad` cannot be trusted any more."""
    folder = tmp_path / "db"
    soon = replace(NodeConfig.single(str(folder)), storage=StorageConfig(flush_interval_ms=20))
    with monkeypatch.context() as patch:
        patch.setattr(NodeConfig, "single", lambda path: soon)
        with kvstore.open(folder) as db:
            db.put_many({"bad": b"precious", **{f"good:{i}": b"%d" % i for i in range(50)}})
            assert wait_until(lambda: not unflushed_rows(db), PATIENCE_S), "values never reached their rows"
    damage(folder, b"bad")
    return folder


def unflushed_rows(db: kvstore.Client) -> int:
    [report] = db.status().nodes
    return sum(group["unflushed_rows"] for group in report["groups"])


def test_a_damaged_value_is_refused_and_the_others_stay_readable(damaged: Path) -> None:
    with kvstore.open(damaged) as db:
        for _ in range(2):
            with pytest.raises(Corruption):
                db.get("bad")
        assert db.get_many([f"good:{i}" for i in range(50)]) == {f"good:{i}": b"%d" % i for i in range(50)}
        with pytest.raises(Corruption):
            list(db.scan())
        db.put("new", b"value")
        assert db.get("new") == b"value"
    with kvstore.open(damaged) as db, pytest.raises(Corruption):
        db.get("bad")


def test_a_condition_on_a_damaged_value_is_refused_before_anything_happens(damaged: Path) -> None:
    with kvstore.open(damaged) as db:
        with pytest.raises(Corruption):
            db.put("bad", b"other", if_absent=True)
        with pytest.raises(Corruption):
            db.get("bad")
        assert db.get("good:1") == b"1"


@pytest.mark.parametrize("way_out", ["delete", "overwrite"])
def test_a_damaged_value_can_be_deleted_or_overwritten(damaged: Path, way_out: str) -> None:
    with kvstore.open(damaged) as db:
        if way_out == "delete":
            db.delete("bad")
            assert not db.exists("bad")
        else:
            db.put("bad", b"new")
    with kvstore.open(damaged) as db:
        assert db.exists("bad") is (way_out == "overwrite")
        assert len(list(db.scan("good:"))) == 50


def test_a_damaged_folder_is_refused_with_a_reason(tmp_path: Path) -> None:
    with kvstore.open(tmp_path / "db") as db:
        db.put("key", b"value")
    cases: list[tuple[Path, bytes, type[KvError]]] = [
        (tmp_path / "db" / MANIFEST_FILE, b"", Corruption),
        (tmp_path / "db" / MANIFEST_FILE, b'{"half', Corruption),
        (tmp_path / "db" / ENGINE_FOLDER / DATA_FILE, b"not lmdb" * 1000, Corruption),
    ]
    for path, content, kind in cases:
        good = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(kind):
            kvstore.open(tmp_path / "db")
        path.write_bytes(good)
    with kvstore.open(tmp_path / "db") as db:
        assert db.get("key") == b"value"


def test_a_small_database_takes_little_of_the_disk(tmp_path: Path) -> None:
    with kvstore.open(tmp_path / "db") as db:
        db.put("key", b"value")
        sizes = [file.stat().st_size for file in (tmp_path / "db").rglob("*") if file.is_file()]
        assert sum(sizes) < 6 << 20


def test_the_data_of_a_cluster_node_is_not_opened_as_a_database(tmp_path: Path) -> None:
    DataDirectory.open_or_create(tmp_path / "db", ClusterId("production"), NodeId("n1")).close()
    with pytest.raises((ForeignData, VersionSkew), match="belongs to"):
        kvstore.open(tmp_path / "db")
