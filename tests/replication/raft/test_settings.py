"""Settings are valid or never built."""

import pytest

from kvstore.core.errors import ConfigError
from kvstore.core.ids import Millis
from kvstore.replication.raft.settings import RaftSettings


def test_a_lease_is_shorter_than_the_patience_of_any_voter() -> None:
    settings = RaftSettings(election_timeout_ms_min=Millis(500), clock_drift_percent=10)
    assert settings.lease_ms == 450


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"heartbeat_ms": 0}, "heartbeat_ms"),
        ({"heartbeat_ms": 300}, "heartbeat_ms"),
        ({"election_timeout_ms_max": 500}, "election_timeout_ms_max"),
        ({"clock_drift_percent": 100}, "clock_drift_percent"),
        ({"append_bytes_max": -1}, "append_bytes_max"),
    ],
)
def test_nonsense_is_refused_by_name(wrong: dict[str, int], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        RaftSettings(**wrong)  # type: ignore[arg-type]
