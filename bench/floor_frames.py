"""Length-prefixed frames over a TCP stream, as plain as they can be: the floor under any framing of ours."""

import asyncio

_LENGTH_BYTES = 4


class FramedProtocol(asyncio.Protocol):
    """4 bytes of length, then the payload. Subclasses say what to do with one."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is not a subclass of asyncio.Transport, yet has its methods.
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        while len(data) - at >= _LENGTH_BYTES:
            end = at + _LENGTH_BYTES + int.from_bytes(data[at : at + _LENGTH_BYTES], "big")
            if end > len(data):
                break
            self.frame_received(data[at + _LENGTH_BYTES : end])
            at = end
        self._rest = data[at:]

    def send_frame(self, payload: bytes) -> None:
        self._transport.write(len(payload).to_bytes(_LENGTH_BYTES, "big") + payload)

    def frame_received(self, payload: bytes) -> None:
        raise NotImplementedError
