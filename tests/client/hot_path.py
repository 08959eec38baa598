"""What a put and a get cost in the client alone: `python -m tests.client.hot_path [OUTSTANDING …]`.

The node is a link that answers at once, in this process; its own share (decoding the call, encoding the answer) is
measured apart and taken off. Prints CPU microseconds for one operation.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec

from kvstore.client.async_client import AsyncClient
from kvstore.client.link import Listener
from kvstore.core.commands import Run, decode_batch, encode
from kvstore.v1 import kv_pb2 as pb
from kvstore.v1 import ring_pb2

SECONDS = 1.0
VALUE = b"x" * 100


def ring(nodes: int, partitions: int) -> ring_pb2.Ring:
    ring = ring_pb2.Ring(epoch=1, cluster="c", timeline=1)
    for number in range(nodes):
        ring.nodes.add(id=f"n{number}", client_address=f"h{number}:7401")
    keyspace = ring.keyspaces.add(id=1, name="default", value_bytes_max=1 << 20)
    for number in range(partitions):
        keyspace.partitions.add(group=number + 1, replicas=["n0"], leader=f"n{number % nodes}")
    return ring


class InstantLink:
    """Answers every request in the next turn of the loop."""

    served_s = 0.0
    messages = 0

    def __init__(self, address: str) -> None:
        self._node = "n" + address[1:].partition(":")[0]
        self._listener: Listener | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def writable(self) -> bool:
        return True

    def open(self, hello: pb.SessionHello, listener: Listener) -> None:
        self._listener = listener
        welcome = pb.SessionWelcome(node=self._node, cluster="c", timeline=1)
        self._loop.call_soon(listener.on_reply, pb.SessionReply(welcome=welcome, ring=ring(3, 8)))

    def send(self, request: pb.SessionRequest) -> None:
        self._loop.call_soon(self._serve, request)

    def _serve(self, request: pb.SessionRequest) -> None:
        began = time.process_time()
        message = pb.SessionReply()
        for call in request.calls:
            reply = message.replies.add()
            reply.id = call.id
            reply.receipt.node = self._node
            if call.HasField("write"):
                batch = decode_batch(call.write.commands)
                reply.results = encode(Run(batch.first, len(batch)))
            else:
                reply.versions = msgspec.msgpack.encode([(1, VALUE)] * len(call.read.keys))
        InstantLink.served_s += time.process_time() - began
        InstantLink.messages += 1
        assert self._listener is not None
        self._listener.on_reply(message)

    async def close(self) -> None:
        self._listener = None


async def measure(name: str, outstanding: int, operate: Callable[[AsyncClient, bytes], Awaitable[object]]) -> None:
    db = AsyncClient("kv://h0,h1,h2", link=InstantLink)  # type: ignore[arg-type]
    async with db:
        await db.put("warm", b"up")
        done, end = 0, time.monotonic() + SECONDS

        async def worker(number: int) -> None:
            nonlocal done
            while time.monotonic() < end:
                await operate(db, b"%016d" % (done + number))
                done += 1

        InstantLink.served_s, InstantLink.messages = 0.0, 0
        began = time.process_time()
        await asyncio.gather(*(worker(number) for number in range(outstanding)))
        spent = time.process_time() - began - InstantLink.served_s
    each, together = spent / done * 1e6, done / InstantLink.messages
    print(f"{name:4} {outstanding:4} outstanding: {each:5.1f} µs, {together:5.1f} a message")


def main(counts: list[int]) -> None:
    import uvloop

    for outstanding in counts:
        uvloop.run(measure("put", outstanding, lambda db, key: db.put(key, VALUE)))
        uvloop.run(measure("get", outstanding, lambda db, key: db.get(key)))


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1, 64, 512])
