"""The manifest: what a data directory says of itself, so that a node never starts on somebody else's past.

A small JSON file for people and programs. The checksum is of the content, not of its layout: reformatting does no harm,
changing a value does. A later format may look quite different; of it we only ever read the number.

    {"format": 1, "checksum": "8 hex digits", "cluster": …, "node": …, "incarnation": …, "timeline": …,
     "members": {node: incarnation, …}, "created_ms": …}
"""

from collections.abc import Mapping
from zlib import crc32

import msgspec

from kvstore.core.errors import Corruption, ForeignData, VersionSkew
from kvstore.core.ids import ClusterId, Incarnation, Millis, NodeId, TimelineId

FORMAT = 1
NO_TIMELINE = TimelineId(0)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose data this is. `members` is empty until the cluster is founded, and fixed from then on."""

    format: int = FORMAT
    checksum: str = ""
    cluster: ClusterId
    node: NodeId
    incarnation: Incarnation
    timeline: TimelineId = NO_TIMELINE
    members: dict[NodeId, Incarnation] = {}
    """The incarnations the first members had when the cluster was founded."""
    created_ms: Millis
    """By the wall clock, since 1970."""

    @property
    def is_founded(self) -> bool:
        return bool(self.members)

    def as_founded(self, members: Mapping[NodeId, Incarnation], timeline: TimelineId = NO_TIMELINE) -> "Manifest":
        """What to write down once the founding is agreed."""
        return msgspec.structs.replace(self, timeline=timeline, members=dict(members))


class _Outline(msgspec.Struct):
    """The one field that every format has."""

    format: int


_OUTLINE = msgspec.json.Decoder(_Outline)
_MANIFEST = msgspec.json.Decoder(Manifest)
_ENCODER = msgspec.json.Encoder(order="sorted")


def encode(manifest: Manifest) -> bytes:
    """The file's content."""
    sealed = msgspec.structs.replace(manifest, checksum=_checksum(manifest))
    return msgspec.json.format(_ENCODER.encode(sealed), indent=2) + b"\n"


def parse(content: bytes, where: str) -> Manifest:
    """The inverse of `encode`; `where` is the file's name, for messages. Raises VersionSkew or Corruption."""
    try:
        outline = _OUTLINE.decode(content)
        if outline.format > FORMAT:
            raise VersionSkew(
                f"{where} is of format {outline.format}, this version of kvstore knows {FORMAT}: "
                "the data was made by a newer version, start that one"
            )
        manifest = _MANIFEST.decode(content)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise _corrupt(where, f"it is half-written or damaged: {error}") from error
    if manifest.checksum != _checksum(manifest):
        raise _corrupt(where, "its checksum does not fit its content")
    return msgspec.structs.replace(manifest, checksum="")


def check_owner(manifest: Manifest, cluster: ClusterId, node: NodeId, where: str) -> None:
    """Raises ForeignData unless the data is this node's, of this cluster."""
    for what, theirs, ours in (("cluster", manifest.cluster, cluster), ("node", manifest.node, node)):
        if theirs != ours:
            raise ForeignData(f"{where} belongs to {what} {theirs!r}, not {ours!r}: check the node's configuration")


def _checksum(manifest: Manifest) -> str:
    return f"{crc32(_ENCODER.encode(msgspec.structs.replace(manifest, checksum=''))):08x}"


def _corrupt(where: str, what: str) -> Corruption:
    return Corruption(
        f"{where}: {what}. Restore the file from a backup; or move the whole data directory away, so that the node "
        "starts empty, under a new incarnation, and fetches its data from the other replicas"
    )
