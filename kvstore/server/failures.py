"""Our errors on their way out through gRPC: a status for everybody, and the whole Failure for those who know us."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from kvstore.core import errors
from kvstore.node.requests import Failure
from kvstore.wire.calls import failure_to

log = logging.getLogger("kvstore.server")

METADATA_KEY = "kvstore-failure-bin"

_STATUS: tuple[tuple[type[errors.KvError], grpc.StatusCode], ...] = (  # the first that fits
    (errors.NotFound, grpc.StatusCode.NOT_FOUND),
    (errors.UnknownKeyspace, grpc.StatusCode.NOT_FOUND),
    (errors.KeyspaceExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.NotYetAvailable, grpc.StatusCode.UNIMPLEMENTED),
    (errors.InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.PreconditionFailed, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.StorageFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Corruption, grpc.StatusCode.DATA_LOSS),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.NotLeader, grpc.StatusCode.UNAVAILABLE),
    (errors.OutcomeUnknown, grpc.StatusCode.ABORTED),
)


def status_of(error: errors.KvError) -> grpc.StatusCode:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


@asynccontextmanager
async def answering(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Turns a KvError into the call's end. Other errors are ours: they are logged and told without their content."""
    try:
        yield
    except errors.KvError as error:
        failure = failure_to(Failure.of(error)).SerializeToString()
        await context.abort(status_of(error), str(error), ((METADATA_KEY, failure),))
    except Exception:
        log.exception("a call failed")
        await context.abort(grpc.StatusCode.INTERNAL, "internal error: see the node's log")
