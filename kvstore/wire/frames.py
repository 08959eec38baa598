"""Frames between nodes: length, checksum, and a `Frame` of peer.proto with the messages of a tick.

A frame that fails its checksum, or is too long, or is not a Frame, raises MalformedFrame: the connection is then worth
nothing any more, because where the next frame starts is in doubt.
"""

from collections.abc import Iterable
from struct import Struct
from zlib import crc32

from google.protobuf.message import DecodeError

from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import GroupId, Incarnation, NodeId
from kvstore.core.limits import REQUEST_BYTES_MAX
from kvstore.node.effects import Addressed
from kvstore.v1 import peer_pb2 as pb
from kvstore.wire.peer_messages import message_of, put_message

PROTOCOL = 1
HEAD = Struct(">II")
FRAME_BYTES_MAX = 4 * REQUEST_BYTES_MAX
GREETING_BYTES_MAX = 4_096
TICK_BYTES_MAX = FRAME_BYTES_MAX // 2
"""A tick with more for one peer makes several frames."""


def encode_frame(messages: list[Addressed]) -> bytes:
    """The messages of one tick for one peer."""
    frame = pb.Frame()
    add = frame.messages.add
    for group, message in messages:
        put_message(add(group=group), message)
    return _sealed(frame)


def encode_frames(messages: list[Addressed], bytes_max: int = TICK_BYTES_MAX) -> list[bytes]:
    """The same, nearly always as one frame; in halves if that is longer than `bytes_max`, for a reader refuses it."""
    frame = encode_frame(messages)
    if len(frame) <= HEAD.size + bytes_max or len(messages) == 1:
        return [frame]
    middle = len(messages) // 2
    return encode_frames(messages[:middle], bytes_max) + encode_frames(messages[middle:], bytes_max)


def encode_greeting(cluster: str, node: NodeId, incarnation: Incarnation, members: Iterable[NodeId]) -> bytes:
    """The first frame of a connection. `members` are the nodes that the sender lists, itself among them."""
    greeting = pb.Greeting(
        protocol=PROTOCOL, cluster=cluster, node=node, incarnation=incarnation, members=sorted(members)
    )
    return _sealed(pb.Frame(greeting=greeting))


def _sealed(frame: pb.Frame) -> bytes:
    body = frame.SerializeToString()
    return HEAD.pack(len(body), crc32(body)) + body


def decode_messages(frame: pb.Frame) -> list[Addressed]:
    """What the frame says. Raises MalformedFrame for a message of no known kind."""
    return [(GroupId(addressed.group), message_of(addressed)) for addressed in frame.messages]


class FrameReader:
    """Bytes in, frames out. Only as much as `first_bytes_max` is gathered for the first frame, from a stranger."""

    __slots__ = ("_buffer", "_bytes_max")

    def __init__(self, first_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._bytes_max = first_bytes_max

    def feed(self, data: bytes) -> list[pb.Frame]:
        """The frames completed by these bytes. Raises MalformedFrame; the stream is then unusable."""
        buffer = self._buffer
        buffer += data
        frames: list[pb.Frame] = []
        at = 0
        while len(buffer) - at >= HEAD.size:
            length, checksum = HEAD.unpack_from(buffer, at)
            if length > self._bytes_max:
                raise MalformedFrame(f"a frame of {length} bytes: at most {self._bytes_max} are allowed")
            end = at + HEAD.size + length
            if len(buffer) < end:
                break
            frames.append(_parsed(bytes(buffer[at + HEAD.size : end]), checksum))
            self._bytes_max = FRAME_BYTES_MAX
            at = end
        if at:
            del buffer[:at]
        return frames


def _parsed(body: bytes, checksum: int) -> pb.Frame:
    if crc32(body) != checksum:
        raise MalformedFrame("a frame fails its checksum")
    try:
        return pb.Frame.FromString(body)
    except DecodeError as error:
        raise MalformedFrame(f"not a frame: {error}") from error
