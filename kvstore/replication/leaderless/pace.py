"""How often replicas are compared, and how fast: settings and a throttle."""

import msgspec

from kvstore.core.errors import ConfigError
from kvstore.core.ids import Millis


class ExchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and times of anti-entropy. Raises ConfigError naming the setting if one makes no sense."""

    interval_ms: Millis = Millis(30_000)
    """Each pair of replicas is compared so often, a quarter more or less: two small messages if they are equal."""
    thorough_every: int = 8
    """Every so manyth exchange of a pair lists leaves, too, that change all the time: somebody may lack an old key."""
    settle_ms: Millis = Millis(500)
    """What differs is looked at again after this time, and what was written less long ago is left alone."""
    timeout_ms: Millis = Millis(2_000)
    """A question without an answer is asked again after this time …"""
    tries_max: int = 3
    """… so often in all, and then the exchange is given up."""
    retry_ms: Millis = Millis(5_000)
    """When to try again after one that was given up."""
    busy_ms: Millis = Millis(500)
    """When to ask again, about, whom we found in another exchange."""
    after_up_ms: Millis = Millis(5_000)
    """How long after a node came back it is compared; hints do most of the work by then."""

    keys_per_s: int = 20_000
    """So many keys are listed, pulled or pushed per second; ten that are only looked at count for one."""
    bytes_per_s: int = 8 << 20
    """So many bytes are sent and received per second."""
    page_keys: int = 2_000
    """A listing stops after looking at so many keys."""
    hashes_max: int = 8_192
    """Hashes in one answer, from 256 to 65,536."""
    pull_keys: int = 1_000
    batch_bytes: int = 1 << 20
    """Records in one message; a larger one travels alone."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) <= 0 and name != "settle_ms":
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be positive")
        if self.settle_ms < 0:
            raise ConfigError(f"settle_ms is {self.settle_ms}: it cannot be negative")
        if not 256 <= self.hashes_max <= 1 << 16:
            raise ConfigError(f"hashes_max is {self.hashes_max}: it must be from 256 to 65536")


class Throttle:
    """Spreads work over time. One may serve all exchanges of a node, so that these limits are the node's.

    >>> throttle = Throttle(ExchangeSettings(keys_per_s=1000, bytes_per_s=1 << 20))
    >>> throttle.charge(Millis(5), keys=100, nbytes=10)
    >>> throttle.free_at
    105
    """

    __slots__ = ("_bytes_per_ms", "_free_at", "_keys_per_ms")

    def __init__(self, settings: ExchangeSettings) -> None:
        self._keys_per_ms = settings.keys_per_s / 1_000
        self._bytes_per_ms = settings.bytes_per_s / 1_000
        self._free_at = 0.0

    @property
    def free_at(self) -> Millis:
        """When the next question may leave."""
        return Millis(int(self._free_at))

    def charge(self, now: Millis, keys: float, nbytes: int) -> None:
        """So much was done: whatever takes longer decides."""
        cost = max(keys / self._keys_per_ms, nbytes / self._bytes_per_ms)
        self._free_at = max(self._free_at, float(now)) + cost
