"""Keys with many siblings are named once, and not without end."""

from kvstore.replication.leaderless.crowding import NAMED_MAX, Crowding
from kvstore.replication.leaderless.settings import SIBLINGS_WARNED


def test_the_most_siblings_are_remembered() -> None:
    crowding = Crowding()
    for count in (2, 7, 3):
        crowding.look_at(b"k", count)
    assert (crowding.most, crowding.keys) == (7, {})


def test_a_key_is_named_once() -> None:
    crowding = Crowding()
    for count in (SIBLINGS_WARNED, SIBLINGS_WARNED + 9):
        crowding.look_at(b"k", count)
    assert crowding.keys == {b"k": SIBLINGS_WARNED}


def test_not_all_keys_of_the_world_are_named() -> None:
    crowding = Crowding()
    for number in range(NAMED_MAX + 9):
        crowding.look_at(b"k%d" % number, SIBLINGS_WARNED)
    assert len(crowding.keys) == NAMED_MAX
