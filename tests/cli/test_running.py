"""The line about time and acknowledgements, and what becomes of errors while a result is shown."""

from collections.abc import Iterator

import pytest

from kvstore.cli.results import Served
from kvstore.cli.running import time_line
from kvstore.core.errors import NotConnected
from tests.cli.fake_client import CommandLine


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (None, "1.9 ms"),
        (Served(), "1.9 ms"),
        (Served(acknowledged=3, replicas=3), "1.9 ms (3/3 acks)"),
        (Served(acknowledged=2), "1.9 ms (2/? acks)"),
        (Served(client_ms=0.5, server_ms=0.25, acknowledged=1, replicas=3), "0.50 ms (server 0.2, 1/3 acks)"),
        (Served(remarks=["from n2, at most 40 ms old"]), "1.9 ms (from n2, at most 40 ms old)"),
    ],
)
def test_time_line(served: Served | None, said: str) -> None:
    assert time_line(served, 1.94) == said


def test_an_error_in_the_middle_of_a_stream_ends_it_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    kvstore = CommandLine()

    def scan(*_: object, **__: object) -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"1"
        raise NotConnected("the node is gone")

    monkeypatch.setattr(kvstore.client, "scan", scan)
    run = kvstore("scan")
    assert (run.code, run.text) == (8, "a\t1\n")
    assert run.err.startswith("error: the node is gone\n")


def test_stale_reads_say_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from tests.cli import fake_client

    kvstore = CommandLine()
    kvstore("put", "a", "1")
    for staleness, said in ((40, "from n2, at most 40 ms old"), ((1 << 32) - 1, "from n2, age unknown")):
        stale = replace(fake_client.READ, node="n2", staleness_ms=staleness)
        monkeypatch.setattr(fake_client, "READ", stale)
        assert f"({said})" in kvstore("get", "a", "-v", is_terminal=True).text
