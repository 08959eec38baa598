"""Version tokens: one opaque text for all modes, usable for compare-and-set.

    token := base64url(kind:1 timeline:4 group:4 stamp:8)      kind 1: leader mode

The stamp is the write's hybrid stamp, unique inside its partition (`group`). The timeline changes when a cluster is
restored, so that a token of another history is refused with WrongTimeline instead of being misread.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError

from kvstore.core.errors import InvalidRequest, WrongTimeline
from kvstore.core.hybrid_clock import Stamp, wall_of
from kvstore.core.ids import GroupId, Millis, TimelineId

_LEADER_MODE = 1
_LAYOUT = Struct(">BIIQ")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Which write a value comes from. Versions of one key are ordered by their stamps."""

    timeline: TimelineId
    group: GroupId
    stamp: Stamp

    @property
    def wall(self) -> Millis:
        """When it was written, by the leader's hybrid clock, in milliseconds since 1970."""
        return wall_of(self.stamp)

    def __str__(self) -> str:
        packed = _LAYOUT.pack(_LEADER_MODE, self.timeline, self.group, self.stamp)
        return urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> "Version":
        """The inverse of `str()`. Raises InvalidRequest for anything that is not a token.

        >>> str(Version.parse(str(Version(TimelineId(7), GroupId(1), Stamp(9))))) == str(
        ...     Version(TimelineId(7), GroupId(1), Stamp(9)))
        True
        """
        try:
            kind, timeline, group, stamp = _LAYOUT.unpack(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        except (Base64Error, StructError, ValueError, TypeError) as error:
            raise InvalidRequest(f"{token!r} is not a version token") from error
        if kind != _LEADER_MODE:
            raise InvalidRequest(f"{token!r} is a version token of a mode this version does not know")
        version = cls(TimelineId(timeline), GroupId(group), Stamp(stamp))
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
