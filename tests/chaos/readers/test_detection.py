"""Formats are told apart by their content."""

import pytest

from chaos.readers import MalformedHistory, read_history


@pytest.mark.parametrize(
    ("text", "source"),
    (
        ("", "empty file"),
        (" \n; only a comment\n", "empty file"),
        ("[]", "EDN events"),
        ("; why\n({:type :invoke, :process 1, :f :read})", "EDN events"),
        ('{:process 0, :type :invoke, :f :get, :key "7", :value nil}', "EDN events"),
        ("INFO  jepsen.core - starting", "jepsen log"),
        ('{"event": "invoke", "id": 1, "process": 1, "kind": "get", "key": 1, "input": null, "at": 1}', "JSON lines"),
        ("\ufeff[]", "EDN events"),
    ),
)
def test_sources(text: str, source: str) -> None:
    assert read_history(text).source == source


def test_anything_else_is_refused() -> None:
    with pytest.raises(MalformedHistory, match="line 2: neither"):
        read_history("\nlorem ipsum")
