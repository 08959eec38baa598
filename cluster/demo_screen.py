"""What the demo shows: steps with their times, a progress bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

WIDTH = 12
SHOWN_EVERY = 0.25
"""Without a terminal the import says how far it is at every quarter."""


class Advance(Protocol):
    """Tells how many more are done."""

    def __call__(self, count: int) -> None: ...


class Screen:
    """Writes to a stream; everything it says fits a log file, too."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._began = time.monotonic()

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it."""
        return self._stream.isatty()

    def step(self, title: str) -> None:
        """A new part of the story."""
        self._line(f"\n[{time.monotonic() - self._began:5.1f} s] {title}")

    def say(self, text: str) -> None:
        """One fact, indented under its step."""
        for line in text.splitlines():
            self._line(f"{'':{WIDTH}}{line}")

    def verdict(self, text: str) -> None:
        """The last line."""
        self._line(f"\n{text}")

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Advance]:
        """A bar for so many things to do."""
        if self.is_terminal:
            with _bar(self._stream, title, total) as advance:
                yield advance
        else:
            yield _Quarters(self, title, total)


class _Quarters:
    """Progress in a few lines."""

    def __init__(self, screen: Screen, title: str, total: int) -> None:
        self._screen, self._title, self._total = screen, title, total
        self._done, self._next = 0, SHOWN_EVERY

    def __call__(self, count: int) -> None:
        self._done += count
        if self._done >= self._next * self._total:
            self._next = self._done // (SHOWN_EVERY * self._total) * SHOWN_EVERY + SHOWN_EVERY
            self._screen.say(f"{self._title} {self._done:,} of {self._total:,}")


@contextmanager
def _bar(stream: TextIO, title: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(f"{'':{WIDTH}}{title}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=stream)) as progress:
        task = progress.add_task(title, total=total)

        def advance(count: int) -> None:
            progress.advance(task, count)

        yield advance


def milliseconds(seconds: float) -> str:
    """`0.62 ms`, `12 ms`."""
    return f"{seconds * 1000:.2f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of them lies. Raises IndexError without values."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
