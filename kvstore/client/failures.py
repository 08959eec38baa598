"""From a Failure on the wire to the error it names."""

from typing import Any

import msgspec

from kvstore.core.errors import KvError, error_from_wire
from kvstore.v1 import kv_pb2 as pb

_FACTS = msgspec.msgpack.Decoder(dict[str, Any])


def failure_error(failure: pb.Failure) -> KvError:
    """The error a node named. An unknown name becomes an indefinite UnknownError; unreadable facts are left out."""
    try:
        facts = _FACTS.decode(failure.facts) if failure.facts else {}
    except msgspec.DecodeError:
        facts = {}  # the error itself matters more than what else was known about it
    facts.pop("message", None)  # would collide with the parameter of that name
    return error_from_wire(failure.code, failure.message, facts)


def placed(address: str, error: KvError) -> str:
    """An error's sentence with the address it is about, once.

    >>> placed("h:1", KvError("gone")), placed("h:1", KvError("h:1: gone"))
    ('h:1: gone', 'h:1: gone')
    """
    words = str(error)
    return words if words.startswith(address) else f"{address}: {words}"
