"""What a node says on its HTTP port: is it ready, and its status."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

import msgspec

from kvstore.node.forms import split_address

PROBE_S = 2.0


def is_ready(address: str, timeout_s: float = PROBE_S) -> bool:
    """Whether the node says that it serves; False also if it says nothing."""
    return what_is_missing(address, timeout_s) is None


def what_is_missing(address: str, timeout_s: float = PROBE_S) -> str | None:
    """Why the node does not serve yet, in its own words; None if it serves."""
    try:
        with _get(address, "/readyz", timeout_s) as reply:
            return None if reply.status == 200 else reply.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return f"no answer on http port: {error}"


def status_of(address: str, timeout_s: float = PROBE_S) -> dict[str, Any] | None:
    """The node's /api/v1/status, or None if it does not answer with one."""
    try:
        with _get(address, "/api/v1/status", timeout_s) as reply:
            return msgspec.json.decode(reply.read(), type=dict[str, Any]) if reply.status == 200 else None
    except (OSError, HTTPException, msgspec.MsgspecError):
        return None


@contextmanager
def _get(address: str, path: str, timeout_s: float) -> Iterator[HTTPResponse]:
    host, port = split_address(address)
    with closing(HTTPConnection(host, port, timeout=timeout_s)) as connection:
        connection.request("GET", path)
        with connection.getresponse() as reply:
            yield reply
