"""What a command must not load: a fresh interpreter starts for every one of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvstore.cli.verbs.nodes import POLLER

ROOT = Path(__file__).parents[2]
HEAVY = {"rich", "prompt_toolkit", "aiohttp"}
CLIENT = {"grpc", "google", "asyncio", "uvloop", "lmdb"}

GET = """
import sys
from tests.cli.fake_client import CommandLine
kvstore = CommandLine()
kvstore.client.write(b"a", b"1")
run = kvstore({words})
assert run.code == 0, run.err
print(*sys.modules)
"""

NO_CLUSTER = """
import sys
from kvstore.cli import main
assert main({words}) == {code}
print(*sys.modules)
"""


def loaded(script: str) -> set[str]:
    """The packages a fresh interpreter has after a script that prints them last."""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return {name.partition(".")[0] for name in run.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "words", ['"get", "a"', '"get", "a", is_terminal=True', '"put", "a", "b"', '"scan", "-o", "json"']
)
def test_get_loads_nothing_that_draws_serves_or_prompts(words: str) -> None:
    assert loaded(GET.format(words=words)) & HEAVY == set()


def test_a_table_for_people_loads_rich_and_no_more() -> None:
    assert loaded(GET.format(words='"scan", is_terminal=True')) & HEAVY == {"rich"}


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["help", "put"], 0), (["version"], 0), (["gett"], 2), (["local", "ls"], 0)]
)
def test_help_loads_no_client(words: list[str], code: int) -> None:
    assert loaded(NO_CLUSTER.format(words=words, code=code)) & (HEAVY | CLIENT) == set()


def test_a_real_get_loads_the_client_and_nothing_heavier() -> None:
    """Against a port where nobody listens: connecting is as far as it comes."""
    script = NO_CLUSTER.format(words=["-c", "kv://127.0.0.1:1", "get", "a"], code=8)
    assert loaded(script) & (HEAVY | CLIENT) >= {"grpc", "asyncio"}
    assert loaded(script) & HEAVY == set()


def test_a_shell_script_loads_no_prompt() -> None:
    words = '"shell", "-e", "get a"'
    assert loaded(GET.format(words=words)) & HEAVY == set()


def test_a_node_chooses_grpcs_loop_before_it_loads_grpc() -> None:
    script = """
import os, sys
from kvstore.cli import main

class Witness:
    seen = []
    def find_spec(self, name, *_):
        if name == "grpc":
            self.seen.append(os.environ.get("GRPC_EXPERIMENTS"))

sys.meta_path.insert(0, Witness())
assert main(["node", "run", "--config", "nowhere.toml"]) != 0
print(*Witness.seen)
"""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    for given, expected in (({}, POLLER), ({"GRPC_EXPERIMENTS": "ours"}, "ours")):
        run = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False,
            env=environment | given,
        )  # fmt: skip
        assert run.stdout.split() == [expected], run.stderr
