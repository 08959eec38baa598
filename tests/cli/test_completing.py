"""What the Tab key offers in the shell."""

from pathlib import Path

import pytest

from kvstore.cli.commands import make_registry
from kvstore.cli.completing import Names, candidates
from kvstore.cli.shell.hints import IDLE, hint

REGISTRY = make_registry()
NAMES = Names(
    keyspaces=lambda: ["default", "carts"],
    nodes=lambda: ["n1", "n2"],
    clusters=lambda: ["demo"],
    keys=lambda: [b"user:1", b"two words", b"\xff"],
    commands=lambda: ["get", "quoting"],
)


def offered(text: str) -> list[str]:
    return [found.text for found in candidates(REGISTRY, text, NAMES)]


CASES = [
    ("ge", ["get"]),
    ("GE", ["get"]),
    ("keyspace d", ["describe", "drop"]),
    ("get ", ["user:1", '"two words"', '"\\xff"']),
    ("get us", ["user:1"]),
    ("get user:1 us", ["user:1"]),
    ('get "two', ['"two words"']),
    ("get 'two", ['"two words"']),
    ('get "us', ["user:1"]),
    ("3 get us", ["user:1"]),
    ("put user:1 v", []),
    ("put user:1 v ", ["--if-absent", "--if-version", "--context"]),
    ("put k v --if-absent --if-", []),
    ("put k v --key", ["--key-format", "--keyspace"]),
    ("scan --limit ", []),
    ("scan --from ", ["user:1", '"two words"', '"\\xff"']),
    ("scan -k ", ["default", "carts"]),
    ("scan -o j", ["json", "jsonl"]),
    ("use ", ["default", "carts"]),
    ("USE c", ["carts"]),
    ("\\c ", ["demo"]),
    ("\\o ", ["table", "raw", "json", "jsonl", "csv"]),
    ("\\cl read=f", ["read=follower"]),
    ("\\ti", ["\\timing"]),
    ("\\watch 2 ge", ["get"]),
    ("\\watch 2 get us", ["user:1"]),
    ("\\demo ki", ["kill"]),
    ("\\demo kill ", ["n1", "n2"]),
    ("local kill n", ["n1", "n2"]),
    ("\\h ", ["get", "quoting"]),
    ("get user:1 | gr", []),
    ("nonsense ", []),
    ("", None),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_candidates(text: str, expected: list[str] | None) -> None:
    found = offered(text)
    if expected is None:
        assert {"get", "put", "keyspace", "\\?", "use"} <= set(found)
    else:
        assert sorted(found) == sorted(expected)


def test_candidates_replace_what_was_begun() -> None:
    assert [found.start for found in candidates(REGISTRY, "get us", NAMES)] == [4]
    assert [found.start for found in candidates(REGISTRY, 'get "two', NAMES)] == [4]


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.jsonl").touch()
    (tmp_path / "nest").mkdir()
    (tmp_path / ".hidden").touch()
    assert offered("import n") == ["names.jsonl", "nest/"]
    assert offered("local up --dir n") == ["nest/"]
    assert offered("put k @na") == ["@names.jsonl"]
    assert offered("import .") == [".hidden"]
    assert offered("import none/") == []


@pytest.mark.parametrize(
    ("text", "shown", "now"),
    [
        ("", IDLE, None),
        ("put", "put KEY VALUE|-|@FILE [--if-absent | --if-version V | --context V]", None),
        ("put ", "put KEY VALUE|-|@FILE [--if-absent | --if-version V | --context V]", "KEY"),
        ("PUT k ", "put KEY VALUE|-|@FILE [--if-absent | --if-version V | --context V]", "VALUE|-|@FILE"),
        (
            "3 put k v --if-version ",
            "put KEY VALUE|-|@FILE [--if-absent | --if-version V | --context V]",
            "--if-version V",
        ),
        ("get a -k ", "-k NAME   the keyspace; 'default' if not given", "-k NAME"),
        ("keyspace ", "keyspace create | list | describe | drop", None),
        ("keyspace drop ", "keyspace drop NAME [--if-exists]", "NAME"),
        ("\\watch 2 where ", "where KEY...", "KEY..."),
        ("\\demo kill ", "local kill NODE...", "NODE..."),
        ("\\q", "\\q   leave; Ctrl-D does the same", None),
        ("get a | jq", "the raw reply goes to this command", None),
        ("nonsense x", "", None),
        ("nonse", "", None),
    ],
)
def test_hints(text: str, shown: str, now: str | None) -> None:
    pieces = hint(REGISTRY, text)
    assert "".join(piece for _, piece in pieces) == shown
    assert [piece for style, piece in pieces if style == "class:hint.now"] == ([now] if now else [])
