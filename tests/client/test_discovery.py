"""Clusters that run on this machine."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kvstore.client.discovery import RunningCluster, discover, is_alive, registration_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    place = tmp_path / "kvstore"
    place.mkdir(mode=0o700)
    return place


def register(folder: Path, name: str, pid: int, created: float = 1.0) -> None:
    entry = {"name": name, "url": f"kv://{name}:7401", "pid": pid, "dir": "d", "created": created}
    (folder / f"{name}.json").write_text(json.dumps(entry))


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_running_clusters_are_found_the_newest_first(folder: Path, dead_pid: int) -> None:
    register(folder, "old", os.getpid(), created=1.0)
    register(folder, "new", os.getpid(), created=2.0)
    register(folder, "dead", dead_pid, created=3.0)
    register(folder, "none", 0, created=4.0)
    found = discover()
    assert [cluster.name for cluster in found] == ["new", "old"]
    assert found[0] == RunningCluster("new", "kv://new:7401", os.getpid(), "d", 2.0)


def test_what_is_no_registration_is_ignored(folder: Path) -> None:
    (folder / "half.json").write_text('{"name": "ha')
    (folder / "other.json").write_text("[]")
    (folder / "folder.json").mkdir()
    assert discover() == []


def test_no_folder_no_clusters(tmp_path: Path) -> None:
    assert discover(tmp_path / "nothing") == []


def test_a_folder_that_others_may_write_to_is_not_believed(folder: Path) -> None:
    register(folder, "lure", os.getpid())
    folder.chmod(0o777)
    assert discover() == []


def test_a_link_to_a_folder_is_not_believed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    register(real, "lure", os.getpid())
    (tmp_path / "link").symlink_to(real)
    assert [cluster.name for cluster in discover(real)] == ["lure"]
    assert discover(tmp_path / "link") == []


def test_without_a_runtime_folder_it_is_one_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "/no/such/folder"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        assert registration_folder() == Path(tempfile.gettempdir()) / f"kvstore-{os.getuid()}"


def test_processes_of_others_are_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert is_alive(1) and not is_alive(0) and not is_alive(-1)
