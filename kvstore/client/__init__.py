"""The door a program walks through: the client library.

    your code ── Client (a thread) ──▶ AsyncClient ── views: spaces, codecs, batches, scans
                                          │
              lanes: operations gather by partition, each with a future
                                          │ parcels
              dispatch: which node, when again, until when       routing · retrying (pure)
                                          │
              conversations, one for each node: one request a turn of the event loop
                                          │ SessionRequest / SessionReply
              links: gRPC, or a node in this process

A `put` costs a hash, a small struct, a future and a few list entries; everything else is paid once for each parcel
(what one turn of the event loop has for one partition) or once for each message (what it has for one node). What is
there leaves at the end of the turn; only while several operations are unanswered does a message wait a little for
company, because messages are dear (see `conversation`).

Writes carry an operation id: a random client id and a number. A write whose answer was lost is sent again with the same
id, to another node if need be, and the store gives the first answer again; so retries are exact, and when the deadline
ends them the error says whether the write may have happened, and `outcome` tells what became of it.

In leaderless keyspaces any replica is asked: the first of the ring that is up, so that a writer finds what it wrote. A
read brings all that is known of a key (`siblings`): records give every value with the context that replaces it, and
`get` one value, which a resolver makes of several, or a ConflictError. What a resolver says is not written back by a
read; `update` writes it. Deletes without a context read first, because a delete replaces only what it has seen.

Nothing is imported before it is used: gRPC comes with the first connection.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvstore.client.async_client import AsyncClient as AsyncClient
    from kvstore.client.client import Client as Client
    from kvstore.client.client import connect as connect
    from kvstore.client.deadlines import timeout as timeout
    from kvstore.client.discovery import discover as discover

_HOMES = {
    "AsyncClient": "kvstore.client.async_client",
    "Client": "kvstore.client.client",
    "connect": "kvstore.client.client",
    "discover": "kvstore.client.discovery",
    "timeout": "kvstore.client.deadlines",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
