"""Links between nodes: strangers and damage end a connection and are counted; the node goes on unharmed."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest

from kvstore.core.ids import GroupId, Incarnation, Millis, NodeId, Term
from kvstore.node.effects import NODE_LEVEL, LinkLost, Pulse
from kvstore.node.forms import split_address
from kvstore.replication.raft.messages import TimeoutNow, VoteRequest
from kvstore.v1 import admin_pb2, kv_pb2
from kvstore.v1 import peer_pb2 as pb
from kvstore.wire.frames import FRAME_BYTES_MAX, HEAD, encode_frame, encode_greeting
from tests.server.stage import PATIENCE_S, Stage, staged, until

MEMBERS = [NodeId("n1"), NodeId("n2"), NodeId("n3")]


def greeting(cluster: str, node: str, incarnation: int = 5, members: list[NodeId] = MEMBERS) -> bytes:
    return encode_greeting(cluster, NodeId(node), Incarnation(incarnation), members)


GOOD_GREETING = greeting("stage", "n2")
FRAME = encode_frame([(GroupId(1), TimeoutNow(Term(3)))])
PULSE = encode_frame([(NODE_LEVEL, Pulse(Incarnation(5), 7, Millis(0), False, Incarnation(0)))])


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """One node of three: its peers are played by the tests."""
    stage = Stage(tmp_path, 3)
    try:
        await stage.start("n1")
        yield stage
    finally:
        await stage.close()


def sealed(frame: pb.Frame) -> bytes:
    body = frame.SerializeToString()
    return HEAD.pack(len(body), crc32(body)) + body


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


@contextlib.asynccontextmanager
async def dialled(stage: Stage, data: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A connection to the peer port of n1 on which this was said."""
    host, port = split_address(stage.members[0].peer)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(data)
    try:
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def is_ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has closed: it never says anything on a connection that was dialled to it."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read() == b""
    except ConnectionResetError:
        return True


def malformed(stage: Stage) -> float:
    value = stage.one.metrics.registry.get_sample_value("kvstore_peer_frames_malformed_total")
    assert value is not None
    return value


BAD_STREAMS = {
    "garbage": bytes(range(256)) * 4,
    "another protocol": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + b" " * 64,
    "a frame before the greeting": FRAME,
    "a foreign cluster": greeting("another", "n2"),
    "an unknown node": greeting("stage", "n9"),
    "our own name": greeting("stage", "n1"),
    "another list of nodes": greeting("stage", "n2", members=MEMBERS[:2]),
    "no list of nodes": greeting("stage", "n2", members=[]),
    "another version of the protocol": sealed(pb.Frame(greeting=pb.Greeting(protocol=2, cluster="stage", node="n2"))),
    "a flipped bit in the greeting": flipped(GOOD_GREETING, len(GOOD_GREETING) - 1),
    "a flipped bit in a frame": GOOD_GREETING + flipped(FRAME, len(FRAME) - 1),
    "a flipped bit in a checksum": GOOD_GREETING + flipped(FRAME, 5),
    "a frame too long": GOOD_GREETING + HEAD.pack(FRAME_BYTES_MAX + 1, 0),
    "a message of no known kind": GOOD_GREETING + sealed(pb.Frame(messages=[pb.Addressed(group=1)])),
    "a forward that asks nothing": GOOD_GREETING
    + sealed(pb.Frame(messages=[pb.Addressed(group=1, forward=pb.Forward(id=1, call=kv_pb2.Call(id=1)))])),
}


@pytest.mark.parametrize("data", BAD_STREAMS.values(), ids=BAD_STREAMS)
async def test_what_makes_no_sense_ends_the_connection_and_is_counted(stage: Stage, data: bytes) -> None:
    async with dialled(stage, data) as reader:
        assert await is_ended(reader)
    assert malformed(stage) == 1
    await until(lambda: not stage.one.links.incoming, "the connection is still known")
    assert not stage.one.ended.done(), "the node goes on"


MISPLACED = {
    "a message for a group that is not here": encode_frame([(GroupId(77), TimeoutNow(Term(3)))]),
    "a message of a group for the node itself": encode_frame([(GroupId(0xFFFF_FFFF), TimeoutNow(Term(3)))]),
    "an empty frame": encode_frame([]),
    "a second greeting": GOOD_GREETING,
}


@pytest.mark.parametrize("data", MISPLACED.values(), ids=MISPLACED)
async def test_what_is_well_formed_but_out_of_place_is_ignored(stage: Stage, data: bytes) -> None:
    async with dialled(stage, GOOD_GREETING + data + PULSE) as reader:
        await until(lambda: stage.one.node.liveness.peers[NodeId("n2")].boot == 7, "the frames never arrived")
        assert not reader.at_eof() and malformed(stage) == 0 and not stage.one.ended.done()


async def test_a_connection_that_is_cut_in_the_middle_of_a_frame_is_forgotten(stage: Stage) -> None:
    async with dialled(stage, GOOD_GREETING + FRAME[:-1]):
        await until(lambda: bool(stage.one.links.incoming), "the connection never arrived")
    await until(lambda: not stage.one.links.incoming, "the connection is still known")
    assert malformed(stage) == 0


async def test_a_cluster_under_fire_from_strangers_goes_on(tmp_path: Path) -> None:
    async with staged(tmp_path, 3) as stage:
        vote = encode_frame([(stage.group_of(b"key"), VoteRequest(Term(10**9), (0, 0)))])  # type: ignore[arg-type]
        for data in [*BAD_STREAMS.values(), greeting("another", "n2") + vote]:
            async with dialled(stage, data) as reader:
                assert await is_ended(reader)
        peers = stage.runtimes["n1"].node.liveness.peers.values()
        await until(lambda: all(peer.up for peer in peers), "a stranger's end was taken for a peer's, for ever")
        written = await stage.kv().Put(kv_pb2.PutRequest(key=b"key", value=b"v"))
        assert written.receipt.term < 10**9, "a stranger had a say in an election"
        assert (await stage.kv("n3").Get(kv_pb2.GetRequest(key=b"key"))).record.value == b"v"


async def test_only_the_end_of_a_peers_own_last_connection_is_its_end(stage: Stage) -> None:
    """Neither that of an earlier life, nor of a second connection, nor of a stranger under the peer's name."""
    heard: list[LinkLost] = []
    hear = stage.one.links.hear

    def listen(*events: object) -> None:
        heard.extend(event for event in events if isinstance(event, LinkLost))
        hear(*events)

    stage.one.links.hear = listen
    peer = stage.one.node.liveness.peers[NodeId("n2")]
    async with dialled(stage, GOOD_GREETING + PULSE):
        await until(lambda: peer.up, "n2 was never heard")
        async with dialled(stage, GOOD_GREETING):
            await until(lambda: len(stage.one.links.incoming) == 2, "the second connection never came")
        await until(lambda: len(stage.one.links.incoming) == 1, "the second connection is still known")
        assert heard == [], "the first one is still there"
        async with dialled(stage, greeting("stage", "n2", 6) + FRAME):
            await until(lambda: len(stage.one.links.incoming) == 2, "the stranger never came")
        await until(lambda: bool(heard), "the stranger's end was not noticed")
        stage.one._step()
        assert heard == [LinkLost(NodeId("n2"), Incarnation(6))] and peer.up
    await until(lambda: not peer.up, "the peer's own end was not noticed")
    assert heard[1:] == [LinkLost(NodeId("n2"), Incarnation(5))]


async def test_a_peer_that_is_gone_without_a_word_is_found_out_by_the_kernel(stage: Stage) -> None:
    async with dialled(stage, GOOD_GREETING + PULSE):
        await until(lambda: bool(stage.one.links.incoming), "the connection never arrived")
        [link] = stage.one.links.incoming
        assert link._transport is not None
        connection = link._transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 30


async def report_of(stage: Stage, name: str) -> Any:
    [report] = (await stage.admin(name).Status(admin_pb2.StatusRequest())).nodes_json
    return msgspec.json.decode(report)


async def test_nodes_with_different_lists_do_not_found_a_cluster_and_say_why(tmp_path: Path) -> None:
    """n2 was not told of n3: it must not form a cluster of two with an n1 that waits for three."""
    stage = Stage(tmp_path, 3)
    try:
        short = replace(stage.config("n2"), cluster=replace(stage.config("n2").cluster, nodes=stage.members[:2]))
        await stage.start("n1")
        await stage.start("n2", short)
        nodes = {name: runtime.node for name, runtime in stage.runtimes.items()}
        await until(lambda: all(node.refused for node in nodes.values()), "they did not notice")
        assert nodes["n1"].refused == {
            "n2": "n2 lists the nodes n1, n2, and we n1, n2, n3: cluster.nodes must say the same everywhere"
        }
        reports = [await report_of(stage, name) for name in nodes]
        assert all(any("cluster.nodes must say the same" in line for line in report["problems"]) for report in reports)
        assert not any(report["founded"] or report["healthy"] for report in reports)
        sample = stage.runtimes["n1"].metrics.registry.get_sample_value
        assert (
            sample("kvstore_peer_refused", {"peer": "n2"}) == 1 and sample("kvstore_peer_refused", {"peer": "n3"}) == 0
        )
        await stage.stop("n2")
        await stage.start("n2")
        await stage.start("n3")
        await stage.ready()
        await until(lambda: not nodes["n1"].refused, "what was mended is still told")
    finally:
        await stage.close()


async def test_a_link_is_dialled_again_and_what_could_not_leave_was_counted(tmp_path: Path) -> None:
    async with staged(tmp_path, 3) as stage:
        await stage.stop("n3")
        n1 = stage.runtimes["n1"]
        await until(lambda: not n1.node.liveness.peers[NodeId("n3")].up, "n3 still seems to be up")
        dropped = n1.metrics.registry.get_sample_value("kvstore_peer_frames_dropped_total")
        assert dropped is not None and dropped > 0
        await stage.kv().Put(kv_pb2.PutRequest(key=b"key", value=b"v"))
        await stage.start("n3")
        await stage.ready()
        await until(lambda: n1.node.liveness.peers[NodeId("n3")].up, "n3 never came back")
