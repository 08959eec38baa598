"""Crowding: keys whose siblings pile up because their writers do not send back what they read."""

from typing import Final

from kvstore.replication.leaderless.settings import SIBLINGS_WARNED

NAMED_MAX: Final = 1_000
"""So many keys are named since the start; it is the first ones that tell what is wrong."""


class Crowding:
    """Looks at every change of a record."""

    __slots__ = ("keys", "most")

    def __init__(self) -> None:
        self.most = 0
        """The most siblings that a key had since the start."""
        self.keys: dict[bytes, int] = {}
        """Keys that had `SIBLINGS_WARNED` or more, each once, with how many it had then."""

    def look_at(self, key: bytes, siblings: int) -> None:
        """The key has so many now."""
        if siblings > self.most:
            self.most = siblings
        if siblings >= SIBLINGS_WARNED and key not in self.keys and len(self.keys) < NAMED_MAX:
            self.keys[key] = siblings
