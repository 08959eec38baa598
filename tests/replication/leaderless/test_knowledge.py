"""Young is what its coordinator wrote a moment ago, by the newest sibling."""

import pytest

from kvstore.core.causality import UNKNOWN, encode, merged
from kvstore.core.errors import Corruption
from kvstore.core.ids import Millis
from kvstore.replication.leaderless.knowledge import is_young
from tests.replication.leaderless.exchange_lab import versions_of

WALL, SETTLE = Millis(10_000), Millis(500)


@pytest.mark.parametrize(
    ("stamp_ms", "young"), [(0, False), (9_500, False), (9_501, True), (10_000, True), (10_500, True), (10_501, False)]
)
def test_young_is_less_than_a_moment_old_or_early(stamp_ms: int, young: bool) -> None:
    assert is_young(encode(versions_of(1, 1, stamp_ms=stamp_ms)), WALL, SETTLE) is young


def test_the_newest_sibling_decides() -> None:
    both = merged(versions_of(1, 1, stamp_ms=0), versions_of(2, 1, stamp_ms=9_900))
    assert is_young(encode(both), WALL, SETTLE)


def test_what_has_no_siblings_is_old() -> None:
    assert not is_young(encode(UNKNOWN), WALL, SETTLE)


def test_what_is_no_record_is_said() -> None:
    with pytest.raises(Corruption):
        is_young(b"no record", WALL, SETTLE)
