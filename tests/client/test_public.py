"""The public face: what `import kvstore` gives, and what it does not drag in."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kvstore
import kvstore.client

ROOT = Path(__file__).parents[2]


def loaded_after(script: str) -> set[str]:
    command = [sys.executable, "-c", f"{script}\nimport sys; print(*sys.modules)"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


HEAVY = {"grpc", "google", "msgspec", "asyncio", "aiohttp", "lmdb", "rich", "prompt_toolkit", "click"}


def test_importing_the_package_imports_nothing_else() -> None:
    assert not loaded_after("import kvstore") & HEAVY
    assert not loaded_after("import kvstore; kvstore.Version; kvstore.errors") & {"grpc", "asyncio", "google"}


def test_a_client_that_was_not_connected_needs_no_grpc() -> None:
    loaded = loaded_after("import kvstore; db = kvstore.Client('kv://127.0.0.1:1'); db.close()")
    assert "grpc" not in loaded and not loaded & {"aiohttp", "lmdb", "rich", "prompt_toolkit", "click"}


def test_every_public_name_is_there() -> None:
    for name in kvstore.__all__:
        assert getattr(kvstore, name) is not None, name
    assert {"Client", "AsyncClient", "connect", "timeout", "codecs", "errors", "open"} <= set(dir(kvstore))
    assert kvstore.open.__module__ == "kvstore.local.embedded" and "open" not in kvstore.__all__
    for name in kvstore.client.__all__:
        assert getattr(kvstore.client, name) is getattr(kvstore, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        kvstore.nonsense  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        kvstore.client.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_it_says_that_it_is_typed() -> None:
    assert (ROOT / "kvstore" / "py.typed").exists()


def test_one_version() -> None:
    pyproject: dict[str, Any] = importlib.import_module("tomllib").loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == kvstore.__version__


@pytest.mark.parametrize(
    "module", ["options", "deadlines", "url", "codecs", "keys", "sequencer", "documented"], ids=lambda name: name
)
def test_examples_in_docstrings_are_true(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"kvstore.client.{module}"))
    assert tried and not failed
