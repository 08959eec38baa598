"""Counting agrees with etcd's vectors and with a twin that simply tries everything."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.replication.quorum import EVERYTHING, Verdict, majority, reached_by_majority, verdict

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "etcd_raft" / "quorum_vectors.json"
VERDICTS = {"VoteWon": Verdict.WON, "VoteLost": Verdict.LOST, "VotePending": Verdict.PENDING}


def vectors(kind: str) -> list[dict[str, Any]]:
    """Those of one majority; joint configurations are not ours yet."""
    if not VECTORS.exists():
        pytest.skip("etcd's quorum vectors are not beside this checkout")
    found = [v for v in json.loads(VECTORS.read_text()) if v["kind"] == kind and v["joint_voters"] is None]
    assert found, "the file has other contents than expected"
    return found


def test_commit_indexes_agree_with_etcd() -> None:
    for vector in vectors("commit"):
        acked = [index or 0 for index in vector["acked_index"]]
        expected = EVERYTHING if vector["expected"] == "infinity" else vector["expected"]
        assert reached_by_majority(acked) == expected, vector["id"]


def test_votes_agree_with_etcd() -> None:
    for vector in vectors("vote"):
        votes = vector["votes"]
        got = verdict(votes.count(True), votes.count(False), len(vector["voters"]))
        assert got == VERDICTS[vector["expected"]], vector["id"]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=9))
def test_what_a_majority_has_reached_like_the_slow_twin(values: list[int]) -> None:
    """The largest number that more than half of the values are at least."""
    slow = max(number for number in range(21) if sum(value >= number for value in values) * 2 > len(values))
    assert reached_by_majority(values) == slow


@pytest.mark.parametrize("voters", range(8))
def test_verdicts_like_the_slow_twin(voters: int) -> None:
    """Won if every way the rest may vote wins, lost if none does."""
    for yes in range(voters + 1):
        for no in range(voters - yes + 1):
            endings = [yes + sum(rest) for rest in product((0, 1), repeat=voters - yes - no)]
            wins = [count * 2 > voters or voters == 0 for count in endings]
            slow = Verdict.WON if all(wins) else Verdict.PENDING if any(wins) else Verdict.LOST
            assert verdict(yes, no, voters) is slow, (yes, no, voters)


def test_any_two_majorities_meet() -> None:
    for voters in range(1, 10):
        assert 2 * majority(voters) > voters
