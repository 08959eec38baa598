"""A version token says the same on both sides, and whatever is not one, or is another timeline's, is refused."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.core.causality import encode_context
from kvstore.core.errors import InvalidRequest, WrongTimeline
from kvstore.core.hybrid_clock import Stamp, stamp_at
from kvstore.core.ids import GroupId, Millis, TimelineId
from kvstore.core.versions import CausalVersion, Version

U32, U64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
VERSIONS = st.builds(Version, U32, U32, U64)
ONE = Version(TimelineId(7), GroupId(3), Stamp(9))
CONTEXTS = st.dictionaries(st.integers(1, (1 << 63) - 1), st.integers(1, (1 << 63) - 1), max_size=5)
CAUSAL = st.builds(CausalVersion, U32, U32, U64, U64, CONTEXTS.map(encode_context))


@given(VERSIONS | CAUSAL)
def test_a_token_comes_back_as_it_went(version: Version) -> None:
    token = str(version)
    assert Version.parse(token) == version
    assert token.isascii() and all(letter.isalnum() or letter in "-_" for letter in token)


@given(st.text() | st.binary(max_size=40).map(lambda raw: urlsafe_b64encode(raw).decode()))
@example("")
@example(str(ONE) + "\n")
@example(str(ONE)[:5] + "!" + str(ONE)[5:])
@example(str(ONE) + "=")
@example(str(ONE)[:-1])
@example("ü" * 23)
def test_garbage_is_refused(text: str) -> None:
    """Either it is exactly the token of a version, or an InvalidRequest."""
    try:
        version = Version.parse(text)
    except InvalidRequest as error:
        assert repr(text) in str(error)
    else:
        assert str(version) == text


@given(VERSIONS, st.integers(0, 22), st.characters(codec="ascii"))
def test_a_changed_letter_is_another_version_or_refused(version: Version, place: int, letter: str) -> None:
    token = str(version)
    changed = token[:place] + letter + token[place + 1 :]
    try:
        assert (Version.parse(changed) == version) is (changed == token)
    except InvalidRequest:
        assert changed != token


def test_a_token_of_an_unknown_mode_is_told_apart_from_garbage() -> None:
    token = urlsafe_b64encode(b"\x03" + bytes(16)).decode().rstrip("=")
    with pytest.raises(InvalidRequest, match="of a mode this version does not know"):
        Version.parse(token)


def test_a_token_of_another_timeline_is_refused() -> None:
    ONE.check(TimelineId(7))
    with pytest.raises(WrongTimeline, match=r"is of timeline 00000007, the cluster is on 00000008"):
        ONE.check(TimelineId(8))


def test_a_token_of_another_partition_is_refused() -> None:
    ONE.check_group(ONE.group, b"key")
    with pytest.raises(InvalidRequest, match=r"is not a version of b'key': it comes from a key of another partition"):
        ONE.check_group(GroupId(ONE.group + 1), b"key")


def test_versions_of_a_key_are_ordered_by_stamp_and_know_their_hour() -> None:
    early, late = (Version(TimelineId(1), GroupId(1), stamp_at(Millis(ms))) for ms in (5, 6))
    assert early < late and late.wall == 6


def seen(**counters: int) -> CausalVersion:
    """A version of one key by somebody who saw these: a=3 is what actor 10 wrote up to its third write."""
    context = {int(actor, 16): counter for actor, counter in counters.items()}
    return CausalVersion(TimelineId(7), GroupId(3), Stamp(9), 5, encode_context(context))


@given(CAUSAL, st.data())
def test_a_causal_token_with_a_flipped_byte_is_no_token(version: CausalVersion, data: st.DataObject) -> None:
    """A wrong context would drop somebody's value in silence."""
    packed = bytearray(urlsafe_b64decode(str(version) + "=" * (-len(str(version)) % 4)))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidRequest):
        Version.parse(urlsafe_b64encode(bytes(packed)).decode().rstrip("="))


@given(CAUSAL, st.data())
def test_a_causal_token_that_was_cut_is_no_token(version: CausalVersion, data: st.DataObject) -> None:
    token = str(version)
    with pytest.raises(InvalidRequest):
        Version.parse(token[: data.draw(st.integers(0, len(token) - 1))])


def test_a_causal_token_is_bound_to_its_key_and_timeline() -> None:
    one = seen(a=1)
    one.check_key(5, b"key")
    with pytest.raises(InvalidRequest, match=r"is not a version of b'key': it comes from another key; read this one"):
        one.check_key(6, b"key")
    with pytest.raises(WrongTimeline):
        Version.parse(str(one)).check(TimelineId(8))


def test_causal_versions_are_ordered_as_far_as_one_has_seen_the_other() -> None:
    first, later, other = seen(a=1), seen(a=2, b=1), seen(c=1)
    assert first < later and first <= later and later > first and later >= first
    assert first <= seen(a=1) and not first < seen(a=1) and first == seen(a=1)
    assert not (first < other or first > other or first <= other or first >= other)
    assert seen() < first and seen().seen == {} and later.seen == {10: 2, 11: 1}


def test_causal_versions_and_others_are_not_compared() -> None:
    for left, right in ((ONE, seen(a=1)), (seen(a=1), ONE)):
        with pytest.raises(TypeError):
            _ = left < right
        with pytest.raises(TypeError):
            _ = left >= right
    foreign = CausalVersion(TimelineId(7), GroupId(3), Stamp(9), 6, encode_context({10: 5}))
    assert not (seen(a=1) <= foreign or foreign <= seen(a=1))
