"""Streams of chance: one generator per concern, so that a draw more in one place moves nothing elsewhere."""

from random import Random


class Dice:
    """All chance of one simulated universe.

    >>> Dice("7").stream("network").random() == Dice("7").stream("network").random()
    True
    """

    __slots__ = ("seed",)

    def __init__(self, seed: str) -> None:
        self.seed = seed

    def stream(self, name: str) -> Random:
        """A fresh generator for that concern. Seeded by text, which Python hashes alike everywhere."""
        return Random(f"{self.seed}/{name}")


def happens(rng: Random, per_mille: int) -> bool:
    """Whether something of that probability happens. Draws nothing if it cannot."""
    return per_mille > 0 and rng.random() * 1000 < per_mille


def between(rng: Random, low: int, high: int) -> int:
    """A whole number from low to high, both included; a few times as fast as `randint`, which is asked so often."""
    return low + int(rng.random() * (high - low + 1))
