"""A manifest says what was written, or refuses; nothing in between."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.core.errors import Corruption, ForeignData, VersionSkew
from kvstore.core.ids import ClusterId, Incarnation, Millis, NodeId, TimelineId
from kvstore.storage.manifest import Manifest, check_owner, encode, parse

PLAIN = Manifest(
    cluster=ClusterId("c1"), node=NodeId("n1"), incarnation=Incarnation(77), created_ms=Millis(1_700_000_000_000)
)
FOUNDED = PLAIN.as_founded({NodeId("n1"): Incarnation(77), NodeId("n2"): Incarnation(78)}, TimelineId(5))

MANIFESTS = st.builds(
    Manifest,
    cluster=st.text(),
    node=st.text(),
    incarnation=st.integers(0, (1 << 63) - 1),
    timeline=st.integers(0, (1 << 32) - 1),
    members=st.dictionaries(st.text(), st.integers(0, (1 << 63) - 1)),
    created_ms=st.integers(0, 1 << 48),
)


@given(MANIFESTS)
def test_what_was_encoded_is_parsed(manifest: Manifest) -> None:
    assert parse(encode(manifest), "here") == manifest


def test_founding_is_written_down() -> None:
    assert not PLAIN.is_founded
    assert FOUNDED.is_founded
    assert parse(encode(FOUNDED), "here").members == {"n1": 77, "n2": 78}
    assert parse(encode(FOUNDED), "here").timeline == 5


def test_people_may_reformat_it() -> None:
    content = json.dumps(json.loads(encode(FOUNDED)), indent=8).encode()
    assert parse(content, "here") == FOUNDED


@given(st.data())
def test_half_a_manifest_is_refused(data: st.DataObject) -> None:
    content = encode(FOUNDED)
    length = data.draw(st.integers(0, len(content) - 3))  # the last two bytes are "}\n"
    with pytest.raises(Corruption, match=r"here: it is half-written or damaged.*move the whole data directory away"):
        parse(content[:length], "here")


@given(st.data())
def test_no_flipped_bit_goes_unnoticed(data: st.DataObject) -> None:
    content = bytearray(encode(FOUNDED))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        parsed = parse(bytes(content), "here")
    except (Corruption, VersionSkew):
        return
    assert parsed == FOUNDED, "only layout may change without being noticed"


@pytest.mark.parametrize("field", ["cluster", "node", "incarnation", "timeline", "members", "created_ms", "checksum"])
def test_a_missing_field_is_refused(field: str) -> None:
    fields = json.loads(encode(FOUNDED))
    del fields[field]
    with pytest.raises(Corruption):
        parse(json.dumps(fields).encode(), "here")


def test_a_changed_value_is_refused() -> None:
    content = encode(FOUNDED).replace(b'"n2"', b'"n9"')
    with pytest.raises(Corruption, match="checksum does not fit"):
        parse(content, "here")


def test_a_newer_format_is_refused_whatever_else_it_holds() -> None:
    with pytest.raises(VersionSkew, match="here is of format 2, this version of kvstore knows 1"):
        parse(b'{"format": 2, "soul": {"weight_g": 21}}', "here")


@pytest.mark.parametrize(("cluster", "node", "told"), [("c2", "n1", "cluster 'c1'"), ("c1", "n2", "node 'n1'")])
def test_another_owner_is_refused(cluster: str, node: str, told: str) -> None:
    check_owner(PLAIN, ClusterId("c1"), NodeId("n1"), "here")
    with pytest.raises(ForeignData, match=f"here belongs to {told}"):
        check_owner(PLAIN, ClusterId(cluster), NodeId(node), "here")
