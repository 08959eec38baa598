"""Broken rules are noticed, are named, and are whole again afterwards."""

import pytest
from click.testing import CliRunner

from chaos.__main__ import main
from chaos.mutations.command import RULES, hunt
from kvstore.replication.raft import election
from kvstore.storage import ballot_box

QUICK = {
    "vote-for-longer-logs": "leader completeness",
    "leader-counts-its-disk": "acknowledged is on disk",
    "operations-once": "answers are those of the log",
    "promises-wait": "acknowledged is on disk",
    "coordinators-disk-counts-later": "acknowledged is on disk",
    "writes-merge": "nothing is lost",
    "answers-cover-what-was-seen": "nothing is lost",
}


@pytest.mark.parametrize("name", QUICK)
def test_a_broken_rule_is_noticed(name: str) -> None:
    caught = hunt(name, first=0, seeds=12, seconds=10)
    assert caught.seed is not None
    assert caught.check


def test_a_rule_is_whole_again_afterwards() -> None:
    kept = ballot_box.put_ballot, election.may_vote_for
    for name in ("ballot-on-disk", "vote-for-longer-logs"):
        with RULES[name].broken():
            assert (ballot_box.put_ballot, election.may_vote_for) != kept
    assert (ballot_box.put_ballot, election.may_vote_for) == kept


def test_every_rule_can_be_broken_and_mended() -> None:
    for rule in RULES.values():
        with rule.broken():
            pass
        assert rule.says.endswith(".")


def test_the_command_names_rules_it_does_not_know() -> None:
    result = CliRunner().invoke(main, ["mutate", "no-such-rule"])
    assert result.exit_code == 2
    assert "no-such-rule" in result.output and "ballot-on-disk" in result.output


def test_the_command_tells_what_was_not_noticed() -> None:
    """One virtual second on one lone node is too little to notice that clocks may drift."""
    result = CliRunner().invoke(
        main, ["mutate", "lease-less-drift", "--seeds", "1", "--first", "1000", "--seconds", "1"]
    )
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("invalid: 1 of 1")
