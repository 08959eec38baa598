"""Frames by hand, and a connection against a server made of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.hpack import encode_block
from bench.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_DEFAULT,
    GOAWAY,
    GRPC_UNAVAILABLE,
    GRPC_UNKNOWN,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ProtocolError,
    RequestTooLarge,
    UnaryConnection,
    frame,
    request_block,
    settings_payload,
)

BLOCK = request_block("/a.B/C", "127.0.0.1:1")
OK_TRAILERS = encode_block([("grpc-status", "0"), ("grpc-message", "")])
RESPONSE_HEADERS = b"\x88"  # :status: 200


def grpc(message: bytes) -> bytes:
    return b"\x00" + len(message).to_bytes(4, "big") + message


def answer(stream: int, message: bytes) -> bytes:
    """What a gRPC server sends for a call that succeeded."""
    return (
        frame(HEADERS, END_HEADERS, stream, RESPONSE_HEADERS)
        + frame(DATA, 0, stream, grpc(message))
        + frame(HEADERS, END_HEADERS | END_STREAM, stream, OK_TRAILERS)
    )


def refusal(stream: int, status: int, text: str) -> bytes:
    """Trailers only: what a gRPC server sends for a call that failed."""
    block = RESPONSE_HEADERS + encode_block([("grpc-status", str(status)), ("grpc-message", text)])
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, block)


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of every frame, read the slow way."""
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def opened() -> UnaryConnection:
    """A connection whose greeting has been sent."""
    connection = UnaryConnection()
    connection.data_to_send()
    return connection


def test_a_frame_head() -> None:
    """RFC 9113, section 4.1: 24 bits of length, 8 of type, 8 of flags, 1 reserved, 31 of stream."""
    assert frame(DATA, END_STREAM, 5, b"abc").hex() == "000003" + "00" + "01" + "00000005" + "616263"
    assert frame(DATA, 0, 1, bytes(70_000))[:9].hex() == "011170" + "00" + "00" + "00000001"


def test_the_greeting() -> None:
    """RFC 9113, section 3.4: the preface, then SETTINGS. Ours decline a dynamic table and server push."""
    greeting = UnaryConnection().data_to_send()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    assert greeting.startswith(preface)
    settings, widened = frames(greeting.removeprefix(preface))
    assert settings == (SETTINGS, 0, 0, bytes.fromhex("0001 00000000 0002 00000000 0004 7fffffff"))
    assert widened == (WINDOW_UPDATE, 0, 0, (2**31 - 1 - 65_535).to_bytes(4, "big"))


def test_a_request_is_two_frames() -> None:
    connection = opened()
    assert [connection.call(BLOCK, b"xyz"), connection.call(BLOCK, b"")] == [1, 3]
    assert frames(connection.data_to_send()) == [
        (HEADERS, END_HEADERS, 1, BLOCK),
        (DATA, END_STREAM, 1, b"\x00\x00\x00\x00\x03xyz"),
        (HEADERS, END_HEADERS, 3, BLOCK),
        (DATA, END_STREAM, 3, bytes(5)),
    ]
    assert connection.data_to_send() == b""


def test_an_answer() -> None:
    connection = opened()
    stream = connection.call(BLOCK, b"x")
    assert connection.receive(answer(stream, b"yes")) == [(stream, b"yes", 0)]
    assert connection.receive(answer(stream, b"again")) == [], "a stream ends once"


def test_a_refusal_names_its_reason() -> None:
    connection = opened()
    first, second = connection.call(BLOCK, b"x"), connection.call(BLOCK, b"x")
    assert connection.receive(refusal(first, 8, "too many requests")) == [(first, None, 8)]
    assert connection.last_error == "grpc-status 8: too many requests"
    assert connection.receive(refusal(second, 8, "too many requests")) == [(second, None, 8)], "from memory"


def test_success_without_a_message_is_a_failure() -> None:
    connection = opened()
    stream = connection.call(BLOCK, b"x")
    assert connection.receive(refusal(stream, 0, "")) == [(stream, None, GRPC_UNKNOWN)]
    assert connection.last_error == "a reply without a message"


def test_trailers_without_a_status_are_a_failure() -> None:
    connection = opened()
    stream = connection.call(BLOCK, b"x")
    cut = frame(DATA, 0, stream, grpc(b"m")) + frame(HEADERS, END_HEADERS | END_STREAM, stream, RESPONSE_HEADERS)
    assert connection.receive(cut) == [(stream, None, GRPC_UNKNOWN)]
    assert "grpc-status" in connection.last_error


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8), st.integers(1, 50))
def test_cuts_in_the_stream_of_bytes_do_not_matter(messages: list[bytes], step: int) -> None:
    connection = opened()
    streams = [connection.call(BLOCK, b"x") for _ in messages]
    sent = b"".join(map(answer, streams, messages))
    replies = [reply for at in range(0, len(sent), step) for reply in connection.receive(sent[at : at + step])]
    assert replies == [(stream, message, 0) for stream, message in zip(streams, messages, strict=True)]


def test_a_message_in_many_frames_with_trimmings() -> None:
    """Padding, a priority, a header block in two parts: all legal, all rare."""
    connection = opened()
    stream = connection.call(BLOCK, b"x")
    body = grpc(b"abcdef")
    sent = (
        frame(HEADERS, END_HEADERS | PRIORITY | PADDED, stream, b"\x02" + bytes(5) + RESPONSE_HEADERS + bytes(2))
        + frame(DATA, 0, stream, body[:3])
        + frame(DATA, PADDED, stream, b"\x04" + body[3:8] + bytes(4))
        + frame(DATA, 0, stream, body[8:])
        + frame(HEADERS, END_STREAM, stream, OK_TRAILERS[:4])
        + frame(CONTINUATION, END_HEADERS, stream, OK_TRAILERS[4:])
    )
    assert connection.receive(sent) == [(stream, b"abcdef", 0)]


def test_pings_and_settings_are_acknowledged() -> None:
    connection = opened()
    assert connection.receive(frame(PING, 0, 0, b"12345678") + frame(SETTINGS, 0, 0, b"")) == []
    assert frames(connection.data_to_send()) == [(PING, ACK, 0, b"12345678"), (SETTINGS, ACK, 0, b"")]
    assert connection.receive(frame(PING, ACK, 0, bytes(8)) + frame(SETTINGS, ACK, 0, b"")) == []
    assert connection.data_to_send() == b"", "an acknowledgement is not acknowledged"


def test_requests_wait_for_the_window() -> None:
    """65,535 bytes may be under way to a server that has not widened its window: 6 requests of 10,005."""
    connection = opened()
    streams = [connection.call(BLOCK, bytes(10_000)) for _ in range(9)]

    def sent_streams() -> list[int]:
        return [stream for kind, _, stream, _ in frames(connection.data_to_send()) if kind == DATA]

    assert sent_streams() == streams[:6]
    connection.receive(frame(WINDOW_UPDATE, 0, 0, (20_000).to_bytes(4, "big")))
    assert sent_streams() == streams[6:8], "5,505 are left of the first window"
    connection.receive(frame(WINDOW_UPDATE, 0, streams[0], (2**20).to_bytes(4, "big")))
    assert sent_streams() == [], "the window of one stream is another matter"
    connection.receive(frame(WINDOW_UPDATE, 0, 0, (10_000).to_bytes(4, "big")))
    assert sent_streams() == streams[8:]


def test_requests_wait_for_the_limit_on_streams() -> None:
    connection = opened()
    connection.receive(frame(SETTINGS, 0, 0, settings_payload({3: 1})))
    first, second = connection.call(BLOCK, b"x"), connection.call(BLOCK, b"x")
    assert second not in {stream for _, _, stream, _ in frames(connection.data_to_send())}
    assert connection.receive(answer(first, b"done")) == [(first, b"done", 0)]
    assert [stream for _, _, stream, _ in frames(connection.data_to_send())] == [second, second]


def test_a_request_larger_than_a_frame_is_refused() -> None:
    connection = opened()
    connection.call(BLOCK, bytes(FRAME_BYTES_DEFAULT - 5))
    with pytest.raises(RequestTooLarge):
        connection.call(BLOCK, bytes(FRAME_BYTES_DEFAULT - 4))
    connection.receive(frame(SETTINGS, 0, 0, settings_payload({4: 100})))
    with pytest.raises(RequestTooLarge):
        connection.call(BLOCK, bytes(96))


def test_our_window_is_topped_up() -> None:
    """The server may send 2 GiB before it must hear from us; it hears after one."""
    connection = opened()
    stream = connection.call(BLOCK, b"x")
    connection.data_to_send()
    connection._received_bytes = 2**30 - 8
    connection.receive(answer(stream, b"abc"))
    assert frames(connection.data_to_send()) == [(WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4, "big"))]


def test_a_reset_fails_its_call_only() -> None:
    connection = opened()
    first, second = connection.call(BLOCK, b"x"), connection.call(BLOCK, b"x")
    sent = frame(RST_STREAM, 0, first, (7).to_bytes(4, "big")) + answer(second, b"fine")
    assert connection.receive(sent) == [(first, None, GRPC_UNAVAILABLE), (second, b"fine", 0)]
    assert "HTTP/2 error 7" in connection.last_error


def test_goaway_fails_what_will_not_be_answered() -> None:
    connection = opened()
    connection.receive(frame(SETTINGS, 0, 0, settings_payload({3: 2})))
    first, second, waiting = (connection.call(BLOCK, b"x") for _ in range(3))
    goaway = first.to_bytes(4, "big") + (0).to_bytes(4, "big") + b"bye"
    replies = connection.receive(frame(GOAWAY, 0, 0, goaway))
    assert replies == [(second, None, GRPC_UNAVAILABLE), (waiting, None, GRPC_UNAVAILABLE)]
    assert connection.closing
    assert connection.last_error == "the server goes away: bye"
    assert connection.receive(answer(first, b"still")) == [(first, b"still", 0)]


@pytest.mark.parametrize(
    "sent",
    [
        frame(DATA, 0, 1, b"\x01\x00\x00\x00\x01x") + frame(HEADERS, END_HEADERS | END_STREAM, 1, OK_TRAILERS),
        frame(DATA, 0, 1, grpc(b"two") + grpc(b"messages")) + frame(HEADERS, 5, 1, OK_TRAILERS),
        frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)),
        frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, bytes(8)),
        frame(CONTINUATION, END_HEADERS, 1, b""),
    ],
    ids=["compressed", "two messages", "push", "block interrupted", "continuation of nothing"],
)
def test_what_breaks_the_protocol_is_refused(sent: bytes) -> None:
    connection = opened()
    assert connection.call(BLOCK, b"x") == 1
    with pytest.raises(ProtocolError):
        connection.receive(sent)


def test_a_reply_may_not_end_in_data() -> None:
    connection = opened()
    stream = connection.call(BLOCK, b"x")
    assert connection.receive(frame(DATA, END_STREAM, stream, grpc(b"m"))) == [(stream, None, GRPC_UNAVAILABLE)]


def test_unknown_frames_are_ignored() -> None:
    connection = opened()
    stream = connection.call(BLOCK, b"x")
    assert connection.receive(frame(0x7F, 0xFF, 9, b"?") + answer(stream, b"m")) == [(stream, b"m", 0)]
