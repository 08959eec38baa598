"""The echo servers `bench floor` talks to: `python -m bench.floor_echo tcp|grpc`, in a process of its own.

Prints its port on loopback, then serves until its standard input ends: it never outlives the process that started it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import uvloop

from bench.floor_frames import FramedProtocol

UNARY = "/bench.Echo/Unary"
STREAM = "/bench.Echo/Stream"


class EchoFrames(FramedProtocol):
    """Every frame back as it came."""

    def frame_received(self, payload: bytes) -> None:
        self.send_frame(payload)


async def serve_tcp() -> None:
    server = await asyncio.get_running_loop().create_server(EchoFrames, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await until_input_ends()
    server.close()


async def serve_grpc() -> None:
    import grpc

    async def unary(request: bytes, _context: object) -> bytes:
        return request

    async def stream(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await until_input_ends()
    await server.stop(grace=None)


async def until_input_ends() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run({"tcp": serve_tcp, "grpc": serve_grpc}[sys.argv[1]]())
