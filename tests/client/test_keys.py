"""Keys and conditions as users write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client.keys import key_bytes, range_after, stored_key, terms_of, version_of
from kvstore.client.records import Record
from kvstore.client.routing import Route
from kvstore.core.commands import Condition
from kvstore.core.errors import EmptyKey, InvalidRequest, KeyTooLarge, WrongTimeline
from kvstore.core.hybrid_clock import Stamp
from kvstore.core.ids import GroupId, TimelineId
from kvstore.core.versions import Version
from kvstore.v1 import ring_pb2


@pytest.fixture
def route() -> Route:
    keyspace = ring_pb2.RingKeyspace(id=1, name="default")
    keyspace.partitions.add(group=5)
    keyspace.partitions.add(group=6)
    return Route(keyspace, 7)


def test_text_is_utf8_and_bytes_are_themselves() -> None:
    assert key_bytes("ä") == "ä".encode() and key_bytes(b"\xff") == b"\xff" and key_bytes(bytearray(b"a")) == b"a"  # type: ignore[arg-type]
    assert stored_key(b"user:", "1") == b"user:1"


@pytest.mark.parametrize("wrong", [7, None, ["a"], "\ud800"])
def test_what_is_no_key(wrong: object) -> None:
    with pytest.raises(InvalidRequest):
        stored_key(b"", wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("empty", ["", b""])
def test_a_key_is_not_empty_even_under_a_prefix(empty: str | bytes) -> None:
    with pytest.raises(EmptyKey):
        stored_key(b"user:", empty)


def test_the_limit_counts_the_prefix() -> None:
    assert len(stored_key(b"p" * 80, b"x" * 400)) == 480
    with pytest.raises(KeyTooLarge, match="481 bytes"):
        stored_key(b"p" * 80, b"x" * 401)


@given(st.binary(max_size=5), st.binary(max_size=5))
def test_the_range_of_a_prefix_holds_exactly_its_keys(prefix: bytes, key: bytes) -> None:
    end = range_after(prefix)
    assert key.startswith(prefix) == (prefix <= key and (not end or key < end))


def test_conditions(route: Route) -> None:
    key = b"a"
    version = Version(TimelineId(7), route.group_of(key), Stamp(9))
    record = Record(key, True, b"1", version)
    assert terms_of(route, key, False, None) == (Condition.NONE, 0, b"")
    assert terms_of(route, key, True, None) == (Condition.ABSENT, 0, b"")
    for token in (version, str(version), record):
        assert terms_of(route, key, False, token) == (Condition.STAMP, 9, b"")


def test_conditions_that_make_no_sense(route: Route) -> None:
    key = b"a"
    ours = route.group_of(key)
    version = Version(TimelineId(7), ours, Stamp(9))
    with pytest.raises(InvalidRequest, match="both"):
        terms_of(route, key, True, version)
    with pytest.raises(WrongTimeline):
        terms_of(route, key, False, Version(TimelineId(8), ours, Stamp(9)))
    with pytest.raises(InvalidRequest, match="another partition"):
        terms_of(route, key, False, Version(TimelineId(7), GroupId(11 - ours), Stamp(9)))
    with pytest.raises(InvalidRequest, match="if_absent"):
        version_of(Record(key, False, None, None))
    with pytest.raises(InvalidRequest, match="not a version token"):
        version_of("nonsense")
    with pytest.raises(InvalidRequest, match="int"):
        version_of(7)  # type: ignore[arg-type]
