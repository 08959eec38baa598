"""Values to bytes and back."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client import codecs
from kvstore.core.errors import CodecError, InvalidRequest


class User(msgspec.Struct):
    name: str
    age: int = 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary())
def test_raw_is_the_bytes_themselves(data: bytes) -> None:
    assert codecs.raw.decode(codecs.raw.encode(data)) == data


def test_raw_takes_what_is_bytes_and_nothing_else() -> None:
    assert codecs.raw.encode(bytearray(b"a")) == b"a"  # type: ignore[arg-type]
    for wrong in ("text", 7, None, ["a"]):
        with pytest.raises(InvalidRequest, match="must be bytes"):
            codecs.raw.encode(wrong)  # type: ignore[arg-type]


@given(st.text())
def test_text(text: str) -> None:
    assert codecs.text.decode(codecs.text.encode(text)) == text


@given(JSON)
def test_json(value: Any) -> None:
    assert codecs.json.decode(codecs.json.encode(value)) == value


@pytest.mark.parametrize("codec", [codecs.msgpack(User), codecs.typed_json(User)])
def test_typed(codec: codecs.Codec[User]) -> None:
    assert codec.decode(codec.encode(User("Ada", 36))) == User("Ada", 36)
    with pytest.raises(CodecError, match="User"):
        codec.decode(codecs.json.encode({"name": 7}))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: codecs.text.encode(b"x"),  # type: ignore[arg-type]
        lambda: codecs.text.encode("\ud800"),
        lambda: codecs.text.decode(b"\xff"),
        lambda: codecs.json.encode(object()),
        lambda: codecs.json.decode(b"{"),
        lambda: codecs.msgpack(User).decode(b"\xc1"),
    ],
)
def test_what_cannot_be_encoded_or_decoded(wrong: Any) -> None:
    with pytest.raises(CodecError):
        wrong()


def test_they_name_themselves() -> None:
    assert [repr(codec) for codec in (codecs.raw, codecs.text, codecs.json, codecs.msgpack(User))] == [
        "codecs.raw",
        "codecs.text",
        "codecs.json(Any)",
        "codecs.msgpack(User)",
    ]
