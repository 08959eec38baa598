"""Keys and conditions as users write them, checked before anything is sent."""

from typing import Any

from kvstore.client.records import Record, Written
from kvstore.client.routing import Route
from kvstore.core.commands import Condition, check_key
from kvstore.core.errors import EmptyKey, InvalidRequest
from kvstore.core.limits import KEY_BYTES_MAX
from kvstore.core.versions import Version

Key = str | bytes
"""Text is UTF-8."""
Token = Version | Record[Any] | Written | str
"""Whatever names a version: a Version, the record or write it came with, or its text."""


def key_bytes(key: Key) -> bytes:
    """A key as bytes. Raises InvalidRequest for anything that is not text or bytes, EmptyKey."""
    data = part_bytes(key)
    if not data:
        raise EmptyKey(key=data)
    return data


def part_bytes(key: Key) -> bytes:
    """A key, or part of one, as bytes. Raises InvalidRequest for anything that is not text or bytes."""
    if isinstance(key, str):
        try:
            return key.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"the key {key!r} has no UTF-8 form: {error}") from error
    if isinstance(key, bytes | bytearray | memoryview):
        return bytes(key)
    raise InvalidRequest(f"a key must be str or bytes, got {type(key).__name__}")


def stored_key(prefix: bytes, key: Key) -> bytes:
    """The key as it is stored. Raises InvalidRequest, EmptyKey, KeyTooLarge."""
    data = prefix + (key if type(key) is bytes and key else key_bytes(key))
    if len(data) > KEY_BYTES_MAX:
        check_key(data)
    return data


def condition_of(route: Route, key: bytes, if_absent: bool, if_version: Token | None) -> tuple[int, int]:
    """The condition and stamp of a write's command. Raises InvalidRequest, WrongTimeline."""
    if if_version is None:
        return (Condition.ABSENT if if_absent else Condition.NONE), 0
    if if_absent:
        raise InvalidRequest("if_absent and if_version cannot both hold: choose one")
    version = version_of(if_version)
    version.check(route.timeline)
    version.check_group(route.group_of(key), key)
    return Condition.STAMP, version.stamp


def version_of(token: Token) -> Version:
    """The version a token names. Raises InvalidRequest."""
    if isinstance(token, Record | Written):
        if token.version is None:
            raise InvalidRequest(f"{token.key!r} did not exist there, so it has no version: use if_absent=True")
        return token.version
    if isinstance(token, str):
        return Version.parse(token)
    if not isinstance(token, Version):
        raise InvalidRequest(f"if_version must be a Version, a Record or a token, got {type(token).__name__}")
    return token


def range_after(prefix: bytes) -> bytes:
    """The first key after all keys with that prefix; empty if there is none.

    >>> range_after(b"a"), range_after(b"a\\xff"), range_after(b"\\xff")
    (b'b', b'b', b'')
    """
    shortened = prefix.rstrip(b"\xff")
    return shortened[:-1] + bytes([shortened[-1] + 1]) if shortened else b""
