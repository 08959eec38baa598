"""What is written down of a local cluster: its state in its own folder, and registrations by which others find it.

    FOLDER/cluster.json                     ClusterRecord; changed under a lock on FOLDER/cluster.lock
    FOLDER/n1/node.toml, node.log, data/    one folder per node
    RUNTIME/NAME.json                       registration of a cluster that is up: clients and `kvstore local` look here
    STATE/NAME.json                         registration of a cluster whose data is kept, up or down

RUNTIME and the form of a registration are the client's (kvstore/client/discovery.py); its `pid` is 0 when no node runs.
STATE is $XDG_STATE_HOME/kvstore/local or ~/.local/state/kvstore/local.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from kvstore.client.discovery import RunningCluster, registration_folder
from kvstore.core.errors import ForeignData, VersionSkew
from kvstore.local.process import Process

FORMAT = 1
STATE, LOCK, WARDEN_LOG = "cluster.json", "cluster.lock", "warden.log"


class NodeRecord(msgspec.Struct):
    """One node: where it listens, and the process that runs it."""

    id: str
    zone: str
    client: str
    http: str
    peer: str
    process: Process | None = None
    put_down: str = ""
    """How it was ended from here: killed, stopped, or empty."""
    since: float = 0.0
    """When it was last started, ended, paused or resumed from here; seconds since 1970."""


class ClusterRecord(msgspec.Struct):
    """A local cluster, as FOLDER/cluster.json has it."""

    name: str
    created: float
    keep: bool
    """Whether the data stays when the cluster goes down."""
    registered: bool
    command: list[str]
    """What runs a node; the path of its configuration file is appended."""
    nodes: list[NodeRecord]
    format: int = FORMAT

    @property
    def url(self) -> str:
        return "kv://" + ",".join(node.client for node in self.nodes)

    @property
    def alive(self) -> list[Process]:
        """Every process that runs, paused ones included."""
        return [node.process for node in self.nodes if node.process is not None and node.process.is_alive]


def load(folder: Path) -> ClusterRecord:
    """Raises FileNotFoundError, ForeignData if the file is something else, VersionSkew if it is of a newer version."""
    file = folder / STATE
    try:
        record = msgspec.json.decode(file.read_bytes(), type=ClusterRecord)
    except msgspec.MsgspecError as error:
        raise ForeignData(f"{file}: not the state of a local cluster: {error}") from error
    if record.format != FORMAT:
        raise VersionSkew(f"{file}: format {record.format}, this version reads {FORMAT}")
    return record


def save(folder: Path, record: ClusterRecord) -> None:
    """Replaces the state, and the registrations with it."""
    _write(folder / STATE, record)
    if record.registered:
        alive = record.alive
        entry = RunningCluster(record.name, record.url, alive[0].pid if alive else 0, str(folder), record.created)
        _register(runtime_folder(), entry)
        if record.keep:
            _register(state_folder(), entry)


def unregister(folder: Path, record: ClusterRecord, *, forget: bool) -> None:
    """The cluster is down: clients shall not find it. `forget`: its data is gone, too."""
    if not record.registered:
        return
    for place in (runtime_folder(), *([state_folder()] if forget else [])):
        entry = registration(place / f"{record.name}.json")
        if entry is not None and entry.dir == str(folder):  # else the name is somebody else's by now
            (place / f"{record.name}.json").unlink(missing_ok=True)


def registrations(place: Path) -> list[RunningCluster]:
    """Every readable registration in a folder, by name."""
    found = (registration(file) for file in sorted(place.glob("*.json")))
    return [entry for entry in found if entry is not None]


def registration(file: Path) -> RunningCluster | None:
    """None if there is none, or something else stands there."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=RunningCluster)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One at a time, over all processes. Raises FileNotFoundError if the cluster is gone."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def runtime_folder() -> Path:
    """Where running clusters are registered. Raises PermissionError if others may write there."""
    return _ours_alone(registration_folder())


def state_folder() -> Path:
    """Where clusters with kept data are registered and, unless told otherwise, keep it. Raises PermissionError."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return _ours_alone(Path(state).expanduser() / "kvstore" / "local")


def _ours_alone(folder: Path) -> Path:
    """A registration names processes to signal and folders to remove: nobody else may write it."""
    with suppress(FileNotFoundError):
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o022:
            raise PermissionError(f"{folder}: expected a folder that only we can write to")
    return folder


def _register(place: Path, entry: RunningCluster) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700, exist_ok=True)
    _write(_ours_alone(place) / f"{entry.name}.json", entry)


def _write(file: Path, document: object) -> None:
    text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.write_bytes(text + b"\n")
    fresh.replace(file)
