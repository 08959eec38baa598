"""bigkeys against a fake client."""

import json

from tests.cli.fake_client import CommandLine, version


def filled() -> CommandLine:
    kvstore = CommandLine()
    for number in range(30):
        kvstore.client.rows[b"key:%02d" % number] = (b"x" * number * 100, version(number))
    kvstore.client.rows[b"other"] = (b"x" * 5000, version(31))
    return kvstore


def test_the_largest_come_first() -> None:
    run = filled()("bigkeys", "-o", "table")
    lines = run.text.splitlines()
    assert run.err == "looking at the first 10,000 keys ...\n"
    assert lines[0] == "31 keys with 48 KiB, 1.5 KiB each on average"
    assert [line.split() for line in lines[2:5]] == [
        ["key", "value"],
        ["other", "4.9", "KiB"],
        ["key:29", "2.8", "KiB"],
    ]
    assert len(lines) == 3 + 20


def test_a_prefix_and_a_sample() -> None:
    kvstore = filled()
    document = json.loads(kvstore("bigkeys", "key:", "-o", "json").out)
    assert (document["keys"], document["largest"][0]) == (30, {"key": "key:29", "bytes": 2900})
    few = kvstore("bigkeys", "--samples", "3", "-o", "table").text
    assert "3 keys" in few and "--samples 0 looks at all" in few
    assert kvstore("bigkeys", "--samples", "0", "-q").err == ""


def test_nothing_there() -> None:
    assert CommandLine()("bigkeys", "-o", "table").text == "0 keys with 0 B, 0 B each on average\n"
