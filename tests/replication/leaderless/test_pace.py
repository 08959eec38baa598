"""Settings that make no sense are refused by name, and work is spread as they say."""

import doctest

import pytest

from kvstore.core.errors import ConfigError
from kvstore.core.ids import Millis
from kvstore.replication.leaderless import pace
from kvstore.replication.leaderless.pace import ExchangeSettings, Throttle

BAD = [
    ({"interval_ms": 0}, "interval_ms is 0"),
    ({"keys_per_s": -1}, "keys_per_s is -1"),
    ({"settle_ms": -1}, "settle_ms is -1"),
    ({"hashes_max": 255}, "hashes_max is 255"),
    ({"hashes_max": 65_537}, "hashes_max is 65537"),
]


@pytest.mark.parametrize(("changed", "wrong"), BAD)
def test_a_setting_that_makes_no_sense_is_named(changed: dict[str, int], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        ExchangeSettings(**changed)  # type: ignore[arg-type]


def test_not_to_wait_at_all_is_allowed() -> None:
    assert ExchangeSettings(settle_ms=Millis(0)).settle_ms == 0


def test_whatever_takes_longer_decides() -> None:
    throttle = Throttle(ExchangeSettings(keys_per_s=1_000, bytes_per_s=1_000))
    throttle.charge(Millis(0), keys=10, nbytes=20)
    assert throttle.free_at == 20
    throttle.charge(Millis(5), keys=30, nbytes=0)
    assert throttle.free_at == 50


def test_idle_time_is_not_saved_up() -> None:
    throttle = Throttle(ExchangeSettings(keys_per_s=1_000))
    throttle.charge(Millis(1_000_000), keys=10, nbytes=0)
    assert throttle.free_at == 1_000_010


def test_its_examples() -> None:
    assert doctest.testmod(pace).failed == 0
