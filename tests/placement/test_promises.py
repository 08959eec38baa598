"""What settings promise: said from a table over them, and never two things that contradict each other."""

import doctest
from itertools import product

import pytest

from kvstore.core.errors import InvalidRequest
from kvstore.placement import promises
from kvstore.placement.keyspaces import Settings, check_settings
from kvstore.placement.promises import promises_of, warnings_of


def made(n: int = 3, r: int = 0, w: int = 0, *, sloppy: bool = False, conflicts: str = "siblings") -> Settings:
    return Settings("k", "leaderless", n, read_quorum=r, write_quorum=w, sloppy=sloppy, conflicts=conflicts)


FRESH, STALE = "Regular reads", "Stale reads are possible"
FORWARD, BACK = "never go back in time", "may go back in time"
LEADERLESS = [  # n, r, w, sloppy: freshness, going back, staying up
    (3, 0, 0, False, FRESH, FORWARD, "Reads go on while 1 of 3 replicas is down; writes while 1 of 3"),
    (3, 1, 1, False, STALE, BACK, "Reads go on while 2 of 3 replicas are down; writes while 2 of 3"),
    (3, 1, 3, False, FRESH, BACK, "writes while all 3 replicas are up: one node that is down stops them"),
    (3, 3, 1, False, FRESH, FORWARD, "Reads go on while all 3 replicas are up"),
    (3, 1, 2, False, STALE, BACK, "Reads go on while 2 of 3 replicas are down; writes while 1 of 3"),
    (3, 2, 1, False, STALE, FORWARD, "Reads go on while 1 of 3"),
    (3, 2, 2, True, "While one is down hints count", FORWARD, "writes while one replica is up, and enough nodes"),
    (3, 1, 1, True, STALE, BACK, "enough nodes to keep hints"),
    (5, 2, 4, False, FRESH, BACK, "Reads go on while 3 of 5 replicas are down; writes while 1 of 5"),
    (5, 3, 3, False, FRESH, FORWARD, "Reads go on while 2 of 5"),
    (4, 2, 2, False, STALE, BACK, "Reads go on while 2 of 4"),
    (4, 0, 0, False, FRESH, FORWARD, "Reads go on while 1 of 4"),
    (2, 1, 1, False, STALE, BACK, "1 of 2 replicas is down"),
    (1, 0, 0, False, FRESH, "there is one replica", "the one replica is up"),
]


@pytest.mark.parametrize(("n", "r", "w", "sloppy", "fresh", "back", "up"), LEADERLESS)
def test_quorums_in_words(n: int, r: int, w: int, sloppy: bool, fresh: str, back: str, up: str) -> None:
    said = {promise.about: promise for promise in promises_of(made(n, r, w, sloppy=sloppy))}
    assert fresh in said["freshness"].text and said["freshness"].holds == (fresh == FRESH)
    assert back in said["going back"].text and said["going back"].holds == (back != BACK)
    assert up in said["staying up"].text


LED = [  # n, acks: durability, does it hold, staying up
    (3, "majority", "2 of 3 replicas have it on disk: it survives the loss of any one disk", True, "1 of 3"),
    (5, "majority", "survives the loss of any 2 disks", True, "2 of 5 replicas are down"),
    (3, "leader", "if the leader is lost before the others have it, so is the write", False, "1 of 3"),
    (3, "all", "all 3 replicas have it on disk", True, "1 of 3 replicas is down"),
    (2, "majority", "2 of 2 replicas", True, "it takes 2 of 2 replicas to go on"),
    (1, "majority", "when its disk is lost, so is everything", False, "it takes 1 of 1 replica to go on"),
]


@pytest.mark.parametrize(("n", "acks", "durable", "holds", "up"), LED)
def test_leader_mode_in_words(n: int, acks: str, durable: str, holds: bool, up: str) -> None:
    said = {promise.about: promise for promise in promises_of(Settings("k", replicas=n, acks=acks))}
    assert durable in said["durability"].text and said["durability"].holds == holds
    assert up in said["staying up"].text
    assert "linearizable" in said["freshness"].text and said["freshness"].holds
    assert said["conditions"].holds


def test_all_settings_that_can_be_made_are_told() -> None:
    told = 0
    for n, r, w, sloppy, conflicts in product(range(1, 6), range(7), range(7), (False, True), ("siblings", "lww")):
        settings = made(n, r, w, sloppy=sloppy, conflicts=conflicts)
        try:
            check_settings(settings)
        except InvalidRequest:
            assert r > n or w > n or (sloppy and n == 1)
            continue
        said = {promise.about: promise for promise in promises_of(settings)}
        assert said["freshness"].holds == (settings.r + settings.w > n and not (sloppy and n > 1))
        assert said["going back"].holds == (2 * settings.r > n)
        assert said["durability"].holds == (settings.w > 1)
        assert said["conflicts"].holds == (conflicts == "siblings")
        assert not said["conditions"].holds
        told += 1
    assert told > 200


def test_warnings_are_of_what_was_chosen() -> None:
    assert warnings_of(made()) == []
    assert len(warnings_of(made(3, 1, 1))) == 3  # stale, going back, one disk
    assert any("last writer wins" in text for text in warnings_of(made(conflicts="lww")))


def test_examples_in_docstrings_are_true() -> None:
    failed, tried = doctest.testmod(promises)
    assert tried and not failed
