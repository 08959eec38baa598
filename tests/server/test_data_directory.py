"""A directory is one node's for ever and one process's at a time; whatever does not fit is refused with a way out."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from kvstore.core.errors import ConfigError, Corruption, ForeignData, Unavailable, VersionSkew
from kvstore.core.ids import ClusterId, NodeId, TimelineId
from kvstore.server.data_directory import ENGINE_FOLDER, MANIFEST_FILE, NEW_MANIFEST_FILE, DataDirectory, locked
from kvstore.storage.engine import Batch
from kvstore.storage.lmdb_engine import DATA_FILE

ROOT = Path(__file__).parents[2]
CLUSTER, NODE = ClusterId("c1"), NodeId("n1")


def open_it(path: Path, cluster: str = CLUSTER, node: str = NODE) -> DataDirectory:
    return DataDirectory.open_or_create(path, ClusterId(cluster), NodeId(node))


def live_through(path: Path, founded: bool = True) -> int:
    """A node's first life: it starts, writes a row, perhaps founds a cluster, and stops. Returns its incarnation."""
    with open_it(path) as directory:
        engine = directory.open_engine()
        batch = Batch()
        batch.put(b"key", b"value")
        engine.commit(batch)
        engine.close()
        if founded:
            directory.record_founding({"n1": directory.manifest.incarnation, "n2": 5}, TimelineId(9))
        return directory.manifest.incarnation


def test_a_new_directory_gets_a_manifest_of_its_own(tmp_path: Path) -> None:
    with open_it(tmp_path / "deep" / "one") as one, open_it(tmp_path / "two") as two:
        assert one.manifest.incarnation != two.manifest.incarnation
        assert (one.manifest.cluster, one.manifest.node, one.manifest.is_founded) == (CLUSTER, NODE, False)
        assert one.path.stat().st_mode & 0o077 == 0, "nobody else may read it"


def test_the_next_life_finds_everything(tmp_path: Path) -> None:
    incarnation = live_through(tmp_path)
    with open_it(tmp_path) as directory:
        assert directory.manifest.incarnation == incarnation
        assert directory.manifest.members == {"n1": incarnation, "n2": 5}
        assert directory.manifest.timeline == 9
        engine = directory.open_engine()
        assert engine.get(b"key") == b"value"
        engine.close()


@pytest.mark.parametrize(("cluster", "node"), [("c2", "n1"), ("c1", "n2")])
def test_foreign_data_is_refused_and_left_alone(tmp_path: Path, cluster: str, node: str) -> None:
    incarnation = live_through(tmp_path)
    with pytest.raises(ForeignData, match="belongs to"):
        open_it(tmp_path, cluster, node)
    with open_it(tmp_path) as directory:
        assert directory.manifest.incarnation == incarnation


def test_newer_data_is_refused(tmp_path: Path) -> None:
    live_through(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST_FILE).read_text())
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(VersionSkew, match="newer version"):
        open_it(tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 40, 150])
def test_a_half_written_manifest_is_refused_with_a_way_out(tmp_path: Path, kept: int) -> None:
    live_through(tmp_path)
    content = (tmp_path / MANIFEST_FILE).read_bytes()
    (tmp_path / MANIFEST_FILE).write_bytes(content[:kept])
    with pytest.raises(Corruption, match=r"manifest.json: it is half-written .* move the whole data directory away"):
        open_it(tmp_path)


@pytest.mark.parametrize("with_old", [True, False])
def test_a_manifest_that_was_never_finished_has_no_meaning(tmp_path: Path, with_old: bool) -> None:
    if with_old:
        live_through(tmp_path)
    (tmp_path / NEW_MANIFEST_FILE).write_bytes(b'{"format": 99, "half')
    with open_it(tmp_path) as directory:
        assert directory.manifest.is_founded is with_old
        assert not (tmp_path / NEW_MANIFEST_FILE).exists()


def test_rows_without_a_manifest_are_refused(tmp_path: Path) -> None:
    live_through(tmp_path)
    (tmp_path / MANIFEST_FILE).unlink()
    with pytest.raises(Corruption, match=r"holds data .* but no manifest.json"):
        open_it(tmp_path)


@pytest.mark.parametrize("emptied", [True, False])
def test_a_founders_manifest_without_rows_is_refused(tmp_path: Path, emptied: bool) -> None:
    live_through(tmp_path)
    rows = tmp_path / ENGINE_FOLDER / DATA_FILE
    rows.unlink()
    if emptied:
        rows.touch()
    with pytest.raises(Corruption, match=r"took part in cluster 'c1' but its data .* is gone"):
        open_it(tmp_path)


def test_before_the_founding_lost_rows_do_no_harm(tmp_path: Path) -> None:
    incarnation = live_through(tmp_path, founded=False)
    (tmp_path / ENGINE_FOLDER / DATA_FILE).unlink()
    with open_it(tmp_path) as directory:
        assert directory.manifest.incarnation == incarnation


def test_one_opener_at_a_time_in_this_process(tmp_path: Path) -> None:
    with open_it(tmp_path) as directory:
        with pytest.raises(Unavailable, match=rf"in use by another process \({os.getpid()}\): stop that node first"):
            open_it(tmp_path)
        with pytest.raises(Unavailable, match="in use"), locked(tmp_path):
            raise AssertionError("the lock was given out twice")
        directory.close()
        directory.close()
    with locked(tmp_path):
        pass
    open_it(tmp_path).close()


HOLDER = """
    import sys
    from pathlib import Path
    from kvstore.server.data_directory import DataDirectory

    directory = DataDirectory.open_or_create(Path(sys.argv[1]), "c1", "n1")
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", dedent(HOLDER), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            with pytest.raises(Unavailable, match=rf"in use by another process \({process.pid}\)"):
                open_it(tmp_path)
        finally:
            process.kill()
    open_it(tmp_path).close()


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used as a data directory"):
        open_it(tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot be used as a data directory"), locked(tmp_path / "absent"):
        raise AssertionError("an absent directory cannot be locked")


def test_a_failed_opening_leaves_the_directory_unlocked(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_text("rubbish")
    for _ in range(2):
        with pytest.raises(Corruption):
            open_it(tmp_path)
