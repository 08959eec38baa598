"""kvstore top: rates between two looks at every node."""

import json
from functools import partial

import pytest

from kvstore.cli.metrics_text import Look
from kvstore.cli.verbs import top
from tests.cli.fake_client import CommandLine

INFINITE = float("inf")
LOOKS = [
    {"n1": Look(1.0, {}, {"read": 10.0}, {"read": {0.001: 10.0, INFINITE: 10.0}})},
    {"n1": Look(2.0, {}, {"read": 1_250.0}, {"read": {0.001: 1_250.0, INFINITE: 1_250.0}})},
]


@pytest.fixture
def kvstore(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    looks = iter(LOOKS)
    monkeypatch.setattr(top, "_look", lambda context: next(looks))
    return CommandLine()


def test_once(kvstore: CommandLine) -> None:
    assert kvstore("top", "--once", "--interval", "1ms", "-o", "table").text == (
        "node  state  leads  reads/s      p50      p99  writes/s  p50  p99  open  lag   disk\n"
        "n1    up         1  1,240.0  0.50 ms  0.99 ms       0.0    -    -     0    0  4 KiB\n"
        "n2    up         0        -        -        -         -    -    -     0    0  4 KiB\n"
        "n3    up         0        -        -        -         -    -    -     0    2  4 KiB\n"
        "(3 nodes)\n"
    )


def test_what_is_counted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [{"n1": Look(at, {"read": 1.0}, {"read": 1.0}, {})} for at in (1.0, 2.0)]
    for looks, said in ((LOOKS, top.IN_CALLS + "\n"), (counted, "")):
        monkeypatch.setattr(top, "_look", partial(lambda left, context: next(left), iter(looks)))
        assert CommandLine()("top", "--once", "--interval", "1ms").err == said


def test_once_as_json(kvstore: CommandLine) -> None:
    rows = json.loads(kvstore("top", "--once", "--interval", "1ms", "-o", "json").out)
    assert rows[0]["reads_per_s"] == 1240.0
    assert rows[1]["read_p50_ms"] is None


def test_again_and_again_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(LOOKS)

    def look(context: object) -> dict[str, Look]:
        found = next(looks, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(top, "_look", look)
    run = CommandLine()("top", "--interval", "1ms", is_terminal=True)
    assert run.code == 0
    assert run.text.startswith("\x1b[H\x1b[J")
    assert run.text.count("1,240.0") == 1


def test_a_node_without_http_is_left_out() -> None:
    assert top._fetch("127.0.0.1:1") is None
    assert CommandLine()("top", "--once", "--interval", "1ms").text.splitlines()[0].startswith("n1\tup\t1\t\t\t\t")
