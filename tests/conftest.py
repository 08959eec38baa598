"""What every test shares: where real clusters run, how hypothesis is set, and what the closing lines say."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

ROOT = Path(__file__).parents[1]

# No deadline: a slow machine must not fail a property. Printed blobs make a failing example replayable.
hypothesis.settings.register_profile("kvstore", deadline=None, print_blob=True)
hypothesis.settings.load_profile("kvstore")


@cache
def starts_real_nodes(path: str) -> bool:
    """Whether a test file marks anything `cluster`. Read as text: the process that hands out work imports no test."""
    return "mark.cluster" in (ROOT / path).read_text(encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "Scheduling":
    """Files that start real nodes stay together on one worker, so that clusters never fight over two cores.

    All other tests go one by one to whoever is free. `--dist loadgroup` would say the same, but pytest-xdist 3.8 writes
    the group into a private field that pytest 9.2 no longer reads, and spreads the group over all workers.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ClustersTogether(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "cluster" if starts_real_nodes(nodeid.partition("::")[0]) else nodeid

    return ClustersTogether(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the checks of tests/run.sh that failed, so that a green last line cannot be misread."""
    failed = os.environ.get("KVSTORE_FAILED_CHECKS")
    if failed:
        terminalreporter.section("failed before the tests", red=True)
        terminalreporter.line(f"{failed}: see above; the exit status will be 1", red=True)
