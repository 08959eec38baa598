"""The oracle: the plain meaning of a log, and what it refuses to believe."""

import pytest

from chaos.simulating.oracle import GroupOracle, Violation
from kvstore.core.commands import Command, CommandBatch, Condition, EntryPayload, Kind, Status, encode
from kvstore.core.entries import Entry
from kvstore.core.ids import GroupId, Index, Term

KEY = b"k"


def put(
    sequence: int, value: bytes, key: bytes = KEY, condition: Condition = Condition.NONE, stamp: int = 0
) -> Command:
    return Command(sequence, Kind.PUT, key, value, condition, stamp)


def delete(sequence: int) -> Command:
    return Command(sequence, Kind.DELETE, KEY)


class Log:
    """Feeds an oracle, entry by entry."""

    def __init__(self) -> None:
        self.oracle = GroupOracle(GroupId(1))
        self.stamp = 100

    def take(self, *commands: Command, atomic: bool = False, client: int = 1, term: int = 1) -> list[tuple[int, int]]:
        batch = CommandBatch(client, 0, atomic, list(commands))
        payload = encode(EntryPayload(self.stamp, [encode(batch)]))
        self.stamp += len(commands)
        self.oracle.take("n1", Entry(Term(term), Index(self.oracle.length + 1), payload), term)
        return [self.oracle.answers[client, command.sequence] for command in commands]


def test_it_remembers_every_version() -> None:
    log = Log()
    log.take(put(1, b"a"))
    log.take(put(2, b"b"))
    log.take(delete(3))
    read = log.oracle.read
    assert [read(KEY, index) for index in range(4)] == [None, (100, b"a"), (101, b"b"), None]
    assert read(KEY) is None
    assert log.oracle.rows(2) == [(KEY, 101, b"b")]


def test_conditions_are_judged() -> None:
    log = Log()
    assert log.take(put(1, b"a", condition=Condition.ABSENT)) == [(Status.WRITTEN, 100)]
    assert log.take(put(2, b"b", condition=Condition.ABSENT)) == [(Status.FAILED_CONDITION, 100)]
    assert log.take(put(3, b"c", condition=Condition.STAMP, stamp=100)) == [(Status.WRITTEN, 102)]
    assert log.take(put(4, b"d", condition=Condition.STAMP, stamp=100)) == [(Status.FAILED_CONDITION, 102)]
    assert log.take(delete(5)) == [(Status.WRITTEN, 104)]
    assert log.take(delete(6)) == [(Status.NOT_FOUND, 0)]


def test_an_operation_happens_once() -> None:
    log = Log()
    first = log.take(put(1, b"a"))
    log.take(put(2, b"b"))
    assert log.take(put(1, b"a")) == first
    assert log.oracle.read(KEY) == (101, b"b")


def test_an_atomic_batch_happens_whole_or_not_at_all() -> None:
    log = Log()
    log.take(put(1, b"a"))
    answers = log.take(put(2, b"x", b"other"), put(3, b"y", condition=Condition.ABSENT), atomic=True)
    assert answers == [(Status.NOT_EXECUTED, 0), (Status.FAILED_CONDITION, 100)]
    assert log.oracle.read(b"other") is None
    answers = log.take(put(4, b"x", b"other"), put(5, b"y"), atomic=True)
    assert [status for status, _ in answers] == [Status.WRITTEN, Status.WRITTEN]


def test_two_nodes_must_apply_the_same() -> None:
    oracle = GroupOracle(GroupId(1))
    oracle.take("n1", Entry(Term(1), Index(1), b""), 1)
    oracle.take("n2", Entry(Term(1), Index(1), b""), 3)
    with pytest.raises(Violation, match="state-machine safety"):
        oracle.take("n3", Entry(Term(2), Index(1), b""), 2)


def test_nobody_applies_what_comes_later_first() -> None:
    with pytest.raises(Violation, match="log matching"):
        GroupOracle(GroupId(1)).take("n1", Entry(Term(1), Index(2), b""), 1)


def test_stamps_rise() -> None:
    log = Log()
    log.take(put(1, b"a"))
    log.stamp -= 1
    with pytest.raises(Violation, match="stamps rise"):
        log.take(put(2, b"b"))


def test_what_was_decided_before_a_term() -> None:
    """An entry first applied by a node in term 5, before one applied in term 3, was decided by 3 as well."""
    oracle = GroupOracle(GroupId(0))
    for index, term in enumerate((1, 5, 3, 7), 1):
        oracle.take("n1", Entry(Term(1), Index(index), b""), term)
    assert [oracle.decided_before(term) for term in (1, 2, 4, 6, 8)] == [0, 1, 3, 3, 4]
