"""What could come from what."""

from chaos.checkers.lineage import PrefixLineage, SwapLineage


def test_swaps_lead_along_their_chain_and_nowhere_else() -> None:
    lineage = SwapLineage([(1, 2), (2, 3), (8, 9)], wanted=[3, 9], starts={0, 1})
    assert lineage.could_become(1, 3) and lineage.could_become(3, 3)
    assert not lineage.could_become(1, 9) and not lineage.could_become(4, 3)
    assert lineage.origins(3) == [1]
    assert lineage.origins(9) == []
    assert list(lineage.futures(2)) == [3]
    assert list(lineage.futures(7)) == []


def test_swaps_in_a_circle_end() -> None:
    lineage = SwapLineage([(1, 2), (2, 1)], wanted=[1], starts={2})
    assert lineage.could_become(2, 1) and lineage.origins(1) == [2]


def test_a_state_with_very_many_ancestors_could_come_from_anywhere() -> None:
    lineage = SwapLineage([(number, number + 1) for number in range(1000)], wanted=[1000], starts={0})
    assert lineage.could_become("never seen", 1000)
    assert lineage.origins(1000) is None
    assert list(lineage.futures("never seen")) == [1000]


def test_strings_grow_at_the_end() -> None:
    lineage = PrefixLineage(["abc", "abd", "x"], {"", "ab", "b"})
    assert lineage.could_become("ab", "abc") and lineage.could_become("abc", "abc")
    assert not lineage.could_become("b", "abc")
    assert lineage.origins("abd") == ["", "ab"]
    assert list(lineage.futures("ab")) == ["abc", "abd"]
    assert list(lineage.futures("abz")) == []
