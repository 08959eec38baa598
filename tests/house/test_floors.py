"""The import rule, kept: from the floors below yours and from your own room; the outside by three doors only.

The drawing below is the one in kvstore/__init__.py. A room is known by its package; `kvstore` itself is what lies
loose in the package (`__init__`, `__main__`).
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HOUSE = (  # ground floor first; rooms on one floor do not know each other
    ("kvstore.core",),
    ("kvstore.storage", "kvstore.placement", "kvstore.replication"),
    ("kvstore.replication.raft", "kvstore.replication.multileader", "kvstore.replication.leaderless", "kvstore.txn"),
    ("kvstore.node",),
    ("kvstore.wire",),  # above the node, whose requests and effects it turns into bytes; the node never sees bytes
    ("kvstore.server", "kvstore.client", "kvstore.sim"),
    ("kvstore.local",),
    ("kvstore.cli", "kvstore.testing"),
    ("kvstore", "chaos", "bench"),
    ("cluster",),  # its demo judges what it did with chaos' workload and checker
    ("tests",),
)
FLOOR = {room: floor for floor, rooms in enumerate(HOUSE) for room in rooms}

DOORS = ("kvstore.storage.lmdb_engine", "kvstore.server", "kvstore.client")
SEALED = ("kvstore.sim",)  # upstairs, yet as pure as the ground floor
PURE = (*(room for room in FLOOR if FLOOR[room] <= FLOOR["kvstore.wire"]), *SEALED)
OUTSIDE = frozenset(
    {"aiohttp", "grpc", "lmdb", "uvloop"}
    | {"asyncio", "concurrent", "multiprocessing", "queue", "signal", "subprocess", "threading"}
    | {"http", "select", "selectors", "socket", "socketserver", "ssl", "urllib"}
    | {"fcntl", "mmap", "os", "pathlib", "shutil", "tempfile"}
    | {"datetime", "logging", "random", "secrets", "time", "uuid"}  # clocks and dice; logging has a clock and a lock
)
HANDED_IN = ("random.Random",)  # the name of a type; the generator itself comes as an argument

GENERATED = "kvstore.v1"
SPEAKS_PROTOBUF = ("kvstore.wire", "kvstore.server", "kvstore.client")  # who may know the generated code

# What the pure rooms may use from outside the standard library, and who of them.
PURE_HELP = {
    "mmh3": ("kvstore.placement",),  # the hash of keys
    "msgspec": PURE,  # frozen records that know their bytes
    "google_crc32c": ("kvstore.core", "kvstore.storage", "kvstore.wire"),  # checksums
    "google": ("kvstore.wire",),  # google.protobuf
}


def is_in(module: str, rooms: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these packages or lies inside one."""
    return any(module == room or module.startswith(room + ".") for room in rooms)


def room_of(module: str) -> str | None:
    """The innermost room a module lives in, or None if it is not ours or generated."""
    if is_in(module, (GENERATED,)):
        return None
    parts = module.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in names if name in FLOOR), None)


def is_pure(module: str) -> bool:
    """Whether the outside stays out of this module."""
    return is_in(module, PURE) and not is_in(module, DOORS)


def imports_of(path: Path) -> Iterator[str]:
    """Every name a file imports, at the top or inside a function. `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level  # refused below: a dotted import cannot be read without knowing where it stands
            else:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def wrongs(here: str, there: str) -> Iterator[str]:
    """What is wrong with module `here` importing `there`, in words."""
    home, room, top = room_of(here), room_of(there), there.split(".")[0]
    assert home is not None, f"{here} has no room in this house"
    if there.startswith("."):
        yield f"{here} imports by dots"
        return
    if room not in (None, home) and FLOOR[room] >= FLOOR[home]:
        yield f"{here} looks next door or upstairs at {there}"
    if is_in(there, (GENERATED,)) and FLOOR[home] <= FLOOR["kvstore.sim"] and not is_in(here, SPEAKS_PROTOBUF):
        yield f"{here} reads the generated {there}"
    if not is_pure(here):
        return
    if top in OUTSIDE and there not in HANDED_IN:
        yield f"{here} opens a window: {there}"
    elif top not in sys.stdlib_module_names and top != "kvstore" and not is_in(here, PURE_HELP.get(top, ())):
        yield f"{here} brings a stranger: {there}"


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Our modules by dotted name: kvstore and the top floor, without the generated code."""
    for top in ("kvstore", "chaos", "bench", "cluster"):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not is_in(name, (GENERATED,)):
                yield name, path


def trespasses(root: Path) -> list[str]:
    """Every broken rule below a folder."""
    return [wrong for here, path in modules(root) for there in imports_of(path) for wrong in wrongs(here, there)]


def test_nobody_trespasses() -> None:
    assert list(modules(ROOT)), "an empty house proves nothing"
    assert trespasses(ROOT) == []


def test_every_package_has_a_room() -> None:
    """A new package would else stand on the top floor, where everything is allowed."""
    packages = {f"kvstore.{path.parent.name}" for path in (ROOT / "kvstore").glob("*/__init__.py")}
    assert packages - {GENERATED} <= set(FLOOR)


PLANTED = [
    ("kvstore/core/x.py", "import asyncio", "opens a window: asyncio"),
    ("kvstore/core/x.py", "from time import monotonic", "opens a window: time.monotonic"),
    ("kvstore/core/x.py", "import random", "opens a window: random"),
    ("kvstore/core/x.py", "from random import choice", "opens a window: random.choice"),
    ("kvstore/core/x.py", "def f():\n    import os.path", "opens a window: os.path"),
    ("kvstore/core/x.py", "import requests", "brings a stranger: requests"),
    ("kvstore/core/x.py", "from . import ids", "imports by dots"),
    ("kvstore/core/x.py", "from kvstore.storage.engine import Engine", "next door or upstairs"),
    ("kvstore/core/x.py", "import kvstore.storage", "next door or upstairs"),
    ("kvstore/core/x.py", "from kvstore import storage", "next door or upstairs"),
    ("kvstore/core/x.py", "from kvstore import Client", "next door or upstairs"),
    ("kvstore/storage/engine.py", "import lmdb", "opens a window: lmdb"),
    ("kvstore/storage/lmdb_engine.py", "from kvstore.node.node import Node", "next door or upstairs"),
    ("kvstore/storage/engine.py", "from kvstore.placement.ring import Ring", "next door or upstairs"),
    ("kvstore/replication/raft/x.py", "from kvstore.replication.leaderless import reads", "next door or upstairs"),
    ("kvstore/replication/effects.py", "from kvstore.replication.raft import replica", "next door or upstairs"),
    ("kvstore/replication/raft/x.py", "from kvstore.v1 import peer_pb2", "reads the generated"),
    ("kvstore/node/node.py", "from kvstore.wire import translate", "next door or upstairs"),
    ("kvstore/node/node.py", "import threading", "opens a window: threading"),
    ("kvstore/sim/world.py", "import time", "opens a window: time"),
    ("kvstore/sim/world.py", "from kvstore.server import runtime", "next door or upstairs"),
    ("kvstore/client/client.py", "from kvstore.server import runtime", "next door or upstairs"),
    ("kvstore/server/runtime.py", "from kvstore.local import processes", "next door or upstairs"),
    ("kvstore/local/processes.py", "from kvstore.cli import main", "next door or upstairs"),
    ("kvstore/cli/shell.py", "import chaos", "next door or upstairs"),
    ("kvstore/cli/shell.py", "from kvstore import Client", "next door or upstairs"),
    ("chaos/__main__.py", "from cluster import demo", "next door or upstairs"),
    ("chaos/__main__.py", "from bench import load", "next door or upstairs"),
    ("chaos/__main__.py", "from tests.lab import Lab", "next door or upstairs"),
]


@pytest.mark.parametrize(("file", "line", "wrong"), PLANTED)
def test_a_planted_trespass_is_named(tmp_path: Path, file: str, line: str, wrong: str) -> None:
    plant(tmp_path, file, line)
    (found,) = trespasses(tmp_path)
    assert wrong in found
    assert found.startswith(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


ALLOWED = [
    ("kvstore/core/x.py", "import zlib, struct, dataclasses, typing"),
    ("kvstore/core/x.py", "from random import Random"),
    ("kvstore/core/x.py", "from kvstore.core.ids import NodeId"),
    ("kvstore/placement/hashing.py", "import mmh3"),
    ("kvstore/replication/raft/replica.py", "from kvstore.replication.effects import Effects"),
    ("kvstore/replication/raft/replica.py", "from kvstore.storage.engine import Engine"),
    ("kvstore/storage/lmdb_engine.py", "import lmdb, threading, os, time"),
    ("kvstore/wire/translate.py", "from kvstore.v1 import peer_pb2\nfrom google.protobuf.message import Message"),
    (
        "kvstore/server/runtime.py",
        "import asyncio\nfrom kvstore.node.node import Node\nfrom kvstore.wire import frames",
    ),
    ("kvstore/sim/cluster.py", "import heapq\nfrom kvstore.node.node import Node"),
    ("kvstore/cli/shell.py", "import os\nfrom kvstore.client import Client\nfrom kvstore.local import processes"),
    ("kvstore/__init__.py", "from kvstore.client.client import Client"),
    ("kvstore/wire/calls.py", "from kvstore.node.requests import Request"),
    ("cluster/demo.py", "from chaos.history import History\nfrom kvstore.local import processes"),
    ("chaos/__main__.py", "import time\nfrom kvstore.sim import world\nfrom chaos.history import History"),
]


@pytest.mark.parametrize(("file", "line"), ALLOWED)
def test_what_is_allowed_passes(tmp_path: Path, file: str, line: str) -> None:
    plant(tmp_path, file, line)
    assert trespasses(tmp_path) == []


def plant(root: Path, file: str, line: str) -> None:
    path = root / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n", encoding="utf-8")


def loaded_by(module: str, wanted: frozenset[str]) -> set[str]:
    """Which of the wanted modules a fresh interpreter has after importing one of ours.

    `-S` keeps the machine's own start-up hooks out; the search path is handed over instead.
    """
    script = f"import sys, {module}; print(*sys.modules)"
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, "-S", "-c", script]
    run = subprocess.run(command, env={**os.environ, **path}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return {name.partition(".")[0] for name in run.stdout.split()} & wanted


def test_a_whole_node_loads_nothing_of_the_outside() -> None:
    """The rule above reads our own lines; this sees what they drag in."""
    doors = frozenset({"asyncio", "grpc", "lmdb", "aiohttp", "socket", "threading"})
    assert loaded_by("kvstore.node.node", doors) == set()


def test_the_look_into_a_fresh_interpreter_sees_something() -> None:
    assert loaded_by("socket", frozenset({"socket", "selectors"})) == {"socket", "selectors"}
