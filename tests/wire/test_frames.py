"""Frames: any cutting of the stream gives the same frames; any damage gives MalformedFrame, never another message."""

from struct import Struct
from zlib import crc32

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import GroupId, Incarnation, NodeId, Term
from kvstore.node.effects import Addressed
from kvstore.replication.raft.messages import TimeoutNow, VoteReply
from kvstore.v1 import peer_pb2 as pb
from kvstore.wire.frames import (
    FRAME_BYTES_MAX,
    HEAD,
    PROTOCOL,
    FrameReader,
    decode_messages,
    encode_frame,
    encode_frames,
    encode_greeting,
)
from tests.wire.messages import ADDRESSED

TICKS = st.lists(st.lists(ADDRESSED, max_size=4), max_size=4)
SLOW = settings(suppress_health_check=[HealthCheck.too_slow])
ONE: list[Addressed] = [(GroupId(3), VoteReply(Term(2), True))]


@SLOW
@given(TICKS, st.randoms(use_true_random=False))
def test_any_cutting_of_the_stream_gives_the_same_frames(ticks: list[list[Addressed]], rng: object) -> None:
    stream = b"".join(encode_frame(tick) for tick in ticks)
    reader, heard, at = FrameReader(), [], 0
    while at < len(stream):
        step = rng.randint(1, 40)  # type: ignore[attr-defined]
        heard += [decode_messages(frame) for frame in reader.feed(stream[at : at + step])]
        at += step
    assert heard == ticks
    assert reader.feed(b"") == []


@given(st.data())
def test_any_flipped_bit_is_malformed_or_nothing(data: st.DataObject) -> None:
    """Nothing: a larger length makes the reader wait for more. What never comes out is a frame."""
    frame = bytearray(encode_frame([*ONE, (GroupId(9), TimeoutNow(Term(77)))]))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        heard = FrameReader().feed(bytes(frame))
    except MalformedFrame:
        return
    assert heard == []


@given(st.binary(max_size=60))
@example(b"\x00" * 8)
def test_bytes_that_are_no_frame_of_ours(body: bytes) -> None:
    """With an honest checksum, too: a newer or a foreign program may send anything."""
    sealed = HEAD.pack(len(body), crc32(body)) + body
    try:
        for frame in FrameReader().feed(sealed):
            decode_messages(frame)
    except MalformedFrame as error:
        assert str(error)


@given(st.binary(min_size=8, max_size=100))
def test_garbage_gives_no_message(garbage: bytes) -> None:
    length, checksum = Struct(">II").unpack_from(garbage)
    try:
        heard = FrameReader().feed(garbage)
    except MalformedFrame:
        return
    assert heard == [] or crc32(garbage[8 : 8 + length]) == checksum


@pytest.mark.parametrize("length", [FRAME_BYTES_MAX + 1, (1 << 32) - 1])
def test_a_frame_too_long_is_refused_before_it_is_gathered(length: int) -> None:
    with pytest.raises(MalformedFrame, match=f"a frame of {length} bytes"):
        FrameReader().feed(HEAD.pack(length, 0))


def test_the_longest_frame_is_waited_for() -> None:
    assert FrameReader().feed(HEAD.pack(FRAME_BYTES_MAX, 0)) == []


def test_a_tick_that_is_more_than_a_frame_may_hold_is_cut_into_several() -> None:
    """A reader would end the connection over it, and the next one too: the peers would never meet again."""
    ticks: list[Addressed] = [(GroupId(i), VoteReply(Term(i), True)) for i in range(100)]
    cut = encode_frames(ticks, bytes_max=64)
    assert len(cut) > 5 and all(len(frame) <= 64 + HEAD.size for frame in cut)
    reader = FrameReader()
    assert [message for data in cut for frame in reader.feed(data) for message in decode_messages(frame)] == ticks
    assert encode_frames(ticks) == [encode_frame(ticks)]
    assert len(encode_frames(ONE, bytes_max=1)) == 1, "a single message cannot be cut"


def test_a_greeting_says_who_and_which_protocol() -> None:
    [frame] = FrameReader().feed(encode_greeting("demo", NodeId("n1"), Incarnation(77), {NodeId("n2"), NodeId("n1")}))
    assert frame.greeting == pb.Greeting(
        protocol=PROTOCOL, cluster="demo", node="n1", incarnation=77, members=["n1", "n2"]
    )
    assert decode_messages(frame) == []


def test_a_message_of_a_newer_version_is_malformed() -> None:
    body = pb.Frame(messages=[pb.Addressed(group=1)]).SerializeToString()
    [frame] = FrameReader().feed(HEAD.pack(len(body), crc32(body)) + body)
    with pytest.raises(MalformedFrame, match="no known kind"):
        decode_messages(frame)
