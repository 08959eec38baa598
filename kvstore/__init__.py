"""kvstore: a replicated key-value storage engine, one API over three ways to replicate.

    import kvstore

    with kvstore.connect() as db:                       # or kvstore.Client("kv://host:7401"), kvstore.AsyncClient(…)
        version = db.put("user:1", b"Ada")
        db.put("user:1", b"Ada L.", if_version=version)  # compare-and-set
        print(db.get("user:1"))

    with kvstore.open("data") as db:                    # the same API on one node inside this process, no ports
        db.put("user:1", b"Ada")

The house on one page. Import from the floors below yours, and from your own room. Never from next door, never from
upstairs. Up to floor 3 the outside (asyncio, sockets, threads, clocks, dice, grpc, lmdb, aiohttp) stays out, and so it
does in `sim`; it comes in by three doors: `kvstore/storage/lmdb_engine.py`, `kvstore/server/`, `kvstore/client/`.

    7  chaos · bench · cluster                     how we break it, how fast it is, scripts and ready-made clusters
    6  kvstore.cli · kvstore.testing               the front doors: command line and shell · pytest plugin
    5  kvstore.local                               many real nodes on this machine: start, kill, pause, cut, heal
    4  kvstore.server · kvstore.client · kvstore.sim    doors: asyncio, gRPC, real time · their twin: nodes in a heap
    3  kvstore.node · kvstore.wire                 a whole node without a socket · words to bytes
    2  kvstore.replication.raft · .multileader · .leaderless · kvstore.txn     neighbours that do not know each other
    1  kvstore.storage · kvstore.placement · kvstore.replication               what the modes share
    0  kvstore.core                                ids, clocks, versions, commands, errors

A protocol is a function, `step(now, event) -> Effects`: it owns no socket, clock, thread or dice. The server carries
the effects out with asyncio, gRPC, TCP and LMDB, the simulator in one process with virtual time, from a seed.

Words: a *node* is one process; a *keyspace* holds data and is split by the keys' hash into *partitions*, each kept by a
*group* of *replicas* on several nodes; the *ring* says which; a *ballot* is a voter's term and vote; a *version* names
the write a value comes from; a *receipt* says how a request was served; an *operation id* names a write for ever, so
that it can be tried again without happening twice; a *fault* is what the *nemesis* does to us, and a *history* is what
clients saw, judged by a *checker*.

Nothing is imported before it is used (PEP 562): `import kvstore` costs nothing, gRPC comes with the first connection.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvstore.client import codecs as codecs
    from kvstore.client.async_client import AsyncClient as AsyncClient
    from kvstore.client.async_space import AsyncSpace as AsyncSpace
    from kvstore.client.client import Client as Client
    from kvstore.client.client import connect as connect
    from kvstore.client.deadlines import timeout as timeout
    from kvstore.client.discovery import discover as discover
    from kvstore.client.options import Acks as Acks
    from kvstore.client.options import Consistency as Consistency
    from kvstore.client.records import KeyspaceInfo as KeyspaceInfo
    from kvstore.client.records import Outcome as Outcome
    from kvstore.client.records import Partition as Partition
    from kvstore.client.records import Receipt as Receipt
    from kvstore.client.records import Record as Record
    from kvstore.client.records import Sibling as Sibling
    from kvstore.client.records import Written as Written
    from kvstore.client.space import Space as Space
    from kvstore.core import errors as errors
    from kvstore.core.ids import OperationId as OperationId
    from kvstore.core.versions import Version as Version
    from kvstore.local import embedded

    open, open_async = embedded.open_database, embedded.open_database_async

__version__ = "0.1.0"

_HOMES = {
    "Acks": "kvstore.client.options",
    "AsyncClient": "kvstore.client.async_client",
    "AsyncSpace": "kvstore.client.async_space",
    "Client": "kvstore.client.client",
    "Consistency": "kvstore.client.options",
    "KeyspaceInfo": "kvstore.client.records",
    "OperationId": "kvstore.core.ids",
    "Outcome": "kvstore.client.records",
    "Partition": "kvstore.client.records",
    "Receipt": "kvstore.client.records",
    "Record": "kvstore.client.records",
    "Sibling": "kvstore.client.records",
    "Space": "kvstore.client.space",
    "Version": "kvstore.core.versions",
    "Written": "kvstore.client.records",
    "connect": "kvstore.client.client",
    "discover": "kvstore.client.discovery",
    "timeout": "kvstore.client.deadlines",
}
_EMBEDDED = {"open": "open_database", "open_async": "open_database_async"}
"""Names of `kvstore.local.embedded`; not for `import *`, where `open` would hide Python's own."""
_MODULES = {"codecs": "kvstore.client.codecs", "errors": "kvstore.core.errors"}

__all__ = ["__version__", *sorted([*_HOMES, *_MODULES])]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        value: Any = import_module(_MODULES[name])
    elif name in _EMBEDDED:
        value = getattr(import_module("kvstore.local.embedded"), _EMBEDDED[name])
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_EMBEDDED, *_MODULES})
