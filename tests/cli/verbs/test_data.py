"""get, put, del, scan against a fake client: what they print in every format, and how they end."""

import pytest

from tests.cli.fake_client import CommandLine, version

V1, V2 = str(version(1)), str(version(2))
BINARY = b"\xff\n\t\\"


@pytest.fixture
def kvstore() -> CommandLine:
    line = CommandLine()
    line.client.write(b"user:1", b'{"name": "Ada"}')
    line.client.write(b"user:2", BINARY)
    return line


GET = {
    "raw": b'{"name": "Ada"}\n',
    "table": b'{"name": "Ada"}\n',
    "json": f"""{{
  "key": "user:1",
  "value": "{{\\"name\\": \\"Ada\\"}}",
  "version": "{V1}",
  "written": "2023-11-14T22:13:20.001Z"
}}
""".encode(),
    "jsonl": f'{{"key":"user:1","value":"{{\\"name\\": \\"Ada\\"}}","version":"{V1}",'
    '"written":"2023-11-14T22:13:20.001Z"}\n'.encode(),
    "csv": f'key,value,version,written\nuser:1,"{{""name"": ""Ada""}}",{V1},2023-11-14T22:13:20.001Z\n'.encode(),
}


@pytest.mark.parametrize("output", GET)
def test_get_one(kvstore: CommandLine, output: str) -> None:
    run = kvstore("get", "user:1", "-o", output)
    assert (run.out, run.err, run.code) == (GET[output], "", 0)


def test_get_gives_the_bytes_back(kvstore: CommandLine) -> None:
    assert kvstore("get", "user:2").out == BINARY + b"\n"
    assert kvstore("get", "user:2", "--raw").out == BINARY
    assert kvstore("get", "user:2", "--raw", is_terminal=True).out == BINARY
    assert kvstore("get", "user:2", is_terminal=True).out == b"\\xff\n\t\\\n"  # lines stay lines, for people
    assert '"value": {\n    "b64": "/woJXA=="\n  }' in kvstore("get", "user:2", "-o", "json").text


SEVERAL = {
    "raw": 'user:1\t{"name": "Ada"}\nnobody\t\nuser:2\t\\xff\\n\\t\\\\\n',
    "table": 'key     value\nuser:1  {"name": "Ada"}\nnobody  -\nuser:2  \\xff\\n\\t\\\n(3 keys)\n',
    "json": '[\n  {"key":"user:1","value":"{\\"name\\": \\"Ada\\"}"},\n  {"key":"nobody","value":null},\n'
    '  {"key":"user:2","value":{"b64":"/woJXA=="}}\n]\n',
    "jsonl": '{"key":"user:1","value":"{\\"name\\": \\"Ada\\"}"}\n{"key":"nobody","value":null}\n'
    '{"key":"user:2","value":{"b64":"/woJXA=="}}\n',
    "csv": 'key,value\nuser:1,"{""name"": ""Ada""}"\nnobody,""\nuser:2,"{""b64"":""/woJXA==""}"\n',
}


@pytest.mark.parametrize("output", SEVERAL)
def test_get_several(kvstore: CommandLine, output: str) -> None:
    run = kvstore("get", "user:1", "nobody", "user:2", "-o", output)
    assert (run.text, run.err, run.code) == (SEVERAL[output], "", 0)


def test_get_with_meta(kvstore: CommandLine) -> None:
    assert kvstore("get", "user:1", "--meta").text == f'user:1\t{{"name": "Ada"}}\t{V1}\t2023-11-14T22:13:20.001Z\n'
    assert '"term": 2' in kvstore("get", "user:1", "--meta", "-o", "json").text
    assert kvstore("get", "user:1", "x", "--meta").text.endswith("x\t\t\t\n")


def test_get_of_nobody(kvstore: CommandLine) -> None:
    run = kvstore("get", "nobody")
    assert (run.code, run.out, run.err) == (3, b"", "error: there is no key nobody\n")


def test_keys_in_other_formats(kvstore: CommandLine) -> None:
    assert kvstore("get", "dXNlcjoy", "--key-format", "base64", "--raw").out == BINARY
    assert kvstore("scan", "75", "--keys", "--key-format", "hex").text == "757365723a31\n757365723a32\n"
    assert '"key":"757365723a31"' in kvstore("scan", "--key-format", "hex", "-o", "jsonl").text


def test_put_says_the_version(kvstore: CommandLine) -> None:
    assert kvstore("put", "a", "1").text == str(version(3)) + "\n"
    assert kvstore.client.rows[b"a"][0] == b"1"
    assert kvstore("put", "a", "2", is_terminal=True).text.startswith(f"OK  version {version(4)}  ")


def test_put_for_people_ends_with_time_and_acks(kvstore: CommandLine) -> None:
    line = kvstore("put", "a", "1", is_terminal=True).text.rstrip("\n")
    assert len(line) == 80
    assert line.endswith(" ms (3/3 acks, 2 on disk)")
    assert "acks" not in kvstore("put", "a", "1", is_terminal=True, color=False).text.split("(")[0]
    assert "ms" not in kvstore("put", "a", "1", "--quiet", is_terminal=True).text


def test_put_json_has_the_operation_and_the_receipt(kvstore: CommandLine) -> None:
    text = kvstore("put", "a", "1", "-o", "jsonl").text
    assert text.startswith(f'{{"key":"a","version":"{version(3)}","operation":"c-3","receipt":{{"mode":"leader"')


def test_verbose_tells_the_receipt(kvstore: CommandLine) -> None:
    assert "receipt: mode=leader group=7" in kvstore("put", "a", "1", "-v").err


def test_values_come_from_words_files_and_standard_input(kvstore: CommandLine, tmp_path: object) -> None:
    file = f"{tmp_path}/value"
    with open(file, "wb") as written:
        written.write(BINARY)
    kvstore("put", "file", f"@{file}")
    kvstore("put", "stdin", "-", stdin=BINARY * 2)
    kvstore("put", "at", "@@home")
    kvstore("put", "--", "-dash", "--flag")
    values = {key: value for key, (value, _) in kvstore.client.rows.items()}
    assert values[b"file"] == BINARY
    assert values[b"stdin"] == BINARY * 2
    assert values[b"at"] == b"@home"
    assert values[b"-dash"] == b"--flag"


def test_conditions(kvstore: CommandLine) -> None:
    taken = kvstore("put", "user:1", "x", "--if-absent")
    assert taken.code == 4
    assert taken.err.splitlines()[0] == (
        f"error: the condition does not hold: user:1 exists, as version {V1}. Nothing was written."
    )
    assert kvstore("put", "user:1", "x", "--if-version", V2).code == 4
    assert kvstore("put", "user:1", "x", "--if-version", V1).code == 0
    gone = kvstore("put", "nobody", "x", "--if-version", V1)
    assert "the condition does not hold: there is no key nobody" in gone.err
    assert kvstore("del", "user:2", "--if-version", V1).code == 4
    assert kvstore("del", "user:2", "--if-version", V2).code == 0


def test_del(kvstore: CommandLine) -> None:
    assert kvstore("del", "user:1").text == "1\n"
    missing = kvstore("del", "user:1")
    assert (missing.code, missing.err) == (3, "error: there is no key user:1; nothing was deleted\n")
    assert kvstore("del", "user:1", "user:2", "-o", "jsonl").text == '{"deleted":1,"absent":1}\n'
    assert kvstore.client.rows == {}


def test_del_of_a_prefix_asks(kvstore: CommandLine) -> None:
    assert kvstore("del", "--prefix", "none:").text == "0\n"
    alone = kvstore("del", "--prefix", "user:")
    assert (alone.code, alone.err.splitlines()[-1]) == (2, "  add --yes")
    no = kvstore("del", "--prefix", "user:", stdin=b"n\n", is_terminal=True)
    assert (no.code, no.err) == (1, "Delete 2 keys with the prefix user:? [y/N] error: Not done\n")
    assert len(kvstore.client.rows) == 2
    yes = kvstore("del", "--prefix", "user:", stdin=b"yes\n", is_terminal=True)
    assert (yes.code, yes.text.rstrip()) == (0, "OK  2 keys deleted")
    kvstore("put", "user:9", "x")
    assert kvstore("del", "--prefix", "user:", "--yes").text == "1\n"


def test_del_of_many_goes_in_batches(kvstore: CommandLine) -> None:
    for number in range(1_200):
        kvstore.client.write(f"n{number:04}".encode(), b"")
    assert kvstore("del", "--prefix", "n", "--yes").text == "1200\n"
    assert set(kvstore.client.rows) == {b"user:1", b"user:2"}


def test_scan(kvstore: CommandLine) -> None:
    kvstore.client.write(b"a", b"1")
    assert kvstore("scan", "user:", "--keys").text == "user:1\nuser:2\n"
    assert kvstore("scan", "--from", "b", "--to", "user:2").text == 'user:1\t{"name": "Ada"}\n'
    assert kvstore("scan", "none").out == b""
    assert kvstore("scan", "none", is_terminal=True).text == "(no keys)\n"
    assert kvstore("scan", "none", "-o", "json").text == "[]\n"
    assert kvstore("scan", "--keys", "-o", "jsonl").text == '{"key":"a"}\n{"key":"user:1"}\n{"key":"user:2"}\n'


def test_scan_says_when_there_is_more(kvstore: CommandLine) -> None:
    short = kvstore("scan", "--keys", "--limit", "1")
    assert (short.text, short.err) == ("user:1\n", "there are more keys; --limit 0 shows all (now 1)\n")
    assert kvstore("scan", "--keys", "--limit", "1", "--quiet").err == ""
    assert kvstore("scan", "--keys", "--limit", "2").err == ""
    for number in range(150):
        kvstore.client.write(f"n{number}".encode(), b"")
    assert kvstore("scan", "--keys").text.count("\n") == 100
    assert kvstore("scan", "--keys", "--limit", "0").text.count("\n") == 152


def test_long_values_are_cut_on_a_terminal_only(kvstore: CommandLine) -> None:
    kvstore.client.write(b"long", b"x" * 500)
    on_screen = kvstore("scan", "long", is_terminal=True).text.splitlines()
    assert on_screen[1] == "long  " + "x" * 73 + "…"
    assert "x" * 500 in kvstore("scan", "long", "-o", "table").text


def test_other_keyspaces_and_levels_reach_the_client(kvstore: CommandLine) -> None:
    kvstore("keyspace", "create", "carts")
    kvstore("put", "k", "v", "-k", "carts", "--acks", "all", "--timeout", "2s")
    assert kvstore.client.store.keyspaces["carts"].keys() == {b"k"}
    assert kvstore.client.store.asked[-1] == ("carts", {"acks": "all", "timeout": 2.0})
    unknown = kvstore("get", "k", "-k", "none")
    assert unknown.code == 2
    assert "kvstore keyspace list" in unknown.err
