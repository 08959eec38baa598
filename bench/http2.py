"""One HTTP/2 connection that carries many unary gRPC calls at once. It owns no socket: bytes in, bytes out.

Why by hand: a Python gRPC client costs 200-700 µs of CPU per call, several times what the store behind it
spends, so it would measure itself. This one costs a few µs, because it does only what a unary call over
plain HTTP/2 (RFC 9113) needs, and sends what is ready in one write.

The caller asks `call`, sends what `data_to_send` gives, hands what it read to `receive`, and gets finished calls
back. Requests wait their turn when the server's window or its limit on streams says so. Responses may be
as large as the server likes: our windows are as wide as the protocol allows and are topped up.

What it does not do: server push, priorities, TLS, streaming calls, requests larger than one frame (16 KiB).
"""

import struct
from collections import deque

from bench.hpack import decode_block, encode_block

Reply = tuple[int, bytes | None, int]
"""A finished call: its stream, the message (None if there was none), gRPC's status code (0 is success)."""

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY, ACK = 0x1, 0x4, 0x8, 0x20, 0x1

GRPC_UNKNOWN, GRPC_UNAVAILABLE = 2, 14

_FRAME_HEAD = struct.Struct(">HBBBI")  # the length is 24 bits: 16 and 8
_SETTING = struct.Struct(">HI")
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _STREAMS_MAX, _WINDOW_INITIAL, _FRAME_MAX = 1, 2, 3, 4, 5

WINDOW_BYTES_DEFAULT = 65_535
WINDOW_BYTES_MAX = 2**31 - 1
FRAME_BYTES_DEFAULT = 16_384
STREAM_MAX = 2**31 - 1
_LIMITS_DEFAULT = {_STREAMS_MAX: STREAM_MAX, _WINDOW_INITIAL: WINDOW_BYTES_DEFAULT, _FRAME_MAX: FRAME_BYTES_DEFAULT}
_STATUSES_KEPT_MAX = 1_000
_MESSAGE_HEAD_BYTES = 5
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class ProtocolError(Exception):
    """The server broke HTTP/2 or gRPC, or used what we declined. Nothing on this connection can be believed."""


class RequestTooLarge(ValueError):
    """A request that does not fit one frame or one fresh stream window. Nothing was sent."""


def request_block(path: str, authority: str) -> bytes:
    """The header block of a gRPC request, the same for every call of one method."""
    return encode_block(
        (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        )
    )


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame, RFC 9113 section 4.1.

    >>> frame(PING, ACK, 0, bytes(8)).hex()
    '0000080601000000000000000000000000'
    """
    size = len(payload)
    return _FRAME_HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings_payload(settings: dict[int, int]) -> bytes:
    """Identifiers and values, RFC 9113 section 6.5.1."""
    return b"".join(_SETTING.pack(key, value) for key, value in settings.items())


class UnaryConnection:
    """Many unary calls on one connection. Call ids are HTTP/2 streams: 1, 3, 5, ..."""

    def __init__(self) -> None:
        ours = {_HEADER_TABLE_SIZE: 0, _ENABLE_PUSH: 0, _WINDOW_INITIAL: WINDOW_BYTES_MAX}
        widen = (WINDOW_BYTES_MAX - WINDOW_BYTES_DEFAULT).to_bytes(4, "big")
        self._out = [_PREFACE, frame(SETTINGS, 0, 0, settings_payload(ours)), frame(WINDOW_UPDATE, 0, 0, widen)]
        self._rest = b""
        self._next_stream = 1
        self._open: dict[int, bytes] = {}
        self._waiting: deque[tuple[int, bytes, int]] = deque()
        self._limits = {
            _STREAMS_MAX: STREAM_MAX,
            _WINDOW_INITIAL: WINDOW_BYTES_DEFAULT,
            _FRAME_MAX: FRAME_BYTES_DEFAULT,
        }
        self._send_window = WINDOW_BYTES_DEFAULT
        self._received_bytes = 0
        self._unfinished_block: tuple[int, int, bytes] | None = None
        self._statuses: dict[bytes, int] = {}
        self.closing = False
        self.last_error = ""

    def call(self, block: bytes, message: bytes) -> int:
        """Queue one call and return its stream. `block` comes from `request_block`.

        Raises RequestTooLarge, and ProtocolError when the stream numbers of this connection are used up.
        """
        stream = self._next_stream
        size = len(message) + _MESSAGE_HEAD_BYTES
        if size > self._limits[_FRAME_MAX] or size > self._limits[_WINDOW_INITIAL]:
            raise RequestTooLarge(f"a request of {len(message)} bytes does not fit one frame")
        if stream > STREAM_MAX:
            raise ProtocolError("no stream numbers are left on this connection")
        self._next_stream = stream + 2
        number = stream.to_bytes(4, "big")
        request = b"".join(
            (
                len(block).to_bytes(3, "big"),
                b"\x01\x04",  # HEADERS, END_HEADERS
                number,
                block,
                size.to_bytes(3, "big"),
                b"\x00\x01",  # DATA, END_STREAM
                number,
                b"\x00",  # not compressed
                (size - _MESSAGE_HEAD_BYTES).to_bytes(4, "big"),
                message,
            )
        )
        if self._waiting or size > self._send_window or len(self._open) >= self._limits[_STREAMS_MAX]:
            self._waiting.append((stream, request, size))
        else:
            self._send_window -= size
            self._open[stream] = b""
            self._out.append(request)
        return stream

    def data_to_send(self) -> bytes:
        """Everything ready to go out, once. Empty when there is nothing."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def receive(self, data: bytes) -> list[Reply]:
        """Take what the socket gave; return the calls that ended with it. Raises ProtocolError."""
        if self._rest:
            data = self._rest + data
        replies: list[Reply] = []
        at, end = 0, len(data)
        calls = self._open
        while end - at >= 9:
            high, low, kind, flags, stream = _FRAME_HEAD.unpack_from(data, at)
            stop = at + 9 + (high << 8) + low
            if stop > end:
                break
            # The three frames of every reply come first and stay in this loop: it is the generator's hot path.
            if kind == DATA and flags == 0:
                if stream in calls:
                    calls[stream] = calls[stream] + data[at + 9 : stop] if calls[stream] else data[at + 9 : stop]
                self._received_bytes += stop - at - 9
            elif kind == HEADERS and flags == END_HEADERS:
                pass  # response headers: the trailers say how it ended
            elif kind == HEADERS and flags == END_HEADERS | END_STREAM:
                if stream in calls:
                    replies.append(self._ended(stream, data[at + 9 : stop]))
            else:
                self._rare_frame(kind, flags, stream & STREAM_MAX, data[at + 9 : stop], replies)
            at = stop
        self._rest = data[at:]
        self._top_up()
        if self._waiting:
            self._send_waiting()
        return replies

    def _ended(self, stream: int, trailers: bytes) -> Reply:
        status = self._statuses.get(trailers)
        if status is None:
            status = self._read_status(trailers)
        framed = self._open.pop(stream)
        if status or not framed:
            return stream, None, status or self._failed("a reply without a message")
        if framed[0] or int.from_bytes(framed[1:5], "big") != len(framed) - _MESSAGE_HEAD_BYTES:
            raise ProtocolError("a reply that is compressed, or not exactly one message")
        return stream, framed[5:], 0

    def _read_status(self, trailers: bytes) -> int:
        """gRPC's status in these trailers. Equal bytes mean equal headers, so each spelling is read once."""
        headers = decode_block(trailers)
        try:
            status = int(headers["grpc-status"])
        except (KeyError, ValueError):
            return self._failed(f"trailers without a readable grpc-status: {headers}")
        if status:
            self.last_error = f"grpc-status {status}: {headers.get('grpc-message', '')}"
        if len(self._statuses) >= _STATUSES_KEPT_MAX:
            self._statuses.clear()
        self._statuses[trailers] = status
        return status

    def _failed(self, why: str) -> int:
        self.last_error = why
        return GRPC_UNKNOWN

    def _rare_frame(self, kind: int, flags: int, stream: int, payload: bytes, replies: list[Reply]) -> None:
        if self._unfinished_block is not None and kind != CONTINUATION:
            raise ProtocolError("a header block was interrupted")
        if kind in (DATA, HEADERS):
            self._dressed_frame(kind, flags, stream, payload, replies)
        elif kind == CONTINUATION:
            self._continued(flags, stream, payload, replies)
        elif kind == SETTINGS:
            self._on_settings(flags, payload)
        elif kind == PING and not flags & ACK:
            self._out.append(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream == 0:
            self._send_window += int.from_bytes(payload, "big") & STREAM_MAX
        elif kind == RST_STREAM:
            self._reset(stream, f"stream reset by the server, HTTP/2 error {int.from_bytes(payload, 'big')}", replies)
        elif kind == GOAWAY:
            self._on_goaway(payload, replies)
        elif kind == PUSH_PROMISE:
            raise ProtocolError("the server pushes although we declined")
        # What is left may be ignored: PRIORITY, windows of single streams, acknowledgements, unknown kinds.

    def _dressed_frame(self, kind: int, flags: int, stream: int, payload: bytes, replies: list[Reply]) -> None:
        """DATA or HEADERS with padding, priority, an unfinished block, or an end of stream in DATA."""
        if kind == DATA:
            self._received_bytes += len(payload)
        if flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if kind == HEADERS:
            if flags & PRIORITY:
                payload = payload[5:]
            self._unfinished_block = (stream, flags, payload)
            if flags & END_HEADERS:
                self._block_complete(replies)
        elif stream in self._open:
            self._open[stream] += payload
            if flags & END_STREAM:
                self._reset(stream, "a reply that ends without trailers", replies)

    def _continued(self, flags: int, stream: int, payload: bytes, replies: list[Reply]) -> None:
        if self._unfinished_block is None or self._unfinished_block[0] != stream:
            raise ProtocolError("a continuation of nothing")
        _, first_flags, block = self._unfinished_block
        self._unfinished_block = (stream, first_flags, block + payload)
        if flags & END_HEADERS:
            self._block_complete(replies)

    def _block_complete(self, replies: list[Reply]) -> None:
        assert self._unfinished_block is not None, "a block is complete only after it began"
        stream, flags, block = self._unfinished_block
        self._unfinished_block = None
        if flags & END_STREAM and stream in self._open:
            replies.append(self._ended(stream, block))

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        self._limits.update(_SETTING.iter_unpack(payload))
        self._out.append(frame(SETTINGS, ACK, 0, b""))

    def _on_goaway(self, payload: bytes, replies: list[Reply]) -> None:
        """Calls after the last stream the server will answer have failed; the earlier ones go on."""
        last = int.from_bytes(payload[:4], "big") & STREAM_MAX
        self.closing = True
        why = f"the server goes away: {payload[8:].decode('ascii', 'replace')}"
        for stream in [stream for stream in self._open if stream > last]:
            self._reset(stream, why, replies)
        replies.extend((stream, None, GRPC_UNAVAILABLE) for stream, _, _ in self._waiting)
        self._waiting.clear()
        self.last_error = why

    def _reset(self, stream: int, why: str, replies: list[Reply]) -> None:
        if self._open.pop(stream, None) is not None:
            self.last_error = why
            replies.append((stream, None, GRPC_UNAVAILABLE))

    def _top_up(self) -> None:
        """Our own window for the connection is 2 GiB wide: one update per GiB keeps it open."""
        if self._received_bytes >= WINDOW_BYTES_MAX // 2:
            self._out.append(frame(WINDOW_UPDATE, 0, 0, self._received_bytes.to_bytes(4, "big")))
            self._received_bytes = 0

    def _send_waiting(self) -> None:
        while self._waiting:
            stream, request, size = self._waiting[0]
            if size > self._send_window or len(self._open) >= self._limits[_STREAMS_MAX]:
                return
            self._waiting.popleft()
            self._send_window -= size
            self._open[stream] = b""
            self._out.append(request)
