"""Keys and conditions as users write them, checked before anything is sent."""

from typing import Any, NamedTuple

from kvstore.client.records import Record, Written
from kvstore.client.routing import Route
from kvstore.core.commands import Condition, check_key
from kvstore.core.errors import EmptyKey, InvalidRequest, WrongMode
from kvstore.core.limits import KEY_BYTES_MAX
from kvstore.core.versions import NOTHING_SEEN, CausalVersion, Version
from kvstore.placement.hashing import key_hash

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


class Terms(NamedTuple):
    """On what terms a key is written, as its command says them: the condition and its stamp, or the context."""

    condition: int = 0
    stamp: int = 0
    context: bytes = b""


def terms_of(
    route: Route, key: bytes, if_absent: bool = False, if_version: Token | None = None, context: Token | None = None
) -> Terms:
    """The terms a caller asks for. Raises InvalidRequest, WrongTimeline, WrongMode."""
    if route.is_leaderless:
        if if_absent or if_version is not None:
            raise WrongMode(
                f"keyspace {route.info.name!r} is leaderless: replicas take writes without asking each other, so "
                f"nobody could keep {'if_absent' if if_absent else 'if_version'}; read(key), then put(key, value, "
                "context=record): what was written meanwhile stays as a sibling"
            )
        return Terms() if context is None else Terms(context=_context_of(route, key, context))
    if context is not None:
        raise WrongMode(f"keyspace {route.info.name!r} is in mode {route.info.mode}: use if_version, not context")
    return Terms(*_condition_of(route, key, if_absent, if_version))


def _condition_of(route: Route, key: bytes, if_absent: bool, if_version: Token | None) -> tuple[int, int]:
    if if_version is None:
        return (Condition.ABSENT if if_absent else Condition.NONE), 0
    if if_absent:
        raise InvalidRequest("if_absent and if_version cannot both hold: choose one")
    version = version_of(if_version)
    if isinstance(version, CausalVersion):
        raise InvalidRequest(f"{version} is a version of a leaderless keyspace, {route.info.name!r} has a leader")
    version.check(route.timeline)
    version.check_group(route.group_of(key), key)
    return Condition.STAMP, version.stamp


def _context_of(route: Route, key: bytes, token: Token) -> bytes:
    """What its owner has seen; empty: nothing."""
    version = version_of(token, "context")
    if not isinstance(version, CausalVersion):
        raise InvalidRequest(
            f"{version} is a version of a keyspace with a leader, and says nothing of siblings; {route.info.name!r} is "
            "leaderless: read the key there"
        )
    version.check(route.timeline)
    version.check_key(key_hash(key), key)
    version.check_group(route.group_of(key), key)
    return b"" if version.context == NOTHING_SEEN else version.context


def version_of(token: Token, what: str = "if_version") -> Version:
    """The version a token names. Raises InvalidRequest."""
    if isinstance(token, Record | Written):
        if token.version is None:
            raise InvalidRequest(f"{token.key!r} did not exist there, so it has no version: use if_absent=True")
        return token.version
    if isinstance(token, str):
        return Version.parse(token)
    if not isinstance(token, Version):
        raise InvalidRequest(f"{what} must be a Version, a Record or a token, got {type(token).__name__}")
    return token


def range_after(prefix: bytes) -> bytes:
    """The first key after all keys with that prefix; empty if there is none.

    >>> range_after(b"a"), range_after(b"a\\xff"), range_after(b"\\xff")
    (b'b', b'b', b'')
    """
    shortened = prefix.rstrip(b"\xff")
    return shortened[:-1] + bytes([shortened[-1] + 1]) if shortened else b""
