"""The cluster's health for the line at the bottom, looked up now and then in the background, never during a command."""

import threading
from collections.abc import Callable

from kvstore.cli.connection import Health

PERIOD_S = 2.0


class HealthWatch:
    """Calls `probe` every few seconds on a thread of its own, until it is stopped. The probe must not raise."""

    def __init__(self, probe: Callable[[], Health], period_s: float = PERIOD_S) -> None:
        self._probe, self._period_s = probe, period_s
        self._stopping, self._may_look, self._now = threading.Event(), threading.Event(), threading.Event()
        self._may_look.set()
        self._thread: threading.Thread | None = None
        self.latest = Health()

    def start(self, on_change: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=self._look, args=(on_change,), name="kvstore-health", daemon=True)
        self._thread.start()

    def _look(self, on_change: Callable[[], object]) -> None:
        while not self._stopping.is_set():
            self._may_look.wait()
            if self._stopping.is_set():
                return
            seen = self._probe()
            if seen != self.latest:
                self.latest = seen
                on_change()
            self._now.wait(self._period_s)
            self._now.clear()

    def pause(self) -> None:
        """Leave the cluster to the command that runs."""
        self._may_look.clear()

    def go_on(self) -> None:
        """Look again, and now: the command may have changed something."""
        self._now.set()
        self._may_look.set()

    def stop(self) -> None:
        self._stopping.set()
        self._now.set()
        self._may_look.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
