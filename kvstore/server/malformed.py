"""Requests that are no message of ours end with a typed error, as everything else does that is wrong with a request.

gRPC's own answer to bytes that cannot be parsed is the status UNKNOWN, which says neither whose mistake it was nor that
nothing happened. Streams are left alone: theirs are the messages of our own client, and speed counts there.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from kvstore.core.errors import MalformedFrame
from kvstore.server.failures import answering

_MALFORMED = object()
Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class MalformedRequests(grpc.aio.ServerInterceptor):
    """Stands before every service of a server."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        handler = await continuation(handler_call_details)
        return handler if handler is None or handler.request_streaming else _lenient(handler)


def _lenient(handler: Any) -> Handler:
    """The same handler, answering also what cannot be parsed."""
    changed: dict[str, Any] = {"request_deserializer": _parsing(handler.request_deserializer)}
    if handler.unary_unary is not None:
        changed["unary_unary"] = _one_answer(handler.unary_unary)
    if handler.unary_stream is not None:
        changed["unary_stream"] = _many_answers(handler.unary_stream)
    lenient: Handler = handler._replace(**changed)
    return lenient


def _parsing(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parsed(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _MALFORMED

    return parsed


def _refusal() -> MalformedFrame:
    return MalformedFrame("the request is not a message of this call; nothing was done")


def _one_answer(serve: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
    async def checked(request: Any, context: Context) -> Any:
        if request is not _MALFORMED:
            return await serve(request, context)
        async with answering(context):
            raise _refusal()

    return checked


def _many_answers(serve: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Any]:
    async def checked(request: Any, context: Context) -> Any:
        if request is _MALFORMED:
            async with answering(context):
                raise _refusal()
        async for reply in serve(request, context):
            yield reply

    return checked
