"""`python -m chaos check`: last line, exit status, and clear words about bad files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chaos.__main__ import main
from chaos.history import HistoryRecorder

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"


def run(*arguments: str, text: str | bytes = "") -> Result:
    return CliRunner().invoke(main, ["check", *arguments], input=text)


def last_word(result: Result) -> str:
    return result.stdout.rstrip("\n").rsplit("\n", 1)[-1].split(":")[0]


STALE = """\
INFO  jepsen.util - 0\t:invoke\t:write\t1
INFO  jepsen.util - 0\t:ok\t:write\t1
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:read\tnil
"""
ENDLESS = "".join(f"{{:process {n} :type :invoke :f :acquire}}" for n in range(40)) + "".join(
    f"{{:process {n} :type :ok :f :acquire}}" for n in range(40)
)


def test_valid_is_status_0() -> None:
    result = run("--model", "cas-register", "-", text=STALE.replace(":ok\t:read\tnil", ":ok\t:read\t1"))
    assert (result.exit_code, last_word(result)) == (0, "valid")
    assert "2 operations" in result.stdout and "1 key" in result.stdout


def test_invalid_is_status_1_with_the_story() -> None:
    result = run("--model", "cas-register", "-", text=STALE)
    assert (result.exit_code, last_word(result)) == (1, "invalid")
    assert "state then: 1" in result.stdout
    assert "process 1: read -> None" in result.stdout.splitlines()[-1]


def test_unknown_is_status_3() -> None:
    log = STALE.replace(":ok\t:read\tnil", ":ok\t:read\t1")
    result = run("--model", "cas-register", "--time-limit", "0", "-", text=log)
    assert (result.exit_code, last_word(result)) == (3, "unknown")
    assert "time limit" in result.stdout


@pytest.mark.parametrize("text", ("", "\n\n", "; nothing\n", "[]", "()"))
def test_an_empty_history_is_valid(text: str) -> None:
    result = run("--model", "cas-register", "-", text=text)
    assert (result.exit_code, last_word(result)) == (0, "valid")


@pytest.mark.parametrize(
    ("text", "line"),
    (
        ("hello\n", 1),
        (STALE + "INFO  jepsen.util - 1\t:ok\n", 5),
        (STALE + "some words\n", 5),
        ("[{:process 1 :type :invoke :f :read}\n{:process 1", 2),
        ("[{:process 1 :type :invoke :f :read}\n 7]", 2),
        ('{"event": "ok", "id": 3, "at": 1}\n', 1),
        (b"INFO \xff\xfe\n", 1),
        ("{:process 1 :type :invoke :f :dance}", 1),
        ("{:process 1 :type :invoke :f :write :value 1}\n{:process 1 :type :ok :f :read :value 1}", 2),
    ),
)
def test_a_bad_file_is_status_2_and_its_line_is_named(text: str | bytes, line: int) -> None:
    result = run("--model", "cas-register", "-", text=text)
    assert result.exit_code == 2
    assert f"line {line}:" in result.stderr
    assert "valid" not in result.stdout


def test_bad_arguments_are_status_2() -> None:
    assert run("--model", "cas-register", "/no/such/file").exit_code == 2
    assert run("--model", "poetry", "-").exit_code == 2
    assert run("--model", "cas-register", "--initial", "[1", "-").exit_code == 2
    assert run("--model", "mutex", "--initial", "3", "-").exit_code == 2


def test_initial_overrides_the_source() -> None:
    read = "{:process 1 :type :invoke :f :read}{:process 1 :type :ok :f :read :value 5}"
    assert run("--model", "cas-register", "-", text=read).exit_code == 1
    assert run("--model", "cas-register", "--initial", "5", "-", text=read).exit_code == 0
    parts = "{:process 1 :type :invoke :f :txn :value [[:r :y nil]]}{:process 1 :type :ok :f :txn :value [[:r :y 2]]}"
    assert run("--model", "multi-register", "-", text=parts).exit_code == 1
    assert run("--model", "multi-register", "--initial", "{:x 1 :y 2}", "-", text=parts).exit_code == 0
    release = "{:process 1 :type :invoke :f :release}{:process 1 :type :ok :f :release}"
    assert run("--model", "mutex", "-", text=release).exit_code == 1
    assert run("--model", "mutex", "--initial", "held", "-", text=release).exit_code == 0


def test_our_own_recordings_are_read(tmp_path: Path) -> None:
    lines: list[str] = []
    recorder = HistoryRecorder(lines.append)
    recorder.ok(recorder.invoke("c", "put", "k", "v\n", 1), 2)
    recorder.ok(recorder.invoke("c", "get", "k", None, 3), 4, None)
    file = tmp_path / "history.jsonl"
    file.write_text("\n".join(lines) + "\n")
    result = run("--model", "register", str(file))
    assert (result.exit_code, last_word(result)) == (1, "invalid")
    assert str(file) in result.stdout


def test_a_value_with_line_ends_does_not_break_the_last_line() -> None:
    text = json.dumps(
        {
            "process": "c\nvalid",
            "kind": "get",
            "key": "k",
            "input": None,
            "output": "x\ny" * 200,
            "invoked_at": 1,
            "returned_at": 2,
            "outcome": "ok",
        }
    )
    result = run("--model", "register", "-", text=text)
    assert (result.exit_code, last_word(result)) == (1, "invalid")
    assert len(result.stdout.splitlines()[-1]) < 200


def test_forty_holders_of_one_lock_are_refused_at_once() -> None:
    result = run("--model", "mutex", "-", text=ENDLESS)
    assert (result.exit_code, last_word(result)) == (1, "invalid")


SAMPLE = {
    "porcupine": ("jepsen/etcd_000.log", "jepsen/etcd_002.log", "kv/c01-ok.txt", "kv/c50-bad.txt", "kv/c50-ok.txt"),
    "knossos": (
        "cas-register/rethink-fail.edn",
        "cas-register/memstress3-9.edn",
        "cas-register/bad-analysis.edn",
        "mutex/etcd.edn",
        "multi-register/multi-register.edn",
    ),
}


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in SAMPLE.items() for file in files])
def test_recorded_histories_through_the_command(name: str, file: str) -> None:
    path = DATA / name / file
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    verdict: dict[str, Any] = json.loads((DATA / name / "verdicts.json").read_text())[file]
    model = verdict["model"].replace("kv-put-append-get", "kv")
    result = run("--model", model, str(path))
    expected = (0, "valid") if verdict["expected"] else (1, "invalid")
    assert (result.exit_code, last_word(result)) == expected, result.output


def test_as_a_process() -> None:
    command = [sys.executable, "-m", "chaos", "check", "--model", "cas-register", "-"]
    done = subprocess.run(command, input=STALE, text=True, capture_output=True, cwd=ROOT, timeout=60)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("invalid")
    assert done.stderr == ""
