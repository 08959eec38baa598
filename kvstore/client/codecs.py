"""How values become bytes and back: `raw`, `text`, `json`, `typed_json(Type)`, `msgpack(Type)`, or one of your own."""

from typing import Any, Generic, Protocol, TypeVar

import msgspec

from kvstore.core.errors import CodecError, InvalidRequest

V = TypeVar("V")


class Codec(Protocol[V]):
    """Anything with a name, `encode` and `decode` is a codec. Both raise CodecError for what they cannot do."""

    @property
    def name(self) -> str: ...
    def encode(self, value: V, /) -> bytes: ...
    def decode(self, data: bytes, /) -> V: ...


class Raw:
    """Bytes in, bytes out."""

    name = "raw"

    def encode(self, value: bytes) -> bytes:
        if isinstance(value, bytes):
            return value
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        raise InvalidRequest(
            f"a value must be bytes, got {type(value).__name__}: encode it yourself, "
            "or take a view with a codec, like db.space(codec=codecs.text)"
        )

    def decode(self, data: bytes) -> bytes:
        return data

    def __repr__(self) -> str:
        return "codecs.raw"


class Text:
    """Strings as UTF-8."""

    name = "text"

    def encode(self, value: str) -> bytes:
        if not isinstance(value, str):
            raise CodecError(f"the text codec encodes str, got {type(value).__name__}")
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise CodecError(f"the text has no UTF-8 form: {error}") from error

    def decode(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise CodecError(f"the value is not UTF-8 text: {error}") from error

    def __repr__(self) -> str:
        return "codecs.text"


class Structured(Generic[V]):
    """Values of one type as JSON or MessagePack; msgspec checks the type when decoding."""

    __slots__ = ("_decoder", "_encoder", "_kind", "name")

    def __init__(self, name: str, kind: Any) -> None:
        form = msgspec.json if name == "json" else msgspec.msgpack
        self.name, self._kind = name, kind
        self._encoder, self._decoder = form.Encoder(), form.Decoder(kind)

    def encode(self, value: V) -> bytes:
        try:
            data: bytes = self._encoder.encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise CodecError(f"{type(value).__name__} has no {self.name} form: {error}") from error
        return data

    def decode(self, data: bytes) -> V:
        try:
            found: V = self._decoder.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CodecError(f"the value is not {self.name} of {self._of}: {error}") from error
        return found

    @property
    def _of(self) -> str:
        return getattr(self._kind, "__name__", str(self._kind))

    def __repr__(self) -> str:
        return f"codecs.{self.name}({self._of})"


raw: Codec[bytes] = Raw()
text: Codec[str] = Text()
json: Codec[Any] = Structured("json", Any)
"""Whatever JSON can say: dict, list, str, int, float, bool, None."""


def typed_json(kind: type[V]) -> Codec[V]:
    """JSON of one type (a msgspec.Struct, dataclass, dict[str, int] …), checked when it is read.

    >>> typed_json(list[int]).decode(b"[1, 2]")
    [1, 2]
    """
    return Structured("json", kind)


def msgpack(kind: type[V]) -> Codec[V]:
    """MessagePack of one type, checked when it is read: smaller and faster than JSON.

    >>> class User(msgspec.Struct):
    ...     name: str
    >>> codec = msgpack(User)
    >>> codec.decode(codec.encode(User("Ada")))
    User(name='Ada')
    """
    return Structured("msgpack", kind)
