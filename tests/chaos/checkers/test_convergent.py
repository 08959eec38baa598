"""Replicas compared."""

from chaos.checkers.convergent import check
from chaos.checkers.verdict import Answer


def test_equal_replicas_converged() -> None:
    assert check({0: {"n1": b"a", "n2": b"a"}, 1: {"n2": 7, "n3": 7}}).answer is Answer.VALID
    assert check({}).answer is Answer.VALID


def test_the_partition_and_the_camps_are_named() -> None:
    verdict = check({0: {"n1": b"\x0a", "n2": b"\x0b", "n3": b"\x0a"}, 1: {"n1": 1, "n2": 1}})
    assert verdict.answer is Answer.INVALID
    assert verdict.findings == ("partition 0: replicas differ: n1, n3 (0a) and n2 (0b)",)


def test_nothing_compared_is_nothing_proven() -> None:
    assert check({5: {}}).findings == ("partition 5: no replica was asked",)


def test_long_digests_are_shortened() -> None:
    (finding,) = check({0: {"n1": "a" * 64, "n2": "b" * 64}}).findings
    assert len(finding) < 80
