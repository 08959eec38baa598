"""Consistency words, durations and the options of a view."""

import pytest

from kvstore.client.options import Acks, Consistency, Options, acks_of, consistency_of, seconds_of
from kvstore.client.records import KeyspaceInfo
from kvstore.core.errors import ConsistencyNotSupported, InvalidRequest
from kvstore.v1 import kv_pb2 as pb

LEADER = KeyspaceInfo(
    id=1, name="k", mode="leader", replicas=3, partitions=8, value_bytes_max=1, history_versions=0, history_seconds=0,
    acks="majority",
)  # fmt: skip


def test_words_become_members() -> None:
    assert consistency_of("leader") is Consistency.LEADER
    assert acks_of("all") is Acks.ALL
    assert consistency_of(Consistency.FOLLOWER) is Consistency.FOLLOWER


@pytest.mark.parametrize("ask", [lambda: consistency_of("quorum"), lambda: Options().changed(consistency="quorum")])
def test_a_wrong_level_names_the_allowed_ones(ask: object) -> None:
    with pytest.raises(ConsistencyNotSupported, match="linearizable, leader, follower"):
        ask()  # type: ignore[operator]


def test_wrong_acks_name_the_allowed_ones() -> None:
    with pytest.raises(ConsistencyNotSupported, match="majority, all, leader"):
        acks_of("one")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2.0), ("500ms", 0.5), (" 1.5m ", 90.0), ("3", 3.0), (2, 2.0), (0.25, 0.25), (".5", 0.5)],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("wrong", ["", "2 days", "-1s", 0, -1, float("inf"), float("nan"), True, "0", None])
def test_what_is_no_duration(wrong: object) -> None:
    with pytest.raises(InvalidRequest):
        seconds_of(wrong)  # type: ignore[arg-type]


def test_options_change_one_by_one() -> None:
    options = Options().changed(consistency="follower", max_staleness="2s", acks="leader", timeout=1)
    assert options == Options(Consistency.FOLLOWER, Acks.LEADER, 1.0, 2000)
    assert options.changed(timeout=9).timeout_s == 9
    assert options.read_way(LEADER) == (pb.READ_LEVEL_FOLLOWER, 2000, 0)


def test_staleness_belongs_to_follower_reads() -> None:
    with pytest.raises(InvalidRequest, match="follower"):
        Options().changed(max_staleness=1)
    stale = Options().changed(consistency="follower", max_staleness=1)
    assert stale.changed(consistency="leader").read_way(LEADER) == (pb.READ_LEVEL_LEADER, 0, 0)
    assert stale.changed(max_staleness=0.0001).max_staleness_ms == 1  # never 0, which means no bound
