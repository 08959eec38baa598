"""What every test shares: where real clusters run, how hypothesis is set, and what the closing lines say."""

import os

import hypothesis
import pytest

# No deadline: a slow machine must not fail a property. Printed blobs make a failing example replayable.
hypothesis.settings.register_profile("kvstore", deadline=None, print_blob=True)
hypothesis.settings.load_profile("kvstore")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist writes the group into the test's id
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of real processes share one worker, so that they never fight each other for two cores."""
    for item in items:
        if item.get_closest_marker("cluster") is not None:
            item.add_marker(pytest.mark.xdist_group("cluster"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the checks of tests/run.sh that failed, so that a green last line cannot be misread."""
    failed = os.environ.get("KVSTORE_FAILED_CHECKS")
    if failed:
        terminalreporter.section("failed before the tests", red=True)
        terminalreporter.line(f"{failed}: see above; the exit status will be 1", red=True)
