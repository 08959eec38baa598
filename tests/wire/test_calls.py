"""Requests and answers about data come back as they went; calls and replies that say nothing are malformed."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvstore.core.errors import MalformedFrame, NotLeader
from kvstore.node.requests import Answer, DataRequest, Failure, Told
from kvstore.v1 import kv_pb2 as pb
from kvstore.wire.calls import answer_of, call_of, failure_of, failure_to, reply_of, request_of
from tests.wire.messages import DATA_ANSWERS, DATA_REQUESTS, U32, U64

SLOW = settings(suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(U64, U32, DATA_REQUESTS)
def test_a_request_comes_back(number: int, deadline_ms: int, request: DataRequest) -> None:
    call = pb.Call.FromString(call_of(number, deadline_ms, request).SerializeToString())
    assert (call.id, call.deadline_ms, request_of(call)) == (number, deadline_ms, request)


@SLOW
@given(U64, DATA_ANSWERS)
def test_an_answer_comes_back(number: int, answer: Answer) -> None:
    reply = pb.Reply.FromString(reply_of(number, answer).SerializeToString())
    assert (reply.id, answer_of(reply)) == (number, answer)


@given(st.binary(max_size=40))
def test_bytes_from_anywhere_are_a_request_or_malformed(data: bytes) -> None:
    try:
        call = pb.Call.FromString(data)
    except Exception as error:
        assert type(error).__name__ == "DecodeError"
        return
    try:
        request = request_of(call)
    except MalformedFrame as error:
        assert "asks nothing" in str(error)
    else:
        assert request_of(call_of(call.id, call.deadline_ms, request)) == request


def test_a_call_that_asks_nothing_and_a_reply_that_answers_nothing() -> None:
    with pytest.raises(MalformedFrame, match="call 7 asks nothing"):
        request_of(pb.Call(id=7, group=1, deadline_ms=5))
    with pytest.raises(MalformedFrame, match="reply 7 answers nothing"):
        answer_of(pb.Reply(id=7))


def test_news_of_the_cluster_has_no_place_in_a_session() -> None:
    with pytest.raises(MalformedFrame, match="no place in a session"):
        reply_of(1, Told(b"{}"))


def test_a_failure_keeps_its_facts() -> None:
    failure = Failure.of(NotLeader("n2 leads", leader="n2"))
    error = failure_of(failure_to(failure)).error()
    assert isinstance(error, NotLeader) and error.leader == "n2" and error.definite
