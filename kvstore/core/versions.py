"""Version tokens: one opaque text for all modes, usable for compare-and-set or as context.

    token := base64url(kind:1 timeline:4 group:4 stamp:8)                                         kind 1: leader mode
           | base64url(kind:1 timeline:4 group:4 stamp:8 key hash:8 context … crc32:4)            kind 2: leaderless

The stamp is the write's hybrid stamp, unique inside its partition (`group`). The timeline changes when a cluster is
restored, so that a token of another history is refused with WrongTimeline instead of being misread. A token of
leaderless mode says which writes of one key its owner has seen (`core.causality`): a wrong one would silently drop
somebody's value, so it is bound to its key and carries a checksum.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from struct import Struct
from struct import error as StructError
from typing import Final
from zlib import crc32

import msgspec

from kvstore.core.causality import Context, decode_context, descends, encode_context
from kvstore.core.errors import Corruption, InvalidRequest, WrongTimeline
from kvstore.core.hybrid_clock import Stamp, wall_of
from kvstore.core.ids import GroupId, Millis, TimelineId

_LEADER_MODE, _LEADERLESS = 1, 2
_LAYOUT = Struct(">BIIQ")
_KEYED_LAYOUT = Struct(">BIIQQ")
_CHECKSUM = Struct(">I")
NOTHING_SEEN: Final = encode_context({})
"""The context of whoever found nothing; a write with it replaces nothing."""


class Version(msgspec.Struct, frozen=True, order=True, gc=False):
    """Which write a value comes from. Versions of one key are ordered by their stamps."""

    timeline: TimelineId
    group: GroupId
    stamp: Stamp

    @property
    def wall(self) -> Millis:
        """When it was written, by the hybrid clock of who took it, in milliseconds since 1970."""
        return wall_of(self.stamp)

    def __str__(self) -> str:
        return _text(_LAYOUT.pack(_LEADER_MODE, self.timeline, self.group, self.stamp))

    @classmethod
    def parse(cls, token: str) -> "Version":
        """The inverse of `str()`: a Version, or a CausalVersion. Raises InvalidRequest for anything else.

        >>> str(Version.parse(str(Version(TimelineId(7), GroupId(1), Stamp(9))))) == str(
        ...     Version(TimelineId(7), GroupId(1), Stamp(9)))
        True
        """
        try:
            packed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            version = _unpacked(packed)
        except (Base64Error, StructError, ValueError, TypeError, Corruption) as error:
            raise InvalidRequest(f"{token!r} is not a version token") from error
        if version is None:
            raise InvalidRequest(f"{token!r} is a version token of a mode this version does not know")
        if str(version) != token:  # base64 passes over letters it does not know
            raise InvalidRequest(f"{token!r} is not a version token")
        return version

    def check_group(self, group: GroupId, key: bytes) -> None:
        """Raises InvalidRequest unless the token is of this partition, where `key` lives: stamps of two may be equal.

        A token of another key of the same partition is a plain mismatch: every write there has a stamp of its own.
        """
        if self.group != group:
            raise InvalidRequest(
                f"{self} is not a version of {key!r}: it comes from a key of another partition, "
                "or from a keyspace that was dropped since; read the key again"
            )

    def check(self, timeline: TimelineId) -> None:
        """Raises WrongTimeline unless the token is of this timeline."""
        if self.timeline != timeline:
            raise WrongTimeline(f"version {self} is of timeline {self.timeline:08x}, the cluster is on {timeline:08x}")


class CausalVersion(Version, frozen=True, gc=False):
    """The version of a key in a leaderless keyspace: also the context, which says what its owner has seen of the key.

    Ordered as far as one has seen the other, like sets: `a < b` if whoever has `b` has seen all of `a` and more. Of two
    concurrent ones neither is smaller. The stamp says when the newest write was made that it speaks of, 0: there is
    none.
    """

    key_hash: int
    """`placement.hashing.key_hash` of the key as it is stored."""
    context: bytes = NOTHING_SEEN
    """What was seen, as `core.causality.encode_context` has it."""

    @property
    def seen(self) -> Context:
        return decode_context(self.context)

    def __repr__(self) -> str:
        return f"<CausalVersion {self}>"

    def __str__(self) -> str:
        head = _KEYED_LAYOUT.pack(_LEADERLESS, self.timeline, self.group, self.stamp, self.key_hash)
        return _text(head + self.context + _CHECKSUM.pack(crc32(head + self.context)))

    def check_key(self, hashed: int, key: bytes) -> None:
        """Raises InvalidRequest unless the token is of the key with that hash."""
        if self.key_hash != hashed:
            raise InvalidRequest(f"{self} is not a version of {key!r}: it comes from another key; read this one")

    def __le__(self, other: Version) -> bool:
        if not isinstance(other, CausalVersion):
            return NotImplemented
        same = (self.timeline, self.group, self.key_hash) == (other.timeline, other.group, other.key_hash)
        return same and descends(other.seen, self.seen)

    def __ge__(self, other: Version) -> bool:
        return other.__le__(self) if isinstance(other, CausalVersion) else NotImplemented

    def __lt__(self, other: Version) -> bool:
        return self <= other and not other <= self

    def __gt__(self, other: Version) -> bool:
        return self >= other and not other >= self


def _text(packed: bytes) -> str:
    return urlsafe_b64encode(packed).decode().rstrip("=")


def _unpacked(packed: bytes) -> Version | None:
    """The version in these bytes, None if of an unknown kind. Raises StructError, ValueError or Corruption."""
    match packed[:1]:
        case b"\x01":
            _, timeline, group, stamp = _LAYOUT.unpack(packed)
            return Version(TimelineId(timeline), GroupId(group), Stamp(stamp))
        case b"\x02":
            return _causal(packed)
        case _ if len(packed) >= _LAYOUT.size:
            return None
    raise ValueError("too short")


def _causal(packed: bytes) -> CausalVersion:
    body, checksum = packed[: -_CHECKSUM.size], packed[-_CHECKSUM.size :]
    if _CHECKSUM.pack(crc32(body)) != checksum:
        raise ValueError("wrong checksum")
    _, timeline, group, stamp, hashed = _KEYED_LAYOUT.unpack_from(body)
    context = body[_KEYED_LAYOUT.size :]
    decode_context(context)
    return CausalVersion(TimelineId(timeline), GroupId(group), Stamp(stamp), hashed, context)
