"""Every message between nodes comes out of a frame as it went in."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvstore.core.errors import MalformedFrame
from kvstore.core.ids import GroupId
from kvstore.node.effects import Forward, PeerMessage
from kvstore.node.requests import ReadRequest
from kvstore.v1 import peer_pb2 as pb
from kvstore.v1.kv_pb2 import Call
from kvstore.wire.frames import FrameReader, decode_messages, encode_frame
from kvstore.wire.peer_messages import message_of, put_message
from tests.wire.messages import BY_KIND

KINDS = sorted(BY_KIND, key=lambda kind: kind.__name__)


def test_there_is_a_strategy_for_every_message_and_a_field_for_it() -> None:
    assert set(BY_KIND) == set(get_args(PeerMessage))
    fields = {field.name for field in pb.Addressed.DESCRIPTOR.oneofs_by_name["message"].fields}
    assert len(fields) == len(BY_KIND)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_message_comes_back(kind: type[Any], data: st.DataObject) -> None:
    addressed = (GroupId(7), data.draw(BY_KIND[kind]))
    frames = FrameReader().feed(encode_frame([addressed]))
    assert [decode_messages(frame) for frame in frames] == [[addressed]]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
def test_what_comes_back_has_the_types_of_the_house(kind: type[Any], data: st.DataObject) -> None:
    """No protobuf container goes on living in the node: it would keep the whole frame."""
    wire = pb.Addressed()
    put_message(wire, data.draw(BY_KIND[kind]))
    msgspec.msgpack.encode(message_of(wire))


def test_a_message_of_no_known_kind_is_malformed() -> None:
    with pytest.raises(MalformedFrame, match="no known kind"):
        message_of(pb.Addressed(group=1))


def test_an_append_with_more_payloads_than_terms_is_malformed() -> None:
    wire = pb.Addressed(append_request=pb.AppendRequest(terms=[1], payloads=[b"a", b"b"]))
    with pytest.raises(MalformedFrame, match="2 payloads for 1 terms"):
        message_of(wire)


MISFITS = [
    pb.Addressed(store=pb.Store(keys=[b"a", b"b"], versions=[b"x"])),
    pb.Addressed(page_fetched=pb.PageFetched(keys=[b"a", b"b"], versions=[b"x"])),
    pb.Addressed(repair=pb.Repair(keys=[b"a", b"b"], versions=[b"x"])),
    pb.Addressed(leaves_listed=pb.LeavesListed(keys=[b"a", b"b"], digests=[1])),
    pb.Addressed(pull=pb.Pull(keys=[b"a", b"b"], digests=[1])),
]


@pytest.mark.parametrize("addressed", MISFITS, ids=lambda addressed: addressed.WhichOneof("message"))
def test_more_keys_than_what_is_said_of_them_is_malformed(addressed: pb.Addressed) -> None:
    with pytest.raises(MalformedFrame, match=r"1 (versions|digests) for 2 keys"):
        message_of(addressed)


MALFORMED_FORWARDS = [
    b"",
    b"\xc1",
    msgspec.msgpack.encode("StatusRequest"),
    msgspec.msgpack.encode(["StatusRequest"]),
    msgspec.msgpack.encode(["NoSuchRequest", {}]),
    msgspec.msgpack.encode(["StatusRequest", {"node": 5}]),
    msgspec.msgpack.encode(["WriteRequest", {"group": 1, "commands": b""}]),
]


@pytest.mark.parametrize("admin", MALFORMED_FORWARDS)
def test_a_forwarded_request_that_is_none_is_malformed(admin: bytes) -> None:
    with pytest.raises(MalformedFrame):
        message_of(pb.Addressed(forward=pb.Forward(id=1, admin=admin)))


def test_a_forward_without_a_request_is_malformed() -> None:
    with pytest.raises(MalformedFrame, match="not a request about the cluster"):
        message_of(pb.Addressed(forward=pb.Forward(id=1)))
    with pytest.raises(MalformedFrame, match="asks nothing"):
        message_of(pb.Addressed(forward=pb.Forward(id=1, call=Call(id=1))))
    with pytest.raises(MalformedFrame, match="answers nothing"):
        message_of(pb.Addressed(forward_reply=pb.ForwardReply(id=1)))


def test_a_deadline_beyond_what_fits_becomes_the_longest_that_does() -> None:
    wire = pb.Addressed()
    put_message(wire, Forward(1, 1 << 40, ReadRequest(GroupId(1), [])))
    forward = message_of(wire)
    assert isinstance(forward, Forward) and forward.deadline_ms == (1 << 32) - 1
