"""What a node says on its HTTP port: is it ready, and its status; and, for tests, whom it cannot reach."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

import msgspec

from kvstore.core.errors import InvalidRequest, NotConnected
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


def cut_off(address: str, peers: Sequence[str], timeout_s: float = PROBE_S) -> None:
    """Let the node neither reach nor hear these peers. Raises NotConnected, or InvalidRequest if it refuses."""
    try:
        with _ask(address, "PUT", "/testing/links", timeout_s, msgspec.json.encode(peers)) as reply:
            said = reply.read().decode(errors="replace").strip()
            if reply.status == 404:
                raise InvalidRequest("the node was started without testing.faults: its links cannot be cut")
            if reply.status != 200:
                raise InvalidRequest(said)
    except (OSError, HTTPException) as error:
        raise NotConnected(f"the node at {address} does not answer: {error}") from error


def _get(address: str, path: str, timeout_s: float) -> AbstractContextManager[HTTPResponse]:
    return _ask(address, "GET", path, timeout_s)


@contextmanager
def _ask(address: str, method: str, path: str, timeout_s: float, body: bytes | None = None) -> Iterator[HTTPResponse]:
    host, port = split_address(address)
    with closing(HTTPConnection(host, port, timeout=timeout_s)) as connection:
        connection.request(method, path, body)
        with connection.getresponse() as reply:
            yield reply
