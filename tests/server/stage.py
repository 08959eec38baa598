"""Real nodes on this event loop: real sockets on ports the kernel chose, real disks in a temporary folder."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest

from kvstore.core.commands import Command, CommandBatch, Kind, encode
from kvstore.core.errors import KvError
from kvstore.core.ids import GroupId
from kvstore.node.config import ClusterConfig, ListenConfig, MemberConfig, NodeConfig, SelfConfig, StorageConfig
from kvstore.server.failures import METADATA_KEY
from kvstore.server.main import Doors, open_runtime
from kvstore.server.runtime import NodeRuntime
from kvstore.v1 import admin_pb2_grpc, kv_pb2_grpc
from kvstore.v1 import kv_pb2 as pb
from kvstore.wire.calls import failure_of

PATIENCE_S = 60.0
"""Longer than anything takes on a slow machine; reached only by a test that fails."""
DEADLINE_MS = 30_000
JOURNAL_BYTES = 64 << 10
"""So small that a test sees many rounds of it, and leaves little behind."""


def unused_ports(count: int) -> list[int]:
    """Ports that nobody listens on; the kernel will not hand them out again soon."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def members_on(ports: list[int]) -> tuple[MemberConfig, ...]:
    doors = [[f"127.0.0.1:{port}" for port in ports[i : i + 3]] for i in range(0, len(ports), 3)]
    return tuple(
        MemberConfig(id=f"n{i}", zone=f"z{i}", client=client, peer=peer, http=http)
        for i, (client, peer, http) in enumerate(doors, 1)
    )


def config_of(member: MemberConfig, members: tuple[MemberConfig, ...], data: Path, **parts: Any) -> NodeConfig:
    storage = parts.pop("storage", StorageConfig())
    return NodeConfig(
        node=SelfConfig(id=member.id, data=str(data), zone=member.zone),
        cluster=ClusterConfig(id="stage", nodes=members),
        listen=ListenConfig(client=member.client, peer=member.peer, http=member.http),
        storage=replace(storage, journal_bytes=min(storage.journal_bytes, JOURNAL_BYTES)),
        **parts,
    )


async def until(holds: Callable[[], bool], what: str) -> None:
    """Come back when it holds; fail with the words if it never does."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - the node tells nobody but its clients
            await asyncio.sleep(0.01)
    assert holds(), what


class Stage:
    """A few nodes that can be started and stopped one by one."""

    def __init__(self, folder: Path, count: int, **parts: Any) -> None:
        self.folder, self.parts = folder, parts
        self.members = members_on(unused_ports(3 * count))
        self.runtimes: dict[str, NodeRuntime] = {}
        self.doors: dict[str, Doors] = {}
        self._channels: list[grpc.aio.Channel] = []

    @property
    def one(self) -> NodeRuntime:
        return next(iter(self.runtimes.values()))

    def config(self, name: str) -> NodeConfig:
        member = next(member for member in self.members if member.id == name)
        return config_of(member, self.members, self.folder / name, **self.parts)

    async def start(self, name: str, config: NodeConfig | None = None) -> NodeRuntime:
        config = config or self.config(name)
        assert config.listen is not None, "every node of the stage has doors"
        runtime = self.runtimes[name] = open_runtime(config)
        self.doors[name] = Doors(runtime, config.listen)
        await self.doors[name].open()
        return runtime

    async def stop(self, name: str) -> None:
        await self.doors.pop(name).close()
        await self.runtimes.pop(name).close()

    async def ready(self) -> None:
        await until(lambda: all(runtime.node.is_ready for runtime in self.runtimes.values()), "a node never got ready")

    def channel(self, name: str = "n1") -> grpc.aio.Channel:
        listen = self.config(name).listen
        assert listen is not None
        channel = grpc.aio.insecure_channel(listen.client, options=[("grpc.max_receive_message_length", 17 << 20)])
        self._channels.append(channel)
        return channel

    def kv(self, name: str = "n1") -> kv_pb2_grpc.KvStub:
        return kv_pb2_grpc.KvStub(self.channel(name))

    def admin(self, name: str = "n1") -> admin_pb2_grpc.AdminStub:
        return admin_pb2_grpc.AdminStub(self.channel(name))

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
        for name in list(self.runtimes):
            await self.stop(name)

    # ── what tests ask ──

    def group_of(self, key: bytes, keyspace: str = "default") -> GroupId:
        ring = self.one.node.ring
        assert ring is not None, "ask when the nodes are ready"
        return ring.partition_of(keyspace, key).group

    def leader_of(self, key: bytes) -> str:
        leader = self.one.node.leader_of(self.group_of(key))
        assert leader is not None, "ask when the nodes are ready"
        return leader


@contextlib.asynccontextmanager
async def staged(folder: Path, count: int, **parts: Any) -> AsyncIterator[Stage]:
    """So many nodes, ready to serve."""
    stage = Stage(folder, count, **parts)
    try:
        for member in stage.members:
            await stage.start(member.id)
        await stage.ready()
        yield stage
    finally:
        await stage.close()


@contextlib.asynccontextmanager
async def refused(kind: type[KvError], status: grpc.StatusCode) -> AsyncIterator[list[KvError]]:
    """The call inside ends with this status, and the whole error in its trailing metadata."""
    errors: list[KvError] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield errors
    assert caught.value.code() is status, caught.value
    trailing = dict(caught.value.trailing_metadata())
    error = failure_of(pb.Failure.FromString(bytes(trailing[METADATA_KEY]))).error()
    assert type(error) is kind, error
    assert str(error) == caught.value.details()
    errors.append(error)


# ── the session ──


class Conversation:
    """One Session stream, spoken by hand."""

    def __init__(self, stub: kv_pb2_grpc.KvStub) -> None:
        self._stream = stub.Session()
        self.replies: dict[int, pb.Reply] = {}
        self.welcome: pb.SessionWelcome | None = None
        self.rings: list[Any] = []
        self.refused: KvError | None = None

    async def say(self, hello: pb.SessionHello | None = None, calls: list[pb.Call] | None = None) -> None:
        await self._stream.write(pb.SessionRequest(hello=hello, calls=calls or []))

    async def hear(self) -> bool:
        """The next message; False when the stream is over."""
        async with asyncio.timeout(PATIENCE_S):
            message = await self._stream.read()
        if message is grpc.aio.EOF:
            return False
        if message.HasField("welcome"):
            assert self.welcome is None, "welcome is said once"
            self.welcome = message.welcome
        if message.HasField("ring"):
            self.rings.append(message.ring)
        if message.HasField("refused"):
            self.refused = failure_of(message.refused).error()
        for reply in message.replies:
            assert reply.id not in self.replies, "a call is answered once"
            self.replies[reply.id] = reply
        return True

    async def answers(self, *ids: int) -> list[pb.Reply]:
        while not all(number in self.replies for number in ids):
            assert await self.hear(), f"the session ended: {self.refused}"
        return [self.replies[number] for number in ids]

    async def end(self) -> None:
        """Everything the other side has to say, until it closes."""
        await self._stream.done_writing()
        while await self.hear():
            pass

    def cancel(self) -> None:
        self._stream.cancel()


def put(number: int, group: GroupId, key: bytes, value: bytes, sequence: int, **more: Any) -> pb.Call:
    commands = encode(CommandBatch(77, 0, False, [Command(sequence, Kind.PUT.value, key, value)]))
    call = pb.Call(id=number, group=group, deadline_ms=more.pop("deadline_ms", DEADLINE_MS))
    call.write.commands = commands
    return call


def get(number: int, group: GroupId, *keys: bytes) -> pb.Call:
    return pb.Call(id=number, group=group, deadline_ms=DEADLINE_MS, read=pb.Read(keys=keys))


def values_of(reply: pb.Reply) -> list[bytes | None]:
    assert reply.WhichOneof("body") == "versions", reply
    return [version[1] if version else None for version in msgspec.msgpack.decode(reply.versions)]
