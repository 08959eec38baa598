"""Finds clusters that run on this machine, by the registrations that `kvstore local` leaves.

A registration is `NAME.json` in $XDG_RUNTIME_DIR/kvstore or, without that, in a folder of this user below the one for
temporary files: {"name", "url", "pid", "dir", "created"}. `pid` is one of its nodes; registrations of dead ones are
ignored. Only a folder that nobody else may write to is believed: a client must not be lured elsewhere.
"""

import os
import stat
import tempfile
from pathlib import Path

import msgspec


class RunningCluster(msgspec.Struct, frozen=True):
    """A cluster on this machine, as it registered itself."""

    name: str
    url: str
    pid: int
    dir: str
    created: float
    """Seconds since 1970."""


def registration_folder() -> Path:
    """Where running clusters register; it may not exist."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "kvstore"
    return Path(tempfile.gettempdir()) / f"kvstore-{os.getuid()}"


def discover(folder: Path | None = None) -> list[RunningCluster]:
    """The clusters that run on this machine now, the newest first."""
    place = registration_folder() if folder is None else folder
    if not _is_ours_alone(place):
        return []
    found = (_registration(file) for file in sorted(place.glob("*.json")))
    running = [cluster for cluster in found if cluster is not None and is_alive(cluster.pid)]
    return sorted(running, key=lambda cluster: (-cluster.created, cluster.name))


def _is_ours_alone(folder: Path) -> bool:
    try:
        facts = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o022


def _registration(file: Path) -> RunningCluster | None:
    """None if there is none, or something else stands there."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=RunningCluster)
    except (OSError, msgspec.MsgspecError):
        return None


def is_alive(pid: int) -> bool:
    """Whether a process of that number exists, ours or not."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
