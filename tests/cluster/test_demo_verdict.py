"""The verdict is good exactly if everything that was acknowledged is there and fits one order."""

from collections.abc import Hashable

import pytest

from chaos.history import Operation, Outcome
from cluster.demo_verdict import DemoVerdict, disorder, missing_rows, missing_writes

OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN


def put(key: str, value: str, at: int, outcome: Outcome = OK) -> Operation:
    return Operation("w", "put", key, value, None, at, None if outcome is UNKNOWN else at + 1, outcome)


def get(key: str, value: Hashable, at: int, outcome: Outcome = OK) -> Operation:
    return Operation("r", "get", key, None, value, at, at + 1, outcome)


def test_all_is_well() -> None:
    verdict = DemoVerdict(12_345, (), ())
    assert verdict.is_good
    assert str(verdict) == "OK: 12,345 acknowledged writes, 0 lost"


def test_something_is_lost() -> None:
    verdict = DemoVerdict(12_345, tuple(f"k{i}" for i in range(1, 8)), ())
    assert not verdict.is_good
    assert str(verdict) == "FAILED: 12,345 acknowledged writes, 7 lost: k1, k2, k3, k4, k5, …"


def test_nothing_is_lost_but_the_order_is_impossible() -> None:
    verdict = DemoVerdict(12_345, (), ("key 'a': no place for it",))
    assert not verdict.is_good
    assert str(verdict) == "FAILED: 12,345 acknowledged writes, none missing, but key 'a': no place for it"


def test_rows_that_are_missing_or_changed() -> None:
    assert missing_rows({"a": b"1", "b": b"2", "c": b"3"}, {"a": b"1", "b": b"x", "c": None}) == ["b", "c"]
    assert missing_rows({"a": b"1"}, {}) == ["a"]


HISTORIES = [
    ([put("a", "1", 0), get("a", "1", 5)], []),
    ([put("a", "1", 0), get("a", None, 5)], ["a"]),
    ([put("a", "1", 0)], ["a"]),
    ([put("a", "1", 0), get("a", None, 5, FAILED)], ["a"]),
    ([put("a", "1", 0), get("a", None, 0), get("a", "1", 5)], []),
    ([put("a", "1", 0, UNKNOWN), get("a", None, 5)], []),
    ([put("a", "1", 0, FAILED), get("a", None, 5)], []),
    ([put("a", "1", 0), put("a", "2", 2), get("a", "2", 5)], []),
]


@pytest.mark.parametrize(("operations", "missing"), HISTORIES)
def test_lone_writes_that_are_missing(operations: list[Operation], missing: list[str]) -> None:
    assert missing_writes(operations) == missing


def test_an_impossible_order_is_told() -> None:
    assert disorder([put("a", "1", 0), get("a", "1", 5)]) == []
    (finding,) = disorder([put("a", "1", 0), put("a", "2", 2), get("a", "1", 5)])
    assert "key 'a'" in finding
